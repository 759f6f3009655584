"""The generated parts of `docs/risk.md`: all limits, and the risk manager's answers worked out with numbers.

Every number is a verdict of the risk manager on a market of a few sessions, none is computed here.
"""

# ruff: noqa: E501 - a row of a table is one line, however long

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd

from simulator import (
    Bars,
    Command,
    Conventions,
    PortfolioRiskManager,
    Result,
    RiskLimits,
    Run,
    Signals,
    backtest,
)
from simulator.options.market import OptionMarket
from simulator.options.packages import LegSpec, make_legs, make_rules, package_signals
from simulator.risk_limits import POLICIES
from simulator.types import HaltState
from twinstep.reference_tables import Columns, Prices, number, table, tiny
from twinstep.schema import parameter_docs

__all__ = ["halts", "heats", "limits", "verdicts"]

UNITS: Final = {
    "max_correlation": "0 to 1",
    "min_risk_reward_ratio": "reward / risk",
    "min_signal_strength": "class",
    "min_pattern_score": "0 to 100",
    "max_days_in_trade": "calendar days",
    "correlation_window": "sessions",
    "correlation_min_observations": "sessions",
    "cooldown_losses": "trades",
    "cooldown_bars": "bars",
    "leverage": "times equity",
    "daily_loss_limit": "percent",
}


def limits() -> str:
    """Return every limit with its default, its unit and its meaning."""
    meaning = parameter_docs(RiskLimits)
    rows = []
    for spec in dataclasses.fields(RiskLimits):
        name, default = spec.name, getattr(RiskLimits(), spec.name)
        shown = default.name if hasattr(default, "name") else default
        unit = UNITS.get(name, "percent" if name.endswith("_pct") else "count")
        if name in POLICIES:
            unit = " or ".join(f"`{choice}`" for choice in POLICIES[name])
        rows.append((f"`{name}`", f"`{shown}`", unit, meaning[name].replace("|", "\\|")))
    return table(("limit", "default", "unit", "meaning"), rows)


@lru_cache(maxsize=1)
def _flat() -> Bars:
    """Four symbols at 100 for five sessions, two of them in one sector."""
    still: list[Prices] = [(100.0, 100.0, 100.0, 100.0)] * 5
    names = {"A": "Technology", "B": "Technology", "C": "Energy", "D": "Utilities"}
    return tiny(dict.fromkeys(names, still), names)


@lru_cache(maxsize=1)
def _falling() -> Bars:
    """One symbol that falls by 6 % on its third session, and one that stands still."""
    falls: list[Prices] = [(p, p, p, p) for p in (100.0, 100.0, 94.0, 94.0, 94.0)]
    return tiny({"A": falls, "B": [(100.0, 100.0, 100.0, 100.0)] * 5}, {})


@lru_cache(maxsize=1)
def _wavy() -> Bars:
    """Two symbols that move together and one that does not, for 61 sessions."""
    n = np.arange(61)
    together, alone = 100 * np.exp(0.01 * np.sin(n)), 100 * np.exp(0.01 * np.sin(2.5 * n + 1))
    paths = {"A": together, "B": together * 1.1, "C": alone}
    return tiny({name: [(p, p, p, p) for p in path] for name, path in paths.items()}, {})


@lru_cache(maxsize=1)
def _weighted() -> Bars:
    """Four symbols at 100, with options on A at a volatility of 20 %, and betas."""
    bars = _flat().with_betas({"A": 1.5, "C": 0.5})
    return bars.with_options(OptionMarket.modelled(bars, {"A": 0.2}))


WIDE: Final = RiskLimits(
    risk_per_trade_pct=100.0, max_portfolio_heat_pct=1000.0, max_sector_exposure_pct=1000.0, leverage=10.0
)
"""Limits that leave room for the one that an example is about."""


@dataclass(frozen=True)
class Package:
    """Packages of options on A, opened at the second close: side, legs and quantity."""

    side: int
    legs: tuple[LegSpec, ...]
    qty: float

    def signals(self, bars: Bars) -> Signals:
        """Return the signal that opens it, 45 days before expiry."""
        legs = make_legs([self.legs], expiry=int(bars.session[1]) + 45)
        return package_signals(bars, [1], "A", self.side, legs, make_rules(1), qty=self.qty)


