"""The n-th call goes wrong, n = 1, 2, 3, ..., until a day of trading has met it no more; any broker."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

from live.brokers.interface import OrderRequest, Outcome
from live.brokers.protection import Protector
from live.reconcile import ReconcileReport
from simulator.errors import TwinstepError
from tests.live.brokers.rig import BrokerRig, RigDesk, check
from tests.live.desks import bracket, order

Arm = Callable[[BrokerRig, str, int], None]
"""Lets the n-th call of a kind go wrong, counted from the next."""


def sweep(
    folder: Path, open_rig: Callable[[], BrokerRig], kinds: Iterable[str], arm: Arm, *, stride: int = 1
) -> int:
    """Let every `stride`-th call of each kind go wrong, until there is none; returns how many were met."""
    points = 0
    for kind in kinds:
        for n in itertools.count(1, stride):
            if not met(folder / f"{kind}-{n}", open_rig(), kind, n, arm):
                break
            points += 1
    return points


def met(folder: Path, rig: BrokerRig, kind: str, n: int, arm: Arm) -> bool:
    """Play a day in which the n-th call of a kind goes wrong; returns whether there was one."""
    folder.mkdir()
    try:
        play(folder, rig, lambda: arm(rig, kind, n))
    except BaseException as error:
        error.add_note(f"with call {n} of {kind!r} gone wrong")
        raise
    finally:
        rig.close()
    return not rig.left


def play(folder: Path, rig: BrokerRig, inject: Callable[[], None]) -> None:
    """Enter by a bracket, by one that fills in part, and by a limit; cancel, restart, leave.

    `inject` makes one thing go wrong; whatever it is, the invariants hold in the end, a restart changes
    nothing any more, and nothing is entered from when a broker has not answered until it has.
    """
    desk = RigDesk(folder, rig)
    report = desk.reconciler.start()
    inject()
    report = _entered(desk, bracket(1), report)
    report = _entered(desk, order(2, 5.0, "MSFT", kind="limit", limit_price=150.0), report)
    _cancelled(desk, "o2")
    report = desk.restart()
    report = _entered(desk, order(3, 2.0, "SPY"), report)
    desk.submit(order(4, -2.0, "SPY", purpose="exit"))
    report = desk.run()
    halves = order(
        5, 6.0, "MSFT", kind="limit", limit_price=190.0, order_class="bracket", stop_loss=180.0,
        take_profit=220.0,
    )  # fmt: skip
    _entered(desk, halves, report)
    if "o5" in rig.working():
        rig.part("o5", 2.0, 190.0)
    for _ in range(3):
        _protected(desk)
        desk.wait(3.0)
    rig.clear()
    for _ in range(3):
        report = desk.settled()
    _protected(desk)
    report = desk.settled()
    stops = sum(left for kind, left in rig.working().values() if kind == "stop")
    assert stops <= sum(map(abs, rig.held().values())), f"{rig.working()} for {rig.held()}"
    check(desk, report)
    before = (desk.books(), rig.held(), rig.working(), rig.received(), desk.causes())
    desk.restart()
    assert (desk.books(), rig.held(), rig.working(), rig.received(), desk.causes()) == before
    desk.database.close()


def _entered(desk: RigDesk, request: OrderRequest, before: ReconcileReport) -> ReconcileReport:
    """Enter, and reconcile; where the broker had not said everything before, nothing may be entered."""
    answer = desk.submit(request)
    assert before.complete or answer.outcome is Outcome.DENIED, f"{answer} after {before}"
    return desk.run()


def _cancelled(desk: RigDesk, identity: str) -> None:
    sent = desk.manager.book.get(identity)
    if sent is not None and sent.order is not None:
        try:
            desk.manager.cancel_order("main", sent.order.order_id)
        except (TwinstepError, OSError, RuntimeError):
            pass  # what goes wrong reaches whoever cancels


def _protected(desk: RigDesk) -> None:
    """Reconcile and protect, as a desk does every few seconds."""
    desk.run()
    try:
        Protector(desk.manager, "main", patience=timedelta(0), sleep=lambda _: None).keep(desk.clock())
    except (TwinstepError, OSError, RuntimeError):
        pass  # a question without an answer: the next look does it
