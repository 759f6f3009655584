"""Why something is not the same: the rules that name one cause, in the order in which they are asked.

A rule goes by the record alone: in which bar each side filled, which kind of order it was, what the gate,
the broker or a person answered, and what the plan did with its own order. Where no rule holds nothing is
invented: the cause is "unexplained".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, prod
from typing import Final

from live.following.explaining.plan import Timeline
from live.following.explaining.values import DUST, MARK, UNEXPLAINED, Case, Piece, Sent, Written

__all__ = ["Reasons", "Told"]

_SWITCH: Final = frozenset({"LIVE_HALTED", "LIVE_REDUCING"})
_REFUSED: Final = ("rejected", "denied", "review", "unresolved", "absent")
_RESTING: Final = frozenset({"stop", "target"})
_SETTLED: Final = frozenset({"expiry", "assignment", "exercise", "settlement"})
_KEPT_OUT: Final = frozenset({"unfollowed", "refused", "not_entered", "not_added"})
_LEFT: Final = frozenset({"left_at_broker", "closed_elsewhere", "settled"})
_ONE: Final = 1.0
_CENT: Final = 0.01
"""Tick of shares from 1.00 on; below, a hundredth of it."""


@dataclass(frozen=True, slots=True)
class Told:
    """A cause, in words; without words, prices and bars say it.

    Attributes
    ----------
    order
        Client order id, "" for none.
    whole
        Whether it stands for all that prices make of the trade.
    """

    cause: str
    detail: str = ""
    order: str = ""
    whole: bool = False


class Reasons:
    """The rules, for one trade."""

    def __init__(self, case: Case, bars: Timeline) -> None:
        self._case = case
        self._bars = bars

    def not_entered(self) -> Told:
        """Return why nothing was filled at the broker although the plan entered."""
        orders = self._with_role("entry")
        refused = self._refused(orders)
        if refused is not None:
            return refused
        for one in reversed(orders):
            return self._unfilled(one)
        return self._parted() or Told(UNEXPLAINED, "the plan entered, and nothing was decided for the broker")

    def not_planned(self) -> Told:
        """Return why something was filled at the broker although the plan did not enter."""
        case, fact = self._case, self._case.fact
        if fact is None or not fact.entries:
            return Told(UNEXPLAINED, "it left what no order of this session has entered")
        piece = fact.entries[-1]
        filled = f"the broker filled {fact.quantity:g} at {_price(piece.price)} {self._when(piece)}"
        if piece.what in _SETTLED:
            return Told("settlement", f"options became shares at the broker only: {filled}", piece.order)
        written = case.written
        if written is None:
            return Told(UNEXPLAINED, f"no order of the plan belongs to it: {filled}", piece.order)
        return self._ahead(written, filled, piece)

    def quantity(self) -> Told:
        """Return why the broker filled another quantity than the plan."""
        case = self._case
        assert case.plan is not None  # noqa: S101 - both sides have entered
        assert case.fact is not None  # noqa: S101
        planned, real = case.plan.quantity, case.fact.quantity
        orders = self._with_role("entry")
        asked = sum(one.asked for one in orders if one.request is not None)
        words = f"{real:g} at the broker, {planned:g} in the plan"
        last = orders[-1] if orders else None
        identity = "" if last is None else last.followed.client_order_id
        if real > planned:
            return self._more(words, asked, identity)
        refused = self._refused(orders)
        if refused is not None:
            return Told(refused.cause, f"{words}; {refused.detail}", refused.order)
        if real < asked - DUST:
            return Told("partial fill", f"{words}; {real:g} of {asked:g} filled", identity)
        if not asked or asked >= planned - DUST:
            return Told(UNEXPLAINED, words, identity)
        why = "" if last is None else _why(last)
        if planned - asked < _ONE and abs(asked - floor(asked + DUST)) <= DUST:
            return Told("rounding", f"{words}; {asked:g} were sent{why}", identity)
        return Told("shrunk", f"{words}; {asked:g} were sent{why}", identity)

    def split(self) -> Told | None:
        """Return what is to be said of a split that one side has alone; None where both or none have it."""
        case = self._case
        plan, fact = case.plan, case.fact
        if plan is None or fact is None:
            return None
        ratio = prod(each for _, _, each in case.splits)
        if abs(ratio - case.fact_split) <= DUST:
            return None
        if case.fact_split == 1.0:
            last = case.splits[-1][1]
            if all(piece.row >= last for piece in fact.entries):
                return None  # entered after it
            when = self._bars.label(last)
            return Told("split", f"{ratio:g} for 1 on {when}, not in the books at the broker yet")
        words = f"{case.fact_split:g} for 1 at the broker, {ratio:g} for 1 in the plan: its bars lack it"
        return Told("split", words, whole=True)

    def entry(self, ours: Piece, theirs: Piece) -> Told | None:
        """Return the cause of an entry at another price or bar."""
        if theirs.what in _SETTLED or ours.what in _SETTLED:
            return Told("settlement")
        if theirs.stored:
            return Told("stored bars")
        if theirs.row > ours.row:
            return Told("a bar later" if ours.at_close and theirs.row == ours.row + 1 else "filled late")
        if theirs.row < ours.row:
            return Told("filled early")
        worse = self._beyond_limit(theirs)
        if worse:
            return Told(UNEXPLAINED, worse, theirs.order)
        if self._is_rounded(ours, theirs):
            return Told("rounding")
        return Told("slippage" if self._case.side * (theirs.price - ours.price) > 0 else "improvement")

    def exit(self, ours: Piece, theirs: Piece) -> Told | None:
        """Return the cause of an exit at another price or bar; None where there is nothing to say."""
        if theirs.what in ("foreign", "protective stop"):
            cause = "foreign fill" if theirs.what == "foreign" else theirs.what
            return Told(cause, self._left(ours, theirs), theirs.order)
        if theirs.what in _SETTLED or (ours.what in _SETTLED and theirs.what != MARK):
            return Told("settlement", self._left(ours, theirs))
        if theirs.stored:
            return Told("stored bars", order=theirs.order)
        if theirs.what == MARK:
            return self._still_there(ours) if ours.what != MARK else Told(UNEXPLAINED)
        if ours.what == MARK:
            return self._gone(ours, theirs)
        if theirs.row == ours.row:
            if theirs.what in _RESTING and _kind(ours.what) in _RESTING and _kind(ours.what) != theirs.what:
                return Told("inside the bar", self._left(ours, theirs), theirs.order)
            if self._is_rounded(ours, theirs):
                return Told("rounding")
            worse = self._case.side * (theirs.price - ours.price) < 0
            return Told("slippage" if worse else "improvement")
        if theirs.row > ours.row:
            return self._later(ours, theirs)
        if theirs.what in _RESTING:
            told = "; the plan was told of it" if ours.what == "manual" and self._was_told() else ""
            return Told("inside the bar", f"{self._left(ours, theirs)}{told}", theirs.order)
        return self._closed(ours, theirs)

    def compared(self, ours: Piece, theirs: Piece, quantity: float, unit: float) -> str:
        """Return two fills beside each other in words: prices, bars, and what lies between them."""
        lost = -unit * (theirs.price - ours.price)
        far = 1e4 * abs(theirs.price - ours.price) / abs(ours.price) if ours.price else 0.0
        if abs(lost) <= DUST:
            text = f"{quantity:g} at {_price(theirs.price)}"
        else:
            word = "worse" if lost > 0 else "better"
            text = (
                f"{quantity:g} at {_price(theirs.price)} for {_price(ours.price)}: {far:.1f} bp "
                f"({abs(theirs.price - ours.price):.4g} each) {word}"
            )
        if theirs.row == ours.row:
            outside = self._bars.outside(self._case.symbol, theirs.row, theirs.price)
            return f"{text}; {outside}" if outside and not self._case.package else text
        return f"{text}; {theirs.what} {self._when(theirs)}, {ours.what} {self._when(ours)} in the plan"

    def _ahead(self, written: Written, filled: str, piece: Piece) -> Told:
        """Return why the broker filled what the plan's order did not."""
        if written.state in ("cancelled", "expired", "rejected"):
            why = f" ({written.reason})" if written.reason else ""
            words = f"{filled}; the plan's order was {written.state}{why} on {self._bars.label(written.row)}"
            return Told("cancelled in the plan", words, piece.order)
        if piece.row >= len(self._bars.ts):
            return Told("not yet in the plan", f"{filled}; no bar after it is complete", piece.order)
        if written.state == "working":
            words = f"{filled}; the plan's order still works, since no bar shows a trade that fills it"
            return Told("filled early", words, piece.order)
        return Told(UNEXPLAINED, filled, piece.order)

    def _more(self, words: str, asked: float, identity: str) -> Told:
        case = self._case
        assert case.plan is not None  # noqa: S101 - asked for both sides only
        assert case.fact is not None  # noqa: S101
        if case.fact.quantity > asked + DUST:
            return Told("overfill", f"{words}; {asked:g} were sent", identity)
        written = case.written
        if written is not None and written.shrunk:
            return Told("shrunk", f"{words}; the plan's own fill was cut: {written.shrunk}", identity)
        if written is not None and written.state != "filled":
            piece = case.fact.entries[-1]
            told = self._ahead(written, f"{words}, filled {self._when(piece)}", piece)
            partly = told.cause == "filled early"
            return Told("partial fill" if partly else told.cause, told.detail, identity)
        if case.fact.quantity - case.plan.quantity < _ONE:
            return Told("rounding", f"{words}; {asked:g} were sent", identity)
        return Told(UNEXPLAINED, words, identity)

    def _later(self, ours: Piece, theirs: Piece) -> Told:
        """Return why the broker left after the plan."""
        resting = self._with_role(_kind(ours.what)) if theirs.what == "close" else []
        before = [one for one in resting if self._bars.row_of_label(one.followed.decided_ts) < ours.row]
        refused = self._refused(before[-1:])
        if refused is not None:
            words = f"{self._left(ours, theirs)}; its own {_kind(ours.what)} was not there: {refused.detail}"
            return Told(refused.cause, words, refused.order)
        later = theirs.what == "close" and theirs.row == ours.row + 1
        return Told("a bar later" if later else "filled late")

    def _still_there(self, ours: Piece) -> Told:
        """Return why the broker still holds what the plan has left."""
        left = f"left {self._when(ours)} at {_price(ours.price)} in the plan ({ours.what})"
        orders = self._with_role("close") + self._with_role("target") + self._with_role("stop")
        sent = [one for one in orders if self._bars.row_of_label(one.followed.decided_ts) >= ours.row]
        refused = self._refused(sent)
        if refused is not None:
            return Told(refused.cause, f"{left}; {refused.detail}", refused.order)
        for one in reversed(sent):
            told = self._unfilled(one)
            return Told(told.cause, f"{left}; {told.detail}", told.order)
        if ours.row == len(self._bars.ts) - 1:
            return Told("a bar later", f"{left}, in the last bar; nothing was sent after it yet")
        parted = self._parted()
        if parted is not None:
            return Told(parted.cause, f"{left}; {parted.detail}")
        return Told(UNEXPLAINED, f"{left}; nothing was sent to leave it at the broker")

    def _gone(self, ours: Piece, theirs: Piece) -> Told:
        """Return why the broker has left what the plan still holds."""
        words = self._left(ours, theirs)
        if theirs.row >= len(self._bars.ts):
            return Told("not yet in the plan", f"{words}; no bar after it is complete", theirs.order)
        if theirs.what in _RESTING:
            return Told("inside the bar", words, theirs.order)
        return self._closed(ours, theirs)

    def _closed(self, ours: Piece, theirs: Piece) -> Told:
        """Return why the account was closed before the plan."""
        why = next((_why(one) for one in self._case.orders if _is(one, theirs.order)), "")
        words = f"{self._left(ours, theirs)}{why}"
        return Told("closed early" if why else UNEXPLAINED, words, theirs.order)

    def _left(self, ours: Piece, theirs: Piece) -> str:
        plan = (
            f"the plan still holds it at {_price(ours.price)}"
            if ours.what == MARK
            else f"the plan left {self._when(ours)} at {_price(ours.price)} ({ours.what})"
        )
        return f"{theirs.what} at {_price(theirs.price)} {self._when(theirs)}, {plan}"

    def _beyond_limit(self, theirs: Piece) -> str:
        """Return what is wrong with an entry that filled at a worse price than its limit, "" for nothing."""
        one = next((one for one in self._case.orders if _is(one, theirs.order)), None)
        if one is None or one.request is None or one.changed or self._case.package:
            return ""
        limit = one.request.limit_price
        if limit is None or self._case.side * (theirs.price - limit) <= DUST * limit:
            return ""
        return f"filled at {_price(theirs.price)}, which is worse than its limit of {_price(limit)}"

    def _is_rounded(self, ours: Piece, theirs: Piece) -> bool:
        """Whether the prices are the same but for the tick, which the plan's price is no multiple of."""
        tick = _CENT if abs(ours.price) >= 1.0 else _CENT * _CENT
        apart = abs(theirs.price - ours.price)
        on_tick = _on(theirs.price, tick) and not _on(ours.price, tick)
        return not self._case.package and apart < tick and on_tick

    def _refused(self, orders: Sequence[Sent]) -> Told | None:
        one = next((one for one in reversed(orders) if one.state in _REFUSED), None)
        if one is None:
            return None
        identity, said = one.followed.client_order_id, one.message or "without a word"
        if one.state == "denied":
            cause = "kill switch" if one.code in _SWITCH else "gate"
            cause = "not sent" if one.code == "LIVE_NOT_SENT" else cause
            return Told(cause, f"{one.code}: {said}", identity)
        if one.state == "rejected":
            return Told("rejected", f"the broker said: {said}", identity)
        if one.state in ("review", "unresolved"):
            return Told(one.state, said, identity)
        decided = self._bars.label(self._bars.row_of_label(one.followed.decided_ts))
        parted = self._parted()
        if parted is not None:
            return Told(parted.cause, parted.detail, identity)
        return Told(UNEXPLAINED, f"decided on {decided}; nothing on record says what became of it", identity)

    def _unfilled(self, one: Sent) -> Told:
        """Return how an order stands that the broker took and did not fill, or not wholly."""
        identity, request = one.followed.client_order_id, one.request
        if one.state == "filled":
            words = "the broker says that it filled, and has told of no fill"
            return Told(UNEXPLAINED, words, identity)
        price = None if request is None else request.limit_price or request.stop_price
        kind = "order" if request is None else f"{request.kind} order"
        words = kind if price is None else f"{kind} at {_price(price)}"
        end = "works still" if one.state == "working" else "ended at the broker without a fill"
        return Told("not filled", f"the {words} {end}", identity)

    def _parted(self) -> Told | None:
        said = [one for one in self._case.parted if one.message and one.kind in _KEPT_OUT]
        if not said:
            return None
        return Told("rejected" if said[-1].kind == "refused" else "not followed", said[-1].message)

    def _was_told(self) -> bool:
        return any(one.kind in _LEFT for one in self._case.parted)

    def _with_role(self, role: str) -> list[Sent]:
        return [one for one in self._case.orders if one.followed.role == role]

    def _when(self, piece: Piece) -> str:
        label = self._bars.label(piece.row)
        return f"in {label}" if label.startswith("the") else f"on {label}"


def _on(price: float, tick: float) -> bool:
    """Whether a price is a multiple of the tick."""
    return abs(price / tick - round(price / tick)) * tick <= DUST * max(1.0, abs(price))


def _is(one: Sent, identity: str) -> bool:
    return bool(identity) and one.followed.client_order_id == identity


def _why(one: Sent) -> str:
    reason = (one.request.reason if one.request is not None else "") or one.followed.reason
    return f": {reason}" if reason else ""


def _kind(what: str) -> str:
    """Return whether an exit of the plan is a stop or a target, "" for neither."""
    if what in ("stop", "trail", "breakeven"):
        return "stop"
    return "target" if what.startswith("target") or what in ("profit_target", "scale_out") else ""


def _price(value: float) -> str:
    return f"{value:,.2f}" if abs(value - round(value, 2)) < 1e-9 else f"{value:,.4f}"
