"""What tastytrade does not tell, and what its sandbox forgets every night."""

from __future__ import annotations

from pathlib import Path

import pytest

from live.brokers.errors import RateLimited
from live.brokers.interface import Outcome
from tests.fakes.tastytrade.server import Answer
from tests.live.brokers.rig import RigDesk
from tests.live.brokers.tastytrade_rig import TastytradeRig, at_tastytrade
from tests.live.desks import order

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


def test_too_many_requests_without_a_word_how_long_to_wait() -> None:
    with at_tastytrade() as (server, broker):
        server.every("positions", Answer(429, "too_many_requests", "Too many requests"))
        with pytest.raises(RateLimited) as caught:
            broker.get_positions()
        assert caught.value.retry_after is None
        before = server.requests.count("positions")
        server.clear()
        assert broker.get_positions() == []
        assert server.requests.count("positions") == before + 1  # nobody has asked again by himself


def test_a_sandbox_that_was_reset_over_night_is_a_difference_and_not_flat(tmp_path: Path) -> None:
    rig = TastytradeRig()
    desk = RigDesk(tmp_path, rig)
    assert desk.reconciler.start().clean
    desk.submit(order(1))
    desk.submit(order(2, 5.0, "MSFT", kind="limit", limit_price=150.0, tif="gtc"))
    desk.settled()
    with rig.server.lock:
        for what in (rig.server.books.held, rig.server.books.orders, rig.server.books.rows):
            what.clear()
    sent = len(rig.received())
    for _ in range(3):
        desk.settled()
    assert set(desk.causes()) >= {"missing_position"}
    assert desk.books() == {"AAPL": 10.0}  # a person decides what is true
    assert len(rig.received()) == sent
    assert desk.submit(order(3)).outcome is Outcome.DENIED
    desk.accept_all()
    desk.settled()
    assert desk.books() == {}
    desk.database.close()
    rig.close()