@dataclass(frozen=True)
class Case:
    """Signals, all at one close unless said otherwise, of which the last one's verdict is shown."""

    what: str
    limits: RiskLimits
    signals: tuple[Columns, ...]
    market: Callable[[], Bars] = _flat
    rules: Columns = field(default_factory=dict)
    packages: tuple[Package, ...] = ()


def _buy(symbol: str = "A", *, row: int = 1, side: int = 1, **columns: Any) -> Columns:
    return {"row": row, "symbol": symbol, "side": side, "stop": 95.0, **columns}


PUT_SPREADS: Final = Package(-1, ((-1, "put", 95.0), (1, "put", 90.0)), 20.0)
STRADDLES: Final = Package(1, ((1, "put", 100.0), (1, "call", 100.0)), 20.0)

VERDICTS: Final = [
    Case("buy at 100, stop 95, sized by 2 % of 100,000", WIDE.replace(risk_per_trade_pct=2.0), (_buy(),)),
    Case("the same, 1,000 asked", WIDE.replace(risk_per_trade_pct=2.0), (_buy(qty=1000.0),)),
    Case("the same under `on_risk=\"reject\"`", WIDE.replace(risk_per_trade_pct=2.0, on_risk="reject"), (_buy(qty=1000.0),)),
    Case("800 resting with stop 95 are 4 % heat; 800 more in another sector", WIDE.replace(max_portfolio_heat_pct=6.0), (_buy(qty=800.0), _buy("C", qty=800.0))),
    Case("150 of A in the sector; 400 of B asked", WIDE.replace(max_sector_exposure_pct=25.0), (_buy(qty=150.0), _buy("B", qty=400.0))),
    Case("400 asked, a position may be 10 %", WIDE.replace(max_position_size_pct=10.0), (_buy(qty=400.0),)),
    Case("500 of A; 800 of C asked, 100 % gross", WIDE.replace(max_gross_exposure_pct=100.0), (_buy(qty=500.0), _buy("C", qty=800.0))),
    Case("500 of A; 800 of C asked, 80 % net", WIDE.replace(max_net_exposure_pct=80.0), (_buy(qty=500.0), _buy("C", qty=800.0))),
    Case("the same, C sold short: net falls", WIDE.replace(max_net_exposure_pct=80.0), (_buy(qty=500.0), _buy("C", side=-1, stop=105.0, qty=800.0))),
    Case("300 of A, whose beta is 1.5, are 45 % delta", WIDE.replace(max_net_delta_pct=30.0), (_buy(qty=300.0),), _weighted),
    Case("the same under `on_greeks=\"reject\"`", WIDE.replace(max_net_delta_pct=30.0, on_greeks="reject"), (_buy(qty=300.0),), _weighted),
    Case("200 of A; 100 of C asked, whose beta is 0.5", WIDE.replace(max_net_delta_pct=32.0), (_buy(qty=200.0), _buy("C", qty=100.0)), _weighted),
    Case("200 of A; 500 of C sold short: net delta falls", WIDE.replace(max_net_delta_pct=30.0), (_buy(qty=200.0), _buy("C", side=-1, stop=105.0, qty=500.0)), _weighted),
    Case("20 put spreads 95/90 sold on A, 45 days, delta", WIDE.replace(max_net_delta_pct=20.0), (), _weighted, packages=(PUT_SPREADS,)),
    Case("the same, gamma", WIDE.replace(max_gamma_pct=2.0), (), _weighted, packages=(PUT_SPREADS,)),
    Case("the same, theta", WIDE.replace(max_theta_pct=0.01), (), _weighted, packages=(PUT_SPREADS,)),
    Case("the same, vega", WIDE.replace(max_vega_pct=0.05), (), _weighted, packages=(PUT_SPREADS,)),
    Case("20 straddles bought at 100: theta is paid", WIDE.replace(max_theta_pct=0.01), (), _weighted, packages=(STRADDLES,)),
    Case("the same, vega: long counts like short", WIDE.replace(max_vega_pct=0.05), (), _weighted, packages=(STRADDLES,)),
    Case("1,500 asked, cash for 1,000", WIDE.replace(leverage=1.0), (_buy(qty=1500.0),)),
    Case("2 % of 200 is 4, one share risks 5", WIDE.replace(risk_per_trade_pct=2.0), (_buy(),), rules={"cash": 200.0}),
    Case("strength WEAK", WIDE, (_buy(strength="WEAK"),)),
    Case("score 55", WIDE, (_buy(score=55.0),)),
    Case("target 107: 7 for 5", WIDE, (_buy(target=107.0),)),
    Case("target 110: 10 for 5", WIDE, (_buy(target=110.0, qty=10.0),)),
    Case("half at 105, half at 115: the mean counts", WIDE, (_buy(target=105.0, target_fraction=0.5, target2=115.0, target2_fraction=0.5, qty=10.0),)),
    Case("one resting, one position allowed", WIDE.replace(max_open_positions=1), (_buy(qty=1.0), _buy("C", qty=1.0))),
    Case("one of this strategy resting, one allowed per strategy", WIDE.replace(max_positions_per_strategy=1), (_buy(qty=1.0, strategy="breakout"), _buy("C", qty=1.0, strategy="breakout"))),
    Case("a loss two bars ago, a pause of 3 bars after each", WIDE.replace(cooldown_losses=1, cooldown_bars=3), (_buy(row=0, qty=1.0), _buy("B", row=3, qty=1.0)), _falling),
    Case("800 of A fell by 6 %, drawdown may be 4 %", WIDE.replace(max_drawdown_pct=4.0), (_buy(row=0, qty=800.0, stop=50.0), _buy("B", row=3, qty=1.0)), _falling),
    Case("the same, daily loss may be 2 %, released by a person", WIDE.replace(daily_loss_limit=2.0, halt_release="manual"), (_buy(row=0, qty=800.0, stop=50.0), _buy("B", row=3, qty=1.0)), _falling),
    Case("B moves with A", WIDE, (_buy(row=60, stop_percent=5.0, stop=np.nan, qty=1.0), _buy("B", row=60, stop=np.nan, stop_percent=5.0, qty=1.0)), _wavy),
    Case("C does not", WIDE, (_buy(row=60, stop_percent=5.0, stop=np.nan, qty=1.0), _buy("C", row=60, stop=np.nan, stop_percent=5.0, qty=1.0)), _wavy),
    Case("two returns are too few to know", WIDE.replace(unknown_correlation="reject"), (_buy(row=2, stop_percent=5.0, stop=np.nan, qty=1.0), _buy("B", row=2, stop=np.nan, stop_percent=5.0, qty=1.0)), _wavy),
    Case("no stop, no trail, no quantity", WIDE, (_buy(stop=np.nan),)),
    Case("a long's stop above the close", WIDE, (_buy(stop=101.0),)),
    Case("a long's target below the close", WIDE, (_buy(stop=np.nan, target=99.0, qty=1.0),)),
    Case("long already", WIDE, (_buy(qty=1.0), _buy(row=3, qty=1.0))),
    Case("long already, `same_side=\"add\"`, one position per symbol", WIDE, (_buy(qty=1.0), _buy(row=3, qty=1.0)), rules={"conventions": Conventions(same_side="add")}),
    Case("long already, a short asked", WIDE, (_buy(qty=1.0), _buy(row=3, side=-1, stop=105.0, qty=1.0))),
    Case("close what is not there", WIDE, (_buy(side=0, stop=np.nan),)),
    Case("after a kill", WIDE, (_buy(row=2, qty=1.0),), rules={"commands": [Command("2020-01-03", "kill")]}),
    Case("after a reduce", WIDE, (_buy(row=2, qty=1.0),), rules={"commands": [Command("2020-01-03", "reduce")]}),
]  # fmt: skip


