"""The panel: views, slices, selections, fingerprints, daily closes, detail."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bars import Bars
from simulator.bars.arrays import DAY, HOUR, MINUTE
from simulator.errors import DataError, UnknownNameError
from simulator.kernel import codes

if TYPE_CHECKING:
    from .conftest import MakeBars, MakeFrame


def test_properties_are_views_of_one_block(make_bars: MakeBars) -> None:
    bars = make_bars(rows=5, symbols=2)
    assert bars.panel.flags.c_contiguous
    assert bars.panel.shape == (5, 2, 5)
    for place, view in enumerate((bars.open, bars.high, bars.low, bars.close, bars.volume)):
        assert np.shares_memory(view, bars.panel)
        np.testing.assert_array_equal(view, bars.panel[:, :, place])
    assert str(bars.index.tz) == "UTC"
    assert bars.index.name == "time"
    assert len(bars) == 5
    assert bars.column("S1") == 1


def test_from_arrays_does_not_copy_a_fitting_panel() -> None:
    panel = np.ones((4, 1, 5))
    assert Bars.from_arrays(["A"], np.arange(4) * DAY, panel).panel is panel


def test_slice_is_a_view_with_original_session_numbers(make_bars: MakeBars) -> None:
    bars = make_bars(rows=20)
    part = bars[5:15]
    assert np.shares_memory(part.panel, bars.panel)
    assert part.panel.flags.c_contiguous
    assert part.session_no[0] == 5
    np.testing.assert_array_equal(part.close_ts, bars.close_ts[5:15])
    assert len(bars[:0]) == 0
    assert len(bars[15:5]) == 0
    assert len(bars[-3:]) == 3


@pytest.mark.parametrize("index", [3, slice(None, None, 2), "S0", [1, 2]])
def test_other_indexing_is_refused(make_bars: MakeBars, index: object) -> None:
    with pytest.raises(DataError, match="DATA_INDEX"):
        make_bars()[index]  # type: ignore[index]


def test_slice_shifts_and_filters_actions(make_bars: MakeBars) -> None:
    bars = make_bars(rows=10)
    day = bars.index.strftime("%Y-%m-%d")
    given = [
        ("S1", day[2], "split", 2.0),
        ("S0", day[6], "dividend", 0.5),
        ("S2", day[9], "delisting", np.nan),
    ]
    bars = make_bars(rows=10, actions=given, raw=True)
    assert bars.actions["row"].tolist() == [2, 6, 9]
    assert bars[3:9].actions["row"].tolist() == [3]
    assert bars[3:9].actions["kind"].tolist() == [codes.ACTION_DIVIDEND]
    assert bars[3:9][2:].actions["row"].tolist() == [1]
    assert bars.actions["row"].tolist() == [2, 6, 9]


def test_select_reorders_symbols_sectors_and_actions(make_bars: MakeBars) -> None:
    actions = [("S0", "2020-01-03", "split", 2.0), ("S2", "2020-01-03", "dividend", 1.0)]
    bars = make_bars(sectors=["Energy", "Utilities", "Energy"], actions=actions, raw=True)
    part = bars.select(["S2", "S0"])
    assert part.symbols == ("S2", "S0")
    assert part.sectors == ("Energy", "Energy")
    assert part.sector_names == ("Unknown", "Energy")
    assert part.instruments["sector"].tolist() == [1, 1]
    np.testing.assert_array_equal(part.close[:, 0], bars.close[:, 2])
    assert part.actions["sym"].tolist() == [0, 1]
    assert part.actions["kind"].tolist() == [codes.ACTION_DIVIDEND, codes.ACTION_SPLIT]
    with pytest.raises(UnknownNameError, match="Did you mean 'S1'"):
        bars.select(["S11"])


def test_select_keeps_underlyings_together(make_bars: MakeBars) -> None:
    bars = make_bars(instruments={"S0": {"kind": "option", "underlying": "S2", "multiplier": 100}})
    assert bars.instruments["underlying"].tolist() == [2, -1, -1]
    assert bars.select(["S2", "S0"]).instruments["underlying"].tolist() == [-1, 0]
    assert bars.select(["S0"]).instruments["underlying"].tolist() == [-1]


def test_sector_codes_start_with_unknown(make_bars: MakeBars) -> None:
    bars = make_bars(sectors={"S1": "Energy"})
    assert bars.sectors == ("Unknown", "Energy", "Unknown")
    assert bars.sector_names == ("Unknown", "Energy")
    assert bars.instruments["sector"].tolist() == [0, 1, 0]
    assert bars.with_sectors({"S0": "Utilities"}).sectors == ("Utilities", "Unknown", "Unknown")


def test_instrument_defaults(make_bars: MakeBars) -> None:
    record = make_bars(symbols=1).instruments[0]
    assert (record["kind"], record["tick"], record["lot"], record["multiplier"]) == (0, 0.01, 1.0, 1.0)
    assert np.isnan([record["spread"], record["borrow_rate"], record["strike"]]).all()


@pytest.mark.parametrize(
    "fields",
    [{"tikc": 0.05}, {"lot": 0}, {"multiplier": -1}, {"tick": -0.01}, {"kind": "bond"}, {"lot": "many"}],
)
def test_impossible_instruments_are_refused(make_bars: MakeBars, fields: dict[str, object]) -> None:
    with pytest.raises(DataError, match="DATA_INSTRUMENT"):
        make_bars(instruments={"S0": fields})


def test_fingerprint_depends_on_everything_that_changes_a_result(make_bars: MakeBars) -> None:
    base = make_bars()
    assert base.fingerprint == make_bars().fingerprint
    assert len(base.fingerprint) == 64
    changed = [
        make_bars(seed=1),
        make_bars(rows=29),
        make_bars(raw=True),
        make_bars(instruments={"S0": {"tick": 0.05}}),
        make_bars(actions=[("S0", "2020-01-03", "dividend", 1.0)]),
        make_bars(sectors={"S0": "Energy"}),
        base.select(["S1", "S0", "S2"]),
        base[1:],
    ]
    assert len({bars.fingerprint for bars in [base, *changed]}) == len(changed) + 1
    assert make_bars(name="other").fingerprint == base.fingerprint


def test_pickle_keeps_everything(make_bars: MakeBars) -> None:
    bars = make_bars(sectors={"S0": "Energy"})
    again = pickle.loads(pickle.dumps(bars))  # noqa: S301 - our own bytes
    assert again.fingerprint == bars.fingerprint
    assert repr(again) == repr(bars)


def test_daily_closes_of_daily_bars(make_bars: MakeBars) -> None:
    bars = make_bars(rows=6, missing=[[2, 1]])
    closes, complete = bars.daily_closes()
    np.testing.assert_array_equal(closes, bars.close)
    assert complete.tolist() == [1, 2, 3, 4, 5, 6]


def test_daily_closes_of_intraday_bars_hold_earlier_sessions_only(make_intraday: MakeBars) -> None:
    bars = make_intraday(sessions=3)
    panel = bars.panel.copy()
    panel[12, 0] = np.nan  # the first session's last bar
    panel[13:26, 1] = np.nan  # the whole second session
    bars = Bars.from_arrays(bars.symbols, bars.ts, panel)
    closes, complete = bars.daily_closes()
    assert closes.shape == (3, 2)
    assert closes[0, 0] == panel[11, 0, 3]
    assert np.isnan(closes[1, 1])
    assert closes[2, 1] == panel[38, 1, 3]
    assert complete.tolist() == [0] * 13 + [1] * 13 + [2] * 13


def test_close_times_of_daily_bars_follow_the_exchange(make_bars: MakeBars) -> None:
    bars = make_bars(rows=2)
    assert (
        str(pd.Timestamp(bars.close_ts[0], tz="UTC").tz_convert("America/New_York"))
        == "2020-01-02 16:00:00-05:00"
    )
    assert (
        str(pd.Timestamp(bars.open_ts[0], tz="UTC").tz_convert("America/New_York"))
        == "2020-01-02 09:30:00-05:00"
    )


def test_intraday_bars_close_at_the_next_open_or_the_session_end(make_intraday: MakeBars) -> None:
    bars = make_intraday(sessions=2, minutes=60)
    assert not bars.daily
    lengths = (bars.close_ts - bars.open_ts) // MINUTE
    assert lengths.tolist() == [60, 60, 60, 60, 60, 60, 30] * 2
    assert bars.session_no.tolist() == [0] * 7 + [1] * 7


def test_repr_labels_synthetic(make_bars: MakeBars) -> None:
    assert "SYNTHETIC" in repr(make_bars(origin="synthetic"))
    assert repr(make_bars(rows=0 + 1)).startswith("Bars(user: 3 symbols, 1 daily bars")


def test_detail_rows_are_assigned_to_the_bars_they_lie_in(make_intraday: MakeBars) -> None:
    fine = make_intraday(sessions=3, minutes=30)
    coarse = fine.resample("1D").with_detail(fine)
    assert coarse.detail is not None
    assert coarse.detail_start.tolist() == [0, 13, 26, 39]
    part = coarse[1:]
    assert part.detail is not None
    assert part.detail_start.tolist() == [0, 13, 26]
    np.testing.assert_array_equal(part.detail.ts, fine.ts[13:])
    other = coarse.select(["S1"])
    assert other.detail is not None
    assert other.detail.symbols == ("S1",)


def test_detail_outside_the_bars_is_left_out(make_intraday: MakeBars) -> None:
    fine = make_intraday(sessions=3, minutes=30)
    coarse = fine.resample("1D")[1:2].with_detail(fine)
    assert coarse.detail_start.tolist() == [0, 13]


def test_detail_on_another_price_basis_is_refused(make_intraday: MakeBars) -> None:
    fine = make_intraday(sessions=3, minutes=30)
    twice = Bars.from_arrays(fine.symbols, fine.ts, fine.panel * 2)
    with pytest.raises(DataError, match=r"DATA_DETAIL.*raw"):
        fine.resample("1D").with_detail(twice)
    with pytest.raises(DataError, match=r"DATA_DETAIL.*inside"):
        fine.with_detail(fine.resample("1D"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=25), st.data())
def test_slicing_twice_equals_slicing_once(gaps: list[int], data: st.DataObject) -> None:
    ts = np.cumsum(gaps) * HOUR + 18_000 * DAY
    panel = np.arange(ts.size * 5, dtype=np.float64).reshape(-1, 1, 5)[:, :, [0, 4, 0, 1, 2]] + 1
    bars = Bars.from_arrays(["A"], ts, panel)
    a = data.draw(st.integers(0, len(bars)))
    b = data.draw(st.integers(a, len(bars)))
    c = data.draw(st.integers(0, b - a))
    once, twice = bars[a + c : b], bars[a:b][c:]
    assert once.fingerprint == twice.fingerprint
    for name in ("close_ts", "open_ts", "session", "session_no"):
        np.testing.assert_array_equal(getattr(once, name), getattr(twice, name))


def test_frames_are_aligned_on_the_union_of_times(make_frame: MakeFrame) -> None:
    first, second = make_frame(rows=4), make_frame(rows=4, start="2020-01-06")
    bars = Bars.from_frames({"A": first, "B": second})
    assert len(bars) == 6
    assert np.isnan(bars.panel[:2, 1]).all()
    assert np.isnan(bars.panel[4:, 0]).all()
    np.testing.assert_array_equal(bars.frame("A").dropna().to_numpy(), first.to_numpy())
    again = Bars.from_frames({symbol: bars.frame(symbol) for symbol in bars.symbols})
    assert again.fingerprint == bars.fingerprint


def test_a_row_without_prices_is_a_missing_bar(make_frame: MakeFrame) -> None:
    frame = make_frame()
    frame.iloc[3, :4] = np.nan
    assert np.isnan(Bars.from_frames({"A": frame}).panel[3]).all()


def test_column_names_are_matched_loosely_and_volume_may_be_absent(make_frame: MakeFrame) -> None:
    frame = make_frame().rename(columns=str.upper).drop(columns="VOLUME")
    bars = Bars.from_frames({"A": frame})
    assert (bars.volume == 0).all()
    assert bars.notes == ()


def test_bid_and_ask_become_the_spread(make_frame: MakeFrame) -> None:
    quoted = make_frame().assign(bid=99.0, ask=99.05)
    bars = Bars.from_frames({"A": quoted, "B": make_frame()})
    assert bars.spread.shape == (10, 2)
    np.testing.assert_allclose(bars.spread[:, 0], 0.05)
    assert np.isnan(bars.spread[:, 1]).all()
    assert bars[2:5].spread.shape == (3, 2)
    assert bars.select(["A"]).spread.shape == (10, 1)
    assert Bars.from_frames({"B": make_frame()}).spread.shape == (0, 0)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_midnights_of_any_zone_are_session_dates(make_frame: MakeFrame, zone: str) -> None:
    plain, zoned = make_frame(), make_frame()
    zoned.index = pd.DatetimeIndex(zoned.index).tz_localize(zone)
    assert Bars.from_frames({"A": zoned}).fingerprint == Bars.from_frames({"A": plain}).fingerprint


def test_daily_bars_stamped_at_their_close_are_daily(make_frame: MakeFrame) -> None:
    frame = make_frame(rows=60)
    plain = Bars.from_frames({"A": frame})
    stamped = frame.copy()
    stamped.index = (pd.DatetimeIndex(frame.index) + pd.Timedelta(hours=16)).tz_localize("America/New_York")
    bars = Bars.from_frames({"A": stamped})
    assert bars.daily
    assert bars.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    "times",
    [
        ["2020-01-02", "2020-01-03"],
        [20200102, 20200103],
        [1577923200, 1578009600],
        [1577923200000, 1578009600000],
        pd.to_datetime(["2020-01-02", "2020-01-03"]),
        ["2020-01-02 00:00:00-05:00", "2020-01-03 00:00:00-05:00"],
    ],
    ids=["text", "yyyymmdd", "seconds", "milliseconds", "datetime", "offset"],
)
def test_times_are_read_from_a_column(make_frame: MakeFrame, times: Any) -> None:
    frame = make_frame(rows=2).reset_index(drop=True)
    frame["Date"] = times
    bars = Bars.from_frames({"A": frame})
    assert bars.daily
    assert [str(day) for day in bars.session.astype("datetime64[D]")] == ["2020-01-02", "2020-01-03"]


def test_offsets_that_change_with_the_clocks_are_read() -> None:
    frame = pd.DataFrame({"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0}, index=range(2))
    frame["Date"] = ["2020-03-06 00:00:00-05:00", "2020-03-09 00:00:00-04:00"]
    bars = Bars.from_frames({"A": frame})
    assert bars.daily
    assert [str(day) for day in bars.session.astype("datetime64[D]")] == ["2020-03-06", "2020-03-09"]


def test_intraday_frames_need_only_a_zone(make_frame: MakeFrame) -> None:
    frame = make_frame(rows=4)
    frame.index = pd.date_range("2020-01-02 09:30", periods=4, freq="30min", tz="America/New_York")
    bars = Bars.from_frames({"A": frame})
    assert not bars.daily
    assert str(np.datetime64(int(bars.ts[0]), "ns"))[:16] == "2020-01-02T14:30"
