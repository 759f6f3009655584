"""`twinstep requests`, `approve` and `reject`: what waits for a person, and the orders among it.

Only the process that runs a session knows the price that an order is judged by, and reaches the broker. So an
approval is left beside the review queue, the session takes it at its next look, and what came of it is told;
where no session runs it waits for one, or for the end of the request. A rejection is stored at once.
Differences between books and a broker are listed beside the orders; `twinstep broker accept` ends them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simulator.errors import ConfigError, UnknownNameError
from twinstep.confirm import confirm
from twinstep.console import EXIT_FOUND, emit, emit_json, note
from twinstep.journals import JournalPath
from twinstep.options import Json

if TYPE_CHECKING:
    from live.review_queue import ReviewQueue, ReviewRequest
    from twinstep.paper_view import RequestLine

__all__ = [
    "APPROVE_EXAMPLES",
    "REJECT_EXAMPLES",
    "REQUESTS_EXAMPLES",
    "Yes",
    "approve",
    "reject",
    "request_lines",
    "requests",
]

REQUESTS_EXAMPLES: Final = "Examples:\n\n\b\n  twinstep requests\n  twinstep requests --json"
APPROVE_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep approve R-0123456789abcdef --by ada\n"
    "  twinstep approve R-0123456789abcdef --by ada --yes --wait 30"
)
REJECT_EXAMPLES: Final = (
    'Examples:\n\n\b\n  twinstep reject R-0123456789abcdef --reason "earnings tomorrow" --by ada'
)

_STEP_SECONDS: Final = 0.05

RequestId = Annotated[str, typer.Argument(metavar="ID", help="The request, as `twinstep requests` shows it.")]
Folder = Annotated[
    str | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Folder of kill switch and review queue; without it, that of the journal.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking; for scripts.")]
Wait = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0.0, help="How long to wait for the session's answer."),
]


def requests(folder: Folder = None, journal: JournalPath = None, as_json: Json = False) -> None:
    """List what waits for a person: orders, and differences between the books and a broker."""
    from twinstep import switches
    from twinstep.broker_differences import difference_fields, difference_words, open_differences

    found = _queue_there(folder, journal)
    waiting = [] if found is None else found[1].pending()
    decided = set() if found is None else _decided(found[0])
    place = switches.folder_of(folder, journal)
    differ = open_differences(place)
    if as_json:
        emit_json(
            [
                *({**_plain(one), "decided": one.request_id in decided} for one in waiting),
                *map(difference_fields, differ),
            ]
        )
        return
    if not waiting and not differ:
        emit("nothing waits")
        return
    for one in differ:
        # the folder is said where it is not the one that the command finds by itself
        for line in difference_words(one, place if folder or journal else None):
            emit(line)
    for request in waiting:
        # not a table: an id is copied whole, and an order is read whole, in any width
        emit(f"{request.request_id}  {_words(request)}")
        taken = ", approved and not taken up" if request.request_id in decided else ""
        emit(
            f"  asked at {_price(request.price)}, {request.broker}, made {_time(request.created_at)}, until "
            f"{_time(request.expires_at)}{taken}"
        )


def approve(
    request_id: RequestId,
    by: Annotated[str, typer.Option(metavar="NAME", help="The person who answers for it.")],
    folder: Folder = None,
    journal: JournalPath = None,
    wait: Wait = 5.0,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Say yes to an order that waits; the session judges it anew, at the price of now, and sends it.

    Asks for the symbol to be typed. Exit code 3 where it cannot be approved any more, or the session refuses.
    """
    from live.decisions import leave_decision
    from live.submit_gate import may_pass

    where, queue = _queue(folder, journal)
    request = _asked(queue, request_id)
    if request_id not in [waiting.request_id for waiting in queue.pending()]:
        _answer(queue.get(request_id), as_json)
        raise typer.Exit(EXIT_FOUND)
    state = queue.switch.state
    if not may_pass(state, request.order.purpose):
        if as_json:
            emit_json({**_plain(request), "taken": False, "switch": state})
        note(f"not approved: the kill switch is {state}: {queue.switch.status['why']}")
        raise typer.Exit(EXIT_FOUND)
    confirm(
        f"{_words(request)} at {request.broker}, scope {queue.switch.scope}, asked at "
        f"{_price(request.price)}, until {_time(request.expires_at)}",
        request.order.symbol,
        yes=yes,
    )
    file = leave_decision(where, request_id, by)
    until = time.monotonic() + wait
    while file.exists() and time.monotonic() < until:
        time.sleep(_STEP_SECONDS)
    if file.exists():
        if as_json:
            emit_json({**_plain(queue.get(request_id)), "taken": False})
        else:
            emit(
                f"{request_id}: approved by {by}; no session has taken it up yet. It is judged and sent at "
                f"the session's next look, and can be until {_time(request.expires_at)}"
            )
        return
    request = queue.get(request_id)
    _answer(request, as_json)
    if request.state != "approved":
        raise typer.Exit(EXIT_FOUND)


