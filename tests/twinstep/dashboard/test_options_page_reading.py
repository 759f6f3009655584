"""Open positions are read with numbers that another library, or arithmetic by hand, gives too."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vollib.black_scholes_merton import black_scholes_merton as bsm  # type: ignore[import-untyped]
from vollib.black_scholes_merton.greeks import analytical  # type: ignore[import-untyped]

from journal import TradeJournal
from live.session import Session
from live.sessions.recording import unpack
from simulator import load_bars
from simulator.bars import Bars
from simulator.kernel.dtypes import LEG, QUOTE
from simulator.opportunity import OptionLeg
from simulator.options.market import OptionMarket
from simulator.options.packages import make_legs, make_rules, package_signals
from tests.twinstep.dashboard.options_journal import (
    EXPIRY,
    LATER,
    NOW,
    RATE,
    bars_to_friday,
    fill_options,
)
from twinstep.dashboard.reading.options.market import LastBar
from twinstep.dashboard.reading.options.open_positions import Options, age, read_positions
from twinstep.dashboard.reading.options.payoff import Terms, diagram
from twinstep.dashboard.reading.options.position import OptionPosition
from twinstep.dashboard.reading.reader import Reader

YIELD = 0.01
EPOCH = date(1970, 1, 1)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_options(tmp_path_factory.mktemp("options") / "desk.db")


@pytest.fixture(scope="module")
def read(filled: Path) -> Options:
    found = read_positions(Reader(filled), NOW)
    assert found.problems == ()
    return found


def one(found: Options, symbol: str, place: str = "session paper") -> OptionPosition:
    (only,) = [each for each in found.positions if each.symbol == symbol and each.place == place]
    return only


def years(leg_expiry: date, day: date = date(2026, 3, 6)) -> float:
    return (leg_expiry - day).days / 365.0


def by_vollib(position: OptionPosition, measure: Callable[..., float], spot: float) -> float:
    """Sum a measure of options over the legs, at the volatilities that are shown."""
    return sum(
        leg.quantity
        * 100.0
        * measure(leg.kind[0], spot, leg.strike, years(leg.expiry), RATE, leg.volatility, YIELD)
        for leg in position.legs
        if leg.strike is not None and leg.expiry is not None
    )


@pytest.mark.parametrize("symbol", ["SPY", "QQQ", "IWM"])
def test_mark_result_and_greeks_of_a_session_are_vollibs(read: Options, symbol: str) -> None:
    found = one(read, symbol)
    assert found.spot is not None
    assert found.mark is not None
    assert found.result is not None
    shares = sum(leg.quantity for leg in found.legs if leg.kind == "shares")
    assert shares == (100.0 if symbol == "IWM" else 0.0)
    value = by_vollib(found, lambda *terms: bsm(terms[0], *terms[1:]), found.spot) + shares * found.spot
    # a modelled market quotes in steps of 0.05, and the line of today does not
    step = 0.05 * sum(abs(leg.quantity) for leg in found.legs if leg.strike) * 100.0 / 2.0
    assert -found.mark * found.size == pytest.approx(value, abs=step)
    assert found.result == pytest.approx((found.credit - found.mark) * found.size)
    assert found.diagram is not None
    today = np.interp(found.spot, found.diagram.spots, found.diagram.today)
    assert today == pytest.approx(value + found.credit * found.size, abs=12.0)  # between 41 points
    for name in ("delta", "gamma", "theta", "vega"):
        measure = getattr(analytical, name)
        wanted = by_vollib(found, measure, found.spot) + (shares if name == "delta" else 0.0)
        assert getattr(found.greeks, name) == pytest.approx(wanted, rel=1e-6), name
    assert found.volatility == "the surface of a modelled market"
    assert found.mark_ts == pd.Timestamp("2026-03-06 21:00", tz="UTC").value
    assert found.dte == (EXPIRY - date(2026, 3, 6)).days


def test_what_a_condor_can_make_and_lose_is_arithmetic(read: Options) -> None:
    found = one(read, "QQQ")
    low_bought, low_sold, high_sold, high_bought = sorted(leg.strike for leg in found.legs if leg.strike)
    credit = found.credit
    assert found.diagram is not None
    assert found.diagram.break_evens == pytest.approx((low_sold - credit, high_sold + credit))
    assert found.max_profit == pytest.approx(100.0 * credit)
    wide = max(low_sold - low_bought, high_bought - high_sold)
    assert found.max_loss == pytest.approx(100.0 * (wide - credit))
    assert found.max_loss is not None
    assert found.target == pytest.approx(0.5 * 100.0 * credit)
    assert found.stop == pytest.approx(-1.0 * 100.0 * credit)
    assert found.result is not None
    assert found.share_pct == pytest.approx(100.0 * found.result / (100.0 * credit))
    assert found.share_of == "the credit"
    assert float(found.diagram.expiry.max()) == pytest.approx(found.max_profit)
    assert float(found.diagram.expiry.min()) == pytest.approx(-found.max_loss)


def test_a_covered_call_is_paid_for_with_its_shares(read: Options) -> None:
    found = one(read, "IWM")
    (strike,) = [leg.strike for leg in found.legs if leg.strike]
    assert found.credit < -200.0
    assert found.max_profit == pytest.approx(100.0 * (strike + found.credit))
    assert found.max_loss == pytest.approx(-100.0 * found.credit)
    assert found.share_of == "the most it can make"
    assert (found.target, found.stop) == (None, None)


def test_iv_rank_is_that_of_the_entry(read: Options) -> None:
    bars = bars_to_friday()
    assert bars.options is not None
    level = bars.options.volatility[: len(bars) - 4, 0][-252:]
    wanted = 100.0 * (level[-1] - level.min()) / (level.max() - level.min())
    assert one(read, "SPY").iv_rank == pytest.approx(wanted)
    assert 0.0 < wanted < 100.0


def test_the_book_adds_positions_and_shares_and_weighs_them_by_beta(read: Options, filled: Path) -> None:
    book = read.books[0]
    assert book.name == "session paper"
    assert book.against == "SPY"
    assert book.shares.delta == 30.0
    for name in ("delta", "gamma", "theta", "vega"):
        parts = [getattr(each.greeks, name) for each in book.positions]
        assert getattr(book.greeks, name) == pytest.approx(sum(parts) + (30.0 if name == "delta" else 0.0))
    with closing(sqlite3.connect(filled)) as connection:
        (kept,) = connection.execute("SELECT closes FROM snapshots").fetchone()
    returns = np.diff(np.log(unpack(kept)[0]["closes"]), axis=0)[-252:]
    total = 30.0 * 600.0
    for column, symbol in enumerate(("SPY", "QQQ", "IWM")):
        slope = np.polyfit(returns[:, 0], returns[:, column], 1)[0]
        found = one(read, symbol)
        assert found.greeks.delta is not None
        assert found.spot is not None
        assert found.greeks.beta_dollar_delta == pytest.approx(found.greeks.delta * found.spot * slope)
        total += found.greeks.delta * found.spot * slope
    assert book.greeks.beta_dollar_delta == pytest.approx(total)


# The journal


def test_a_logged_spread_is_valued_by_the_sessions_last_bar(read: Options) -> None:
    found = one(read, "SPY", "journal, paper")
    assert found.trade == 1
    assert found.credit == 3.35
    assert (found.target, found.stop) == pytest.approx((330.0, -670.0))
    assert found.diagram is not None
    assert found.diagram.break_evens == pytest.approx((575.0 - 3.35,))
    assert (found.max_profit, found.max_loss) == pytest.approx((670.0, 2.0 * (1500.0 - 335.0) - 1000.0))
    assert found.iv_rank == 61.0
    assert found.spot is not None
    assert found.mark is not None
    value = by_vollib(found, lambda *terms: bsm(terms[0], *terms[1:]), found.spot)
    assert -found.mark * found.size == pytest.approx(value, rel=1e-6)
    assert found.result == pytest.approx((3.35 - found.mark) * 200.0)
    assert found.greeks.vega == pytest.approx(by_vollib(found, analytical.vega, found.spot), rel=1e-6)
    assert found.dte == (EXPIRY - NOW.date()).days


def test_what_no_bar_prices_is_unknown_and_never_nothing(read: Options) -> None:
    found = one(read, "XLE", "journal, paper")
    assert (found.mark, found.result, found.spot, found.share_pct) == (None,) * 4
    assert not found.greeks.known
    assert "Session paper does not watch XLE" in " ".join(found.unknown)
    book = read.books[1]
    assert (book.name, book.unknown) == ("journal, paper", 2)
    assert (book.greeks.delta, book.greeks.theta, book.greeks.vega) == (None, None, None)


def test_a_call_is_shown_with_the_shares_that_cover_it(read: Options) -> None:
    found = one(read, "XLE", "journal, paper")
    assert found.diagram is not None
    assert found.diagram.break_evens == pytest.approx((90.0 - 1.2,))
    assert found.max_profit == pytest.approx(100.0 * (95.0 - 90.0 + 1.2))
    assert found.max_loss == pytest.approx(100.0 * (90.0 - 1.2))
    assert "100 shares of trade 2" in found.unknown[0]


def test_shares_cover_one_call_only(filled: Path, tmp_path: Path) -> None:
    where = tmp_path / "calls.db"
    with TradeJournal(where, source="live", clock=lambda: NOW) as journal:
        journal.log_trade_entry(symbol="XLE", strategy="shares", side=1, quantity=150, entry_price=90.0)
        for credit in (1.2, 1.5):
            journal.log_trade_entry(
                symbol="XLE", strategy="call", actual_contracts=1, entry_credit=credit,
                legs=[OptionLeg(-1, "call", 95.0, EXPIRY)],
            )  # fmt: skip
    (book,) = read_positions(Reader(where), NOW).books
    assert book.name == "journal, live"
    assert sorted(each.max_loss or 0.0 for each in book.positions) == pytest.approx([8850.0, float("inf")])


def test_legs_that_were_closed_singly_leave_no_made_up_payoff(tmp_path: Path) -> None:
    where = tmp_path / "legs.db"
    with TradeJournal(where, source="paper", clock=lambda: NOW) as journal:
        journal.log_trade_entry(
            symbol="SPY", strategy="put spread", actual_contracts=1, entry_credit=1.0,
            legs=[OptionLeg(-1, "put", 570.0, EXPIRY), OptionLeg(1, "put", 560.0, EXPIRY)],
        )  # fmt: skip
    with closing(sqlite3.connect(where)) as connection, connection:
        connection.execute("UPDATE legs SET open_quantity = 0 WHERE position = 1")
    (found,) = read_positions(Reader(where), NOW).positions
    assert found.diagram is None
    assert [leg.quantity for leg in found.legs] == [-1.0, 0.0]
    assert "closed singly" in " ".join(found.unknown)


def test_a_bar_of_last_month_marks_nothing_of_today(filled: Path) -> None:
    found = one(read_positions(Reader(filled), NOW + timedelta(days=20)), "SPY", "journal, paper")
    assert (found.mark, found.spot) == (None, None)
    assert "is too old" in " ".join(found.unknown)


def test_a_calendar_is_drawn_at_its_first_expiry_by_the_model(tmp_path: Path) -> None:
    where = tmp_path / "calendar.db"
    with TradeJournal(where, source="paper", clock=lambda: NOW) as journal:
        journal.log_trade_entry(
            symbol="TLT", strategy="calendar", side=1, quantity=2, entry_price=0.9, kind="option", spot=88.0,
            legs=[OptionLeg(-1, "put", 88.0, EXPIRY, iv=0.14), OptionLeg(1, "put", 88.0, LATER, iv=0.15)],
        )  # fmt: skip
    (found,) = read_positions(Reader(where), NOW).positions
    assert found.diagram is not None
    assert found.diagram.priced
    assert (found.max_profit, found.max_loss) == (None, 180.0)
    lines = found.diagram
    at = int(np.argmax(lines.expiry))
    assert lines.corners[at] == pytest.approx(88.0)
    left = bsm("p", 88.0, 88.0, (LATER - EXPIRY).days / 365.0, 0.0, 0.15, 0.0)
    assert lines.expiry[at] == pytest.approx(200.0 * (left - 0.9))
    middle = len(lines.spots) // 2
    terms = {"p": (-0.14, EXPIRY), "P": (0.15, LATER)}
    today = sum(
        np.sign(level) * bsm("p", lines.spots[middle], 88.0, years(day, NOW.date()), 0.0, abs(level), 0.0)
        for level, day in terms.values()
    )
    assert lines.today[middle] == pytest.approx(200.0 * (today - 0.9))


# Quotes


def quoted_session(where: Path, *, missing: bool) -> tuple[list[float], float]:
    """Open a strangle of quotes at known volatilities; returns them, and the spot of the last bar."""
    days, day = 40, date(2026, 3, 6)
    index = pd.bdate_range(end=day.isoformat(), periods=days)
    close = np.linspace(98.0, 101.0, days)
    frame = pd.DataFrame(
        {"open": close, "high": close + 0.5, "low": close - 0.5, "close": close, "volume": 1e6}, index=index
    )
    bars = Bars.from_frames({"XYZ": frame})
    ends, levels, rows = (EXPIRY - EPOCH).days, [0.31, 0.24], []
    for row in range(days):
        for right, strike, level in ((-1, 95.0, levels[0]), (1, 105.0, levels[1])):
            if missing and row == days - 1 and right == 1:
                continue
            term = (ends - int(bars.session[row])) / 365.0
            mid = bsm("p" if right < 0 else "c", close[row], strike, term, RATE, level, 0.0)
            rows.append((row, 0, ends, right, strike, mid - 0.02, mid + 0.02, np.nan, np.nan))
    bars = bars.with_options(OptionMarket.from_quotes(np.array(rows, QUOTE), np.full(days, RATE)))
    signal = package_signals(
        bars, [days - 5], "XYZ", -1, make_legs([[(-1, "put", 95.0), (-1, "call", 105.0)]], expiry=EXPIRY),
        make_rules(1, naked=1, american=0), qty=3.0,
    )  # fmt: skip
    with Session(where, like=bars, risk=None, cash=1e6) as session:
        session.push(bars, signal)
        assert len(session.positions()) == 1
    return levels, float(close[-1])


def test_quotes_give_the_mark_and_the_volatility(tmp_path: Path) -> None:
    levels, spot = quoted_session(tmp_path / "quoted.db", missing=False)
    found = read_positions(Reader(tmp_path / "quoted.db"), NOW)
    (strangle,) = found.positions
    assert [leg.volatility for leg in strangle.legs] == pytest.approx(levels, abs=1e-6)
    assert strangle.volatility == "implied by the mids of quotes"
    assert not strangle.modelled
    term = years(EXPIRY)
    worth = bsm("p", spot, 95.0, term, RATE, levels[0], 0.0) + bsm(
        "c", spot, 105.0, term, RATE, levels[1], 0.0
    )
    assert strangle.mark == pytest.approx(worth)
    theta = sum(
        analytical.theta(flag, spot, strike, term, RATE, level, 0.0)
        for flag, strike, level in (("p", 95.0, levels[0]), ("c", 105.0, levels[1]))
    )
    assert strangle.greeks.theta == pytest.approx(-300.0 * theta, rel=1e-5)
    assert strangle.max_loss == float("inf")
    assert strangle.iv_rank is None
    # XYZ has no beta to anything here
    assert found.books[0].greeks.beta_dollar_delta is None
    assert found.books[0].greeks.theta == strangle.greeks.theta


def test_a_quote_that_is_missing_at_the_last_bar_is_no_zero(tmp_path: Path) -> None:
    quoted_session(tmp_path / "hole.db", missing=True)
    (strangle,) = read_positions(Reader(tmp_path / "hole.db"), NOW).positions
    assert strangle.mark is not None
    assert strangle.mark_ts is None
    assert "of unknown age" in " ".join(strangle.unknown)
    assert not strangle.greeks.known
    assert strangle.diagram is not None
    assert np.isnan(strangle.diagram.today).all()
    assert np.isfinite(strangle.diagram.expiry).all()


# Payoffs


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(
    legs=st.lists(
        st.tuples(st.sampled_from([-1, 1]), st.integers(50, 150), st.sampled_from([-2, -1, 1, 3])),
        min_size=1, max_size=4,
    ),
    paid=st.floats(-20.0, 20.0),
    spot=st.floats(60.0, 140.0),
)  # fmt: skip
def test_the_payoff_at_expiry_is_the_sum_of_its_legs(
    legs: list[tuple[int, int, int]], paid: float, spot: float
) -> None:
    records = np.zeros(len(legs), LEG)
    records["right"], records["strike"] = [each[0] for each in legs], [each[1] for each in legs]
    records["expiry"] = 20_000
    terms = Terms(
        legs=records, units=np.array([float(each[2]) for each in legs]), volatility=np.full(len(legs), 0.2),
        paid=paid, size=100.0, day=20_000,
    )  # fmt: skip
    drawn = diagram(terms, entry_spot=spot, spot=None)
    assert drawn is not None

    def by_hand(price: float) -> float:
        return 100.0 * (
            sum(units * max(0.0, right * (price - strike)) for right, strike, units in legs) - paid
        )

    for price, value in zip(drawn.spots, drawn.today, strict=True):
        assert value == pytest.approx(by_hand(float(price)), abs=1e-6)
        assert np.interp(price, drawn.corners, drawn.expiry) == pytest.approx(by_hand(float(price)), abs=1e-6)
    for price in drawn.break_evens:
        assert by_hand(price) == pytest.approx(0.0, abs=1e-6)
    if drawn.break_evens:
        assert drawn.spots[0] <= min(drawn.break_evens)
        assert drawn.spots[-1] >= max(drawn.break_evens)


def test_ages_are_in_words() -> None:
    ts = round(NOW.timestamp()) * 10**9
    assert age(ts, NOW) == "less than a minute old"
    assert age(ts, NOW + timedelta(minutes=1)) == "1 minute old"
    assert age(ts, NOW + timedelta(hours=49)) == "2 days old"


@pytest.mark.parametrize(("side", "paid"), [(1, 71.0), (-1, -71.0)])
@pytest.mark.parametrize("spot", [None, 20.0, 50.0])
def test_a_break_even_beyond_twice_the_strike_is_found(side: int, paid: float, spot: float | None) -> None:
    legs = np.zeros(1, LEG)
    legs["right"], legs["side"], legs["strike"], legs["expiry"] = 1, side, 50.0, 20_000
    terms = Terms(
        legs=legs, units=np.array([float(side)]), volatility=np.array([0.3]), paid=paid, size=100.0,
        day=19_990, rate=0.0, carry=0.0,
    )  # fmt: skip
    drawn = diagram(terms, entry_spot=None, spot=spot)
    assert drawn is not None
    assert drawn.break_evens == pytest.approx([121.0])


def test_expired_legs_are_said_to_be_and_marked_by_no_bar(filled: Path, tmp_path: Path) -> None:
    where = tmp_path / "desk.db"
    shutil.copy(filled, where)
    gone = date(2026, 2, 27)
    with TradeJournal(where, source="paper") as journal:
        journal.log_trade_entry(
            symbol="SPY", strategy="short-put", actual_contracts=1, entry_credit=5.0,
            legs=[{"side": -1, "kind": "put", "strike": 650.0, "expiry": f"{gone}", "iv": 0.2}],
            when=NOW - timedelta(days=30),
        )  # fmt: skip
    shown = next(
        each for each in read_positions(Reader(where), NOW).positions if each.strategy == "short-put"
    )
    assert (shown.mark, shown.result, shown.diagram) == (None, None, None)
    assert not shown.greeks.known
    assert any("expired on 2026-02-27" in words for words in shown.unknown)


@pytest.mark.parametrize(("days", "known"), [(0, True), (30, False)])
def test_only_a_leg_that_is_alive_needs_a_volatility(days: int, known: bool) -> None:
    bars = load_bars("sample:stocks")[:1]
    day = int(bars.session[0])
    legs = np.zeros(2, LEG)
    legs["right"], legs["strike"], legs["expiry"] = 1, 3.0, [day + days, day + 60]
    terms = Terms(
        legs=legs,
        units=np.array([-1.0, 1.0]),
        volatility=np.array([np.nan, 0.3]),
        paid=0.1,
        size=100.0,
        day=day,
    )
    found = LastBar("s", 0, bars, {}, "").priced("AAPL", terms)
    assert (None not in found.greeks) == known