def verdicts() -> str:
    """Return what the risk manager says to every case: outcome, rule, value, limit, asked and granted."""
    rows = []
    for case in VERDICTS:
        verdict = _placed(case).verdicts.iloc[-1]
        cells = [number(verdict[name]) for name in ("value", "limit", "asked", "granted")]
        rows.append((case.what, verdict["outcome"], f"`{verdict['rule']}`", *cells))
    return table(("what", "outcome", "rule", "value", "limit", "asked", "granted"), rows)


def _placed(case: Case) -> Result:
    bars = case.market()
    opened = [package.signals(bars) for package in case.packages]
    signals = Signals.concat([*([_given(bars, case)] if case.signals else []), *opened])
    return backtest(bars, signals, risk=case.limits, **case.rules)


def _given(bars: Bars, case: Case) -> Signals:
    frame = pd.DataFrame(list(case.signals))
    columns = {
        name: [None if pd.isna(value) else value for value in frame[name]]
        if frame[name].dtype == object or isinstance(frame[name].dtype, pd.StringDtype)
        else frame[name].to_numpy(float)
        for name in frame.columns.drop(["row", "symbol", "side"])
    }
    return Signals.from_arrays(bars, frame["row"], frame["symbol"].tolist(), frame["side"], **columns)


HEATS: Final[list[tuple[str, tuple[Columns, ...]]]] = [
    ("100 bought at 100, stop 95", (_buy(row=0, qty=100.0),)),
    ("the same, stop moved to break-even at 0.5 R", (_buy(row=0, qty=100.0, breakeven_r=0.5),)),
    ("the same, 50 more planned at 1 R (105)", (_buy(row=0, qty=100.0, add_r=1.0, add_fraction=0.5),)),
    (
        "a limit at 98 resting, stop 95, 100 shares",
        (_buy(row=1, qty=100.0, entry="limit", limit_price=98.0),),
    ),
    ("100 sold short at 100, stop 108", (_buy(row=0, side=-1, stop=108.0, qty=100.0),)),
    ("100 bought at 100 without a stop", (_buy(row=0, stop=np.nan, qty=100.0),)),
]


