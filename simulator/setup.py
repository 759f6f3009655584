"""Wiring between the values that users write and the records that the kernel reads."""

from __future__ import annotations

import functools
import math
import numbers
import weakref
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import ConfigError, DataError
from simulator.kernel.dtypes import BAR, CLOCK, PARAMS, QUOTE, SLOT, VALUE
from simulator.kernel.state import Market, State, allocate_state
from simulator.kernel.views import view_of

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.conventions import Conventions
    from simulator.costs import Costs
    from simulator.risk_limits import RiskLimits

__all__ = [
    "build_market",
    "check_bars",
    "market_of",
    "market_view_of",
    "params_of",
    "room_for",
    "slots_of",
    "state_of",
]

_UNLIMITED: Final = np.iinfo(np.int64).max // 2
_MARKETS: weakref.WeakKeyDictionary[Bars, tuple[Market, Any]] = weakref.WeakKeyDictionary()


def market_of(bars: Bars) -> Market:
    """Return the kernel's view of bars; arrays are shared, and kept with the bars for the next call."""
    return _market_of(bars)[0]


def market_view_of(bars: Bars) -> Any:
    """Return what compiled code takes for the market of bars; good for as long as the bars live."""
    return _market_of(bars)[1]


def _market_of(bars: Bars) -> tuple[Market, Any]:
    found = _MARKETS.get(bars)
    if found is None:
        market = build_market(bars, *bars.daily_closes())
        found = _MARKETS[bars] = market, view_of(market)
    return found


def build_market(bars: Bars, daily: npt.NDArray[np.float64], day_row: npt.NDArray[np.int64]) -> Market:
    """Return the kernel's view of bars with the given session closes and, per bar, how many are complete."""
    length = len(bars)
    clock = np.zeros(length + 1, CLOCK)
    clock["ts"][:length] = bars.ts
    clock["session"][:length] = bars.session
    clock["session_no"][:length] = bars.session_no
    clock["day_row"][:length] = day_row
    clock["action_start"] = np.searchsorted(bars.actions["row"], np.arange(length + 1))
    if bars.options is not None:
        from simulator.bars.moments import left_of_session

        clock["left"][:length] = left_of_session(bars)
    panel = _as_bars(bars.panel)
    if bars.detail is None:
        # without lower-timeframe bars each bar is its own only part
        parts, clock["detail_start"] = panel, np.arange(length + 1)
    else:
        parts, clock["detail_start"] = _parts(bars.panel, bars.detail.panel, bars.detail_start)
    return Market(
        bars=panel,
        clock=clock,
        returns=_log_returns(daily),
        spread=np.ascontiguousarray(bars.spread).view(VALUE).reshape(bars.spread.shape),
        instruments=np.ascontiguousarray(bars.instruments),
        actions=np.ascontiguousarray(bars.actions),
        parts=parts,
        **_options_of(bars),
    )


def _options_of(bars: Bars) -> dict[str, npt.NDArray[np.void]]:
    # What the kernel knows of options; arrays without room where the bars bring none.
    options = bars.options
    if options is None:
        return {
            "volatility": np.zeros((0, 0), VALUE),
            "rates": np.zeros(0, VALUE),
            "yields": np.zeros(0, VALUE),
            "surfaces": np.zeros((0, 0), VALUE),
            "quotes": np.zeros(0, QUOTE),
            "quote_start": np.zeros(0, SLOT),
        }
    return {
        "volatility": _as_values(options.volatility),
        "rates": _as_values(options.rates),
        "yields": _as_values(options.yields),
        "surfaces": _as_values(options.surfaces),
        "quotes": np.ascontiguousarray(options.quotes),
        "quote_start": np.ascontiguousarray(options.start).view(SLOT),
    }


def _as_values(array: npt.NDArray[np.float64]) -> npt.NDArray[np.void]:
    # The same memory, seen as records of one value.
    return np.ascontiguousarray(array).view(VALUE).reshape(array.shape)


