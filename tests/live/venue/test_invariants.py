"""What always holds, whatever happens: money, quantities, groups; and ticks matched once more by the book."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.venue import VenueOrder, VenueRejected
from live.venue.types import FINAL
from simulator.conventions import Conventions
from simulator.costs import Costs
from tests.budget import cases
from tests.live.venue.desk import Desk
from tests.live.venue.streams import act

COSTS = Costs(slippage_bps=2.0, commission_per_share=0.01, commission_per_contract=0.65, sec_fee_pct=0.002)


def check(d: Desk) -> None:
    """Everything that holds at any moment."""
    account, positions = d.venue.account(), d.venue.positions()
    activities = d.venue.activities(direction="asc")
    assert account.equity == pytest.approx(account.cash + sum(held.market_value for held in positions))
    assert account.cash == pytest.approx(50_000.0 + sum(one.net_amount for one in activities))
    assert account.fees == pytest.approx(sum(one.fees for one in activities))
    paid = sum(one.net_amount for one in activities if one.kind in ("DIV", "CSD", "CSW"))
    unrealized = sum(held.unrealized_pl for held in positions)
    # a split realises nothing, so what was earned is what was realised, what is not yet, and what was paid
    assert account.equity - 50_000.0 == pytest.approx(
        account.realized_pl + unrealized - account.fees + paid, abs=1e-6
    )
    held: dict[str, float] = defaultdict(float)
    for one in activities:
        sign = {"buy": 1.0, "sell": -1.0, "sell_short": -1.0}[one.side] if one.kind == "FILL" else 1.0
        held[one.symbol] += sign * one.qty if one.kind != "DIV" else 0.0
    found = {symbol: qty for symbol, qty in held.items() if abs(qty) > 1e-6}
    assert found == pytest.approx({one.symbol: one.qty for one in positions}, abs=1e-6)
    state = d.venue._state
    working = state.orders.working.values()
    assert state.reserved == pytest.approx(sum(order.reserve for order in working), abs=1e-6)
    assert all(order.reserve >= 0.0 for order in working)
    groups = {id(order.group): order.group for order in working if order.group is not None}
    for group in groups.values():
        active = [child for child in group.children if child.status != "held"]
        assert len({round(child.left, 6) for child in active}) <= 1
        for child in active:
            assert child.left == pytest.approx(group.entered - group.left)


def check_history(d: Desk) -> None:
    """Everything that holds of what was."""
    filled: dict[str, float] = defaultdict(float)
    final: set[str] = set()
    for update in d.updates:
        assert update.order.id not in final
        if update.order.status in FINAL:
            final.add(update.order.id)
    assert [update.sequence for update in d.updates] == list(range(1, len(d.updates) + 1))
    for one in d.venue.activities(["FILL"]):
        filled[one.order_id] += one.qty
    for order in d.venue.orders("all"):
        if order.symbol == "A":  # the other one splits
            assert order.filled_qty == pytest.approx(filled[order.id])
        for leg in order.legs:
            assert leg.filled_qty == pytest.approx(order.filled_qty * (leg.ratio_qty or 1))
    for order in d.venue.orders("all", nested=True):
        if order.order_class == "bracket" and order.symbol == "A":
            left = sum(leg.filled_qty for leg in order.legs)
            assert left <= order.filled_qty + 1e-6 or order.replaces or order.replaced_by
            assert sum(leg.status == "filled" for leg in order.legs) <= 1


@given(st.integers(0, 10**9))
@cases(many=40, few=8)
def test_money_and_quantities_add_up(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - of a test
    d = Desk(
        cash=50_000.0, costs=COSTS, leverage=draw.choice([1.0, 2.0, 4.0]),
        conventions=Conventions(volume_cap=draw.choice([0.0, 0.004, 0.02])),
    )  # fmt: skip
    for _ in range(60):
        act(d, draw)
        check(d)
    check_history(d)


@given(st.integers(0, 10**9))
@cases(many=60, few=12)
def test_no_fill_is_outside_its_bar(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - of a test
    rules = Conventions.profile(draw.choice(["realistic", "worst", "best", "freqtrade", "vectorbt"]))
    d = Desk(conventions=rules)
    d.bar(100.0, 100.0, 100.0, 100.0)
    price = 100.0
    bars = {}
    for _ in range(12):
        near = [round(price * draw.uniform(0.96, 1.04), 2) for _ in range(4)]
        side = draw.choice([-1, 1])
        kind = draw.choice(["limit", "stop", "trailing_stop", "market"])
        fields: dict[str, dict[str, Any]] = {
            "limit": {"limit_price": near[0]},
            "stop": {"stop_price": near[0]},
            "market": {},
        }
        try:
            d.ask(5 * side, kind=kind, tif="gtc", **fields.get(kind, {"trail_price": 1.0}))
        except VenueRejected:
            continue
        open_ = near[1]
        bar = (open_, max(open_, *near[2:]), min(open_, *near[2:]), near[3])
        d.bar(*bar)
        bars[d.now] = bar
        price = near[3]
    for one in d.venue.activities(["FILL"]):
        _, high, low, _ = bars[one.time]
        assert low - 1e-9 <= one.price <= high + 1e-9


@dataclass
class Reference:
    """An order as the matcher below sees it."""

    side: int
    kind: str
    qty: float
    limit: float = math.nan
    stop: float = math.nan
    trail: float = 0.0
    best: float = math.nan
    triggered: bool = False
    price: float | None = None

    def sees(self, price: float) -> None:
        """Fill at a price, or not: what every textbook says of the five kinds."""
        if self.kind == "market":
            self.price = price
        elif self.kind == "limit":
            if price <= self.limit if self.side > 0 else price >= self.limit:
                self.price = price
        elif self.kind in ("stop", "stop_limit"):
            if price >= self.stop if self.side > 0 else price <= self.stop:
                self.triggered = True
            if self.triggered and self.kind == "stop":
                self.price = price
            elif self.triggered and (price <= self.limit if self.side > 0 else price >= self.limit):
                self.price = price
        else:
            stop = self.best - self.trail if self.side < 0 else self.best + self.trail
            if price <= stop if self.side < 0 else price >= stop:
                self.price = price
            self.best = max(self.best, price) if self.side < 0 else min(self.best, price)


@given(st.integers(0, 10**9))
@cases(many=120, few=24)
def test_on_ticks_orders_fill_as_the_textbook_says(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - of a test
    d = Desk(cash=1e9)
    price = 100.0
    d.tick(A=price)
    pairs: list[tuple[Reference, VenueOrder]] = []
    cash = 1e9
    for _ in range(40):
        if draw.random() < 0.5:
            price = round(price + draw.choice([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]), 2)
            d.tick(A=price)
            for reference, _ in pairs:
                if reference.price is None:
                    reference.sees(price)
            continue
        side = draw.choice([-1, 1])
        near, far = (round(price + draw.choice([-1.0, -0.5, 0.0, 0.5, 1.0]), 2) for _ in range(2))
        kind = draw.choice(["market", "limit", "stop", "stop_limit", "trailing_stop"])
        reference = Reference(side, kind, draw.choice([1.0, 2.0, 7.0]), best=price, trail=0.75)
        fields: dict[str, Any] = {}
        if kind in ("limit", "stop_limit"):
            reference.limit = fields["limit_price"] = near
        if kind in ("stop", "stop_limit"):
            reference.stop = fields["stop_price"] = far
        if kind == "trailing_stop":
            fields["trail_price"] = 0.75
        try:
            order = d.ask(side * reference.qty, kind=kind, **fields)
        except VenueRejected:
            continue  # closes more than is free
        reference.sees(price)
        pairs.append((reference, order))
    position = 0.0
    for reference, order in pairs:
        now = d.now_is(order)
        assert now.filled_avg_price == reference.price, (reference, now)
        if reference.price is not None:
            position += reference.side * reference.qty
            cash -= reference.side * reference.qty * reference.price
    assert d.held() == ({"A": position} if position else {})
    assert d.venue.account().cash == pytest.approx(cash, rel=1e-12)
