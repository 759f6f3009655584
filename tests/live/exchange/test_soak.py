"""Orders from several connections at once while bars go by: every one is accounted for."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import Any

import pytest

from benchmarks.exchange import KEY, SECRET, Client, Listener, exchange_section, soak
from live.exchange import Exchange, Keys
from live.feeds import ReplayFeed

ORDERS = 1_000


def test_a_thousand_orders_are_all_accounted_for() -> None:
    feed = ReplayFeed("synthetic:10x450?seed=1")
    with Exchange.open(feed, cash=1e9, manual=True, keys=Keys(KEY, SECRET)) as exchange:
        found = soak(exchange.port, ORDERS)
        assert found.orders + found.refused - found.replaced == ORDERS
        assert found.updates == exchange.hub.published
        assert exchange.market.error is None
        assert found.fills > 100
        assert len(found.latencies["submit"]) == ORDERS


def test_updates_keep_their_order_while_bars_and_orders_come_from_different_threads() -> None:
    feed = ReplayFeed("synthetic:4x400?seed=1", speed=200)
    told: list[tuple[str, str, str]] = []

    class Keeping(Listener):
        def heard(self, data: dict[str, Any]) -> None:
            told.append((data["order"]["id"], data["event"], data["timestamp"]))

    with Exchange.open(feed, cash=1e9, keys=Keys(KEY, SECRET)) as exchange:
        listener = Keeping(exchange.port)
        symbols = list(exchange.market.like.symbols)

        def trade(number: int) -> None:
            client = Client(exchange.port)
            for index in range(60):
                order = {"symbol": symbols[number], "qty": "1", "side": "buy", "type": "market"}
                status, _ = client("POST", "/v2/orders", {**order, "time_in_force": "day"})
                assert status == 200, index

        threads = [threading.Thread(target=trade, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        exchange.market.stop()
        listener.wait(Client(exchange.port))
        listener.close()
        assert exchange.market.error is None
        filled = {held.symbol: held.qty for held in exchange.venue.positions()}
        waiting = len(exchange.venue.orders("open"))
    assert sum(filled.values()) + waiting == 240
    assert [time for _, _, time in told] == sorted(time for _, _, time in told)
    stories: dict[str, list[str]] = defaultdict(list)
    for order, event, _ in told:
        stories[order].append(event)
    assert len(stories) == 240
    assert {tuple(story) for story in stories.values()} <= {
        ("pending_new", "new", "fill"),
        ("pending_new", "new"),
    }


def test_a_loss_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = ReplayFeed("synthetic:10x450?seed=1")
    with Exchange.open(feed, cash=1e9, manual=True, keys=Keys(KEY, SECRET)) as exchange:
        # an order that nobody counted
        order = {"symbol": "TEC1", "qty": "1", "side": "buy", "type": "limit", "limit_price": "1"}
        Client(exchange.port)("POST", "/v2/orders", {**order, "time_in_force": "gtc"})
        with pytest.raises(RuntimeError, match="client order ids: 1 differ"):
            soak(exchange.port, 20, connections=2)
    with Exchange.open(
        ReplayFeed("synthetic:10x450?seed=1"), cash=1e9, manual=True, keys=Keys(KEY, SECRET)
    ) as exchange:
        # an update that does not arrive
        monkeypatch.setattr("benchmarks.exchange.SETTLE_SECONDS", 0.2)
        forgetful = Listener.wait

        def wait(listener: Listener, client: Client) -> None:
            listener.updates -= 1
            forgetful(listener, client)

        monkeypatch.setattr(Listener, "wait", wait)
        with pytest.raises(RuntimeError, match="updates were sent"):
            soak(exchange.port, 20, connections=2)


@pytest.mark.slow
def test_the_section_of_the_benchmark() -> None:
    section = exchange_section(quick=True, orders=3_000)
    rows = Counter(row["what"] for row in section.rows)
    assert rows == Counter(["cancel", "read", "replace", "step", "submit"])
    assert [check.name for check in section.checks] == ["submit, p99 ms"]
    assert "every submit is one order or was refused" in section.notes[1]
