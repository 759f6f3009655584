"""Conventions: what a bar's open, high, low and close do not say, decided by name.

A bar tells where the price was, not in which order. Every choice below changes results, so each has a name
and a default, and profiles bundle the choices of well-known engines.

>>> Conventions.profile("vectorbt").collision
'stop_first'
>>> Conventions(trail_rule="close_only").name
'custom'
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from numbers import Real
from typing import Any, Final

from simulator.errors import ConfigError, UnknownNameError, did_you_mean, known_fields
from simulator.kernel import codes

__all__ = ["CHOICES", "PROFILES", "Conventions"]

CHOICES: Final[dict[str, dict[str, int]]] = {
    "collision": {
        "stop_first": codes.COLLISION_STOP_FIRST,
        "target_first": codes.COLLISION_TARGET_FIRST,
        "path": codes.COLLISION_PATH,
    },
    "target_gap": {"target": codes.TARGET_GAP_TARGET, "stop": codes.TARGET_GAP_STOP},
    "trail_rule": {
        "previous": codes.TRAIL_PREVIOUS,
        "raise_first": codes.TRAIL_RAISE_FIRST,
        "path": codes.TRAIL_PATH,
        "close_only": codes.TRAIL_CLOSE_ONLY,
    },
    "stop_and_trail": {"tighter": codes.BOTH_TIGHTER, "trail_replaces": codes.BOTH_TRAIL_REPLACES},
    "entry_bar": {"allowed": codes.ENTRY_BAR_ALLOWED, "not_allowed": codes.ENTRY_BAR_NOT_ALLOWED},
    "exit_bar_signal": {"taken": codes.EXIT_BAR_TAKEN, "ignored": codes.EXIT_BAR_IGNORED},
    "same_side": {"ignore": codes.SAME_SIDE_IGNORE, "add": codes.SAME_SIDE_ADD},
    "opposite_side": {
        "ignore": codes.OPPOSITE_IGNORE,
        "close": codes.OPPOSITE_CLOSE,
        "reverse": codes.OPPOSITE_REVERSE,
    },
    "stop_gap": {"open": codes.STOP_GAP_OPEN, "stop_price": codes.STOP_GAP_STOP_PRICE},
    "limit_gap": {"open": codes.LIMIT_GAP_OPEN, "limit": codes.LIMIT_GAP_LIMIT},
    "stop_slippage": {"yes": 1, "no": 0},
}
"""The values of every choice, default first, with the code that the kernel reads."""


@known_fields("convention", code="CONFIG_CONVENTION")
@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """One decision for every question that a bar leaves open.

    Parameters
    ----------
    collision
        Stop and target both inside one bar: "stop_first", "target_first", or "path" (open, nearer extreme,
        other extreme, close; a tie goes to the low first).
    target_gap
        Target gapped at the open, stop touched later in the bar: "target" or "stop".
    trail_rule
        "previous": test against the extreme of earlier bars, then raise. "raise_first": test, raise with this
        bar's extreme, test again. "path": raise and test along the price path. "close_only": raise on closes.
    stop_and_trail
        A fixed stop and a trail together: the "tighter" is in force, or "trail_replaces" the stop.
    entry_bar
        Exits on the bar of the entry: "allowed" (after a limit or stop entry only the stop side) or
        "not_allowed".
    exit_bar_signal
        A signal whose order would execute on a bar on which a stop or target fills: "taken" or "ignored".
    same_side, opposite_side
        A signal while a position is open: "ignore" or "add"; "ignore", "close" or "reverse".
    stop_gap
        Gap through a stop: fill at the "open", or at the "stop_price" where the bar still reaches it.
    limit_gap
        Gap through a limit or target: fill at the (better) "open", or at the "limit".
    stop_slippage
        Whether stop fills slip: "yes" or "no". Market fills always do, limits never.
    volume_cap
        Largest share of a bar's volume that one symbol's fills may take, 0 to 1; 0 is unlimited. The rest
        stays working.
    name
        Name of the profile, or "custom".
    """

    collision: str = "stop_first"
    target_gap: str = "target"
    trail_rule: str = "previous"
    stop_and_trail: str = "tighter"
    entry_bar: str = "allowed"
    exit_bar_signal: str = "taken"
    same_side: str = "ignore"
    opposite_side: str = "ignore"
    stop_gap: str = "open"
    limit_gap: str = "open"
    stop_slippage: str = "yes"
    volume_cap: float = 0.0
    name: str = "custom"

    def __post_init__(self) -> None:
        for field, choices in CHOICES.items():
            value = getattr(self, field)
            if not isinstance(value, str) or value not in choices:
                raise ConfigError(
                    f"convention {field} is {value!r}.{did_you_mean(str(value), choices)} "
                    f"It may be {', '.join(choices)}.",
                    code="CONFIG_CONVENTION",
                )
        cap: Any = self.volume_cap
        if isinstance(cap, bool) or not isinstance(cap, Real) or not 0.0 <= float(cap) <= 1.0:
            raise ConfigError(
                f"volume_cap is {cap!r}; it is a share of the bar's volume, 0 (unlimited) to 1",
                code="CONFIG_VOLUME_CAP",
            )
        if not isinstance(self.name, str):
            raise ConfigError(
                f"the name of conventions is {self.name!r}, not a text", code="CONFIG_CONVENTION"
            )

    @classmethod
    def profile(cls, name: str) -> Conventions:
        """Return a named bundle: one of `PROFILES`."""
        if name not in PROFILES:
            raise UnknownNameError(
                f"no profile {name!r}.{did_you_mean(str(name), PROFILES)}", code="NAME_PROFILE"
            )
        return PROFILES[name]

    @classmethod
    def of(cls, value: str | Conventions) -> Conventions:
        """Return a profile for a name, and a `Conventions` as it is."""
        if isinstance(value, Conventions):
            return value
        if isinstance(value, str):
            return cls.profile(value)
        raise ConfigError(
            f"conventions must be a profile's name or Conventions, not {type(value).__name__}",
            code="CONFIG_CONVENTION",
        )

    def replace(self, **changes: Any) -> Conventions:
        """Return a copy with some choices changed, named "custom" unless a name is given."""
        return dataclasses.replace(self, **{"name": "custom", **changes})

    def code(self, field: str) -> int:
        """Integer that the kernel reads for a choice."""
        return CHOICES[field][getattr(self, field)]


PROFILES: Final[dict[str, Conventions]] = {
    "realistic": Conventions(name="realistic"),
    "worst": Conventions(
        name="worst", collision="stop_first", target_gap="stop", trail_rule="raise_first", limit_gap="limit"
    ),
    "best": Conventions(
        name="best",
        collision="target_first",
        trail_rule="close_only",
        entry_bar="not_allowed",
        stop_gap="stop_price",
    ),
    "vectorbt": Conventions(
        name="vectorbt",
        target_gap="stop",
        stop_and_trail="trail_replaces",
        entry_bar="not_allowed",
        exit_bar_signal="ignored",
        opposite_side="reverse",
        stop_slippage="no",
    ),
    "backtrader": Conventions(
        name="backtrader", target_gap="stop", trail_rule="close_only", entry_bar="not_allowed"
    ),
    "backtesting.py": Conventions(name="backtesting.py", target_gap="stop", trail_rule="close_only"),
    "freqtrade": Conventions(
        name="freqtrade",
        target_gap="stop",
        trail_rule="raise_first",
        stop_gap="stop_price",
        limit_gap="limit",
    ),
}
"""Bundles by name; `docs/peers.md` says where each comes from."""