def _log_returns(closes: npt.NDArray[np.float64]) -> npt.NDArray[np.void]:
    # By symbol, because the correlation of two symbols walks along both.
    returns = np.full(closes.shape[::-1], np.nan)
    if len(closes) > 1:
        np.log(closes[1:].T / closes[:-1].T, out=returns[:, 1:])
    returns[~np.isfinite(returns)] = np.nan
    return returns.view(VALUE).reshape(returns.shape)


def _parts(
    panel: npt.NDArray[np.float64], detail: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]:
    # Where the detail says nothing about a bar of a symbol, the bar is its own only part.
    pieces, offsets = [], np.zeros(len(panel) + 1, np.int64)
    for t in range(len(panel)):
        part = detail[starts[t] : starts[t + 1]].copy()
        if not len(part):
            part = panel[t : t + 1].copy()
        silent = np.isnan(part[:, :, 3]).all(axis=0)
        part[0, silent] = panel[t, silent]
        pieces.append(part)
        offsets[t + 1] = offsets[t] + len(part)
    parts = np.concatenate(pieces) if pieces else np.zeros((0, panel.shape[1], panel.shape[2]))
    return _as_bars(parts), offsets


def _as_bars(panel: npt.NDArray[np.float64]) -> npt.NDArray[np.void]:
    # The same memory, seen as records of open, high, low, close and volume.
    return np.ascontiguousarray(panel).view(BAR).reshape(panel.shape[:2])


def params_of(
    cash: float, risk: RiskLimits | None, costs: Costs, conventions: Conventions, *, raw: bool
) -> npt.NDArray[np.void]:
    """Return one PARAMS record: conventions as codes, percents as fractions, no limit as infinity."""
    if risk is not None and not hasattr(risk, "risk_per_trade_pct"):
        raise ConfigError(f"risk must be RiskLimits or None, not {type(risk).__name__}", code="CONFIG_RISK")
    if isinstance(cash, bool) or not isinstance(cash, numbers.Real) or not math.isfinite(cash) or cash <= 0:
        raise ConfigError(f"cash is {cash!r}; it must be a positive, finite amount", code="CONFIG_CASH")
    params = _record_of(risk, costs, conventions).copy()
    params["raw"] = int(raw)
    params["cash"] = float(cash)
    return params


@functools.lru_cache(maxsize=64)
def _record_of(risk: RiskLimits | None, costs: Costs, conventions: Conventions) -> npt.NDArray[np.void]:
    # Of rules that do not change; runs by the dozen share them.
    params = np.zeros(1, PARAMS)
    record = params[0]
    for field, convention in (
        ("collision", "collision"),
        ("target_gap", "target_gap"),
        ("trail_rule", "trail_rule"),
        ("stop_and_trail", "stop_and_trail"),
        ("entry_bar", "entry_bar"),
        ("exit_bar", "exit_bar_signal"),
        ("same_side", "same_side"),
        ("opposite_side", "opposite_side"),
        ("stop_gap", "stop_gap"),
        ("limit_gap", "limit_gap"),
        ("slip_stops", "stop_slippage"),
    ):
        record[field] = conventions.code(convention)
    record["volume_cap"] = conventions.volume_cap
    _costs(record, costs)
    _risk(record, risk)
    return params


def _costs(record: np.void, costs: Costs) -> None:
    record["per_share"] = costs.commission_per_share
    record["per_contract"] = costs.commission_per_contract
    record["commission"] = costs.commission_pct / 100.0
    record["commission_min"] = costs.commission_min
    record["commission_max"] = costs.commission_max_pct / 100.0
    record["per_order"] = costs.commission_per_order
    record["leg_cap"] = costs.commission_leg_cap
    record["sec_rate"] = costs.sec_fee_pct / 100.0
    record["taf"] = costs.taf_per_share
    record["taf_max"] = costs.taf_max
    record["slippage"] = costs.slippage_bps / 1e4
    record["slippage_ticks"] = costs.slippage_ticks
    record["slippage_range"] = costs.slippage_range
    record["slippage_spread"] = costs.slippage_spread
    record["borrow_rate"] = costs.borrow_rate_pct / 100.0
    record["margin_rate"] = costs.margin_rate_pct / 100.0
    record["cash_rate"] = costs.cash_rate_pct / 100.0
    record["share1"] = costs.spread_share_1_leg
    record["share2"] = costs.spread_share_2_legs
    record["share3"] = costs.spread_share_3_legs
    record["share4"] = costs.spread_share_4_legs


