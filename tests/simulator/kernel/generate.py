"""Configurations for tests of the step: small markets, many signals, every convention, limit and cost.

A `Shape` is plain values, so that it can be shrunk, printed and sent to another process; `build` turns it
into bars, signals and rules, and gives the same ones for the same shape. Markets are random walks with gaps;
some bars are missing, some can not be true. Prices are often rounded to cents, so that orders meet prices
exactly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from simulator.bars import Bars
from simulator.commands import Command
from simulator.conventions import CHOICES, PROFILES, Conventions
from simulator.costs import Costs
from simulator.kernel.dtypes import ACTION
from simulator.risk_limits import POLICIES, RiskLimits
from simulator.signals import Signals

__all__ = ["Configuration", "Shape", "build", "configurations", "shapes"]

Floats = npt.NDArray[np.float64]
T = TypeVar("T")

DAY_NS: Final = 86_400_000_000_000
FIRST_DAY: Final = 18_000  # days since 1970-01-01
SECTORS: Final = ("Technology", "Energy", "Unknown")
ENTRIES: Final = ("open", "open", "close", "limit", "limit", "stop", "stop", "stop_limit", "moc")


@dataclass(frozen=True)
class Shape:
    """What a configuration is made from; `seed` decides prices and the details of signals."""

    seed: int
    symbols: int
    bars: int
    per_session: int  # 0: daily bars, else bars in each session
    detail: int  # lower-timeframe bars inside each bar, 0: none
    missing: float  # share of missing bars
    bad: float  # share of bars that can not be true
    cents: bool  # prices rounded to cents
    raw: bool
    actions: int
    signals: int
    commands: int
    halts: bool  # whether commands include kill, reduce and arm
    fixed: bool  # whether some entries and exits are held at given prices
    quoted: bool  # whether the bars carry spreads
    cash: float
    volume: float  # mean volume of a bar
    conventions: dict[str, Any]
    costs: dict[str, Any]
    risk: dict[str, Any] | None
    cuts: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Configuration:
    """Everything that a driver needs."""

    shape: Shape
    bars: Bars
    signals: Signals
    commands: list[Command]
    conventions: Conventions
    costs: Costs
    risk: RiskLimits | None

    @property
    def cash(self) -> float:
        """Money at the start."""
        return self.shape.cash

    @property
    def cuts(self) -> list[int]:
        """Rows at which a chunked run is cut, ends included."""
        inside = {1 + cut % max(1, len(self.bars) - 1) for cut in self.shape.cuts}
        return sorted({0, len(self.bars), *(cut for cut in inside if cut < len(self.bars))})

    @property
    def rules(self) -> dict[str, Any]:
        """Keywords that every driver shares."""
        return {
            "cash": self.cash,
            "risk": self.risk,
            "costs": self.costs,
            "conventions": self.conventions,
        }


def build(shape: Shape) -> Configuration:
    """Return the configuration that a shape describes; the same one every time."""
    random = np.random.default_rng(shape.seed)
    bars = _bars(shape, random)
    return Configuration(
        shape=shape,
        bars=bars,
        signals=_signals(shape, bars, random),
        commands=_commands(shape, bars, random),
        conventions=Conventions(**shape.conventions),
        costs=Costs(**shape.costs),
        risk=None if shape.risk is None else RiskLimits(**shape.risk),
    )


def _pick(random: np.random.Generator, choices: Sequence[T]) -> T:
    # The one that `random.choice` draws, which makes an array of the choices first.
    return choices[int(random.integers(len(choices)))]


# Bars


def _bars(shape: Shape, random: np.random.Generator) -> Bars:
    parts = max(1, shape.detail)
    fine = _walk(shape.bars * max(2, parts), shape, random)
    fine_volume = random.uniform(0.0, 2.0 * shape.volume / parts, (shape.bars * parts, shape.symbols)).round()
    fine_volume[random.random(fine_volume.shape) < 0.05] = 0.0
    steps = fine.reshape(shape.bars, parts, -1, shape.symbols)
    detail = _panel(steps.reshape(shape.bars * parts, -1, shape.symbols), fine_volume)
    coarse_volume = fine_volume.reshape(shape.bars, parts, shape.symbols).sum(axis=1)
    panel = _panel(steps.reshape(shape.bars, -1, shape.symbols), coarse_volume)

    ts, session = _times(shape, random)
    symbols = [f"S{column}" for column in range(shape.symbols)]
    instruments = {symbol: _instrument(random) for symbol in symbols}
    weights = np.random.default_rng([shape.seed, 1])  # of their own, so that all else stays as it was
    for fields in instruments.values():
        fields["beta"] = _pick(weights, [1.0, 1.0, 0.5, 1.7, 0.0, -0.4])
    bars = Bars.from_arrays(
        symbols,
        ts,
        panel,
        sectors={symbol: SECTORS[int(random.integers(len(SECTORS)))] for symbol in symbols},
        calendar="24/7",
        instruments=instruments,
        actions=_actions(shape, panel, random),
        raw=shape.raw,
        spread=random.uniform(0.0, 0.2, panel.shape[:2]) if shape.quoted else None,
    )
    assert np.array_equal(bars.session, session)
    absent = random.random(panel.shape[:2]) < shape.missing
    bars = bars.replaced(panel=_spoiled(panel, absent, shape, random))
    if shape.detail:
        bars = _with_detail(bars, detail, absent, shape, random)
    return bars


def _walk(steps: int, shape: Shape, random: np.random.Generator) -> Floats:
    # Prices of every symbol, shape (steps, symbols): a walk with a common part, calm and wild.
    calm = _pick(random, [0.004, 0.012, 0.03])
    moves = random.normal(0.0, calm, (steps, shape.symbols))
    moves += random.normal(0.0, calm, (steps, 1)) * _pick(random, [0.0, 1.0, 3.0])
    gaps = random.random(moves.shape) < 0.04
    moves[gaps] += random.normal(0.0, 0.06, int(gaps.sum()))
    prices = random.uniform(8.0, 120.0, shape.symbols) * np.exp(moves.cumsum(axis=0))
    prices = np.maximum(prices, 0.05)
    return np.asarray(prices.round(2) if shape.cents else prices)


def _panel(steps: Floats, volume: Floats) -> Floats:
    # Bars over prices of shape (bars, steps, symbols).
    panel = np.stack([steps[:, 0], steps.max(axis=1), steps.min(axis=1), steps[:, -1], volume], axis=-1)
    return np.ascontiguousarray(panel)


def _spoiled(
    panel: Floats, absent: npt.NDArray[np.bool_], shape: Shape, random: np.random.Generator
) -> Floats:
    spoiled = panel.copy()
    spoiled[absent] = np.nan
    for row, column in np.argwhere((random.random(absent.shape) < shape.bad) & ~absent):
        bar = spoiled[row, column]
        fault = int(random.integers(5))
        if fault == 0:
            bar[int(random.integers(4))] = np.nan
        elif fault == 1:
            bar[1], bar[2] = bar[2] * 0.99, bar[1]
        elif fault == 2:
            bar[2] = 0.0
        elif fault == 3:
            bar[1] = np.inf
        else:
            bar[3] = bar[1] * 1.01
    return spoiled


def _times(shape: Shape, random: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    # Labels and session dates; sessions are one to four days apart.
    per = max(1, shape.per_session)
    count = -(-shape.bars // per)
    days = FIRST_DAY + np.cumsum(random.choice([1, 1, 1, 3, 4], count))
    session = np.repeat(days, per)[: shape.bars].astype(np.int64)
    if not shape.per_session:
        return session * DAY_NS, session
    within = np.tile(np.arange(per), count)[: shape.bars]
    return session * DAY_NS + (14 + within) * (DAY_NS // 24), session


def _instrument(random: np.random.Generator) -> dict[str, Any]:
    return {
        "tick": _pick(random, [0.01, 0.01, 0.05, 0.0]),
        "lot": _pick(random, [1.0, 1.0, 10.0, 0.01]),
        "multiplier": _pick(random, [1.0, 1.0, 1.0, 10.0]),
        "kind": _pick(random, ["stock", "stock", "stock", "option"]),
        "spread": _pick(random, [np.nan, 0.05]),
        "borrow_rate": _pick(random, [np.nan, 0.0, 0.2]),
    }


def _actions(shape: Shape, panel: Floats, random: np.random.Generator) -> npt.NDArray[np.void]:
    records = np.zeros(shape.actions, ACTION)
    for record in records:
        row, sym, kind = (
            int(random.integers(shape.bars)),
            int(random.integers(shape.symbols)),
            _pick(random, [1, 1, 1, 2, 2, 2, 2, 3, 4]),
        )
        value = {
            1: _pick(random, [2.0, 0.5, 3.0, 0.1]),
            2: float(panel[row, sym, 3] * random.uniform(0.001, 0.03)),
            3: _pick(random, [np.nan, panel[row, sym, 0] * 0.9]),
            4: np.nan,
        }[kind]
        record["row"], record["sym"], record["kind"], record["value"] = row, sym, kind, value
    return records


def _with_detail(
    bars: Bars, panel: Floats, absent: npt.NDArray[np.bool_], shape: Shape, random: np.random.Generator
) -> Bars:
    # The parts of a bar; some bars have fewer, some of a symbol's are missing.
    panel = panel.copy()
    panel[np.repeat(absent, shape.detail, axis=0)] = np.nan
    panel[random.random(panel.shape[:2]) < shape.missing / 2] = np.nan
    kept = np.sort(np.flatnonzero(random.random(len(panel)) < 0.9))
    start = np.searchsorted(kept, np.arange(shape.bars + 1) * shape.detail).astype(np.int64)
    owner = kept // shape.detail
    ts = bars.ts[owner] + 60_000_000_000 * (1 + kept % shape.detail)
    detail = bars.replaced(
        panel=np.ascontiguousarray(panel[kept]),
        ts=ts,
        session=bars.session[owner],
        session_no=bars.session_no[owner],
        daily=False,
        actions=np.zeros(0, ACTION),
        spread=np.zeros((0, 0)),
        open_ts=ts,
        close_ts=ts + 60_000_000_000,
        detail_start=np.zeros(len(ts) + 1, np.int64),
    )
    return bars.replaced(detail=detail, detail_start=start)


# Signals


def _signals(shape: Shape, bars: Bars, random: np.random.Generator) -> Signals:
    rows = np.sort(random.integers(0, len(bars), shape.signals))
    # a burst: many signals at one close, so that they compete
    if shape.signals > 8:
        rows[: shape.signals // 4] = rows[0]
    columns = random.integers(0, shape.symbols, shape.signals)
    sides = random.choice([1, 1, 1, -1, -1, 0], shape.signals)
    given = [
        _signal(shape, bars, int(r), int(c), int(s), random)
        for r, c, s in zip(rows, columns, sides, strict=True)
    ]
    names = sorted({name for signal in given for name in signal})
    words = {"entry", "tif", "exit", "tag", "strategy", "sector"}
    values: dict[str, Any] = {}
    for name in names:
        if name in words:
            values[name] = [signal.get(name) for signal in given]
        elif name in ("valid_until", "forced_ts"):
            values[name] = np.array([signal.get(name, 0) for signal in given], np.int64)
        else:
            values[name] = np.array([signal.get(name, np.nan) for signal in given], np.float64)
    return Signals.from_arrays(bars, rows, columns, sides, **values)


def _signal(
    shape: Shape, bars: Bars, row: int, column: int, side: int, random: np.random.Generator
) -> dict[str, Any]:
    past = bars.close[: row + 1, column]
    known = past[np.isfinite(past) & (past > 0)]
    close = float(known[-1]) if len(known) else 50.0
    scale = close * _pick(random, [0.005, 0.02, 0.05])
    signal: dict[str, Any] = {"tag": _pick(random, ["", "a", "b"])}
    if random.random() < 0.3:
        signal["strategy"] = _pick(random, ["one", "two"])
    if side == 0:
        signal["entry"] = _pick(random, ["open", "close"])
        return signal
    entry = _pick(random, ENTRIES)
    signal["entry"] = entry
    price = close
    if entry == "limit":
        price = close - side * scale * random.uniform(-0.3, 1.0)
        signal["entry_price" if random.random() < 0.5 else "limit_price"] = price
    elif entry in ("stop", "stop_limit"):
        price = close + side * scale * random.uniform(-0.3, 1.0)
        signal["entry_price"] = price
        if entry == "stop_limit":
            signal["limit_price"] = price + side * scale * _pick(random, [0.0, 0.3, -0.3])
    if shape.fixed and random.random() < 0.3:
        signal.update(_fixed(bars, row, close, random))
        price = signal["entry_price"]
    worst = (
        min(price, signal.get("limit_price", price))
        if side > 0
        else max(price, signal.get("limit_price", price))
    )
    _add_stops(signal, worst, price, side, scale, random)
    _add_targets(signal, price, side, scale, random)
    _add_rest(signal, shape, bars, row, side, scale, random)
    return signal


def _fixed(bars: Bars, row: int, close: float, random: np.random.Generator) -> dict[str, Any]:
    # An entry, and perhaps an exit, held at given times and prices, as the interval does.
    held: dict[str, Any] = {
        "entry": _pick(random, [6, 7, 8]),
        "entry_price": close * random.uniform(0.98, 1.02),
    }
    if random.random() < 0.6:
        later = min(len(bars) - 1, row + int(random.integers(1, 8)))
        held.update(
            forced_ts=int(bars.ts[later]),
            forced_phase=_pick(random, [6, 8]),
            forced_reason=_pick(random, [1, 2, 8]),
            forced_price=close * random.uniform(0.95, 1.05),
        )
    return held


def _add_stops(
    signal: dict[str, Any], worst: float, price: float, side: int, scale: float, random: np.random.Generator
) -> None:
    kind = _pick(
        random, ["stop", "stop", "stop", "stop_percent", "stop_percent", "stop_atr", "none", "wrong"]
    )
    distance = scale * random.uniform(0.2, 2.0)
    if kind == "stop":
        signal["stop"] = max(worst - side * distance, 0.01)
    elif kind == "stop_percent":
        signal["stop_percent"] = min(99.0, max(0.2, 100.0 * distance / price))
    elif kind == "stop_atr":
        signal["stop_atr"] = random.uniform(0.3, 3.0)
    elif kind == "wrong" and signal["entry"] in ("open", "close", "moc"):
        signal["stop"] = price + side * distance * 0.2
    trail = _pick(random, ["none", "none", "trail_percent", "trail_amount", "trail_atr"])
    if trail == "trail_percent":
        signal["trail_percent"] = max(0.2, 100.0 * scale * random.uniform(0.2, 2.0) / price)
    elif trail == "trail_amount":
        signal["trail_amount"] = scale * random.uniform(0.2, 2.0)
    elif trail == "trail_atr":
        signal["trail_atr"] = random.uniform(0.3, 3.0)
    if trail != "none" and random.random() < 0.4:
        signal["trail_activate_r"] = _pick(random, [0.0, 0.5, 1.0])
    if ("stop_atr" in signal or "trail_atr" in signal) and random.random() < 0.5:
        signal["atr"] = scale * random.uniform(0.3, 1.0)
    if random.random() < 0.25:
        signal["breakeven_r"] = _pick(random, [0.5, 1.0])


def _add_targets(
    signal: dict[str, Any], price: float, side: int, scale: float, random: np.random.Generator
) -> None:
    count = _pick(random, [0, 1, 1, 1, 2, 3])
    shares = random.dirichlet(np.ones(count + 1))
    reach = 0.0
    for k in range(count):
        name = "target" if k == 0 else f"target{k + 1}"
        reach += scale * random.uniform(0.3, 3.0)
        how = _pick(random, ["price", "percent", "r"])
        level = max(price + side * reach, 0.01)
        if how == "price" and ("stop" not in signal or (level - signal["stop"]) * side > 0):
            signal[name] = level
        elif how == "percent":
            signal[f"{name}_percent"] = max(0.2, 100.0 * reach / price)
        else:
            signal[f"{name}_r"] = _pick(random, [1.0, 2.0, 3.0]) * (k + 1)
        if random.random() < 0.4:
            signal[f"{name}_fraction"] = float(max(0.01, shares[k] * 0.7))
    if random.random() < 0.2:
        signal["scale_out_r"] = _pick(random, [0.5, 1.0, 1.5])
        if random.random() < 0.5:
            signal["scale_out_fraction"] = 0.25
    if random.random() < 0.25:
        signal["add_r"] = _pick(random, [0.5, 1.0])
        signal["add_fraction"] = _pick(random, [0.5, 1.0])
        if random.random() < 0.5:
            signal["add2_r"] = signal["add_r"] + 0.5


def _add_rest(
    signal: dict[str, Any],
    shape: Shape,
    bars: Bars,
    row: int,
    side: int,
    scale: float,
    random: np.random.Generator,
) -> None:
    def chance(share: float) -> bool:
        return bool(random.random() < share)

    if chance(0.2):
        signal["max_bars"] = int(random.integers(1, 10))
    if chance(0.2):
        signal["max_days"] = int(random.integers(1, 15))
    if chance(0.3):
        signal["exit"] = "close"
    if chance(0.3):
        signal["valid_bars"] = int(random.integers(1, 6))
    tif = random.random()
    if tif < 0.2:
        signal["tif"] = "DAY"
    elif tif < 0.35:
        signal["tif"] = "GTD"
        signal["valid_until"] = int(bars.ts[min(len(bars) - 1, row + int(random.integers(1, 6)))])
    if chance(0.2):
        signal["oco"] = int(random.integers(1, 4))
    if chance(0.3):
        signal["priority"] = float(random.integers(0, 3))
    if chance(0.3):
        signal["strength"] = float(random.integers(1, 5))
    if chance(0.3):
        signal["score"] = float(random.integers(0, 101))
    if chance(0.2):
        signal["sector"] = _pick(random, SECTORS)
    if shape.risk is None or chance(0.3):
        whole = float(random.integers(1, 200))
        qty = _pick(random, [whole, whole, whole + 0.37, np.inf, 1e-4 * whole])
        # a fixed entry repeats a fill, so that its quantity is known
        signal["qty"] = qty if isinstance(signal["entry"], str) else whole


# Commands


def _commands(shape: Shape, bars: Bars, random: np.random.Generator) -> list[Command]:
    import pandas as pd

    kinds = ["close", "close", "close_all", "deposit", "deposit", "cancel"]
    if shape.halts:
        kinds += ["kill", "reduce", "arm", "arm", "arm"]
    commands = []
    for row in np.sort(random.integers(0, len(bars), shape.commands)):
        kind = _pick(random, kinds)
        time = pd.Timestamp(int(bars.ts[row]), tz="UTC")
        symbol = bars.symbols[int(random.integers(shape.symbols))]
        if kind == "close":
            past = bars.close[: row + 1, bars.symbols.index(symbol)]
            known = past[np.isfinite(past) & (past > 0)]
            at = float(known[-1]) if len(known) and random.random() < 0.6 else None
            commands.append(Command(time, kind, symbol=symbol, value=at))
        elif kind == "cancel":
            commands.append(Command(time, kind, symbol=symbol))
        elif kind == "deposit":
            commands.append(Command(time, kind, value=_pick(random, [5_000.0, 1_000.0, -2_000.0])))
        else:
            commands.append(Command(time, kind))
    return commands


# Shapes


@cache
def _conventions() -> st.SearchStrategy[dict[str, Any]]:
    def as_dict(name: str) -> dict[str, Any]:
        return {**dataclasses.asdict(PROFILES[name])}

    choices: dict[str, st.SearchStrategy[Any]] = {
        name: st.sampled_from(list(values)) for name, values in CHOICES.items()
    }
    choices["volume_cap"] = st.sampled_from([0.0, 0.0, 0.05, 0.3])
    return st.one_of(
        st.sampled_from(list(PROFILES)).map(as_dict),
        st.fixed_dictionaries(choices),
        st.fixed_dictionaries(choices),
    )


@cache
def _costs() -> st.SearchStrategy[dict[str, float]]:
    fields = {
        "commission_per_share": 0.01,
        "commission_per_contract": 0.65,
        "commission_pct": 0.1,
        "commission_min": 1.0,
        "commission_per_order": 0.5,
        "commission_max_pct": 1.0,
        "commission_leg_cap": 10.0,
        "sec_fee_pct": 0.003,
        "taf_per_share": 0.0002,
        "taf_max": 0.01,
        "slippage_bps": 8.0,
        "slippage_ticks": 1.0,
        "slippage_range": 0.05,
        "slippage_spread": 0.5,
        "borrow_rate_pct": 9.0,
        "margin_rate_pct": 11.0,
        "cash_rate_pct": 4.0,
    }
    return st.one_of(
        st.just({}),
        st.fixed_dictionaries({name: st.sampled_from([0.0, value]) for name, value in fields.items()}),
        st.just(fields),
    )


@cache
def _risk() -> st.SearchStrategy[dict[str, Any] | None]:
    fields: dict[str, st.SearchStrategy[Any]] = {
        "risk_per_trade_pct": st.sampled_from([0.5, 2.0, 10.0, 60.0]),
        "max_portfolio_heat_pct": st.sampled_from([None, 1.0, 6.0, 40.0]),
        "max_sector_exposure_pct": st.sampled_from([None, 5.0, 25.0, 90.0]),
        "max_correlation": st.sampled_from([None, 0.3, 0.8]),
        "correlation_window": st.sampled_from([6, 20, 60]),
        "correlation_min_observations": st.sampled_from([3, 6]),
        "unknown_correlation": st.sampled_from(["admit", "admit", "reject"]),
        "daily_loss_limit": st.sampled_from([0.3, 1.0, 2.0, 50.0]),
        "max_open_positions": st.sampled_from([1, 3, 5, 8]),
        "min_risk_reward_ratio": st.sampled_from([0.0, 1.0, 2.0]),
        "min_signal_strength": st.sampled_from([1, 2, 3]),
        "min_pattern_score": st.sampled_from([0.0, 30.0, 60.0]),
        "max_days_in_trade": st.sampled_from([None, 5, 30]),
        "max_position_size_pct": st.sampled_from([None, 10.0, 50.0]),
        "max_gross_exposure_pct": st.sampled_from([None, 50.0, 150.0]),
        "max_net_exposure_pct": st.sampled_from([None, 30.0, 100.0]),
        "max_drawdown_pct": st.sampled_from([None, None, 1.0, 10.0]),
        "cooldown_losses": st.sampled_from([0, 0, 1, 3]),
        "cooldown_bars": st.sampled_from([1, 6]),
        "max_positions_per_symbol": st.sampled_from([None, 1, 2]),
        "max_positions_per_strategy": st.sampled_from([None, 2]),
        "leverage": st.sampled_from([1.0, 1.0, 2.0]),
    }
    for name, choices in POLICIES.items():
        if name not in ("unknown_correlation", "on_greeks"):
            fields[name] = st.sampled_from(list(choices))
    return st.one_of(st.none(), st.just({}), st.fixed_dictionaries(fields), st.fixed_dictionaries(fields))


def _greeks(seed: int) -> dict[str, Any]:
    # From the seed and not drawn, so that all that is drawn stays as it was.
    random = np.random.default_rng([seed, 2])
    if random.random() < 0.5:
        return {}
    limits: dict[str, list[float | None]] = {
        "max_net_delta_pct": [None, 3.0, 30.0],
        "max_gamma_pct": [None, None, 0.2, 3.0],
        "max_theta_pct": [None, None, 0.02, 0.3],
        "max_vega_pct": [None, None, 0.02, 0.5],
    }
    drawn: dict[str, Any] = {
        name: values[int(random.integers(len(values)))] for name, values in limits.items()
    }
    return {**drawn, "on_greeks": _pick(random, list(POLICIES["on_greeks"]))}


@st.composite
def shapes(draw: st.DrawFn, *, most_bars: int = 120) -> Shape:
    """Draw a shape."""
    risk = draw(_risk())
    shape = Shape(
        risk=risk,
        conventions=draw(_conventions()),
        costs=draw(_costs()),
        seed=draw(st.integers(0, 2**32 - 1)),
        symbols=draw(st.integers(1, 5)),
        bars=draw(st.integers(20, most_bars)),
        per_session=draw(st.sampled_from([0, 0, 0, 4, 7])),
        detail=draw(st.sampled_from([0, 0, 0, 0, 3, 6])),
        missing=draw(st.sampled_from([0.0, 0.05, 0.3])),
        bad=draw(st.sampled_from([0.0, 0.0, 0.05])),
        cents=draw(st.booleans()),
        raw=draw(st.booleans()),
        actions=draw(st.sampled_from([0, 0, 2, 6])),
        signals=draw(st.integers(0, 2 * most_bars)),
        commands=draw(st.sampled_from([0, 0, 0, 3, 10])),
        halts=draw(st.booleans()),
        fixed=draw(st.sampled_from([False, False, False, True])),
        quoted=draw(st.booleans()),
        cash=draw(st.sampled_from([2_000.0, 20_000.0, 100_000.0])),
        volume=draw(st.sampled_from([30.0, 1_000.0, 1e6])),
        cuts=draw(st.lists(st.integers(0, 1_000), max_size=6)),
    )
    return dataclasses.replace(shape, risk={**risk, **_greeks(shape.seed)}) if risk else shape


def configurations(*, most_bars: int = 120) -> st.SearchStrategy[Configuration]:
    """Return configurations of all kinds: see `Shape`."""
    return shapes(most_bars=most_bars).map(build)
