"""Hand-over to other libraries: vectorbt portfolios and quantstats returns.

**vectorbt.** The fills become orders of `Portfolio.from_orders`, one row each, so that several fills in one
bar keep their order. The last row of a bar carries the bar's label, the earlier ones the nanoseconds before
it: `portfolio.value().loc[result.equity.index]` is this run's equity. Quantities are in units times the
instrument's multiplier. What vectorbt has no place for, namely interest, cash dividends, splits and deposits,
is left out with a warning that names the amount.

**quantstats.** Session returns as a Series by naive dates. quantstats annualises with 252 periods unless told
otherwise, and its Sortino ratio is defined as ours is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.errors import EngineError, MissingExtraError, warn
from simulator.kernel import codes

if TYPE_CHECKING:
    import pandas as pd

    from simulator.results.result import Result

__all__ = ["to_quantstats", "to_vectorbt"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def to_vectorbt(result: Result) -> Any:
    """Return a `vectorbt.Portfolio` with this run's fills as its orders, in one cash-sharing group.

    Raises `MissingExtraError` ENGINE_EXTRA_VECTORBT without vectorbt, `EngineError` ENGINE_VECTORBT for a run
    that vectorbt cannot hold: it borrowed, where purchases beyond the cash are refused, or traded options.
    """
    try:
        import vectorbt
    except ImportError as error:
        raise MissingExtraError(
            "to_vectorbt needs vectorbt: pip install 'twinstep[vectorbt]'", code="ENGINE_EXTRA_VECTORBT"
        ) from error
    import pandas as pd

    raw = result.raw
    if result.package_ids:
        raise EngineError(
            f"the run traded {len(result.package_ids)} option packages, whose prices are not those of their "
            "symbol's bars; vectorbt knows no such thing",
            code="ENGINE_VECTORBT",
        )
    _warn_of_the_rest(result)
    rows, labels = _order_rows(raw.fills["row"], raw.bars.ts[: len(result.equity)])
    shape = (len(labels), len(raw.bars.symbols))
    size, price, fees = np.zeros(shape), np.full(shape, np.nan), np.zeros(shape)
    fills = raw.fills
    at = (rows, fills["sym"])
    size[at] = fills["side"] * fills["qty"] * raw.bars.instruments["multiplier"][fills["sym"]]
    price[at] = fills["price"]
    fees[at] = fills["fee"]
    index = pd.DatetimeIndex(labels.view("datetime64[ns]"), name="time").tz_localize("UTC")
    columns = pd.Index(raw.bars.symbols, name="symbol")
    bar = np.searchsorted(raw.bars.ts, labels)
    marks = pd.DataFrame(_filled(raw.bars.close[: len(result.equity)])[bar], index=index, columns=columns)
    try:
        return vectorbt.Portfolio.from_orders(
            marks,
            size=size,
            price=price,
            fixed_fees=fees,
            init_cash=raw.cash,
            cash_sharing=True,
            group_by=True,
            raise_reject=True,
            freq="1D",
        )
    except Exception as error:
        if type(error).__name__ != "RejectedOrderError":
            raise
        raise EngineError(
            f"vectorbt refused a fill ({error}); it cannot hold a run that borrows (leverage above 1, or "
            "cash below 0)",
            code="ENGINE_VECTORBT",
        ) from error


def to_quantstats(result: Result) -> pd.Series[float]:
    """Return session returns named "returns", indexed by naive dates."""
    import pandas as pd

    returns = result.returns
    index = pd.DatetimeIndex(returns.index).tz_localize(None)
    return pd.Series(returns.to_numpy(), index=index.rename("date"), name="returns")


def _order_rows(bar: Ints, ts: Ints) -> tuple[Ints, Ints]:
    """Return the row of each fill, and the label of each row, with a row of its own for every fill."""
    counts = np.maximum(np.bincount(bar, minlength=len(ts)), 1)
    last = np.cumsum(counts) - 1
    labels = np.repeat(ts, counts) - (np.repeat(last, counts) - np.arange(int(counts.sum())))
    # fills are logged in the order of their bars, so the position within a bar is a running count
    first_of_bar = np.searchsorted(bar, bar, side="left")
    within = np.arange(len(bar)) - first_of_bar
    return np.asarray(last[bar] - counts[bar] + 1 + within), np.asarray(labels)


def _filled(close: Floats) -> Floats:
    """Return closes with gaps filled by the last close, and before the first by the first."""
    known = np.isfinite(close)
    at = np.maximum.accumulate(np.where(known, np.arange(len(close))[:, None], -1), axis=0)
    first = np.argmax(known, axis=0)
    filled = close[np.where(at < 0, first, at), np.arange(close.shape[1])]
    # a symbol without any close is never held; vectorbt still wants a number
    return np.where(np.isfinite(filled), filled, 1.0)


def _warn_of_the_rest(result: Result) -> None:
    account = result.raw.account[0]
    left_out = {
        name: float(account[name]) for name in ("interest", "dividends", "deposits") if account[name] != 0.0
    }
    if (result.raw.events["reason"] == codes.REASON_SPLIT).any():
        left_out["splits"] = float((result.raw.events["reason"] == codes.REASON_SPLIT).sum())
    if left_out:
        parts = ", ".join(f"{name} {value:,.2f}" for name, value in left_out.items())
        warn(
            f"the vectorbt portfolio lacks {parts}: vectorbt has no place for them",
            code="ENGINE_VECTORBT_CASH",
        )
