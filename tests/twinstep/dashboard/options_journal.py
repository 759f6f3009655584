"""A journal with open option positions: a session's and logged ones, and what a scan left."""

from __future__ import annotations

import atexit
import functools
import math
import shutil
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from journal import TradeJournal
from live.kill_switch import KillSwitch, switch_folder
from live.session import Session
from optimize.tuning.refused import REASON
from simulator.bars import Bars
from simulator.opportunity import Opportunity, OptionLeg, Sizing
from simulator.options.market import OptionMarket
from simulator.options.packages import make_legs, make_rules, package_signals
from simulator.signals import Signals

SYMBOLS = ("SPY", "QQQ", "IWM")
EXPIRY = date(2026, 4, 17)
LATER = date(2026, 5, 15)
NOW = datetime(2026, 3, 9, 14, tzinfo=UTC)
"""On a Monday, when the last bar is the Friday's."""
HOSTILE = "<img src=x onerror=alert(1)>"
RATE = 0.03


def bars_to_friday(days: int = 320) -> Bars:
    """Return daily bars of three underlyings up to 2026-03-06, with modelled options."""
    index = pd.bdate_range(end="2026-03-06", periods=days)
    luck = np.random.default_rng(7)
    market = np.cumsum(luck.normal(0.0004, 0.008, days))
    frames = {}
    for number, (symbol, last) in enumerate(zip(SYMBOLS, (600.0, 520.0, 230.0), strict=True)):
        path = (1.0 + 0.2 * number) * market + np.cumsum(luck.normal(0.0, 0.003, days))
        close = last * np.exp(path - path[-1])
        frames[symbol] = pd.DataFrame(
            {"open": close, "high": close * 1.004, "low": close * 0.996, "close": close, "volume": 1e6},
            index=index,
        )
    bars = Bars.from_frames(frames)
    # the volatility of a year ago was low: IV rank is high at the end
    level = 0.16 + 0.06 * np.sin(np.linspace(0.0, 7.5, days))
    return bars.with_options(
        OptionMarket.modelled(bars, dict.fromkeys(SYMBOLS, level), rate=RATE, dividend_yield=0.01)
    )


def open_session(where: Path, bars: Bars, *, name: str = "paper") -> None:
    """Have a session open a put spread, an iron condor and a covered call four bars before the end."""
    row = len(bars) - 5
    spot = {symbol: float(bars.close[row, at]) for at, symbol in enumerate(SYMBOLS)}

    def strike(symbol: str, share: float) -> float:
        return round(share * spot[symbol] / 5) * 5.0

    legs = make_legs(
        [
            [(-1, "put", strike("SPY", 0.96)), (1, "put", strike("SPY", 0.93))],
            [
                (-1, "put", strike("QQQ", 0.95)), (1, "put", strike("QQQ", 0.91)),
                (-1, "call", strike("QQQ", 1.05)), (1, "call", strike("QQQ", 1.09)),
            ],
            [(1, "shares", math.nan), (-1, "call", strike("IWM", 1.03))],
        ],
        expiry=EXPIRY,
    )  # fmt: skip
    rules = make_rules(
        3, profit_target=[0.5, 0.5, 0.0], stop_loss=[2.0, 1.0, 0.0], dte_exit=[21, 21, 0], american=0
    )
    packages = package_signals(
        bars, [row] * 3, np.array(SYMBOLS), [-1, -1, 1], legs, rules, qty=[2.0, 1.0, 1.0],
        strategy=["short-put-spread", "iron-condor", "covered-call"],
    )  # fmt: skip
    shares = Signals.from_arrays(bars, [row], ["SPY"], [1], qty=[30.0], strategy=["trend"])
    switch = KillSwitch(switch_folder(where))
    with Session(where, like=bars, risk=None, cash=200_000.0, name=name, kill_switch=switch) as session:
        session.push(bars, Signals.concat([packages, shares]))
        assert len(session.positions()) == 4


def opportunity(
    symbol: str, strategy: str, legs: list[OptionLeg], credit: float, **given: object
) -> Opportunity:
    """Return a candidate of a scan; what is not said is plausible."""
    values: dict[str, object] = {
        "expiry": EXPIRY, "dte": (EXPIRY - NOW.date()).days, "as_of": NOW - timedelta(hours=1), "spot": 600.0,
        "mid_credit": credit + 0.05, "width": 10.0, "max_profit": 100 * credit,
        "max_loss": 1000 - 100 * credit,
        "break_evens": (), "probability_of_profit": 0.74, "probability_basis": "quoted IVs",
        "expected_value": -4.0, "margin": 1000.0, "buying_power": 1000 - 100 * credit,
        "risk": 1000 - 100 * credit, "risk_basis": "max loss", "iv": 0.21, "iv_rank": 61.0, "delta": 12.0,
        "theta": 4.1, "vega": -18.0, "score": 66.0, "grade": "quoted",
    }  # fmt: skip
    return Opportunity(
        symbol=symbol,
        strategy=strategy,
        legs=tuple(legs),
        credit=credit,
        **values | given,  # type: ignore[arg-type]
    )


