"""Every filter of the options scanner rejects, and says so; nothing else does."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pandas as pd
import pytest

from simulator.errors import ConfigError, DataError
from strategies.scanner_settings import FILTERS, ScanSettings
from strategies.scanner_strategies import LegRule, ScanStrategy
from tests.strategies.scanned import EXPIRY, below, changed, only, quotes, scanner, without

# filter: quotes, options, and what the row of candidates says
REJECTED: dict[str, tuple[pd.DataFrame | None, dict[str, Any], tuple[float, float]]] = {
    "blacklist": (None, {"blacklist": ["XYZ"]}, (math.nan, math.nan)),
    "iv_rank": (None, {"rank": 49.9}, (49.9, 50.0)),
    "dte": (quotes(EXPIRY + 28), {}, (78.0, 60.0)),
    "earnings": (None, {"earnings": {"XYZ": ["2020-02-21"]}}, (50.0, 50.0)),
    "back_dte": (None, {"strategies": ("calendar",)}, (math.nan, 49.0)),
    "delta": (without(-1, 95.0), {}, (0.482, 0.40)),
    "width": (None, {"widths": (1.0,)}, (5.0, 1.0)),
    "quote": (changed(90.0, bid=0.0), {}, (0.0, 0.0)),
    "spread": (changed(95.0, bid=1.34, ask=1.94), {}, (0.60 / 1.64, 0.30)),
    "open_interest": (changed(90.0, open_interest=99.0), {}, (99.0, 100.0)),
    "credit": (None, {"min_credit": 1.09}, (1.08, 1.09)),
    "credit_to_width": (None, {"min_credit_to_width": 0.22}, (0.216, 0.22)),
    "upside": (None, {"strategies": ("jade-lizard",)}, (2.12, 5.0)),
    "buying_power": (None, {"max_buying_power": 391.0}, (392.0, 391.0)),
    "probability": (None, {"min_probability": 0.9}, (1 - below(93.92), 0.9)),
    "expected_value": (None, {"min_expected_value": 5.0}, (0.0, 5.0)),
    "score": (None, {"min_score": 90.0}, (24.0 + 30.0 * (1 - below(93.92)) + 20.0 + 10.0 * 2 / 3, 90.0)),
}


def test_bounds_on_delta_narrow_those_of_each_strategy() -> None:
    # the put at 95 has 0.274, that at 90 0.118; the strategy sells from 0.20 to 0.40
    assert only(strategies="short-put", max_delta=0.28).strikes == (95.0,)
    refused = scanner(strategies=("short-put",), max_delta=0.25)
    assert refused.scan_for_opportunities() == []
    row = refused.candidates.iloc[0]
    assert (row["filter"], row["limit"]) == ("delta", 0.25)
    assert row["measure"] == pytest.approx(0.274, abs=0.003)
    assert scanner(strategies=("short-put",), min_delta=0.30).scan_for_opportunities() == []
    # what is bought as a wing is no option sold by delta
    assert only(strategies="short-put-spread", min_delta=0.20).strikes == (90.0, 95.0)


def test_the_target_moves_to_the_bound_on_delta() -> None:
    # puts at 100 and 95 lie within 0.25 to 0.50, with 0.48 and 0.27; the target of 0.30 moves up to 0.45
    wide = ScanStrategy(
        name="wide-put", legs=(LegRule(side=-1, kind="put", delta=(0.25, 0.30, 0.50)),), naked=True
    )
    assert only(strategies=[wide]).strikes == (95.0,)
    assert only(strategies=[wide], min_delta=0.45).strikes == (100.0,)
    with pytest.raises(ConfigError, match=r"min_delta 0\.5 is above max_delta 0\.3"):
        ScanSettings(min_delta=0.5, max_delta=0.3)


def test_every_filter_has_an_example() -> None:
    assert list(REJECTED) == list(FILTERS)


@pytest.mark.parametrize("name", REJECTED)
def test_every_filter_rejects_and_is_on_record(name: str) -> None:
    table, options, (measure, limit) = REJECTED[name]
    looking = scanner(table, **{"strategies": ("short-put-spread",), **options})
    assert looking.scan_for_opportunities() == []
    rows = looking.candidates
    assert len(rows) == 1
    row = rows.iloc[0]
    assert (row["filter"], row["accepted"], row["symbol"], row["grade"]) == (name, False, "XYZ", "quoted")
    assert row["measure"] == pytest.approx(measure, abs=0.02 if name != "expected_value" else 3, nan_ok=True)
    assert row["limit"] == pytest.approx(limit, nan_ok=True)
    assert len(row["reason"].split()) >= 4
    if name in ("credit", "buying_power"):
        assert (row["strikes"], row["expiry"], row["legs"]) == (
            (90.0, 95.0), dt.date(2020, 2, 21), "-95P +90P"
        )  # fmt: skip


@pytest.mark.parametrize("name", [name for name in REJECTED if name not in ("upside", "dte", "back_dte")])
def test_the_same_candidate_passes_without_its_obstacle(name: str) -> None:
    assert only(strategies="short-put-spread").strikes == (90.0, 95.0)
    lifted: dict[str, Any] = {"iv_rank": {"rank": 50.0}, "earnings": {"earnings": {"XYZ": ["2020-02-22"]}}}
    assert only(**{"strategies": "short-put-spread", **lifted.get(name, {})}).strikes == (90.0, 95.0)


def test_earnings_after_expiry_count_within_the_buffer_and_past_ones_do_not() -> None:
    for day, buffer, count in (("2020-02-24", 0, 1), ("2020-02-24", 3, 0), ("2020-01-01", 3, 1)):
        looking = scanner(
            strategies="short-put", earnings={"XYZ": [day]}, earnings_buffer_days=buffer
        )  # fmt: skip
        assert len(looking.scan_for_opportunities()) == count, day


def test_earnings_count_from_when_they_were_announced_and_are_expected_where_none_is() -> None:
    def first(earnings: Any, **options: Any) -> str:
        looking = scanner(strategies="short-put", earnings=earnings, **options)
        looking.scan_for_opportunities()
        return str(looking.candidates.iloc[0]["filter"])

    # expiry is 2020-02-21, the scan of 2020-01-02
    assert first({"XYZ": [("2020-02-10", "2020-01-02")]}) == "earnings"
    assert first({"XYZ": [("2020-02-10", "2020-01-03")]}) == ""
    # moved behind the expiry before the scan, and after it
    moved = [("2020-02-10", "2019-12-01"), ("2020-02-25", "2020-01-02")]
    assert first({"XYZ": moved}) == ""
    assert first({"XYZ": [moved[0], ("2020-02-25", "2020-01-10")]}) == "earnings"
    # two dates of one list are two dates
    assert first({"XYZ": ["2020-02-10", "2020-02-25"]}) == "earnings"
    # a quarter after 2019-11-28 is 2020-02-27, a week either way begins on the 20th
    assert first({"XYZ": ["2019-11-28"]}) == "earnings"
    assert first({"XYZ": ["2019-11-28"]}, earnings_shift_days=5) == ""
    assert first({"XYZ": ["2019-11-28", "2020-02-26"]}) == ""
    table = pd.DataFrame(
        {"symbol": ["XYZ", "ABC"], "date": ["2020-02-10", "2020-02-10"], "known_at": ["2020-01-02", ""]}
    )
    assert first(table) == "earnings"
    assert first(table.assign(known_at=["2020-01-03", ""])) == ""
    with pytest.raises(DataError, match="lacks date"):
        first(table.drop(columns="date"))


def test_an_expected_date_is_named_as_such() -> None:
    looking = scanner(strategies="short-put", earnings={"XYZ": ["2019-11-28"]})
    looking.scan_for_opportunities()
    row = looking.candidates.iloc[0]
    assert "expected from 2020-02-20 to 2020-03-05" in row["reason"]
    assert (row["measure"], row["limit"]) == (49.0, 50.0)


def test_an_unknown_iv_rank_rejects_unless_it_is_allowed_or_none_is_asked_for() -> None:
    looking = scanner(rank=None, strategies="short-put")
    assert looking.scan_for_opportunities() == []
    assert "unknown" in looking.candidates["reason"][0]
    assert any("is unknown" in note for note in looking.notes), "an empty answer says why"
    for options in ({"unknown_iv_rank": "allow"}, {"min_iv_rank": 0}):
        opp = only(rank=None, strategies="short-put", **options)
        assert opp.iv_rank is None
        assert "IV rank is unknown" in opp.notes
        assert "IV rank unknown" in str(opp)


def test_unknown_open_interest_passes_with_a_note() -> None:
    opp = only(quotes(interest=math.nan), strategies="short-put")
    assert "open interest is unknown" in opp.notes
