"""What the pricing functions accept: checked once, then contiguous float64 arrays of one length.

Strings are turned into signs, arguments broadcast, and the first impossible number is named with its place.
NaN passes, since a missing quote is no mistake; infinity does not.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.errors import DataError, UnknownNameError, did_you_mean
from simulator.kernel.black_scholes import CALL, PUT

__all__ = ["Array", "Contracts", "contracts", "is_american"]

Array = npt.NDArray[np.float64]

_SIGNS: Final = {"call": CALL, "put": PUT}
_STYLES: Final = ("european", "american")
_POSITIVE: Final = ("spot", "strike")
_NOT_NEGATIVE: Final = ("years", "volatility")
_CAUSES: Final = {
    "spot": "a missing quote is NaN, not 0",
    "strike": "a strike is a price, above 0",
    "years": "the expiry lies before the valuation; leave expired contracts out",
    "volatility": "a volatility is a fraction, 0.2 for 20 %",
    "rate": "a rate is a fraction a year, 0.04 for 4 %",
    "dividend_yield": "a yield is a fraction a year, 0.02 for 2 %",
    "price": "a missing quote is NaN",
}


class Contracts(NamedTuple):
    """Arguments as the compiled loops want them; `numbers` in the order in which they were given."""

    sign: Array
    numbers: tuple[Array, ...]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of contracts."""
        return self.sign.size

    @property
    def scalar(self) -> bool:
        """Whether all arguments were scalars."""
        return not self.shape

    def shaped(self, values: Array) -> float | Array:
        """Bring one value per contract into the shape of the arguments."""
        return values.reshape(self.shape) if self.shape else float(values[0])


def contracts(kind: npt.ArrayLike, **numbers: npt.ArrayLike) -> Contracts:
    """Check and broadcast the arguments of a pricing function.

    Raises
    ------
    UnknownNameError
        NAME_KIND for a kind other than "call", "put", +1, -1.
    DataError
        DATA_CONTRACT for an impossible number, DATA_SHAPE where shapes do not fit, DATA_TYPE for no number.
    """
    if isinstance(kind, str) and kind in _SIGNS and all(map(_plain, numbers, numbers.values())):
        column = np.array([_SIGNS[kind], *numbers.values()], np.float64).reshape(-1, 1)
        return Contracts(column[0], tuple(column[1:]), ())
    arrays = [_signs(kind), *(_numbers(name, values) for name, values in numbers.items())]
    try:
        spread = np.broadcast_arrays(*arrays)
    except ValueError:
        shapes = ", ".join(
            f"{name} {array.shape}"
            for name, array in zip(("kind", *numbers), arrays, strict=True)
            if array.ndim
        )
        raise DataError(
            f"the arguments of a pricing function do not broadcast: {shapes}; give scalars or equal shapes",
            code="DATA_SHAPE",
        ) from None
    sign, *flat = (np.ascontiguousarray(array).reshape(-1) for array in spread)
    return Contracts(sign, tuple(flat), spread[0].shape)


def _plain(name: str, value: npt.ArrayLike) -> bool:
    # Numbers that pass without a look at arrays, which takes five times as long as the price of one contract.
    if type(value) is not float and type(value) is not int:
        return False
    if name in _POSITIVE:
        return 0.0 < value < math.inf
    return (0.0 if name in _NOT_NEGATIVE else -math.inf) <= value < math.inf and value != -math.inf


def is_american(style: str) -> bool:
    """Whether a style is "american"; raises UnknownNameError NAME_STYLE for one that does not exist."""
    if style not in _STYLES:
        hint = did_you_mean(str(style).strip().lower(), _STYLES)
        raise UnknownNameError(f"option style {style!r} is unknown.{hint}", code="NAME_STYLE")
    return style == "american"


def _signs(kind: npt.ArrayLike) -> Array:
    if isinstance(kind, str):
        if kind not in _SIGNS:
            raise _unknown(kind, "")
        return np.array(_SIGNS[kind])
    given = np.asarray(kind)
    if given.dtype.kind in "iuf":
        signs = given.astype(np.float64)
    else:
        signs = np.zeros(given.shape)
        for name, sign in _SIGNS.items():
            signs[given == name] = sign
    wrong = np.abs(signs) != 1.0
    if wrong.any():
        place = _first(wrong)
        raise _unknown(given[place], _where(place))
    return signs


def _unknown(kind: object, where: str) -> UnknownNameError:
    hint = did_you_mean(str(kind).strip().lower(), _SIGNS)
    return UnknownNameError(
        f"option kind{where} {str(kind)!r} is unknown.{hint} As a number, +1 is a call and -1 a put.",
        code="NAME_KIND",
    )


def _numbers(name: str, values: npt.ArrayLike) -> Array:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"{name} is {values!r:.80}; it must be a number, or an array of numbers", code="DATA_TYPE"
        ) from None
    wrong = np.isinf(array) if name != "price" else np.zeros(array.shape, np.bool_)
    limit = "finite"
    if name in _POSITIVE:
        wrong |= array <= 0.0
        limit = "above 0"
    elif name in _NOT_NEGATIVE:
        wrong |= array < 0.0
        limit = "0 or more"
    if wrong.any():
        place = _first(wrong)
        value = float(array[place])
        rule = "finite" if np.isinf(value) else limit
        raise DataError(
            f"{name}{_where(place)} is {value:g}; it must be {rule} ({_CAUSES[name]})", code="DATA_CONTRACT"
        )
    return array


def _first(wrong: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(int(np.argmax(wrong)), wrong.shape))


def _where(place: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, place))}]" if place else ""