def reject(
    request_id: RequestId,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why not.")],
    by: Annotated[
        str, typer.Option(metavar="NAME", help="Who; the user by default.", show_default=False)
    ] = "",
    folder: Folder = None,
    journal: JournalPath = None,
    as_json: Json = False,
) -> None:
    """Say no to an order that waits. Exit code 3 where it had ended before."""
    from twinstep.switches import user

    _, queue = _queue(folder, journal)
    _asked(queue, request_id)
    answer = queue.reject(request_id, reason, rejected_by=by or user())
    _answer(answer.request, as_json)
    if not answer.accepted:
        raise typer.Exit(EXIT_FOUND)


def request_lines(where: Path) -> tuple[RequestLine, ...]:
    """Return what waits in a review queue, for the view; what cannot be read is left out."""
    from live.kill_switch import KillSwitch
    from live.review_queue import ReviewQueue
    from simulator.errors import TwinstepError
    from twinstep.paper_view import RequestLine

    if not where.is_dir():
        return ()
    try:
        waiting = ReviewQueue(where, KillSwitch(where.parent, arm_fresh=False)).pending()
    except (TwinstepError, OSError):
        return ()
    return tuple(
        RequestLine(
            request_id=one.request_id, what=_words(one), expires=one.expires_at, broker=one.broker
        )
        for one in waiting
    )  # fmt: skip


def _queue(folder: str | None, journal: str | None) -> tuple[Path, ReviewQueue]:
    from twinstep import switches

    found = _queue_there(folder, journal)
    if found is None:
        raise ConfigError(
            f"{switches.folder_of(folder, journal)} has no review queue: no session has laid an order before "
            "a person there. Name another folder with --folder or --journal",
            code="CLI_NO_QUEUE",
        )
    return found


def _asked(queue: ReviewQueue, request_id: str) -> ReviewRequest:
    """Return a request; the error for one that is not there says what to type."""
    if request_id.startswith("D-"):
        raise UnknownNameError(
            f"{request_id} is a difference between the books and a broker, and no order: twinstep broker "
            f"accept {request_id} --by NAME --reason TEXT takes the broker's word for it. It ends by itself "
            "where both agree again",
            code="NAME_REQUEST",
        )
    try:
        return queue.get(request_id)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"there is no request {request_id!r}; `twinstep requests` lists those that wait", code=error.code
        ) from None


def _queue_there(folder: str | None, journal: str | None) -> tuple[Path, ReviewQueue] | None:
    """Return the review queue and its folder, None where no order was ever laid before a person."""
    from live.kill_switch import KillSwitch
    from live.review_queue import ReviewQueue
    from twinstep import switches

    place = switches.folder_of(folder, journal)
    where = place / "reviews"
    if not where.is_dir():
        return None
    switch = KillSwitch(place, scope=switches.scope_of(place), arm_fresh=False)
    return where, ReviewQueue(where, switch)


def _decided(where: Path) -> set[str]:
    from live.decisions import waiting_decisions

    return set(waiting_decisions(where))


def _answer(request: ReviewRequest, as_json: bool) -> None:
    if as_json:
        emit_json({**_plain(request), "taken": True})
        return
    words = f"{request.request_id}: {request.state}"
    if request.decided_by:
        words += f" by {request.decided_by}"
    if request.note:
        words += f": {request.note}"
    if request.outcome:
        words += f"; {_words(request)}: {request.outcome}"
        words += f" ({request.outcome_code})" if request.outcome_code else ""
    emit(words)


def _plain(request: ReviewRequest) -> dict[str, Any]:
    from dataclasses import asdict

    return {"kind": "request", **asdict(request), "what": _words(request)}


def _words(request: ReviewRequest) -> str:
    order = request.order
    legs = ", ".join(
        f"{'buy' if leg.quantity > 0 else 'sell'} {abs(leg.quantity):g} {leg.symbol}" for leg in order.legs
    )
    more = [
        f"{name} {value:g}"
        for name, value in (
            ("limit", order.limit_price), ("at stop", order.stop_price), ("stop", order.stop_loss),
            ("target", order.take_profit), ("trail", order.trail_amount), ("trail %", order.trail_percent),
        )
        if value is not None
    ]  # fmt: skip
    return f"{legs} {order.kind}" + (f", {', '.join(more)}" if more else "")


def _time(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%d %H:%M:%SZ"))


def _price(price: float | None) -> str:
    return "an unknown price" if price is None else f"{price:g}"
