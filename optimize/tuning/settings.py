"""Which cases a set of settings admits, and which neighbouring sets may be asked about at all.

A setting is known by its name: `min_x` and `max_x` are bounds on the feature `x`, `target_dte` is a window of
15 days to either side (as the scanner has it, where it has no bounds of its own), `blacklist` leaves symbols
out. Everything else (`widths`, `strategies`, ...) admits every case and is never searched.

What may be asked about is fixed before an outcome is looked at, so that a bound over all of it holds:
values on a round grid, no further from the set in force than one adoption may go, and inside what was
observed: no set admits what no case, taken or not, has shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from optimize.tuning.cases import Cases
from simulator.errors import ConfigError, did_you_mean
from strategies.space import Choice, Float, Int

__all__ = [
    "MAX_STEP",
    "WINDOW_DAYS",
    "Reach",
    "admits",
    "feature_of",
    "is_known",
    "reach_of",
    "searchable",
    "values_of_space",
]

Flags = npt.NDArray[np.bool_]

WINDOW_DAYS: Final = 15
"""Days to either side of `target_dte`; equal to the scanner's, which a test checks."""

MAX_STEP: Final[Mapping[str, float]] = {"iv_rank": 50.0, "dte": 30.0, "delta": 0.15}
"""How far one adoption moves a bound on a feature; others by half of what was observed."""

_STEPS: Final[Mapping[str, float]] = {"iv_rank": 5.0, "dte": 5.0, "delta": 0.02}
"""Round steps of the grid by feature; others get a twentieth of what was observed, rounded."""

_WHOLE: Final = frozenset({"dte"})
_EDGE: Final = 5
"""Cases that new ground must show in the quarter furthest from the set in force."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Values that a setting may be moved to, the one in force first, and what was left out, in words."""

    name: str
    values: tuple[Any, ...]
    notes: tuple[str, ...] = ()


def feature_of(name: str) -> str | None:
    """Return the feature that a setting bounds; None for settings that bound none.

    >>> feature_of("min_iv_rank"), feature_of("target_dte"), feature_of("blacklist")
    ('iv_rank', 'dte', None)
    """
    kind, _, rest = name.partition("_")
    if name == "target_dte":
        return "dte"
    return rest if kind in ("min", "max") and rest else None


def admits(cases: Cases, settings: Mapping[str, Any]) -> Flags:
    """Return which cases the settings let through; an unknown feature does."""
    passed = np.ones(len(cases), np.bool_)
    for name, value in settings.items():
        low, high = _window(name, value, settings)
        feature = feature_of(name) or ""
        if feature in cases.features and (low, high) != (-math.inf, math.inf):
            level = cases.features[feature]
            passed &= np.isnan(level) | ((level >= low) & (level <= high))
        elif name == "blacklist":
            passed &= ~np.isin(cases.symbol, list(value or ()))
    return passed


def is_known(cases: Cases, names: Sequence[str]) -> Flags:
    """Return which cases have all features that these settings bound."""
    known = np.ones(len(cases), np.bool_)
    for name in names:
        feature = feature_of(name)
        if feature is not None:
            known &= ~np.isnan(cases.features[feature])
    return known


