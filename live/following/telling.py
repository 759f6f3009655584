"""What the plan is told: that a position is over at the broker, or never was there.

The plan has its say first: a stop that fills at the broker is a stop of the plan too, and closes there with
the bar that meets it. So an end at the broker is put on record when it is seen, and only where a bar has gone
by since and the plan still holds is it told, by the command "close" at the broker's price, for the next bar.
An answer that did not come, an order in doubt and a position that is merely missing from a list tell nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from live.brokers.interface import is_option
from live.following.cases import Case, Facts, explained_exits
from live.following.record import PartedKind
from live.reconciling.fill_ledger import DUST
from simulator.errors import TwinstepError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from live.following.hands import Hands

__all__ = ["Telling"]

_TOLD: Final[tuple[PartedKind, ...]] = (
    "not_entered", "left_at_broker", "closed_elsewhere", "settled", "unfollowed",
)  # fmt: skip
"""What the plan is told once of a position."""

_SETTLING: Final = frozenset({"expiry", "exercise", "assignment"})


class Telling:
    """Tells the plan.

    Parameters
    ----------
    hands
        Record and session.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def tell(self, case: Case, cases: Sequence[Case], facts: Facts) -> None:
        """Close in the plan what the broker no longer holds, or never held.

        Where the journal cannot be written nothing is told, and it is tried anew with the next look.
        """
        try:
            self._tell(case, cases, facts)
        except (TwinstepError, OSError) as error:
            self._hands.problems["journal"] = f"{case.symbol}: the plan is not told: {error}"

    def _tell(self, case: Case, cases: Sequence[Case], facts: Facts) -> None:
        hands, want = self._hands, case.wanted
        holding = None if want is None else want.holding
        if want is None or holding is None:
            return
        if _is_flat(case):
            left, price, ours = explained_exits(case, facts)
            if left < case.entered - DUST:
                return  # nobody has told yet what became of it
            seen = next(
                (one for one in hands.parted if one.order == case.number and one.kind == "ended"), None
            )
            if seen is None:
                quantity = case.side * case.entered
                hands.part(
                    "ended", case.symbol, case.number, "flat at the broker", quantity=quantity, price=price
                )
            elif seen.ts < hands.ts:
                words = "the position ended at the broker first"
                self._close(case, cases, "left_at_broker" if ours else _elsewhere(case, facts), price, words)
        elif case.entered <= DUST and not case.may_enter and not case.is_doubtful:
            if want.entry is None and not holding.just_entered and not self._waits(case, holding.entered_ts):
                self._close(case, cases, "not_entered", None, _why_not(case))

    def settle(self, case: Case, facts: Facts) -> bool:
        """Put on record what has left by no order of ours; returns whether nothing of it is open any more."""
        if case.counted <= DUST:
            return True
        if case.held > DUST or case.is_doubtful:
            return False
        left, price, _ = explained_exits(case, facts)
        if left < case.entered - DUST:
            return False  # it may come back with the next answer
        kind = _elsewhere(case, facts)
        words = "the broker has settled its contracts" if kind == "settled" else "it left by no order of ours"
        try:
            self._hands.part(
                kind, case.symbol, case.number, words, quantity=case.side * case.counted, price=price
            )
        except (TwinstepError, OSError) as error:
            self._hands.problems["journal"] = f"{case.symbol}: it is not on record what became of it: {error}"
            return False
        return True

    def _waits(self, case: Case, entered_ts: int) -> bool:
        """Whether its entry still waits for the other side."""
        return entered_ts == self._hands.ts and any(one.record.reason == "reverse" for one in case.orders)

    def _close(
        self, case: Case, cases: Sequence[Case], kind: PartedKind, price: float | None, words: str
    ) -> None:
        hands = self._hands
        holding = None if case.wanted is None else case.wanted.holding
        if holding is None or holding.leaving is not None:
            return
        if hands.has_parted(case.number, *_TOLD):
            return
        others = [one for one in cases if one.symbol == case.symbol and one is not case]
        alone = not any(one.wanted is not None and one.wanted.holding is not None for one in others)
        if not alone:
            # the command closes all that the plan has in a symbol
            kind, words = "unfollowed", f"{words}; the plan holds more in {case.symbol}, so it goes on"
        gone = case.counted if kind in ("closed_elsewhere", "settled") else 0.0
        quantity = case.side * (gone or case.entered)
        # both or neither: a plan that was told is on record, and is told once
        with hands.session.database.write():
            hands.part(kind, case.symbol, case.number, words, quantity=quantity, price=price)
            if alone:
                hands.session.command("close", case.symbol, None if case.packaged else price)


def _is_flat(case: Case) -> bool:
    """Whether it was entered at the broker, and is over there, and nothing is in doubt."""
    return case.entered > DUST and case.held <= DUST and not case.may_enter and not case.is_doubtful


def _elsewhere(case: Case, facts: Facts) -> PartedKind:
    """Return by what a position has left that no order of ours has closed."""
    entry = next((one.record for one in case.orders if one.record.role == "entry"), None)
    contracts = [] if entry is None else [leg.symbol for leg in entry.legs if is_option(leg.symbol)]
    ended = {one.symbol for one in facts.ledger.fills.values() if one.kind in _SETTLING}
    return "settled" if contracts and ended.issuperset(contracts) else "closed_elsewhere"


def _why_not(case: Case) -> str:
    entry = next(iter(case.of("entry")), None)
    if entry is None:
        return "its entry was not sent in time"
    said = "" if entry.sent is None else entry.sent.submitted.message
    return f"its entry is {entry.standing} at the broker" + (f": {said}" if said else "")
