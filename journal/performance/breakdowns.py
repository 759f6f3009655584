"""The same figures by symbol, strategy, IV rank, weekday and what else a trader asks by.

Every breakdown splits the trades completely: what has no value goes to "unknown", so the parts add up to the
whole. Groups of one breakdown are looked at together and the best of them is partly luck; the report's
recommendations correct for that, a table does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from journal.ledger.lookup import chosen
from journal.performance.metrics import PerformanceMetrics, measure
from journal.performance.thresholds import DAY_NS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from journal.performance.closed import Closed

__all__ = ["BREAKDOWNS", "DTE_BUCKETS", "IV_RANK_BUCKETS", "UNKNOWN", "WEEKDAYS", "breakdown", "groups"]

UNKNOWN: Final = "unknown"

IV_RANK_BUCKETS: Final = (20.0, 40.0, 60.0, 80.0)
"""Lower ends of the IV-rank buckets after the first: "0-20" holds 0 up to but not 20, "80-100" also 100."""

DTE_BUCKETS: Final = (8.0, 15.0, 22.0, 31.0, 46.0, 61.0)
"""Lower ends of the buckets of days to expiry at entry after the first: "0-7", "8-14", ... "61+"."""

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_LABELLED: Final = {
    "signal_type": "signal_type",
    "sector": "sector",
    "symbol": "symbol",
    "strategy": "strategy",
    "close_reason": "close_reason",  # as it was written
    "close_code": "close_code",  # what it means
    "kind": "kind",
}
_IV_LABELS: Final = ("0-20", "20-40", "40-60", "60-80", "80-100")
_DTE_LABELS: Final = ("0-7", "8-14", "15-21", "22-30", "31-45", "46-60", "61+")

BREAKDOWNS: Final = (*_LABELLED, "iv_rank", "dte", "weekday", "month")
"""What trades can be split by; the weekday is that of the entry and the month that of the exit, both UTC."""


def breakdown(closed: Closed, by: str) -> Mapping[str, PerformanceMetrics]:
    """Return the figures of each group; buckets, weekdays and months in their order, others by size.

    Raises
    ------
    DataError
        JOURNAL_CHOICE for a `by` that is not in `BREAKDOWNS`.
    """
    import numpy as np

    codes, labels = groups(closed, by)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(labels)))
    found: dict[str, PerformanceMetrics] = {}
    start = 0
    for label, end in zip(labels, ends.tolist(), strict=True):
        if end > start:
            found[label] = measure(closed.take(order[start:end]))
        start = end
    if by not in _LABELLED:
        return found
    return dict(sorted(found.items(), key=lambda item: (item[0] == UNKNOWN, -item[1].trades, item[0])))


def groups(closed: Closed, by: str) -> tuple[NDArray[np.intp], list[str]]:
    """Return the position of each trade's group among the groups of a breakdown, and their labels."""
    if chosen("by", by, BREAKDOWNS) in _LABELLED:
        codes, labels = closed.label(_LABELLED[by])
        return codes, [UNKNOWN if label is None else label for label in labels]
    if by == "iv_rank":
        return _bucket(closed.numbers["iv_rank"], IV_RANK_BUCKETS), [*_IV_LABELS, UNKNOWN]
    if by == "dte":
        return _bucket(closed.numbers["dte"], DTE_BUCKETS), [*_DTE_LABELS, UNKNOWN]
    if by == "weekday":
        # 1970 began on a Thursday
        return (closed.entry_ts // DAY_NS + 3) % 7, list(WEEKDAYS)
    return _months(closed)


def _bucket(values: NDArray[np.float64], ends: tuple[float, ...]) -> NDArray[np.intp]:
    import numpy as np

    places = np.searchsorted(np.asarray(ends), values, side="right")
    return np.where(np.isnan(values), len(ends) + 1, places)


def _months(closed: Closed) -> tuple[NDArray[np.intp], list[str]]:
    import numpy as np

    months = closed.exit_ts.astype("datetime64[ns]").astype("datetime64[M]")
    found, codes = np.unique(months, return_inverse=True)
    labels: list[Any] = found.astype(str).tolist()
    return codes, labels
