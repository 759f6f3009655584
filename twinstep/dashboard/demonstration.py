"""A journal to look at where nobody has one: a session, trades, requests and lessons over the bundled bars.

Everything in it is made by the program itself from the bundled prices: a paper session and two backtests over
stocks, two packages of modelled options that the session holds, the ledger of what its rules refused, a scan
of the bundled chain, packages as somebody would have logged them, lessons, orders that wait, and learned
settings that wait for a decision. It is a demonstration and no record of anybody's trading, and
its session is called so.

>>> make_demonstration("demonstration")                                # doctest: +SKIP
PosixPath('demonstration/demonstration.db')
"""

from __future__ import annotations

import os
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from journal.database import Database
    from journal.trade_journal import TradeJournal
    from live.kill_switch import KillSwitch
    from live.session import Session
    from simulator import Bars, RiskLimits, Signals

__all__ = ["NAME", "make_demonstration"]

NAME: Final = "demonstration"
_BARS: Final = 1_200
_LATER: Final = 150
"""Bars in which the session is stepped on until it holds something."""
_AFTER: Final = 4
"""Bars after the packages were asked for."""
_MONTH: Final = 21
_PACKAGES: Final = (
    ((-1, "put", 0.94), (1, "put", 0.85)),
    ((-1, "put", 0.92), (1, "put", 0.84), (-1, "call", 1.08), (1, "call", 1.16)),
)
"""Side, right, and strike as a share of the price."""
_LIFETIME: Final = timedelta(days=60)
"""Of the orders that wait, so that the demonstration keeps for a while."""
_STRATEGIES: Final = ("donchian-breakout", "rsi-pullback")
_LESSONS: Final = (
    "The close above the channel is late; the entry after the pullback was cheaper.",
    "The stop under the last low was far enough. Leave it there.",
    "Two breakouts in one week were one bet: both stocks moved with the market.",
)
_EQUITY: Final = 128_000.0
"""For which the scan is sized: some of what it finds fits, the rest does not."""
# strike sold, strike bought, credit, price at the exit and days held, IV rank, days to expiry
_SPREADS: Final = (
    (112.0, 107.0, 1.35, 0.65, 18, 62.0, 45), (109.0, 104.0, 1.20, 0.60, 14, 55.0, 38),
    (113.0, 108.0, 1.55, 3.40, 22, 48.0, 44), (108.0, 103.0, 1.10, 0.55, 20, 66.0, 41),
    (110.0, 105.0, 1.45, 0.70, 25, 71.0, 47), (107.0, 102.0, 1.25, 2.95, 17, 41.0, 35),
)  # fmt: skip


def make_demonstration(folder: str | os.PathLike[str]) -> Path:
    """Make the journal in a folder, with its kill switch and review queue beside it, and return its path.

    A journal that is there already is returned as it is.
    """
    from journal.database import Database
    from live.kill_files import switch_folder
    from live.kill_switch import KillSwitch
    from live.session import Session
    from simulator import load_bars
    from strategies import strategy_class

    where = Path(folder) / f"{NAME}.db"
    if where.exists():
        return where
    where.parent.mkdir(parents=True, exist_ok=True)
    stocks = load_bars("sample:stocks")[: _BARS + _LATER]
    bars = _with_options(stocks)
    switch = KillSwitch(switch_folder(where))
    with Database(where) as database:
        chosen = [strategy_class(name)() for name in _STRATEGIES]
        with Session(
            database, like=bars, strategies=chosen, name=NAME, group=400, kill_switch=switch, risk=_limits()
        ) as session:
            session.push(bars[:_BARS])
            row = _BARS
            while row < len(bars) - _AFTER and not session.positions():
                session.push(bars[row : row + 1])
                row += 1
            busy = {one.symbol for one in session.positions()}
            traded = (bars.close[row] > 0.0).tolist()
            free = [
                name
                for name, is_priced in zip(bars.symbols, traded, strict=True)
                if is_priced and name not in busy
            ]
            session.push(bars[row : row + _AFTER], _sold(bars, row, free[:2]))
            _lay_orders(session, switch)
        _write_down(database)
        _run_refused(database)
        _propose(database)
    _keep_backtests(where, stocks)
    switch.engage("data vendor reports bad prints", "ada")
    switch.arm("ada", "the vendor has corrected them")
    return where


def _with_options(bars: Bars) -> Bars:
    """Return bars with modelled options: their volatility is a tenth above that of the last month."""
    import numpy as np

    from simulator.options.market import OptionMarket

    moves = np.nan_to_num(np.diff(np.log(bars.close), axis=0, prepend=np.log(bars.close[:1])))
    squares = np.cumsum(moves * moves, axis=0)
    squares[_MONTH:] -= squares[:-_MONTH].copy()
    level = 1.1 * np.sqrt(squares / _MONTH * bars.sessions_per_year)
    series = {name: np.clip(level[:, at], 0.1, 1.0) for at, name in enumerate(bars.symbols)}
    return bars.with_options(OptionMarket.modelled(bars, series, rate=0.02))


def _limits() -> RiskLimits:
    """Return limits that leave room for packages beside shares of one sector."""
    from simulator import RiskLimits

    return RiskLimits(
        max_sector_exposure_pct=120.0,
        max_position_size_pct=30.0,
        max_portfolio_heat_pct=8.0,
        max_positions_per_strategy=3,
        max_drawdown_pct=40.0,
    )


