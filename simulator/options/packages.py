"""Signals that trade option packages: up to four legs that fill together or not at all.

>>> import numpy as np
>>> from simulator import load_bars
>>> from simulator.options.packages import make_legs, make_rules, package_signals
>>> bars = load_bars("synthetic:1x60?seed=1")
>>> put_spread = make_legs([[(-1, "put", 95.0), (1, "put", 90.0)]], expiry=int(bars.session[40]))
>>> signals = package_signals(bars, [5], 0, -1, put_spread, make_rules(1, profit_target=0.5, stop_loss=1.0))
>>> len(signals.packages)
1
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulator.errors import SignalError, did_you_mean
from simulator.kernel.dtypes import LEG, PACKAGE

if TYPE_CHECKING:
    from simulator.bars import Bars
    from simulator.signals import Signals

__all__ = ["LegSpec", "make_legs", "make_rules", "package_signals"]

Records = npt.NDArray[np.void]
LegSpec = tuple[int, str, float] | tuple[int, str, float, int]
"""Side (+1 bought, -1 sold), kind ("call", "put", "shares"), strike, and contracts per package (1)."""

_RIGHTS: Final = {"call": 1, "put": -1, "shares": 0}
_RULES: Final = tuple(name for name in PACKAGE.names or () if name not in ("legs", "expiry"))
_FLAGS: Final = ("american", "physical", "naked", "covered", "hold", "roll")
_NO_DELTA: Final = 1.0
"""Above this a delta was meant in percent, and would never be reached."""
MOST_LEGS: Final = 4


def make_legs(packages: Sequence[Sequence[LegSpec]], *, expiry: npt.ArrayLike | date) -> Records:
    """Return LEG records of shape (n, 4) for n packages.

    Parameters
    ----------
    packages
        One to four legs each. The strike of shares is ignored.
    expiry
        Session date as days since 1970 or as a date ("2020-01-17"): one for all, one per package (n,), or
        one per leg (n, 4).

    Raises
    ------
    SignalError
        SIGNAL_PACKAGE for too many legs, an unknown kind, a side that is not +1 or -1, a strike that is not
        positive, a ratio that is not whole and positive, an expiry that is no date or has another shape.
    """
    n = len(packages)
    legs = np.zeros((n, MOST_LEGS), LEG)
    legs["expiry"] = _sessions(expiry, n)
    legs["strike"] = np.nan
    for index, package in enumerate(packages):
        if not 1 <= len(package) <= MOST_LEGS:
            raise _wrong(index, f"has {len(package)} legs; one to {MOST_LEGS} trade together")
        for k, leg_given in enumerate(package):
            if not 3 <= len(leg_given) <= 4:
                raise _wrong(index, f"leg {k} is {leg_given!r}; a leg is side, kind, strike and maybe ratio")
            side, kind, strike, *rest = leg_given
            ratio = _whole(rest[0]) if rest else 1
            if kind not in _RIGHTS:
                raise _wrong(index, f"leg {k} is a {kind!r}.{did_you_mean(str(kind), _RIGHTS)}")
            if side not in (1, -1):
                raise _wrong(index, f"leg {k} has side {side!r}; +1 is bought, -1 is sold")
            level = np.nan if kind == "shares" else _price(strike)
            if kind != "shares" and not 0.0 < level < np.inf:
                raise _wrong(index, f"leg {k} has strike {strike!r}; a strike is a price above 0")
            if ratio < 1:
                raise _wrong(index, f"leg {k} has ratio {rest[0]!r}; a ratio is a whole number from 1")
            leg = legs[index, k]
            leg["right"], leg["side"], leg["ratio"], leg["strike"] = _RIGHTS[kind], side, ratio, level
    return legs


def _sessions(expiry: Any, n: int) -> npt.NDArray[np.int64]:
    # Days since 1970, (n, 4).
    given = np.asarray(expiry)
    try:
        if given.dtype.kind not in "iuf":
            given = np.asarray(given, "datetime64[D]")
            given = np.where(np.isnat(given), np.nan, given.astype(np.float64))
        if not (np.isfinite(given) & (given % 1 == 0)).all():
            raise ValueError(f"{expiry!r} is no date")
        days = given.astype(np.int64)
        return np.broadcast_to(days[:, None] if days.ndim == 1 else days, (n, MOST_LEGS))
    except (TypeError, ValueError) as error:
        raise SignalError(
            f"the expiry of {n} packages is a session date, as days since 1970 or like 2020-01-17: one for "
            f"all, one per package ({n},) or one per leg ({n}, {MOST_LEGS}): {error}",
            code="SIGNAL_PACKAGE",
        ) from error


def _whole(value: Any) -> int:
    # 2 and 2.0 are 2; what is no whole number is 0, which no ratio is.
    try:
        return operator.index(value)
    except TypeError:
        return int(value) if isinstance(value, float) and value.is_integer() else 0


def _price(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def make_rules(count: int, **rules: Any) -> Records:
    """Return PACKAGE records of shape (count,): how the packages are managed and settled.

    Parameters
    ----------
    count
        Number of packages.
    **rules
        One value for all, or one per package:
        `profit_target`, `stop_loss`: exit when so large a share of the premium is earned or lost; 0 is never.
        A stop at twice the credit is a loss of once the credit: `stop_loss=1`.
        `trail_start`, `trail_back`: once this share has been earned, exit when that share is given back.
        `dte_exit`: exit at so many calendar days to expiry. `delta_exit`: at this delta of any sold leg.
        `min_credit`: least credit as a share of what the package ties up (of a spread: of its width).
        `multiplier` (100), `american` (1), `physical` (1): the contract. `naked`: ties up the exchange's
        minimum instead of what it can lose. `covered`: calls sold on shares that are held. `hold`: keep
        assigned shares instead of selling them at the next open. `roll`: the exit at `dte_exit` is a roll.

    Raises
    ------
    SignalError
        SIGNAL_PACKAGE for an unknown rule, a negative value or no number, a count of values that does not
        fit, a flag that is not 0 or 1, days that are not whole, a `delta_exit` above 1, a `multiplier` of 0.
    """
    records = np.zeros(count, PACKAGE)
    records["multiplier"], records["american"], records["physical"] = 100.0, 1, 1
    for name, value in rules.items():
        if name not in _RULES:
            raise SignalError(
                f"unknown rule {name!r} of a package.{did_you_mean(name, _RULES)}", code="SIGNAL_PACKAGE"
            )
        try:
            values = np.broadcast_to(np.asarray(value, np.float64), (count,))
        except (TypeError, ValueError) as error:
            raise SignalError(
                f"rule {name} of a package is {value!r}; it is one number, or one for each of {count}",
                code="SIGNAL_PACKAGE",
            ) from error
        asked = _asked(name, values)
        if asked:
            raise SignalError(f"rule {name} of a package is {value!r}; it is {asked}", code="SIGNAL_PACKAGE")
        records[name] = values
    return records


def _asked(name: str, values: npt.NDArray[np.float64]) -> str:
    # What a rule must be, where it is not; else nothing.
    if not np.isfinite(values).all() or (values < 0).any():
        return "a number, 0 (off) or more"
    if name in _FLAGS and not np.isin(values, (0.0, 1.0)).all():
        return "0 (no) or 1 (yes)"
    if name == "dte_exit" and (values % 1.0 != 0.0).any():
        return "a whole number of calendar days"
    if name == "delta_exit" and (values > _NO_DELTA).any():
        return "a delta from 0 to 1, like 0.30"
    if name == "multiplier" and not (values > 0.0).all():
        return "above 0, mostly 100"
    return ""


def package_signals(
    bars: Bars,
    row: npt.ArrayLike,
    symbol: npt.ArrayLike,
    side: npt.ArrayLike,
    legs: Records,
    rules: Records,
    **columns: Any,
) -> Signals:
    """Return signals that open packages at the close of the bars `row`.

    Parameters
    ----------
    bars, row, symbol
        Where the packages are traded: see `Signals.from_arrays`; `symbol` is the underlying.
    side
        -1 for packages that bring a credit, +1 for those that are paid for.
    legs, rules
        From `make_legs` and `make_rules`, one per signal.
    **columns
        Further columns of `Signals`: qty (packages), strategy, tag, score, max_bars, max_days, ...
    """
    from simulator.signals import Signals

    count = len(np.atleast_1d(np.asarray(row)))
    columns["package"] = np.arange(1, count + 1)
    made = Signals.from_arrays(bars, row, symbol, side, entry="close", **columns)
    if legs.shape != (count, MOST_LEGS) or rules.shape != (count,):
        raise SignalError(
            f"{count} signals, {len(legs)} sets of legs and {len(rules)} of rules; give one of each",
            code="SIGNAL_PACKAGE",
        )
    packages = rules.copy()
    given = legs["ratio"] > 0
    packages["legs"] = given.sum(axis=1)
    options = given & (legs["right"] != 0)
    packages["expiry"] = np.where(options, legs["expiry"], np.iinfo(np.int64).max).min(axis=1)
    if not options.any(axis=1).all():
        raise _wrong(int(np.argmin(options.any(axis=1))), "has no option among its legs")
    session = bars.session[np.atleast_1d(np.asarray(row, np.int64))]
    late = packages["expiry"] <= session
    if late.any():
        index = int(np.argmax(late))
        raise _wrong(index, "expires on or before the session of its signal")
    signals = Signals(
        made.records, made.symbols, tags=made.tags, strategies=made.strategies, sectors=made.sectors,
        packages=packages, legs=np.ascontiguousarray(legs),
    )  # fmt: skip
    if not signals.sectors:
        signals._home = weakref.ref(bars)
    return signals


def _wrong(index: int, what: str) -> SignalError:
    return SignalError(f"package {index} {what}", code="SIGNAL_PACKAGE")
