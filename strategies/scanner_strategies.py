"""The strategies that the scanner looks for: which legs, at which deltas, tied to each other how.

A leg finds its strike in one of three ways: by delta (the listed strike whose delta lies nearest a target,
within least and most), `beyond` another leg (one width further out of the money: the bought wing), or at the
`same` strike as another leg. Deltas are absolute values of the option's Black-Scholes delta.

A calendar has a second, later expiry: its `back` legs are bought, each at the strike of a sold front leg, so
that the debit is what it can lose.

>>> scan_strategy("iron-condor").legs[0]
LegRule(side=-1, kind='put', delta=(0.1, 0.16, 0.22), beyond=None, same=None, ratio=1, back=False)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from simulator.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["SCAN_STRATEGIES", "LegRule", "ScanStrategy", "scan_strategies", "scan_strategy"]

MOST_LEGS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRule:
    """How one leg is chosen.

    Attributes
    ----------
    side
        +1 bought, -1 sold.
    kind
        "call", "put" or "shares".
    delta
        Least, target and most absolute delta.
    beyond
        Position of the leg that this one protects, one width further out of the money.
    same
        Position of the leg whose strike this one shares.
    ratio
        Contracts per package.
    back
        Whether the leg is of the later expiry; it is bought then, at the strike of a leg that is sold.
    """

    side: int
    kind: str
    delta: tuple[float, float, float] | None = None
    beyond: int | None = None
    same: int | None = None
    ratio: int = 1
    back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanStrategy:
    """One to four legs and how they are margined.

    Attributes
    ----------
    name
        As in tables.
    legs
        In order; a rule refers to earlier legs only.
    naked
        Whether the exchange's minimum is tied up instead of the most that can be lost.
    no_upside_risk
        Whether the credit must cover the width of the sold call spread (jade lizard).

    Raises
    ------
    ConfigError
        CONFIG_SCAN_STRATEGY for legs that no package can have: the message says which and why.
    """

    name: str
    legs: tuple[LegRule, ...]
    naked: bool = False
    no_upside_risk: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.legs) <= MOST_LEGS:
            raise self._wrong(f"has {len(self.legs)} legs; one to {MOST_LEGS} trade together")
        if all(rule.kind == "shares" for rule in self.legs):
            raise self._wrong("has no option among its legs")
        for at, rule in enumerate(self.legs):
            if rule.kind not in ("call", "put", "shares"):
                raise self._wrong(f"leg {at} is a {rule.kind!r}; use call, put or shares")
            if rule.side not in (1, -1) or rule.ratio < 1:
                raise self._wrong(
                    f"leg {at} has side {rule.side!r} and ratio {rule.ratio!r}; use ±1, and 1 up"
                )
            ways = [way for way in (rule.delta, rule.beyond, rule.same) if way is not None]
            if len(ways) != (rule.kind != "shares"):
                raise self._wrong(f"leg {at} needs exactly one of delta, beyond and same; shares none")
            for other in (rule.beyond, rule.same):
                if other is not None and not (0 <= other < at and self.legs[other].kind != "shares"):
                    raise self._wrong(f"leg {at} refers to leg {other}, which is no option before it")
            if rule.beyond is not None and self.legs[rule.beyond].kind != rule.kind:
                raise self._wrong(f"leg {at} is a {rule.kind} and cannot protect the other kind")
            if rule.delta is not None and not 0 < rule.delta[0] <= rule.delta[1] <= rule.delta[2] < 1:
                raise self._wrong(f"leg {at} has deltas {rule.delta}; give least <= target <= most in (0, 1)")

        if self.calendar:
            self._check_calendar()

    @property
    def calendar(self) -> bool:
        """Whether it has legs of a later expiry, and is paid for."""
        return any(rule.back for rule in self.legs)

    @property
    def wings(self) -> bool:
        """Whether a width is needed to choose the legs."""
        return any(rule.beyond is not None for rule in self.legs)

    @property
    def defined(self) -> bool:
        """Whether every sold option is covered by a bought one of its kind."""
        return all(
            sum(rule.side * rule.ratio for rule in self.legs if rule.kind == kind) >= 0
            for kind in ("call", "put")
        )

    def _check_calendar(self) -> None:
        # one bought back leg for each sold front leg, at its strike: else more than the debit can be lost
        answered = []
        for at, rule in enumerate(self.legs):
            if rule.back != (rule.side > 0) or rule.kind == "shares":
                raise self._wrong(f"leg {at}: a calendar sells its front legs and buys its back legs")
            if rule.back:
                sold = None if rule.same is None else self.legs[rule.same]
                if sold is None or (sold.kind, sold.ratio, sold.back) != (rule.kind, rule.ratio, False):
                    raise self._wrong(f"leg {at} must be at the `same` strike as a like leg that is sold")
                answered.append(rule.same)
        if sorted(map(str, answered)) != [str(at) for at, rule in enumerate(self.legs) if not rule.back]:
            raise self._wrong("needs one back leg for every leg that is sold")
        if self.naked or self.no_upside_risk:
            raise self._wrong("is a calendar, and can be neither naked nor without upside risk")

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"scan strategy {self.name!r} {what}", code="CONFIG_SCAN_STRATEGY")


_DIRECTIONAL: Final = (0.20, 0.30, 0.40)
_NEUTRAL: Final = (0.10, 0.16, 0.22)
_MONEY: Final = (0.40, 0.50, 0.60)
_LIZARD: Final = (0.15, 0.20, 0.30)


def _sold(kind: str, delta: tuple[float, float, float]) -> LegRule:
    return LegRule(side=-1, kind=kind, delta=delta)


def _wing(kind: str, beyond: int) -> LegRule:
    return LegRule(side=1, kind=kind, beyond=beyond)


SCAN_STRATEGIES: Final[dict[str, ScanStrategy]] = {
    strategy.name: strategy
    for strategy in (
        ScanStrategy(name="cash-secured-put", legs=(_sold("put", _DIRECTIONAL),)),
        ScanStrategy(name="short-put", legs=(_sold("put", _DIRECTIONAL),), naked=True),
        ScanStrategy(name="short-put-spread", legs=(_sold("put", _DIRECTIONAL), _wing("put", 0))),
        ScanStrategy(name="short-call-spread", legs=(_sold("call", _DIRECTIONAL), _wing("call", 0))),
        ScanStrategy(
            name="iron-condor",
            legs=(_sold("put", _NEUTRAL), _wing("put", 0), _sold("call", _NEUTRAL), _wing("call", 2)),
        ),
        ScanStrategy(
            name="short-strangle", legs=(_sold("put", _NEUTRAL), _sold("call", _NEUTRAL)), naked=True
        ),
        ScanStrategy(
            name="short-straddle",
            legs=(_sold("put", _MONEY), LegRule(side=-1, kind="call", same=0)),
            naked=True,
        ),
        ScanStrategy(name="covered-call", legs=(LegRule(side=1, kind="shares"), _sold("call", _DIRECTIONAL))),
        ScanStrategy(
            name="jade-lizard",
            legs=(_sold("put", _LIZARD), _sold("call", _LIZARD), _wing("call", 1)),
            naked=True,
            no_upside_risk=True,
        ),
        ScanStrategy(
            name="calendar",
            legs=(_sold("put", _MONEY), LegRule(side=1, kind="put", same=0, back=True)),
        ),
    )
}
"""What is scanned by default, by name; the names are those of the strategies that trade the same packages."""

_ALIASES: Final = {"put-credit-spread": "short-put-spread", "call-credit-spread": "short-call-spread"}


def scan_strategy(given: str | ScanStrategy) -> ScanStrategy:
    """Return a shipped strategy by name, or the one given.

    Underscores count as hyphens, and "put credit spread" is another name of the short put spread. Raises
    `UnknownNameError` NAME_STRATEGY with a near-miss.
    """
    if isinstance(given, ScanStrategy):
        return given
    name = str(given).replace("_", "-")
    name = _ALIASES.get(name, name)
    if name not in SCAN_STRATEGIES:
        raise UnknownNameError(
            f"the scanner has no strategy {given!r}.{did_you_mean(name, SCAN_STRATEGIES)}",
            code="NAME_STRATEGY",
        )
    return SCAN_STRATEGIES[name]


def scan_strategies(given: Iterable[str | ScanStrategy] | str) -> tuple[ScanStrategy, ...]:
    """Return several strategies, each once; one name alone stands for itself."""
    names = (given,) if isinstance(given, str) else given
    return tuple(dict.fromkeys(scan_strategy(name) for name in names))