def _sold(bars: Bars, row: int, symbols: list[str]) -> Signals:
    """Return signals that sell a put spread on one symbol and an iron condor on another."""
    from simulator.options.packages import make_legs, make_rules, package_signals

    spots = [float(bars.close[row, bars.column(name)]) for name in symbols]
    day = bars.index[row].date()
    friday = day + timedelta(days=42 + (4 - day.weekday()) % 7)
    spread, condor = (
        [(side, right, round(share * spot, 0)) for side, right, share in legs]
        for spot, legs in zip(spots, _PACKAGES, strict=True)
    )
    return package_signals(
        bars, [row, row], symbols, [-1, -1], make_legs([spread, condor], expiry=friday),
        make_rules(2, profit_target=0.5, stop_loss=2.0, dte_exit=21, american=1), qty=[2.0, 2.0],
        strategy=["short-put-spread", "iron-condor"],
    )  # fmt: skip


def _run_refused(database: Database) -> None:
    """Work out what the signals that were refused would have come to."""
    from journal.trade_journal import TradeJournal
    from live.counterfactuals import SessionLedger

    SessionLedger(TradeJournal(database, source="paper"), source="paper").update(NAME)


def _lay_orders(session: Session, switch: KillSwitch) -> None:
    """Let two orders wait for a person: shares behind a stop, and a spread."""
    from live.brokers.interface import Leg, OrderRequest
    from live.review_queue import ReviewQueue

    queue = ReviewQueue(switch.folder / "reviews", switch, lifetime=_LIFETIME)
    seen = session.seen()
    shares_held = {one.symbol for one in session.positions() if one.stop > 0.0}
    priced = [name for name in seen.symbols if seen.close[-1, seen.column(name)] > 0.0]
    free = next((name for name in priced if name not in shares_held), priced[0])
    close = round(float(seen.close[-1, seen.column(free)]), 2)
    shares = OrderRequest(
        client_order_id="tw-demonstration-1", legs=(Leg(free, 40.0),), kind="limit", order_class="bracket",
        limit_price=close, stop_loss=round(0.94 * close, 2), take_profit=round(1.15 * close, 2),
        strategy=_STRATEGIES[0], reason="breakout of 20 bars",
    )  # fmt: skip
    spread = OrderRequest(
        client_order_id="tw-demonstration-2", order_class="multi_leg", kind="limit", limit_price=1.35,
        legs=(Leg("SPY050218P00115000", -2.0), Leg("SPY050218P00110000", 2.0)),
        strategy="short-put-spread", reason="IV rank 62",
    )  # fmt: skip
    declined = OrderRequest(
        client_order_id="tw-demonstration-3", legs=(Leg(free, 100.0),), strategy=_STRATEGIES[1],
        stop_loss=round(0.97 * close, 2), order_class="bracket",
    )  # fmt: skip
    for order, price in ((shares, close), (spread, 1.35)):
        queue.add(order, broker="paper", price=price)
    last = queue.add(declined, broker="paper", price=close)
    queue.reject(last.request_id, "earnings tomorrow", rejected_by="ada")


def _write_down(database: Database) -> None:
    """Log packages, a scan, and what was learned."""
    from journal.trade_journal import TradeJournal
    from simulator.errors import TwinstepWarning
    from strategies import OptionsScanner, PositionSizer

    journal = TradeJournal(database, source="paper")
    for number, spread in enumerate(_SPREADS):
        _log_spread(journal, number, spread)
    closed = journal.trades("closed", source="paper", limit=len(_LESSONS))
    for trade, lesson in zip(closed, _LESSONS, strict=False):
        journal.add_lesson(trade.id, lesson)
    journal.add_mistake(closed[0].id, "late_entry", "waited for a second close")
    journal.add_tag(closed[0].id, "breakout")
    journal.add_note(closed[0].id, "Volume was thin on the day of the exit.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinstepWarning)  # that it scans the bundled chain
        opportunities = OptionsScanner().scan_for_opportunities()
    sizer = PositionSizer(account_size=_EQUITY)
    for found in opportunities[:6]:
        size = sizer.calculate_position_details(found)
        journal.log_recommendation(found, sizing=size, reason="demonstration", expires=_LIFETIME)


def _log_spread(journal: TradeJournal, number: int, spread: tuple[float, ...]) -> None:
    sold, bought, credit, debit, days, rank, dte = spread
    begun = datetime(2004, 3, 1, 15, tzinfo=UTC) + timedelta(days=40 * number)
    legs = [
        {"side": side, "kind": "put", "strike": strike, "expiry": f"{begun + timedelta(days=dte):%Y-%m-%d}"}
        for side, strike in ((-1, sold), (1, bought))
    ]
    trade = journal.log_trade_entry(
        symbol="SPY", strategy="short-put-spread", actual_contracts=2, entry_credit=credit, iv_rank=rank,
        legs=legs, when=begun,
    )  # fmt: skip
    reason = "50% profit rule" if debit < credit else "stop loss"
    journal.log_trade_exit(trade, debit, reason, when=begun + timedelta(days=days))


def _propose(database: Database) -> None:
    from journal.parameters import ParameterStore

    store = ParameterStore(database)
    first = store.propose("options_scanner", {"min_iv_rank": 55.0}, source="paper", reason="demonstration")
    store.approve(first.id, "ada", reason="half of the losses had a low IV rank")
    store.propose(
        "options_scanner", {"min_iv_rank": 60.0, "target_dte": 45}, source="paper",
        evidence={"trades": len(_SPREADS)}, reason="winners had an IV rank above 60",
    )  # fmt: skip


def _keep_backtests(where: Path, bars: Bars) -> None:
    """Keep two runs, to be compared."""
    from simulator import backtest
    from strategies import strategy_class
    from twinstep.runs import runs_beside

    folder = runs_beside(str(where))
    for name in _STRATEGIES:
        strategy = strategy_class(name)()
        backtest(bars, strategy).keep(folder, strategy=strategy, note="demonstration")
