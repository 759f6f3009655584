"""What a group of fills is as a trade: its package, its name, its bounds and its sums.

The quantity of a package is the greatest common divisor of its legs' contracts, so that 2 short and 2 long
puts are two spreads. Sums are those of `journal.accounting.summarise`, the arithmetic of every other trade of
the journal; what was opened goes in as one entry of the whole package.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from journal.accounting import Cash, capture_percent, days_between, package_bounds, summarise
from journal.statements.grouping import Group, LegState, Part
from journal.statements.rows import NEW_YORK, Contract, contract
from journal.values import from_nanoseconds

__all__ = ["Package", "close_code_of", "package_of", "strategy_of", "trade_values"]

_CENTS = 8  # prices are decimals: 2.05 x 100 is 205, not 204.99999999999997
_CLOSE_CODES = {"expiry": "expiry", "assignment": "assignment", "exercise": "assignment"}


@dataclass(frozen=True, slots=True)
class Package:
    """What a group holds, in packages.

    Attributes
    ----------
    kind
        "option" or "stock".
    quantity, open_quantity
        Packages or shares.
    multiplier
        Shares per contract, 1 for shares.
    ratios
        Contracts per package and symbol; shares count in lots of the multiplier.
    """

    kind: str
    quantity: float
    open_quantity: float
    multiplier: float
    ratios: dict[str, float]


def package_of(one: Group) -> Package:
    """Return the package that a group holds."""
    options = [leg for leg in one.legs.values() if contract(leg.symbol)]
    if not options:
        legs = list(one.legs.values())
        quantity = math.fsum(leg.opened for leg in legs)
        return Package(
            "stock", quantity, math.fsum(leg.open for leg in legs), 1.0, {leg.symbol: 1.0 for leg in legs}
        )
    multiplier = options[0].multiplier
    quantity = _common([leg.opened for leg in options])
    ratios = {
        leg.symbol: leg.opened / quantity / (1.0 if contract(leg.symbol) else multiplier)
        for leg in one.legs.values()
    }
    open_quantity = max(_contracts(leg, multiplier) / ratios[leg.symbol] for leg in one.legs.values())
    return Package("option", quantity, min(open_quantity, quantity), multiplier, ratios)


def trade_values(one: Group, held: Package, parts: Sequence[Part]) -> dict[str, Any]:
    """Return the columns of `trades` that follow from the fills of a group.

    Parameters
    ----------
    held
        Its package.
    parts
        The fills that count: those of the statement, and typed ones that it does not replace.
    """
    entered = math.fsum(part.cash for part in parts if part.effect == "open")
    side = -1 if entered > 0 else 1
    if held.kind == "stock":
        side = next(iter(one.legs.values())).side
    price = max(0.0, -side * entered / (held.quantity * held.multiplier))
    fills = [Cash("open", side, held.quantity, price, held.multiplier, 0.0)]
    fills += [
        Cash(part.effect, part.side, part.quantity, part.row.price, part.row.multiplier, part.fees)
        for part in parts
        if part.effect != "open"
    ]
    fills += [Cash("none", side, 0.0, 0.0, 1.0, part.fees) for part in parts if part.effect == "open"]
    sums = summarise(side, held.multiplier, fills, open_quantity=held.open_quantity)
    entry_ts = min(part.row.ts for part in parts if part.effect == "open")
    closing = [part.row.ts for part in parts if part.effect == "close"]
    exit_ts = max(closing) if closing else None
    best, worst = _bounds(one, held, -side * price)
    whole = held.quantity * held.multiplier
    expiry = _expiry(one)
    credit = side < 0
    values: dict[str, Any] = {
        "status": "open" if held.open_quantity else "closed",
        "kind": held.kind,
        "side": side,
        "quantity": held.quantity,
        "open_quantity": held.open_quantity,
        "multiplier": held.multiplier,
        "entry_ts": entry_ts,
        "entry_price": sums.entry_price,
        "expiry": None if expiry is None else expiry.isoformat(),
        "dte": None
        if expiry is None
        else (expiry - from_nanoseconds(entry_ts).astimezone(NEW_YORK).date()).days,
        "width": _width(one),
        "max_profit": None if best is None else round(best * whole, _CENTS),
        "max_loss": None if worst is None else round(worst * whole, _CENTS),
        "initial_risk": None if not worst else round(worst * whole, _CENTS),
        "exit_ts": exit_ts,
        "exit_price": sums.exit_price,
        "fees": sums.fees,
        "gross_pnl": sums.gross_pnl,
        "pnl": sums.pnl,
        "days": None if exit_ts is None else days_between(entry_ts, exit_ts),
    }
    risk = values["initial_risk"]
    values["r_multiple"] = sums.pnl / risk if risk and exit_ts is not None else None
    values["capture_percent"] = (
        capture_percent(
            held.kind, side, sums.gross_pnl, price * whole if credit else 0.0, values["max_profit"]
        )
        if exit_ts is not None
        else None
    )
    return values


def close_code_of(one: Group) -> str:
    """Return the exit reason that the closing rows show: a statement knows no other.

    Short legs decide where there are any: a condor that was bought back did not expire with its wings.
    """
    if one.rolled:
        return "roll"
    closing = [part for part in one.parts if part.effect == "close"]
    closing = [part for part in closing if part.side > 0] or closing
    last = max(closing, key=lambda part: (part.row.ts, part.kind in _CLOSE_CODES, part.row.key))
    # An assigned spread has its long leg expire in the same minute: the assignment is what happened.
    kinds = {part.kind for part in closing if part.row.ts == last.row.ts}
    return next(
        (_CLOSE_CODES[kind] for kind in ("assignment", "exercise", "expiry") if kind in kinds), "other"
    )


def strategy_of(one: Group) -> str:
    """Return the name of the package, as the shipped strategies call it, else "shares" or "custom"."""
    options = [(leg, found) for leg in one.legs.values() if (found := contract(leg.symbol))]
    shares = [leg for leg in one.legs.values() if contract(leg.symbol) is None]
    if not options:
        return "shares"
    if shares:
        only = options[0]
        covered = len(options) == 1 and shares[0].side > 0 and only[0].side < 0 and only[1].kind == "call"
        return "covered-call" if covered else "custom"
    if len({found.expiry for _, found in options}) > 1:
        return "calendar" if len(options) == 2 and options[0][1].kind == options[1][1].kind else "custom"
    return _NAMES.get(_pattern(options), "custom") if _even(one) else "custom"


_NAMES = {
    ("short put",): "short-put",
    ("short call",): "short-call",
    ("long put",): "long-put",
    ("long call",): "long-call",
    ("long put", "short put"): "short-put-spread",
    ("short put", "long put"): "long-put-spread",
    ("short call", "long call"): "short-call-spread",
    ("long call", "short call"): "long-call-spread",
    ("short put", "short call"): "short-strangle",
    ("long put", "long call"): "long-strangle",
    ("short put/short call",): "short-straddle",
    ("long put/long call",): "long-straddle",
    ("long put", "short put", "short call", "long call"): "iron-condor",
    ("long put", "short put/short call", "long call"): "iron-butterfly",
    ("short put", "short call", "long call"): "jade-lizard",
}
"""Names by what lies at each strike, from the lowest up."""


def _pattern(options: Sequence[tuple[LegState, Contract]]) -> tuple[str, ...]:
    strikes: dict[float, list[str]] = {}
    for leg, found in options:
        word = f"{'long' if leg.side > 0 else 'short'} {found.kind}"
        strikes.setdefault(found.strike, []).append(word)
    return tuple(
        "/".join(sorted(words, key=lambda word: "call" in word)) for _, words in sorted(strikes.items())
    )


def _even(one: Group) -> bool:
    return len({leg.opened for leg in one.legs.values()}) == 1


def _contracts(leg: LegState, multiplier: float) -> float:
    return leg.open if contract(leg.symbol) else leg.open / multiplier


def _common(quantities: Sequence[float]) -> float:
    if all(quantity == round(quantity) for quantity in quantities):
        return float(math.gcd(*(round(quantity) for quantity in quantities)))
    return min(quantities)


def _options(one: Group) -> list[tuple[LegState, Contract]]:
    return [(leg, found) for leg in one.legs.values() if (found := contract(leg.symbol))]


def _expiry(one: Group) -> date | None:
    return min((found.expiry for _, found in _options(one)), default=None)


def _width(one: Group) -> float | None:
    """Distance of the strikes of a vertical spread, the wider one of a condor; None for all else."""
    widths = []
    for kind in ("put", "call"):
        strikes = [(leg.side, found.strike) for leg, found in _options(one) if found.kind == kind]
        if len(strikes) == 2 and {side for side, _ in strikes} == {-1, 1}:
            widths.append(abs(strikes[0][1] - strikes[1][1]))
        elif strikes:
            return None
    return max(widths, default=None)


def _bounds(one: Group, held: Package, credit: float) -> tuple[float | None, float | None]:
    options = _options(one)
    if held.kind == "stock" or len({found.expiry for _, found in options}) > 1:
        return None, None
    legs = [(leg.side, found.kind, found.strike, held.ratios[leg.symbol]) for leg, found in options]
    # Shares pay off like a call that is exercised for nothing.
    legs += [
        (leg.side, "call", 0.0, held.ratios[leg.symbol])
        for leg in one.legs.values()
        if not contract(leg.symbol)
    ]
    return package_bounds(legs, credit)
