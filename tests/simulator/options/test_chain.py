"""The chain itself: order, selection, times, maturities, origin, and its own files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bars.arrays import HOUR, MINUTE
from simulator.errors import DataError, TwinstepError, UnknownNameError
from simulator.options.chain import CALL, PUT, YEAR, Chain, load_chain
from simulator.options.chain_columns import COLUMNS, ORIGINS

DAY_ONE = "2020-01-02"
CLOSE = int(pd.Timestamp("2020-01-02 16:00", tz="America/New_York").value)
NEXT_CLOSE = int(pd.Timestamp("2020-01-03 16:00", tz="America/New_York").value)
JANUARY = dt.date(2020, 1, 17)
FEBRUARY = dt.date(2020, 2, 21)


def number(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days


def make(
    *,
    times: tuple[int, ...] = (CLOSE, NEXT_CLOSE),
    expiries: tuple[dt.date, ...] = (JANUARY, FEBRUARY),
    strikes: tuple[float, ...] = (95.0, 100.0, 105.0),
    origin: str = "real",
    symbol: str = "XYZ",
    **more: Any,
) -> Chain:
    """Return a chain with every combination, its rows in reverse order; bids tell the rows apart."""
    rows = [(t, number(e), k, s) for t in times for e in expiries for k in (CALL, PUT) for s in strikes][::-1]
    ts, expiry, kind, strike = (np.array(column) for column in zip(*rows, strict=True))
    bid = np.arange(1.0, len(rows) + 1)
    columns = {"ts": ts, "expiry": expiry, "kind": kind, "strike": strike, "bid": bid, "ask": bid + 0.5}
    return Chain.from_arrays(symbol, columns | more, origin=origin)


def same(left: Chain, right: Chain) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
    assert (left.symbol, left.roots, left.origin) == (right.symbol, right.roots, right.origin)


def test_rows_stand_by_time_expiry_kind_and_strike() -> None:
    chain = make()
    rows = list(zip(chain.ts, chain.expiry, -chain.kind, chain.strike, strict=True))
    assert rows == sorted(rows)
    assert chain.bid[0] == len(chain)  # the rows were given in reverse
    assert chain.times.tolist() == [CLOSE, NEXT_CLOSE]
    assert chain.offsets.tolist() == [0, 12, 24]
    assert chain.expiries.tolist() == [number(JANUARY), number(FEBRUARY)]


def test_nothing_in_a_chain_can_be_changed() -> None:
    given_bids = np.ones(24)
    chain = make(bid=given_bids, ask=given_bids + 1)
    with pytest.raises(ValueError, match="read-only"):
        chain.bid[0] = 5.0
    with pytest.raises(AttributeError):
        chain.symbol = "ABC"  # type: ignore[misc]
    given_bids[:] = 7.0
    assert (chain.bid == 1.0).all()


def test_what_is_not_given_is_unknown() -> None:
    chain = make()
    for name in ("bid_size", "ask_size", "volume", "open_interest", "iv", "delta", "underlying"):
        assert np.isnan(getattr(chain, name)).all(), name
    assert (chain.multiplier == 100.0).all()
    assert not chain.style.any()
    assert not chain.settlement.any()
    assert chain.roots == ("",)


def test_days_and_years_to_expiry() -> None:
    chain = make(times=(CLOSE,), expiries=(JANUARY,))
    assert (chain.dte == 15).all()
    assert chain.years == pytest.approx(15 / 365, abs=1e-15)  # from close to close
    morning = make(times=(CLOSE,), expiries=(JANUARY,), settlement=np.ones(6))
    assert (chain.expiry_ts - morning.expiry_ts == 6 * HOUR + 30 * MINUTE).all()


def test_an_option_of_a_half_day_expires_at_its_early_close() -> None:
    chain = make(times=(CLOSE,), expiries=(dt.date(2020, 11, 27),))
    assert str(pd.Timestamp(int(chain.expiry_ts[0]), tz="UTC")) == "2020-11-27 18:00:00+00:00"


def test_a_late_quote_belongs_to_the_session_of_new_york() -> None:
    evening = int(pd.Timestamp("2020-01-02 20:00", tz="America/New_York").value)  # the next day in UTC
    assert (make(times=(evening,), expiries=(JANUARY,)).dte == 15).all()


@pytest.mark.parametrize(
    "time",
    [
        DAY_ONE,
        dt.date(2020, 1, 2),
        CLOSE,
        CLOSE + 2 * HOUR,
        "2020-01-02T16:30:00-05:00",
        pd.Timestamp("2020-01-02 21:00", tz="UTC"),
        dt.datetime(2020, 1, 2, 21, tzinfo=dt.UTC),
    ],
)
def test_a_snapshot_by_date_or_time(time: Any) -> None:
    part = make().at(time)
    assert part.times.tolist() == [CLOSE]
    assert len(part) == 12


def test_the_last_snapshot_before_counts_and_none_after() -> None:
    noon = CLOSE - 4 * HOUR
    chain = make(times=(noon, CLOSE))
    assert chain.at(CLOSE - 1).times.tolist() == [noon]
    assert chain.at(DAY_ONE).times.tolist() == [CLOSE]
    with pytest.raises(DataError) as caught:
        chain.at(noon - 1)
    assert caught.value.code == "DATA_QUOTES"


def test_quotes_of_an_earlier_session_are_not_handed_on() -> None:
    with pytest.raises(DataError) as caught:
        make(times=(CLOSE,)).at(NEXT_CLOSE)
    assert caught.value.code == "DATA_QUOTES"


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (pd.Timestamp("2020-01-02 16:00"), "DATA_NAIVE"),
        ("2020-01-02T16:00", "DATA_NAIVE"),
        ("noon", "DATA_TIME"),
        ("yesterday at noon", "DATA_TIME"),
    ],
)
def test_times_that_say_too_little(time: Any, code: str) -> None:
    with pytest.raises(DataError) as caught:
        make().at(time)
    assert caught.value.code == code


def test_a_strip_is_one_expiry() -> None:
    strip = make().at(DAY_ONE).strip(JANUARY)
    assert strip.kind.tolist() == [CALL] * 3 + [PUT] * 3
    assert strip.strike.tolist() == [95.0, 100.0, 105.0] * 2
    with pytest.raises(DataError, match="nearest are 2020-01-17") as caught:
        make().strip(dt.date(2020, 1, 24))
    assert caught.value.code == "DATA_QUOTES"


def test_two_classes_of_one_expiry_are_told_apart() -> None:
    columns = {
        "ts": [CLOSE, CLOSE], "expiry": [number(JANUARY)] * 2, "kind": [CALL, CALL], "strike": [100.0, 100.0],
        "bid": [1.0, 2.0], "ask": [1.5, 2.5], "root": [0, 1], "settlement": [1, 2],
    }  # fmt: skip
    chain = Chain.from_arrays("SPX", columns, origin="real", roots=("SPX", "SPXW"))
    assert chain.strip(JANUARY, root="SPXW").bid.tolist() == [2.0]
    with pytest.raises(DataError, match="SPX, SPXW") as caught:
        chain.strip(JANUARY)
    assert caught.value.code == "DATA_QUOTES"
    with pytest.raises(UnknownNameError, match="Did you mean 'SPX'"):
        chain.select(root="SPXV")


def test_selections_have_inclusive_bounds() -> None:
    chain = make(delta=np.linspace(-1, 1, 24), underlying=np.full(24, 100.0))
    assert set(chain.select(kind="put").kind.tolist()) == {PUT}
    assert set(chain.select(strike=(95, 100)).strike.tolist()) == {95.0, 100.0}
    assert set(chain.select(dte=(14, 15)).dte.tolist()) == {14, 15}
    assert chain.select(start="2020-01-03").times.tolist() == [NEXT_CLOSE]
    assert chain.select(end=CLOSE).times.tolist() == [CLOSE]
    assert chain.select(expiry=[number(FEBRUARY)]).expiries.tolist() == [number(FEBRUARY)]
    part = chain.select(delta=(0.2, 0.5))
    assert 0 < len(part) == int(((abs(chain.delta) >= 0.2) & (abs(chain.delta) <= 0.5)).sum())
    assert len(make().select(delta=(0.0, 1.0))) == 0  # nothing is known of them
    with pytest.raises(UnknownNameError) as caught:
        chain.select(kind="putt")
    assert caught.value.code == "NAME_KIND"


def test_what_may_fill() -> None:
    bid = [1.0, 0.0, 2.0, 2.0, np.nan, 1.0]
    ask = [1.2, 0.1, 2.0, 1.9, 1.0, np.inf]
    chain = make(times=(CLOSE,), expiries=(JANUARY,), bid=bid[::-1], ask=ask[::-1])
    assert chain.tradeable.tolist() == [True, False, False, False, False, False]
    assert len(chain.select(tradeable=True)) == 1


def test_a_mixture_is_never_real() -> None:
    real, modelled = make(times=(CLOSE,)), make(times=(NEXT_CLOSE,), origin="modelled")
    both = Chain.join([real, modelled])
    assert both.origin == "modelled"
    assert both.select(end=DAY_ONE).origin == "modelled"
    assert (both.to_frame()["origin"] == "modelled").all()
    assert Chain.join([real]).origin == "real"


def test_joining_needs_one_underlying_and_no_quote_twice() -> None:
    for chains, code in (
        ([], "DATA_EMPTY"),
        ([make(), make(symbol="ABC")], "DATA_UNDERLYING"),
        ([make(), make()], "DATA_DUPLICATE"),
    ):
        with pytest.raises(DataError) as caught:
            Chain.join(chains)
        assert caught.value.code == code


def test_joining_renumbers_roots() -> None:
    def one(root: str, time: int) -> Chain:
        columns = {
            "ts": [time],
            "expiry": [number(JANUARY)],
            "kind": [1],
            "strike": [1.0],
            "bid": [1.0],
            "ask": [2.0],
        }
        return Chain.from_arrays("SPX", columns, origin="real", roots=(root,))

    both = Chain.join([one("SPXW", CLOSE), one("SPX", NEXT_CLOSE)])
    assert [both.roots[code] for code in both.root] == ["SPXW", "SPX"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_table_and_parquet_give_the_chain_back(tmp_path: Path, origin: str) -> None:
    chain = make(
        origin=origin, iv=np.linspace(0.1, 0.5, 24), delta=np.where(np.arange(24) % 2, np.nan, 0.5),
        style=np.arange(24) % 3, settlement=np.arange(24) % 3, multiplier=np.full(24, 10.0),
    )  # fmt: skip
    same(Chain.from_frame(chain.to_frame()), chain)
    same(load_chain(chain.to_parquet(tmp_path / "chain.parquet")), chain)
    chain.to_frame().to_csv(tmp_path / "chain.csv", index=False)
    same(load_chain(tmp_path / "chain.csv"), chain)
    chain.to_frame().sample(frac=1.0, random_state=3).to_parquet(tmp_path / "shuffled.parquet")
    same(load_chain(tmp_path / "shuffled.parquet"), chain)


@pytest.mark.parametrize("symbol", ["^SPX", "brk.b", "NA"])
def test_any_symbol_comes_back_as_it_was(tmp_path: Path, symbol: str) -> None:
    chain = make(symbol=symbol)
    assert Chain.from_frame(chain.to_frame()).symbol == symbol
    assert load_chain(chain.to_parquet(tmp_path / "chain.parquet"), symbol=symbol).symbol == symbol
    chain.to_frame().to_csv(tmp_path / "chain.csv", index=False)
    assert load_chain(tmp_path / "chain.csv", symbol=symbol).symbol == symbol


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [("kind", "straddle", "DATA_TYPE"), ("style", "asian", "DATA_TYPE"), ("kind", None, "DATA_TYPE"),
     ("time", None, "DATA_TIME"), ("origin", "invented", "DATA_GRADE")],
)  # fmt: skip
def test_a_canonical_file_with_other_contents_is_refused_by_name(
    tmp_path: Path, column: str, value: Any, code: str
) -> None:
    path = make().to_parquet(tmp_path / "chain.parquet")
    table = pq.read_table(path)
    cells = table[column].to_pylist()
    cells[4] = value
    changed = pa.array(cells, table.schema.field(column).type)
    pq.write_table(
        table.set_column(table.schema.get_field_index(column), table.schema.field(column), changed), path
    )
    with pytest.raises(DataError) as caught:
        load_chain(path)
    assert caught.value.code == code


def test_modelled_quotes_cannot_be_declared_real() -> None:
    assert Chain.from_frame(make(origin="modelled").to_frame(), origin="real").origin == "modelled"
    with pytest.raises(DataError) as caught:
        make(origin="live")
    assert caught.value.code == "DATA_GRADE"


def test_a_canonical_file_is_plain_parquet(tmp_path: Path) -> None:
    table = pq.read_table(make().to_parquet(tmp_path / "chain.parquet"))
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    assert str(table.schema.field("expiry").type) == "date32[day]"
    assert set(table["kind"].to_pylist()) == {"call", "put"}
    assert not [path for path in tmp_path.iterdir() if path.name != "chain.parquet"]  # nothing left beside


def test_dates_without_a_time_mean_the_close() -> None:
    frame = make(times=(CLOSE,)).to_frame()
    frame["time"] = pd.Timestamp("2020-01-02")
    assert Chain.from_frame(frame).times.tolist() == [CLOSE]
    frame["time"] = pd.Timestamp("2020-01-02 15:45")
    with pytest.raises(DataError) as caught:
        Chain.from_frame(frame)
    assert caught.value.code == "DATA_NAIVE"


def test_texts_with_a_zone_are_read_across_a_change_of_clocks() -> None:
    frame = make(times=(CLOSE,), expiries=(FEBRUARY,)).to_frame()
    texts = ["2020-03-06T16:00:00-05:00", "2020-03-09 16:00-04:00", "2020-03-10T20:00:00Z"] * 2
    frame["expiry"], frame["time"] = "2020-04-17", texts
    assert [str(np.datetime64(int(ts), "ns"))[5:16] for ts in Chain.from_frame(frame).times] == [
        "03-06T21:00", "03-09T20:00", "03-10T20:00",
    ]  # fmt: skip
    for times, code in (
        (["2020-03-06T16:00:00", *texts[1:]], "DATA_NAIVE"),
        (["", *texts[1:]], "DATA_NAIVE"),
        (["soon"] * 6, "DATA_TIME"),
        ([""] * 6, "DATA_TIME"),
    ):
        frame["time"] = times
        with pytest.raises(DataError) as caught:
            Chain.from_frame(frame)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"strike": ["a"] * 24}, "DATA_TYPE"),
        ({"bid": [1.0]}, "DATA_SHAPE"),
        ({"strick": [1.0] * 24}, "DATA_COLUMNS"),
        ({"ts": [CLOSE] * 24}, "DATA_DUPLICATE"),
    ],
)
def test_arrays_that_make_no_chain(change: dict[str, Any], code: str) -> None:
    with pytest.raises(DataError) as caught:
        make(**change)
    assert caught.value.code == code


def test_an_empty_chain_is_a_chain() -> None:
    nothing = make().select(strike=(1.0, 2.0))
    assert len(nothing) == 0
    assert nothing.times.size == nothing.expiries.size == nothing.dte.size == nothing.years.size == 0
    assert "0 real quotes" in repr(nothing)
    assert len(nothing.to_frame()) == 0
    with pytest.raises(TwinstepError):
        nothing.strip(JANUARY)


rows = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(18_270, 18_280), st.integers(0, 1), st.integers(0, 2),
        st.sampled_from([CALL, PUT]), st.sampled_from([0.125, 1.0, 10.5, 1e7, 100.0001, 1 / 3]),
    ),
    min_size=1, max_size=40, unique=True,
)  # fmt: skip


@given(rows)
@settings(derandomize=True, database=None, deadline=None, max_examples=150)
def test_any_rows_come_out_sorted_and_whole(found: list[tuple[int, int, int, int, int, float]]) -> None:
    time, expiry, root, settlement, kind, strike = zip(*found, strict=True)
    bid = np.arange(float(len(found)))
    columns = {
        "ts": CLOSE + np.array(time) * YEAR // 365, "expiry": expiry, "root": root, "settlement": settlement,
        "kind": kind, "strike": strike, "bid": bid, "ask": bid + 1,
    }  # fmt: skip
    chain = Chain.from_arrays("XYZ", columns, origin="real", roots=("A", "B"))
    expected = sorted(range(len(found)), key=lambda i: (*found[i][:4], -found[i][4], found[i][5]))
    assert chain.bid.tolist() == [float(at) for at in expected]
    assert sum(len(chain.at(int(moment))) for moment in chain.times) == len(chain)
