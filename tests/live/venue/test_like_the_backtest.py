"""On bars the venue trades what the backtest trades: same orders, same conventions, same fills.

The wiring is what is tested: mirrored sides, pairs, what a fill leaves of its bar. The rules are one piece
of code.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from simulator.conventions import CHOICES, PROFILES, Conventions
from simulator.costs import Costs
from tests.live.venue.desk import Desk
from tests.simulator.kernel.market import Day, bars_of, events, fills, run

ROWS = 9
COSTS = Costs(slippage_bps=5.0, slippage_range=0.02, commission_per_share=0.01, commission_min=1.0)

Fill = tuple[int, float, float]


def market(rng: np.random.Generator) -> list[Day]:
    """Bars that jump between each other and wander within."""
    days: list[Day] = []
    price = 100.0
    for _ in range(ROWS):
        open_ = price * (1.0 + rng.choice([0.0, 0.01, 0.04]) * rng.choice([-1, 1]))
        path = open_ * (1.0 + np.cumsum(rng.normal(0.0, 0.015, 4)))
        high, low = max(open_, *path), min(open_, *path)
        days.append(
            tuple(round(float(one), 2) for one in (open_, high, low, path[-1], 10 * rng.integers(2, 30)))
        )
        price = days[-1][3]
    return days


def order(rng: np.random.Generator, price: float) -> dict[str, Any]:
    """A bracket around a price: side, entry, stop and target."""
    side = int(rng.choice([-1, 1]))
    entry = str(rng.choice(["market", "limit", "stop", "stop_limit"]))
    away = round(price * float(rng.choice([0.0, 0.005, 0.02])), 2)
    trigger = {"market": price, "limit": price - side * away}.get(entry, price + side * away)
    made: dict[str, Any] = {"side": side, "entry": entry, "trigger": trigger}
    if entry == "stop_limit":
        made["limit"] = round(trigger + side * price * float(rng.choice([-0.005, 0.0, 0.01])), 2)
    made["stop"] = round(trigger - side * price * float(rng.choice([0.01, 0.03])), 2)
    made["target"] = round(trigger + side * price * float(rng.choice([0.01, 0.03])), 2)
    return made


def by_backtest(days: list[Day], given: dict[str, Any], rules: Conventions) -> list[Fill] | None:
    """Fills of the backtest; None for a case in which it does what a broker cannot."""
    row: dict[str, Any] = {
        "row": 0, "side": given["side"], "qty": 10.0, "stop": given["stop"], "target": given["target"],
        "entry": {"market": "open"}.get(given["entry"], given["entry"]), "tif": "GTC",
    }  # fmt: skip
    if given["entry"] != "market":
        row["entry_price"] = given["trigger"]
    if given["entry"] == "stop_limit":
        row["limit_price"] = given["limit"]
    done = run(bars_of(days), row, conventions=rules, costs=COSTS)
    if any(reason == "gapped_stop" for _, _, reason in events(done)) or not events(done):
        return None  # it cancels an entry beyond its stop, and admits no stop beyond the market
    return [(row, qty, price) for row, kind, qty, price in fills(done) if kind != "exit"]


def by_venue(days: list[Day], given: dict[str, Any], rules: Conventions) -> list[Fill]:
    """Fills of the venue."""
    d = Desk(conventions=rules, costs=COSTS)
    start = datetime(2026, 3, 2, 15, tzinfo=UTC)
    for row, day in enumerate(days):
        d.venue.bar(start + timedelta(minutes=row), {"A": day})  # type: ignore[dict-item]
        if row == 0:
            prices = {
                "market": {}, "limit": {"limit_price": given["trigger"]},
                "stop": {"stop_price": given["trigger"]},
                "stop_limit": {"stop_price": given["trigger"], "limit_price": given.get("limit")},
            }[given["entry"]]  # fmt: skip
            d.ask(
                10.0 * given["side"], kind=given["entry"], tif="gtc", order_class="bracket",
                take_profit=given["target"], stop_loss=given["stop"], **prices,
            )  # fmt: skip
    return [
        (
            round((one.time - start) / timedelta(minutes=1)),
            one.qty if one.side == "buy" else -one.qty,
            one.price,
        )
        for one in d.venue.activities(["FILL"], direction="asc")
    ]


def compare(seed: int, rules: Conventions) -> int:
    rng = np.random.default_rng(seed)
    days = market(rng)
    given = order(rng, days[0][3])
    if rules.volume_cap and given["entry"].startswith("stop"):
        return 0  # what is left of a stop is a market order at a broker, and a stop in the backtest
    wanted = by_backtest(days, given, rules)
    if wanted is None:
        return 0
    found = by_venue(days, given, rules)
    assert [one[:2] for one in found] == [one[:2] for one in wanted], (seed, given, days)
    assert [one[2] for one in found] == pytest.approx([one[2] for one in wanted], rel=1e-12), (seed, given)
    return len(wanted)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_fills_brackets_as_the_backtest_does(name: str) -> None:
    compared = sum(compare(seed, PROFILES[name]) for seed in range(60))
    assert compared > 40


def test_so_does_every_mixture_of_choices() -> None:
    compared = 0
    for seed in range(250):
        rng = np.random.default_rng([7, seed])
        drawn = {name: str(rng.choice(list(values))) for name, values in CHOICES.items()}
        compared += compare(1000 + seed, Conventions(**drawn))  # type: ignore[arg-type]
    assert compared > 200


def test_volume_is_shared_and_the_rest_works_on_as_in_the_backtest() -> None:
    rules = Conventions(volume_cap=0.1)
    compared = sum(compare(2000 + seed, rules) for seed in range(120))
    assert compared > 80


@pytest.mark.parametrize("rule", sorted(CHOICES["trail_rule"]))
@pytest.mark.parametrize("unit", ["trail_percent", "trail_price"])
def test_trailing_stops_trail_as_the_backtest_does(rule: str, unit: str) -> None:
    rules = Conventions(trail_rule=rule)
    exits = 0
    for seed in range(40):
        rng = np.random.default_rng([9, seed])
        days, side = market(rng), int(rng.choice([-1, 1]))
        distance = float(rng.choice([1.0, 2.5]))
        close = days[0][3]
        fields: dict[str, Any] = {unit: distance}
        field = {"trail_percent": "trail_percent", "trail_price": "trail_amount"}[unit]
        done = run(
            bars_of(days), {"row": 0, "side": side, "qty": 10.0, "entry": "close", field: distance},
            conventions=rules,
        )  # fmt: skip
        wanted = [(row, price) for row, kind, _, price in fills(done) if kind == "trail"]

        d = Desk(conventions=rules)
        d.tick(A=close)
        d.ask(10 * side)
        trail = d.ask(-10 * side, kind="trailing_stop", tif="gtc", **fields)
        for open_, high, low, close_, volume in days[1:]:
            d.bar(open_, high, low, close_, volume)
        order = d.now_is(trail)
        if order.status == "filled":
            assert order.filled_at is not None
            row = round((order.filled_at - trail.created_at) / timedelta(minutes=1))
            assert [(row, pytest.approx(order.filled_avg_price))] == wanted, (seed, days, side, distance)
            exits += 1
        else:
            assert wanted == []
    assert exits > 15