def heats() -> str:
    """Return the heat in currency after a close of 104, by basis."""
    bars = tiny({"A": [(100.0, 100.0, 100.0, 100.0), (100.0, 104.0, 100.0, 104.0)]})
    rows = []
    for what, given in HEATS:
        cells = []
        for basis in POLICIES["heat_basis"]:
            limits = WIDE.replace(heat_basis=basis)
            frame = pd.DataFrame(list(given))
            columns = {name: frame[name].tolist() for name in frame.columns.drop(["row", "symbol", "side"])}
            signals = Signals.from_arrays(bars, frame["row"], ["A"], frame["side"], **columns)
            run = Run(bars, signals, risk=limits)
            run.advance()
            cells.append(number(PortfolioRiskManager(limits).portfolio_risk(run).heat))
        rows.append((what, *cells))
    return table(("after a close of 104", 'heat, basis `"entry"`', 'heat, basis `"mark"`'), rows)


def halts() -> str:
    """Return one bad session under both ways of release, and with a person who arms again."""
    prices = [100.0, 100.0, 97.0, 97.0, 97.0, 97.0]
    bars = tiny({"A": [(p, p, p, p) for p in prices], **{name: [(50.0,) * 4] * 6 for name in "BCD"}})
    first = {"stop": 60.0, "qty": 800.0}
    signals = Signals.concat(
        [
            Signals.from_arrays(bars, [0], "A", 1, **first),
            Signals.from_arrays(bars, [2, 3, 4], ["B", "C", "D"], 1, qty=1.0, stop=40.0),
        ]
    )
    states, answers = {}, {}
    for release, commands in (
        ("next_session", None),
        ("manual", None),
        ("manual, armed", [Command(_day(bars, 4), "arm")]),
    ):
        limits = WIDE.replace(daily_loss_limit=2.0, halt_release=release.split(",")[0])
        result = backtest(bars, signals, risk=limits, commands=commands)
        states[release] = [HaltState(int(code)).label for code in result.exposure["state"]]
        later = result.verdicts[result.verdicts["symbol"] != "A"]
        answers[release] = dict(zip(later["time"], later["reason"], strict=True))
        equity = result.equity.to_numpy()
    rows = []
    for row, time in enumerate(bars.index):
        loss = 100.0 * (1.0 - equity[row] / (equity[row - 1] if row else 100_000.0))
        cells = [f"{states[release][row]}{_answer(answers[release].get(time))}" for release in states]
        rows.append((str(time.date()), f"{equity[row]:,.0f}", f"{loss:.2f} %", *cells))
    heads = ("session", "equity", "lost in it", "`next_session`", "`manual`", "`manual`, armed on the 8th")
    return table(heads, rows)  # fmt: skip


def _answer(reason: str | None) -> str:
    return "" if reason is None else f"; a signal is {'`' + reason + '`'}"


def _day(bars: Bars, row: int) -> str:
    return str(bars.index[row].date())
