"""The records that the kernel reads and writes.

Every field is eight bytes wide, so that no record has hidden padding: equal states are equal bytes, and a
state can be hashed, stored and compared as it lies in memory. Absent numbers are NaN, absent integers 0
(or -1 where 0 is a value), times are UTC nanoseconds. Prices are in currency per unit, quantities in
units of the instrument, fractions are fractions unless a name ends in `_percent`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = [
    "ACCOUNT",
    "ACTION",
    "ADD",
    "BAR",
    "CLOCK",
    "COMMAND",
    "COUNTS",
    "EQUITY",
    "EVENT",
    "FILL",
    "INSTRUMENT",
    "LEG",
    "METRICS",
    "ORDER",
    "PACKAGE",
    "PARAMS",
    "POSITION",
    "QUOTE",
    "SIGNAL",
    "SLOT",
    "SYMBOL",
    "TARGET",
    "TRADE",
    "VALUE",
    "VERDICT",
]


def _record(integers: str, floats: str) -> np.dtype[np.void]:
    """Build a packed record: the named int64 fields first, then the named float64 fields."""
    fields = [(name, "<i8") for name in integers.split()] + [(name, "<f8") for name in floats.split()]
    return np.dtype(fields)


INSTRUMENT: Final = _record(
    "kind sector calendar underlying expiry right",
    # spread: typical quoted spread in currency, used where a bar carries none
    # beta: slope on whatever deltas are weighted against
    "tick lot multiplier spread borrow_rate strike beta",
)

BAR: Final = _record("", "open high low close volume")
# one row per bar and a last one that only closes the offsets; day_row: complete session closes at this close
# left: nanoseconds from this close to that of the exchange's session, 0 for daily bars and without options
CLOCK: Final = _record("ts session session_no day_row action_start detail_start left", "")
SLOT: Final = _record("slot", "")
VALUE: Final = _record("", "value")
COUNTS: Final = _record("fills trades verdicts events equity", "")

ACTION: Final = _record("row sym kind", "value")
COMMAND: Final = _record("row seq kind sym", "value")

SIGNAL: Final = _record(
    # row: the bar at whose close the signal is known. sector -1: the instrument's own.
    "ts row sym side entry tif strategy tag oco sector strength valid_bars valid_until max_bars max_days "
    # exit_close: time exits fill at the close instead of the next open
    # forced_ts, forced_phase: hold an exit fixed (interval); see codes ENTRY_FIXED_*
    # extras: bits that say which of the rarer columns are given; see codes EXTRA_*
    # package: index + 1 into the lane's option packages, 0 for a stock
    "exit_close package forced_ts forced_phase forced_reason group extras",
    # what most signals have comes first, so that judging one touches few lines of the processor's cache
    "score qty stop stop_percent target target_percent trail_percent entry_price limit_price priority "
    "stop_atr target2 target3 target2_percent target3_percent target_r target2_r target3_r "
    "target_fraction target2_fraction target3_fraction "
    "trail_amount trail_atr trail_activate_r breakeven_r atr "
    "add_r add_fraction add2_r add2_fraction scale_out_r scale_out_fraction forced_price",
)

ORDER: Final = _record(
    # listed: still on the list of slots in use, live or not
    # position: slot + 1 of the position that earlier partial fills opened
    "id sym side live listed entry tif state bars_worked session triggered position oco "
    "strategy tag sector signal "
    "reversal born_row package",
    # trigger, limit: mirrored. reference: the price that heat and exposure assume, real
    # unit_gross, unit_net: exposure, of an option package by its delta; unit_cash: buying power
    "qty filled trigger limit reference unit_risk unit_gross unit_net unit_cash",
)

POSITION: Final = _record(
    # pending: exit reason of a market exit at the next open; pending_close: the same at this close;
    # tradable: whether this bar has a price for it
    "id sym side live listed order signal strategy tag sector entry_row entry_ts "
    "entry_day entry_phase trail_mode "
    "trail_on stop_reason pending pending_kind pending_close exit_close max_bars max_days bars_held "
    # package: 1 for an option package, whose prices are what its legs cost together
    "forced_ts forced_phase forced_reason group tradable extras package",
    # mirrored prices (price times side), so that up is good for shorts too; read on every bar
    "stop_now next_target next_add peak worst best breakeven_at mark "
    "stop stop_initial trail_distance trail_level trail_activate entry "
    # real prices and money
    "qty entry_qty first_qty entry_price exit_qty exit_value fees realized dividends multiplier r_unit "
    # unit_loss, unit_margin: of an option package, in currency per package: what it can lose, what it ties up
    # premium: its credit (or debit) per unit of the underlying
    # forced_price: of an option package, the underlying's last price in an expiry session that went on, or 0
    "initial_risk forced_price unit_loss unit_margin premium delta",
)

TARGET: Final = _record("reason", "price qty fraction")
ADD: Final = _record("state", "price qty fraction")

# right: 1 call, -1 put, 0 the underlying itself; side: 1 bought, -1 sold; ratio: contracts per package;
# expiry: session date in days since 1970
# volatility: the last that a price implied, 0 where none has yet
LEG: Final = _record("right side ratio expiry", "strike entry_price mark delta volatility")
PACKAGE: Final = _record(
    # physical: 1 where shares change hands, 0 where cash does; covered: needs shares of its strategy
    # naked: ties up the exchange minimum, else what it can lose; hold: keep assigned shares, else sell them
    "legs expiry american physical covered naked dte_exit roll hold",
    # as shares of the premium; delta_exit: absolute, of any sold leg
    "multiplier profit_target stop_loss trail_start trail_back delta_exit min_credit",
)
# one quote per row, sorted by row, sym, expiry, right, strike
QUOTE: Final = _record("row sym expiry right", "strike bid ask iv delta")

ACCOUNT: Final = _record(
    # row: bars seen so far less one; seq: signals judged so far; session_equity: the last mark of the session
    # before; baseline: what the daily loss is measured from, the same unless a person armed since
    "schema_version ts row session session_no first_session_no last_session_no next_position next_order seq "
    "n_positions n_orders state killed reducing daily_halt drawdown_halt loss_streak "
    "cooldown_until halted_sessions "
    "command_seq closed n_packages",
    # collateral: buying power that option packages tie up
    "cash equity initial_cash long_value short_value realized fees interest dividends deposits peak_equity "
    "session_equity baseline gross net collateral",
)

METRICS: Final = _record(
    "sessions bars trades wins losses streak longest_win longest_loss peak_session longest_drawdown "
    "bars_in_market signals admitted n_r",
    # returns of sessions: sum, sum of squares, sum of squares below 0; drawdown as a positive fraction
    "sum_return sum_square sum_downside max_drawdown gross_profit gross_loss sum_pnl sum_r sum_r_square "
    "turnover sum_exposure sum_mae sum_mfe sum_bars_held",
)

SYMBOL: Final = _record(
    "n_positions n_orders exit_row used_row bad_bars delisted roll_row roll_group roll_strategy",
    "last used_volume",
)

PARAMS: Final = _record(
    # conventions
    "collision target_gap trail_rule stop_and_trail entry_bar exit_bar same_side opposite_side stop_gap "
    "limit_gap slip_stops "
    # risk
    "risk_on max_open_positions max_per_symbol max_per_strategy min_strength max_days correlation_window "
    "correlation_minimum correlation_unknown halt_release daily_action drawdown_action heat_basis "
    "policy_risk policy_heat policy_sector policy_exposure cooldown_losses cooldown_bars raw "
    # greeks_on: whether any of the limits on Greeks is set
    "greeks_on policy_greeks",
    # costs
    "per_share per_contract commission commission_min commission_max per_order leg_cap sec_rate taf taf_max "
    "slippage slippage_ticks slippage_range slippage_spread volume_cap borrow_rate margin_rate cash_rate "
    # risk, as fractions
    "risk_per_trade heat sector correlation daily_loss min_reward_risk min_score position_size gross net "
    "drawdown leverage cash net_delta gamma theta vega "
    # share of the quoted spread that a package of so many legs gives away against the mid
    "share1 share2 share3 share4",
)

FILL: Final = _record(
    "row ts sym side kind reason order position rule source grade signal", "qty price fee slippage"
)
TRADE: Final = _record(
    "id sym side entry_row entry_ts exit_row exit_ts exit_reason bars_held tag strategy "
    "signal sector entry_phase",
    "qty entry_price exit_price fees pnl r_multiple mae mfe initial_risk stop dividends",
)
VERDICT: Final = _record(
    "row ts signal sym side rule reason absent order strategy tag", "value limit asked granted price"
)
EVENT: Final = _record("row ts order position sym kind state reason", "price qty")
# bars: how many bars in a row were alike
EQUITY: Final = _record("bars state", "equity cash gross heat")