def _fraction(percent: float | None) -> float:
    return math.inf if percent is None else percent / 100.0


def _risk(record: np.void, risk: RiskLimits | None) -> None:
    record["leverage"] = 1.0
    record["daily_loss"] = math.inf
    record["drawdown"] = math.inf
    if risk is None:
        return
    record["risk_on"] = 1
    record["leverage"] = risk.leverage
    record["max_open_positions"] = risk.max_open_positions
    record["max_per_symbol"] = risk.max_positions_per_symbol or _UNLIMITED
    record["max_per_strategy"] = risk.max_positions_per_strategy or _UNLIMITED
    record["min_strength"] = int(risk.min_signal_strength)
    record["max_days"] = risk.max_days_in_trade or 0
    record["correlation"] = math.inf if risk.max_correlation is None else risk.max_correlation
    record["correlation_window"] = risk.correlation_window
    record["correlation_minimum"] = risk.correlation_min_observations
    record["correlation_unknown"] = risk.policy("unknown_correlation")
    record["halt_release"] = risk.policy("halt_release")
    record["daily_action"] = risk.policy("daily_loss_action")
    record["drawdown_action"] = risk.policy("drawdown_action")
    record["heat_basis"] = risk.policy("heat_basis")
    record["policy_risk"] = risk.policy("on_risk")
    record["policy_heat"] = risk.policy("on_heat")
    record["policy_sector"] = risk.policy("on_sector")
    record["policy_exposure"] = risk.policy("on_exposure")
    record["policy_greeks"] = risk.policy("on_greeks")
    record["cooldown_losses"] = risk.cooldown_losses
    record["cooldown_bars"] = risk.cooldown_bars
    record["risk_per_trade"] = risk.risk_per_trade_pct / 100.0
    record["heat"] = _fraction(risk.max_portfolio_heat_pct)
    record["sector"] = _fraction(risk.max_sector_exposure_pct)
    record["daily_loss"] = risk.daily_loss_limit / 100.0
    record["min_reward_risk"] = risk.min_risk_reward_ratio
    record["min_score"] = risk.min_pattern_score
    record["position_size"] = _fraction(risk.max_position_size_pct)
    record["gross"] = _fraction(risk.max_gross_exposure_pct)
    record["net"] = _fraction(risk.max_net_exposure_pct)
    record["drawdown"] = _fraction(risk.max_drawdown_pct)
    greeks = {name: getattr(risk, f"max_{name}_pct") for name in ("net_delta", "gamma", "theta", "vega")}
    for name, percent in greeks.items():
        record[name] = _fraction(percent)
    record["greeks_on"] = int(any(percent is not None for percent in greeks.values()))


def check_bars(bars: Bars) -> Bars:
    """Return bars as they are, and say clearly when they are something else."""
    from simulator.bars import Bars

    if not isinstance(bars, Bars):
        hint = f"; load them with load_bars({bars!r})" if isinstance(bars, str) else ""
        raise DataError(f"bars must be Bars, not {type(bars).__name__}{hint}", code="DATA_TYPE")
    return bars


def slots_of(capacity: int | None, risk: RiskLimits | None, symbols: int) -> int:
    """Return the slots that were asked for, or what the run needs."""
    if capacity is None:
        return room_for(risk, symbols)
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise ConfigError(
            f"capacity is {capacity!r}; it is a whole number of slots, at least 1", code="CONFIG_CAPACITY"
        )
    return capacity


def room_for(risk: RiskLimits | None, symbols: int) -> int:
    """Slots that a run needs: with the risk manager its positions and their reversals, else by symbols."""
    if risk is not None:
        return 2 * risk.max_open_positions + 2
    return max(16, 2 * symbols + 2)


def state_of(capacity: int, bars: Bars) -> State:
    """Return an empty state with so many slots for positions, and as many for orders."""
    return allocate_state(capacity, capacity, len(bars.symbols), options=bars.options is not None)
