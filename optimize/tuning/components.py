"""What is tuned of each component, what it uses now, and how a tuned set is stored.

A component's learned settings are a complete set that replaces the one before, so whatever is not tuned is
carried over. The scanner's window of days is its `target_dte` with 15 days to either side, unless it was
given bounds of its own; then the bounds are tuned, and a target outside them moves to the nearest.

The profit target is no setting of the scanner but of how a package is managed. It is a component of its
own, "premium", whose set strategies take:
`load_strategy("short-put-spread", **journal.parameters_for("premium"))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from journal.learning.votes import SCANNER, SIGNALS
from journal.learning_system import LearningAnalysis
from optimize.tuning.targets import PROFIT_TARGET
from simulator.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["KINDS", "check_space", "default_space", "kind_of", "prior_of", "stored_settings", "used_settings"]

PREMIUM: Final = "premium"
"""How packages are managed."""

KINDS: Final[Mapping[str, str]] = {SCANNER: "option", PREMIUM: "option", SIGNALS: "stock"}
"""Components that can be tuned, and the kind of trade that each learns from."""


def kind_of(component: str) -> str:
    """Return the kind of trade that a component learns from; OPTIMIZE_COMPONENT for another name."""
    if component not in KINDS:
        raise UnknownNameError(
            f"no component {component!r} can be tuned from a journal.{did_you_mean(component, KINDS)}",
            code="OPTIMIZE_COMPONENT",
        )
    return KINDS[component]


def check_space(component: str, space: Mapping[str, Any] | None) -> None:
    """Raise `ConfigError` OPTIMIZE_COMPONENT_SETTING for a setting that belongs to another component."""
    for name in space or ():
        owner = PREMIUM if name == PROFIT_TARGET else SIGNALS if name == "min_pattern_score" else SCANNER
        if owner != component:
            raise ConfigError(
                f"{name} is a setting of {owner!r} and not of {component!r}; tune that component",
                code="OPTIMIZE_COMPONENT_SETTING",
            )


def used_settings(component: str, learned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tuned settings as the component uses them: learned values, else its defaults.

    Parameters
    ----------
    learned
        The set in force, empty where there is none.
    """
    if component == SIGNALS:
        from strategies.signal_generator import SignalGenerator

        return {"min_pattern_score": float(SignalGenerator(**dict(learned)).min_pattern_score)}
    if component == PREMIUM:
        percent = learned.get("profit_target_pct")
        return {} if percent is None else {PROFIT_TARGET: float(percent) / 100.0}
    from strategies.scanner_settings import ScanSettings

    values = dict(learned)
    excluded = tuple(sorted(values.pop("blacklist", ())))
    values.pop("favourites", None)
    settings = ScanSettings(**values)
    used: dict[str, Any] = {
        "min_iv_rank": float(settings.min_iv_rank),
        "target_dte": int(settings.target_dte),
    }
    for name in _OPTIONAL:
        value = getattr(settings, name)
        if value is not None:
            used[name] = int(value) if name in _DAYS else float(value)
    return used | {"blacklist": excluded}


def default_space(component: str, used: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is searched where nobody says: None is a round grid over what was observed.

    Each further setting costs certainty about the others, so delta, score, probability and profit target are
    searched when they are asked for.
    """
    if component == SIGNALS:
        return {"min_pattern_score": None}
    if component == PREMIUM:
        return {PROFIT_TARGET: None}
    bounds = [name for name in _DAYS if name in used]
    return dict.fromkeys(["min_iv_rank", *(bounds or ["target_dte"]), "blacklist"])


def prior_of(component: str, used: Mapping[str, Any], found: LearningAnalysis) -> dict[str, Any]:
    """Return what the rules of the learning system would use, sure of it or not; the rest stays.

    The rules look at the same trades: a win rate under 50 % raises the least IV rank, and so on. They are no
    evidence here, only the side on which the doubt falls.
    """
    advised = found.proposals(significant_only=False).get(component, {})
    prior = {name: advised.get(name, value) for name, value in used.items()}
    if "blacklist" in prior:
        prior["blacklist"] = tuple(sorted(prior["blacklist"]))
    return prior


def stored_settings(
    component: str, learned: Mapping[str, Any], used: Mapping[str, Any], tuned: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the complete set to store: what was learned before, with what the tuning changes."""
    changed = {name: value for name, value in tuned.items() if name not in used or value != used[name]}
    if component == PREMIUM:
        return dict(learned) | {"profit_target_pct": round(100.0 * changed[PROFIT_TARGET], 6)}
    settings = dict(learned) | changed
    if component != SCANNER:
        return settings
    if "blacklist" in changed:
        settings["blacklist"] = sorted(changed["blacklist"])
        # what is left out cannot come first
        kept = [name for name in settings.get("favourites", ()) if name not in changed["blacklist"]]
        if "favourites" in settings:
            settings["favourites"] = kept
    if set(_DAYS) & set(changed):
        from strategies.scanner_settings import ScanSettings

        target = settings.get("target_dte", ScanSettings().target_dte)
        low = settings.get("min_dte") or max(1, target - _SIDE)
        high = settings.get("max_dte") or target + _SIDE
        settings["target_dte"] = int(min(max(target, low), high))
    return settings


_SIDE: Final = 15
"""Days to either side of the target where the scanner has no bounds of its own."""

_DAYS: Final = ("min_dte", "max_dte")

_OPTIONAL: Final = (*_DAYS, "min_delta", "max_delta", "min_score", "min_probability")
"""Settings that apply where they are set."""
