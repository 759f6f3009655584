"""Every rule of the guard, what the policies do with it, and how a finding is worded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError, DataError
from simulator.options.chain import Chain, load_chain
from simulator.options.chain_guard import ERROR_RULES, check_chain

ROW: dict[str, Any] = {
    "time": "2020-01-02T16:00:00-05:00", "symbol": "XYZ", "expiry": "2020-01-17", "kind": "call",
    "strike": 100.0, "bid": 2.0, "ask": 2.2, "underlying": 100.0,
}  # fmt: skip
NEXT = "2020-01-03T16:00:00-05:00"


def table(*changes: dict[str, Any]) -> pd.DataFrame:
    """Return good quotes at strikes 90 and 95, and then one row per change."""
    good = [ROW | {"strike": 90.0}, ROW | {"strike": 95.0}]
    return pd.DataFrame([*good, *(ROW | change for change in changes)])


def load(*changes: dict[str, Any], guard: Any = "note") -> Chain:
    return Chain.from_frame(table(*changes), guard=guard)


BROKEN: list[tuple[str, list[dict[str, Any]]]] = [
    ("crossed", [{"bid": 2.3}]),
    ("negative", [{"bid": -0.1}]),
    ("negative", [{"ask": np.inf}]),
    ("expired", [{"expiry": "2020-01-01"}]),
    ("strike", [{"strike": 0.0}]),
    ("strike", [{"strike": -5.0}]),
    ("strike", [{"strike": 100_000.0}]),  # thousandths, as option symbols write strikes
    ("strike", [{"strike": np.nan}]),
    ("duplicate", [{}, {}]),
    ("duplicate", [{}, {"bid": 1.9}]),
]


@pytest.mark.parametrize(("rule", "changes"), BROKEN)
def test_what_cannot_be_is_an_error(rule: str, changes: list[dict[str, Any]]) -> None:
    noted = load(*changes)
    assert any(f" {rule}: " in note for note in noted.notes)
    dropped = load(*changes, guard="drop")
    equal_rows = rule == "duplicate" and changes[0] == changes[1]
    assert dropped.strike.tolist() == [90.0, 95.0, *([100.0] if equal_rows else [])]
    assert any(note.endswith("(dropped)") for note in dropped.notes)
    with pytest.raises(DataError, match='guard="drop"') as caught:
        load(*changes, guard="raise")
    assert caught.value.code == f"DATA_{rule.upper()}"
    assert f"row {len(changes) + 2}" in str(caught.value)


def test_every_error_rule_is_tried() -> None:
    assert {rule for rule, _ in BROKEN} == set(ERROR_RULES)


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("locked", [{"bid": 2.2}]),
        ("zero_bid", [{"bid": 0.0}]),
        ("zero_bid", [{"bid": 0.0, "ask": 0.0}]),
        ("missing", [{"bid": np.nan}]),
        ("missing", [{"ask": np.nan}]),
        ("underlying", [{"underlying": np.nan}]),
        ("underlying", [{"underlying": 0.0}]),
        ("stale", [{"delta": 0.5}, {"time": NEXT, "underlying": 102.0, "delta": 0.5}]),
        (
            "stale",
            [{"strike": 99.0}, {"strike": 99.0, "time": NEXT, "underlying": 102.0}],
        ),  # no delta: inside
    ],
)
@pytest.mark.parametrize("guard", ["raise", "drop", "note"])
def test_what_may_be_is_kept_and_noted(rule: str, changes: list[dict[str, Any]], guard: str) -> None:
    chain = load(*changes, guard=guard)
    assert len(chain) == 2 + len(changes)
    report = check_chain(chain)
    assert report.counts == {rule: 1}
    assert [f.grade for f in report.findings] == ["note"]
    assert report.errors == ()
    assert any(f" {rule}: " in note for note in chain.notes)


@pytest.mark.parametrize(
    "changes",
    [
        [{"delta": 0.5}, {"time": NEXT, "underlying": 100.2, "delta": 0.5}],  # within the spread
        [{"delta": 0.01}, {"time": NEXT, "underlying": 102.0, "delta": 0.01}],  # far away
        [{"delta": 0.5}, {"time": NEXT, "underlying": 102.0, "delta": 0.5, "bid": 2.1}],  # it did change
        [{"delta": 0.5}, {"time": "2020-01-02T16:10:00-05:00", "underlying": 102.0, "delta": 0.5}],  # one day
        [{"strike": 105.0}, {"strike": 105.0, "time": NEXT, "underlying": 102.0}],  # outside, delta unknown
    ],
)
def test_honest_repetition_is_not_stale(changes: list[dict[str, Any]]) -> None:
    assert load(*changes).notes == ()


def test_good_quotes_have_no_notes() -> None:
    chain = load({}, {"kind": "put"})
    assert chain.notes == ()
    assert len(check_chain(chain)) == 0


def test_expiry_day_itself_is_quoted() -> None:
    assert load({"expiry": "2020-01-02"}, guard="raise").notes == ()


def test_of_rows_that_repeat_a_contract_note_keeps_the_last() -> None:
    chain = load({}, {"bid": 1.9}, {"bid": 1.8})
    assert chain.bid.tolist() == [2.0, 2.0, 1.8]


def test_a_finding_names_file_row_contract_and_rule(tmp_path: Path) -> None:
    table({"bid": 3.0}).to_csv(tmp_path / "quotes.csv", index=False)
    with pytest.raises(DataError) as caught:
        load_chain(tmp_path / "quotes.csv", guard="raise")
    assert str(caught.value).startswith(
        "[DATA_CROSSED] quotes.csv row 3: 2020-01-02 21:00:00Z XYZ 2020-01-17 100 call crossed: "
        "bid 3 is above ask 2.2. "
    )


def test_rows_are_those_of_the_file_although_the_chain_is_sorted(tmp_path: Path) -> None:
    table({"strike": 85.0, "bid": 3.0}).iloc[::-1].to_csv(tmp_path / "b.csv", index=False)
    table({"time": NEXT, "strike": 80.0}).iloc[2:].to_csv(tmp_path / "a.csv", index=False)
    chain = load_chain(tmp_path)
    assert len(chain.notes) == 1
    assert chain.notes[0].startswith("b.csv row 1: ")


def test_frequent_notes_are_counted_not_listed() -> None:
    chain = load(*({"strike": 100.0 + k, "bid": 0.0} for k in range(30)))
    assert len(chain.notes) == 1
    assert "30 quote(s) without a bid" in chain.notes[0]


def test_many_findings_end_in_a_count() -> None:
    chain = load(*({"strike": 100.0 + k, "bid": 2.2} for k in range(80)))
    assert len(chain.notes) == 51
    assert chain.notes[-1] == "more findings; in all: 80 locked"


def test_the_report_is_a_table() -> None:
    frame = check_chain(load({"bid": 2.3})).to_frame()
    assert frame.columns.tolist() == ["file", "row", "time", "contract", "rule", "grade", "text"]
    assert frame["rule"].tolist() == ["crossed"]
    assert str(frame["time"].dt.tz) == "UTC"


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError, match="left no quote") as caught:
        Chain.from_frame(pd.DataFrame([ROW | {"bid": 9.0}]))
    assert caught.value.code == "DATA_EMPTY"


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'drop'") as caught:
        load({}, guard="drp")
    assert caught.value.code == "CONFIG_GUARD"


quotes = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.sampled_from([ROW["time"], NEXT]),
            "expiry": st.sampled_from(["2020-01-02", "2020-01-17"]),
            "strike": st.sampled_from([-1.0, 50.0, 100.0, 1e6]),
            "bid": st.sampled_from([-1.0, 0.0, 1.0, 2.0, np.nan, np.inf]),
            "ask": st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan]),
            "underlying": st.sampled_from([100.0, 110.0, np.nan]),
        }
    ),
    max_size=12,
)


@given(quotes)
@settings(derandomize=True, database=None, deadline=None, max_examples=60)
def test_whatever_comes_dropping_leaves_no_error_and_noting_loses_only_repeats(
    changes: list[dict[str, Any]],
) -> None:
    dropped, noted = load(*changes, guard="drop"), load(*changes, guard="note")
    assert check_chain(dropped).errors == ()
    keys = {(ROW["time"], ROW["expiry"], strike) for strike in (90.0, 95.0)}
    keys |= {(row["time"], row["expiry"], row["strike"]) for row in changes}
    assert len(noted) == len(keys)
    raised = check_chain(noted).errors or any(" duplicate: " in note for note in noted.notes)
    if raised:
        with pytest.raises(DataError):
            load(*changes, guard="raise")
    else:
        assert len(load(*changes, guard="raise")) == len(noted) == len(dropped)
