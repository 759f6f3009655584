"""The data guard: what it finds, what it leaves alone, and what the policies do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bars import Bars, check, load_bars
from simulator.bars.arrays import DAY, Floats
from simulator.errors import DataError

if TYPE_CHECKING:
    from .conftest import MakeFrame


def _flat(rows: int = 60, price: float = 100.0) -> Floats:
    panel = np.full((rows, 1, 5), price)
    panel[:, :, 1] *= 1.01
    panel[:, :, 2] *= 0.99
    panel[:, :, 4] = 1000.0
    return panel


def _rules(panel: Floats, **keywords: object) -> dict[str, list[int]]:
    bars = Bars.from_arrays(["A"], np.arange(len(panel)) * DAY, panel, guard="note", **keywords)  # type: ignore[arg-type]
    found: dict[str, list[int]] = {}
    for finding in check(bars).findings:
        found.setdefault(finding.rule, []).append(finding.ts // DAY)
    return found


def test_good_bars_give_an_empty_report() -> None:
    assert _rules(_flat()) == {}


def test_a_changed_basis_without_volume_is_a_gap() -> None:
    panel = _flat()
    panel[30:, :, :4] /= 2
    assert _rules(panel) == {"gap": [30]}


def test_the_same_fall_on_news_volume_is_nothing() -> None:
    panel = _flat()
    panel[30:, :, :4] /= 2
    panel[30, :, 4] *= 12
    assert _rules(panel) == {}


def test_a_fall_during_the_session_is_a_jump() -> None:
    panel = _flat()
    panel[30:, :, :4] /= 2
    panel[30, :, 0] = 100.0
    panel[30, :, 1] = 101.0
    assert _rules(panel) == {"jump": [30]}


def test_a_jump_that_comes_back_is_a_bad_tick_once() -> None:
    panel = _flat()
    panel[30:32, :, :4] *= 1.5
    assert _rules(panel) == {"bad_tick": [30]}


def test_a_shadow_of_the_day_is_a_wick() -> None:
    panel = _flat()
    panel[30, :, 2] = 40.0
    assert _rules(panel) == {"wick": [30]}


def test_a_split_explains_raw_prices_only() -> None:
    panel = _flat()
    panel[30:, :, :4] /= 2
    split = [("A", "1970-01-31", "split", 2.0)]
    assert _rules(panel, raw=True, actions=split) == {}
    assert _rules(panel, raw=False, actions=split) == {"gap": [30]}


def test_bars_without_volume_are_counted_once_per_symbol() -> None:
    panel = _flat()
    panel[10:13, :, 4] = 0
    report = check(Bars.from_arrays(["A"], np.arange(60) * DAY, panel))
    assert [str(finding) for finding in report.findings] == [
        "A 1970-01-11 no_volume: 3 bar(s) without volume, the first here"
    ]
    panel[:, :, 4] = 0
    assert _rules(panel) == {}


def test_rounding_of_a_millionth_is_repaired_and_noted() -> None:
    panel = _flat()
    panel[5, 0, :4] = [100.0, 100.0, 99.0, 100.00005]
    frame = pd.DataFrame(panel[:, 0], columns=list("ohlcv"), index=pd.bdate_range("2020-01-01", periods=60))
    bars = Bars.from_frames({"A": frame})
    assert bars.high[5, 0] == 100.00005
    assert panel[5, 0, 1] == 100.0
    assert len(bars.notes) == 1
    assert "rounding" in bars.notes[0]


def test_raise_names_symbol_time_rule_and_values() -> None:
    panel = _flat()
    panel[5, 0, 1] = 50.0
    panel[9, 0, 3] = np.nan
    with pytest.raises(DataError) as caught:
        Bars.from_arrays(["ABC"], np.arange(60) * DAY, panel)
    assert caught.value.code == "DATA_OHLC"
    assert "ABC 1970-01-06 ohlc: high 50.0 is below open 100.0 and 1 more" in str(caught.value)


def test_drop_makes_the_bar_missing_and_leaves_the_input_alone() -> None:
    panel = _flat()
    panel[5, 0, 1] = 50.0
    given_panel = panel.copy()
    bars = Bars.from_arrays(["A"], np.arange(60) * DAY, panel, guard="drop")
    assert np.isnan(bars.panel[5]).all()
    assert np.isfinite(np.delete(bars.panel, 5, axis=0)).all()
    np.testing.assert_array_equal(panel, given_panel)
    assert bars.notes == ("A 1970-01-06 ohlc: high 50.0 is below open 100.0 (dropped)",)


def test_note_keeps_the_bar() -> None:
    panel = _flat()
    panel[5, 0, 1] = 50.0
    bars = Bars.from_arrays(["A"], np.arange(60) * DAY, panel, guard="note")
    assert bars.high[5, 0] == 50.0
    assert bars.notes == ("A 1970-01-06 ohlc: high 50.0 is below open 100.0",)


def test_jumps_never_raise(make_frame: MakeFrame) -> None:
    frame = make_frame(rows=40)
    frame.iloc[30:, :4] /= 3
    bars = Bars.from_frames({"A": frame})
    assert len(bars.notes) == 1
    assert "gap" in bars.notes[0]


def test_notes_are_bounded() -> None:
    panel = _flat(500)
    panel[:, :, :4] *= -1
    bars = Bars.from_arrays(["A"], np.arange(500) * DAY, panel, guard="note")
    assert len(bars.notes) == 51
    assert bars.notes[-1].startswith("450 more findings")


def test_equal_duplicates_collapse_and_contradictions_go_under_drop(make_frame: MakeFrame) -> None:
    frame = make_frame(rows=5)
    other = frame.iloc[[2]] * 1.5
    twice = pd.concat([frame, frame.iloc[[1]], other])
    dropped = Bars.from_frames({"A": twice, "B": frame}, guard="drop")
    assert np.isnan(dropped.panel[2, 0]).all()
    np.testing.assert_array_equal(dropped.panel[[0, 1, 3, 4], 0], frame.to_numpy()[[0, 1, 3, 4]])
    noted = Bars.from_frames({"A": twice}, guard="note")
    np.testing.assert_array_equal(noted.panel[2, 0], other.to_numpy()[0])
    assert any("duplicate" in note for note in noted.notes)
    assert any("unsorted" in note for note in noted.notes)


def test_report_as_a_table(make_frame: MakeFrame) -> None:
    frame = make_frame(rows=30)
    frame.iloc[4, 1] = 1.0
    table = check({"A": frame.iloc[::-1]}).to_frame()
    assert {"unsorted", "ohlc"} == set(table["rule"])
    assert set(table["grade"]) == {"error"}
    assert str(table["time"].dt.tz) == "UTC"
    row = table[table["rule"] == "ohlc"].iloc[0]
    assert row["high"] == 1.0
    assert row["previous_close"] == frame["close"].iloc[3]


def test_samples_pass_the_guard() -> None:
    for name in ("stocks", "spx", "nasdaq"):
        assert load_bars(f"sample:{name}").notes == ()
    raw = check(load_bars("sample:stocks", adjust="none"))
    assert len(raw) == 0, [str(finding) for finding in raw.findings]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 19), st.integers(0, 4), st.sampled_from([np.nan, -1.0, 0.0, np.inf, 1e9, 1e-9])
        ),
        max_size=6,
    )
)
def test_after_drop_nothing_impossible_is_left(faults: list[tuple[int, int, float]]) -> None:
    panel = _flat(20)
    for row, field, value in faults:
        panel[row, 0, field] = value
    bars = Bars.from_arrays(["A"], np.arange(20) * DAY, panel, guard="drop")
    known = ~np.isnan(bars.panel)
    assert (known.all(axis=2) | ~known.any(axis=2)).all()
    good = bars.panel[known.all(axis=2)]
    assert (good[:, :4] > 0).all()
    assert np.isfinite(good).all()
    assert (good[:, 1] >= good[:, [0, 2, 3]].max(axis=1)).all()
    assert (good[:, 2] <= good[:, [0, 1, 3]].min(axis=1)).all()
    assert not check(bars).errors