def log_trades(journal: TradeJournal) -> None:
    """Log what a session knows nothing of: a spread on its SPY, and two on symbols that it does not watch."""
    when = NOW - timedelta(days=6)
    spread = [
        OptionLeg(-1, "put", 575.0, EXPIRY, iv=0.22, delta=-0.27),
        OptionLeg(1, "put", 560.0, EXPIRY, iv=0.24, delta=-0.19),
    ]
    number = journal.log_recommendation(opportunity("SPY", "short-put-spread", spread, 3.4), sizing=size(2))
    journal.log_trade_entry(number, actual_contracts=2, entry_credit=3.35, target_price=1.7, stop_price=6.7)
    journal.log_trade_entry(
        symbol="XLE", strategy="shares", side=1, quantity=100, entry_price=90.0, when=when
    )
    journal.log_trade_entry(
        symbol="XLE", strategy="covered-call", actual_contracts=1, entry_credit=1.2, when=when, spot=91.5,
        legs=[OptionLeg(-1, "call", 95.0, EXPIRY, iv=0.25)],
    )  # fmt: skip
    journal.log_trade_entry(
        symbol="TLT", strategy=f"calendar {HOSTILE}", side=1, quantity=3, entry_price=0.8, kind="option",
        legs=[OptionLeg(-1, "put", 88.0, EXPIRY), OptionLeg(1, "put", 88.0, LATER)], when=when,
    )  # fmt: skip


def log_scan(journal: TradeJournal) -> None:
    """Log two recommendations and two refusals, as `twinstep scan --log-refused` does."""
    put = [OptionLeg(-1, "put", 570.0, EXPIRY), OptionLeg(1, "put", 560.0, EXPIRY)]
    condor = [*put, OptionLeg(-1, "call", 630.0, EXPIRY), OptionLeg(1, "call", 640.0, EXPIRY)]
    straddle = [OptionLeg(-1, "put", 600.0, EXPIRY), OptionLeg(-1, "call", 600.0, EXPIRY)]
    journal.log_recommendation(opportunity("SPY", "iron-condor", condor, 3.1), sizing=size(1),
                               reason="Scanner auto-generated")  # fmt: skip
    journal.log_recommendation(
        opportunity("QQQ", "short-straddle", straddle, 21.0, max_loss=math.inf, score=58.0, width=None),
        sizing=size(0), reason="Scanner auto-generated",
    )  # fmt: skip
    for given, said in (
        ({"iv_rank": 43.2, "score": 49.0}, "IV rank 43.2 is below the least"),
        ({"iv_rank": None, "dte": 70, "score": 51.0}, "70 days to expiry are out of bounds"),
    ):
        number = journal.log_recommendation(
            opportunity("IWM", "short-put-spread", put, 2.4, **given), reason=REASON
        )
        journal.ignore_recommendation(number, f"scanner: {said}")


def size(contracts: int) -> Sizing:
    """Return what a sizer said."""
    return Sizing(
        contracts=contracts, total_credit=300.0 * contracts, max_loss=700.0 * contracts,
        risk=700.0 * contracts, buying_power=700.0 * contracts, account_percent=1.5, heat_percent=1.5,
        rule="risk_per_trade", limits={"risk_per_trade": float(contracts)}, reasons=("2 % of 46,000",),
        account_size=46_000.0,
    )  # fmt: skip


def fill_options(where: Path) -> Path:
    """Fill a new journal "desk.db" with all of it; made once, and copied for whoever asks again."""
    for each in _made().glob("desk.db*"):
        target = where.with_name(each.name)
        shutil.copytree(each, target) if each.is_dir() else shutil.copy2(each, target)
    return where


@functools.cache
def _made() -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _fill(folder / "desk.db")
    return folder


def _fill(where: Path) -> None:
    open_session(where, bars_to_friday())
    with TradeJournal(where, source="paper", clock=lambda: NOW - timedelta(days=6)) as journal:
        log_trades(journal)
    with TradeJournal(where, source="paper", clock=lambda: NOW - timedelta(minutes=40)) as journal:
        log_scan(journal)