def searchable(cases: Cases, in_force: Mapping[str, Any], space: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the settings to search: those of the space, else those in force that the cases say something on.

    Raises
    ------
    ConfigError
        TUNING_SETTING for a name in the space that bounds no feature of the cases.
    """
    able = {f"{kind}_{feature}" for feature in cases.features for kind in ("min", "max")} | {"blacklist"}
    if "dte" in cases.features:
        able.add("target_dte")
    if space is None:
        return tuple(name for name in in_force if name in able and not _is_idle(name, in_force))
    for name in space:
        if name not in able | {"profit_target"}:
            raise ConfigError(
                f"the cases say nothing about {name!r}; searched can be bounds on their features.\
{did_you_mean(name, able)}",
                code="TUNING_SETTING",
            )
    return tuple(name for name in space if name != "profit_target" and not _is_idle(name, in_force))


def reach_of(
    name: str,
    cases: Cases,
    in_force: Mapping[str, Any],
    *,
    space: Any = None,
    step: float | None = None,
) -> Reach:
    """Return the values that one adoption may move a setting to.

    Parameters
    ----------
    name, in_force
        The setting, and the set that it belongs to.
    cases
        With a known outcome. Observed is what those show that the other settings in force admit.
    space
        `Int`, `Float`, `Choice` or values to try; None takes a round grid over what was observed.
    step
        How far it may move, in its own unit; by default `MAX_STEP`.
    """
    if name == "blacklist":
        return _symbols(cases, in_force, space)
    feature = feature_of(name) or name
    # what the other settings refuse shows nothing of what would be admitted
    others = {key: value for key, value in in_force.items() if feature_of(key) != feature}
    level = cases.features[feature][admits(cases, others)]
    level = level[~np.isnan(level)]
    now = in_force.get(name)
    if not len(level):
        return Reach(name, (now,), (f"no case has a known {feature}, so {name} stays",))
    low, high = float(level.min()), float(level.max())
    grid = _grid(feature, low, high) if space is None else values_of_space(name, space)
    if step is None:
        step = MAX_STEP.get(feature, (high - low) / 2.0)
    # an open bound stands at the end of what was observed
    start = float(now) if now is not None else low if name.startswith("min_") else high
    near = [value for value in grid if value != now and abs(value - start) <= step * (1.0 + 1e-9)]
    seen = [value for value in near if _observed(name, value, in_force, level)]
    notes = (
        (f"{name}: {len(near) - len(seen)} values reach beyond what was observed, {low:g} to {high:g}",)
        if len(seen) < len(near)
        else ()
    )
    whole = feature in _WHOLE
    return Reach(name, (now, *(int(value) if whole else float(value) for value in seen)), notes)


def values_of_space(name: str, space: Any) -> list[float]:
    """Return the values of a space in rising order; `ConfigError` TUNING_SETTING for what is none."""
    if isinstance(space, (Int, Float, Choice)):
        values = space.grid(None if getattr(space, "step", None) is not None else 20)
    else:
        values = list(space) if isinstance(space, Sequence) and not isinstance(space, str) else []
    if not values or not all(_is_number(value) and math.isfinite(value) for value in values):
        raise ConfigError(
            f"the space of {name!r} is {space!r}; give Int, Float, Choice or a list of numbers",
            code="TUNING_SETTING",
        )
    return sorted(float(value) for value in values)


def _is_idle(name: str, in_force: Mapping[str, Any]) -> bool:
    """Whether a setting only ranks: a target between bounds of its own."""
    both = in_force.get("min_dte") is not None and in_force.get("max_dte") is not None
    return name == "target_dte" and both


def _window(name: str, value: Any, settings: Mapping[str, Any]) -> tuple[float, float]:
    low, high = -math.inf, math.inf
    if value is None:
        return low, high
    if name == "target_dte":
        low = max(1.0, value - WINDOW_DAYS) if settings.get("min_dte") is None else low
        high = value + WINDOW_DAYS if settings.get("max_dte") is None else high
    elif name.startswith("min_") and name != "min_":
        low = float(value) if _is_number(value) else low
        low = -math.inf if name == "min_iv_rank" and low <= 0.0 else low
    elif name.startswith("max_"):
        high = float(value) if _is_number(value) else high
    return low, high


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _observed(name: str, value: float, in_force: Mapping[str, Any], level: npt.NDArray[np.float64]) -> bool:
    """Whether cases have shown what a value would admit beyond the set in force, and where it would cut."""
    if name != "target_dte" and not level.min() <= value <= level.max():
        return False
    before = _window(name, in_force.get(name), in_force)
    after = _window(name, value, in_force)
    for old, new, sign in ((before[0], after[0], 1.0), (before[1], after[1], -1.0)):
        if sign * new < sign * old and math.isfinite(old):
            quarter = new + (old - new) / 4.0
            edge = (sign * level >= sign * new) & (sign * level <= sign * quarter)
            if int(edge.sum()) < _EDGE:
                return False
    return True


def _grid(feature: str, low: float, high: float) -> list[float]:
    """Return round values over a range, about twenty where nothing better is known."""
    step = _STEPS.get(feature)
    if step is None:
        raw = (high - low) / 20.0
        if raw <= 0.0:
            return [low]
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * power for unit in (1.0, 2.0, 5.0, 10.0) if unit * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _symbols(cases: Cases, in_force: Mapping[str, Any], space: Any) -> Reach:
    """One adoption adds one symbol to the list, or takes one away."""
    now = tuple(sorted(in_force.get("blacklist") or ()))
    names = sorted({str(name) for name in cases.symbol if name})
    if isinstance(space, Sequence) and not isinstance(space, str):
        names = [name for name in names if name in {str(one) for one in space}]
    moved = [tuple(sorted(set(now) ^ {name})) for name in names]
    return Reach("blacklist", (now, *moved))
