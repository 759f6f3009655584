"""Where the journal draws its lines: when an IV rank is high, a fill dear, an entry late.

One place for every number that decides whether a closed trade gets an insight or a mistake. They are habits
of the trade (the 50 % rule and 21 days to expiry of premium sellers, the R-multiple), not results; what a
journal's own trades say about them is the business of `journal.learning_system`.
"""

from __future__ import annotations

__all__: list[str] = []

DAY_NS = 86_400_000_000_000

HIGH_IV_RANK = 60.0
"""IV rank (0 to 100) from which premium counts as dear."""

LOW_IV_RANK = 40.0
"""IV rank up to which premium counts as cheap."""

PROFIT_RULE_PERCENT = 50.0
"""Percent of the maximum profit at which sold premium is bought back; a close reason may name another."""

PROFIT_RULE_TOLERANCE = 5.0
"""Percentage points around the profit rule that still count as following it."""

LATE_CAPTURE_PERCENT = 75.0
"""Captured percent from which a trade was held well past the profit rule."""

DTE_RULE_DAYS = 21
"""Days to expiry at which premium is closed or rolled; a close reason may name another number."""

DTE_RULE_TOLERANCE_DAYS = 3
"""Days around the expiry rule that still count as following it: a weekend."""

SETTLEMENT_DAYS = 4
"""Days after expiry in which brokers book what became of an option: a long weekend."""

FAST_SHARE_OF_DTE = 1 / 3
"""A winner that met the profit rule within this share of its days to expiry was fast."""

STOP_TOLERANCE = 0.10
"""Share of the distance from entry to stop by which a stop may be overshot and still count as respected."""

IGNORED_STOP_SHARE = 0.25
"""Share of that distance beyond the stop from which a close by hand shows that the stop was ignored."""

OPTION_SLIPPAGE_SHARE = 0.05
"""Slippage at entry as share of the package's mid value from which an option fill was dear."""

STOCK_SLIPPAGE_SHARE = 0.0025
"""The same for shares."""

FEE_SHARE = 0.10
"""Fees as share of the gross profit or loss from which they are worth a word."""

PRICE_DIFFERENCE_SHARE = 0.02
"""Share of the recommended package price from which an entry beat or missed it."""

CHASED_RISK_SHARE = 0.25
"""Share of the recommended distance from entry to stop that was given away at entry: a chased stock entry."""

CHASED_STOCK_SHARE = 0.01
"""The same as share of the recommended price, where no stop was recommended."""

CHASED_OPTION_SHARE = 0.10
"""Share of the recommended package price given away at entry: a chased option entry."""

GIVEN_BACK_R = 1.0
"""Best open profit in R from which giving it back is worth a word."""

KEPT_LITTLE_SHARE = 0.5
"""A trade that kept less than this share of its best open profit gave it back."""

KEPT_MOST_SHARE = 0.8
"""A winner that kept at least this share of its best open profit was closed well."""

DEEP_MAE_R = 0.8
"""Worst open loss in R from which a winner came close to its stop."""

OVERTRADING_TRADES = 3
"""Closed trades in the symbol within `OVERTRADING_DAYS` before an entry that make it one too many."""

OVERTRADING_DAYS = 5
"""Calendar days that overtrading looks back."""

REVENGE_MINUTES = 60
"""An entry in the same symbol within so many minutes after a loss, and larger, looks like revenge."""

TIME_EXIT_GRACE_DAYS = 4
"""Days by which an exit of the time limit may be late: the limit can fall on a long weekend."""

RECENT_TRADES = 10
"""Closed trades of the symbol that the two rules above look at, so that their cost does not grow."""

EPSILON = 1e-9
"""Relative difference below which two prices or quantities are the same."""
