"""The view of a session at a broker, made of answers that the follower has already."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from live.brokers.guarded import Protection, protections
from live.brokers.protection import Gap, Protector
from live.following.cases import STOPS
from live.following.opening import BROKER_NAME
from live.following.standing import HeldPosition, Standing

if TYPE_CHECKING:
    from live.brokers.interface import BrokerOrder
    from live.following.session import BrokerSession

__all__ = ["standing_of"]


def standing_of(session: BrokerSession) -> Standing:
    """Return how a session stands, as of the follower's last look."""
    follower, desk = session.follower, session.desk
    facts, manager = follower.facts or follower.last, desk.manager
    now = manager.clock()
    held: tuple[HeldPosition, ...] = ()
    if facts is not None:
        gaps = Protector(manager, BROKER_NAME).gaps()
        held = tuple(
            _position(one, [*facts.orders], gaps, now, facts.positions[one.symbol].average_price)
            for one in protections(list(facts.positions.values()), facts.orders)
        )
    account = None if facts is None else facts.account
    return Standing(
        kind=session.kind,
        execution=manager.mode.name,
        broker=session.broker.broker,
        account=session.broker.account,
        is_paper=session.broker.is_paper,
        switch=desk.kill_switch.state,
        at=follower.asked_at,
        equity=None if account is None else account.equity,
        cash=None if account is None else account.cash,
        currency="USD" if account is None else account.currency,
        plan_equity=session.session.equity,
        bars=session.bars,
        positions=held,
        orders=() if facts is None else tuple(one for one in facts.orders if one.is_open),
        waiting=len(manager.get_pending_requests()),
        differences=tuple(one.message for one in desk.report.differences),
        problems=tuple(follower.problems.values()),
        slippage=session.slippage.status(),
    )


def _position(
    one: Protection, orders: list[BrokerOrder], gaps: list[Gap], now: datetime, average: float | None
) -> HeldPosition:
    side = math.copysign(1.0, one.quantity)
    stops = [
        order.stop_price
        for order in orders
        if order.is_open and order.kind in STOPS and order.stop_price is not None
        and [leg.symbol for leg in order.legs] == [one.symbol] and order.legs[0].quantity * side < 0.0
    ]  # fmt: skip
    mine = [gap for gap in gaps if gap.symbol == one.symbol]
    lasted = sum((gap.length(now) for gap in mine), timedelta())
    return HeldPosition(
        symbol=one.symbol, quantity=one.quantity, average_price=average, mark=one.mark, guarded=one.guarded,
        naked=one.naked, stop=max(stops, key=lambda price: side * price, default=None),
        loss_at_stops=one.loss_at_stops, open_loss=one.open_loss,
        naked_since=next((gap.begin for gap in mine if gap.end is None), None),
        naked_seconds=lasted.total_seconds(),
    )  # fmt: skip
