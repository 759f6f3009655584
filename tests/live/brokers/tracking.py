"""The position tracker of the journal at any broker: no trade is typed in, all of them are there.

Uses the rigs of `tests.live.brokers.faults`; a class derived from `BrokerTracking` says by `make_rig` what is
tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from journal import PositionTracker, TradeJournal
from live.brokers.interface import Leg, OrderRequest, Outcome
from tests.live.brokers.rig import BrokerRig

PUTS = ("SPY261218P00500000", "SPY261218P00490000")


class TrackedDesk:
    """A journal, a broker, and the tracker between them."""

    def __init__(self, folder: Path, rig: BrokerRig) -> None:
        self.rig = rig
        rig.move({"AAPL": 100.0, "SPY": 500.0, PUTS[0]: 4.0, PUTS[1]: 2.5})
        self.journal = TradeJournal(folder / "journal.db", clock=lambda: rig.now, source="live")
        self.tracker = PositionTracker(self.journal, rig.broker)
        self._number = 0

    def send(self, *legs: tuple[str, float], **fields: Any) -> None:
        """Trade at the market."""
        self._number += 1
        package: dict[str, Any] = {"order_class": "multi_leg"} if len(legs) > 1 else {}
        request = OrderRequest(
            client_order_id=f"t{self._number}", legs=tuple(Leg(*leg) for leg in legs), **package, **fields
        )
        assert self.rig.broker.submit_order(request).outcome is Outcome.CONFIRMED
        self.rig.move({})


class BrokerTracking:
    """The tests."""

    without: ClassVar[Mapping[str, str]] = {}

    def make_rig(self) -> BrokerRig:
        """Open an empty account."""
        raise NotImplementedError

    def need(self, what: str) -> None:
        """Skip what cannot happen."""
        if what in self.without:
            pytest.skip(self.without[what])

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Iterator[TrackedDesk]:
        rig = self.make_rig()
        desk = TrackedDesk(tmp_path, rig)
        yield desk
        desk.journal.close()
        rig.close()

    def test_entries_partial_closes_and_closes_are_there_by_themselves(self, desk: TrackedDesk) -> None:
        desk.send(("AAPL", 10.0))
        assert desk.tracker.sync().entries == (1,)
        desk.send(("AAPL", -4.0), purpose="exit")
        report = desk.tracker.sync()
        assert (report.status, report.partial_closes, report.exits) == ("ok", (1,), ())
        assert desk.journal.trade(1).open_quantity == 6.0
        desk.rig.move({"AAPL": 110.0})
        desk.send(("AAPL", -6.0), purpose="exit")
        assert desk.tracker.sync().exits == (1,)
        trade = desk.journal.trade(1)
        assert trade.status == "closed"
        assert trade.pnl == pytest.approx(60.0, abs=5.0)
        again = desk.tracker.sync()
        assert (again.status, again.entries, again.exits) == ("ok", (), ())

    def test_a_package_is_one_trade(self, desk: TrackedDesk) -> None:
        desk.send((PUTS[0], -2.0), (PUTS[1], 2.0))
        assert desk.tracker.sync().entries == (1,)
        trade = desk.journal.trade(1)
        assert (trade.quantity, trade.side, len(trade.legs)) == (2.0, -1, 2)
        assert trade.entry_price == pytest.approx(1.5, abs=0.05)
        desk.send((PUTS[0], 1.0), (PUTS[1], -1.0), purpose="exit")
        assert desk.tracker.sync().partial_closes == (1,)
        desk.send((PUTS[0], 1.0), (PUTS[1], -1.0), purpose="exit")
        assert desk.tracker.sync().exits == (1,)

    def test_an_assigned_option_becomes_shares_of_one_campaign(self, desk: TrackedDesk) -> None:
        self.need("assignment")
        desk.send((PUTS[0], -2.0))
        desk.tracker.sync()
        desk.rig.move({}, minutes=1440.0)
        desk.rig.assign(PUTS[0], 2.0)
        report = desk.tracker.sync()
        assert (report.status, report.exits, report.entries) == ("ok", (1,), (2,))
        option, shares = desk.journal.trades()
        assert (option.close_code, shares.symbol, shares.quantity) == ("assignment", "SPY", 200.0)
        assert shares.entry_price == 500.0
        assert shares.campaign_id == 1

    def test_a_trade_by_hand_is_logged_as_external(self, desk: TrackedDesk) -> None:
        desk.rig.trade("AAPL", 7.0, 100.0)
        report = desk.tracker.sync()
        assert (report.status, report.entries, report.external) == ("ok", (1,), (1,))

    def test_a_split_is_a_difference_that_is_named(self, desk: TrackedDesk) -> None:
        self.need("split")
        desk.send(("AAPL", 10.0))
        desk.tracker.sync()
        desk.rig.split("AAPL", 4.0)
        (one,) = desk.tracker.sync().differences
        assert (one.journal, one.broker) == (10.0, 40.0)
        assert "split of 4" in one.cause

    def test_a_question_without_an_answer_closes_nothing(self, desk: TrackedDesk) -> None:
        desk.send(("AAPL", 10.0))
        desk.tracker.sync()
        desk.rig.fail("positions")
        report = desk.tracker.sync()
        assert (report.status, report.exits) == ("unknown", ())
        assert desk.journal.trade(1).status == "open"
        desk.rig.clear()
        assert desk.tracker.sync().status == "ok"

    def test_a_position_that_the_list_lacks_is_reported_and_not_closed(self, desk: TrackedDesk) -> None:
        desk.send(("AAPL", 10.0))
        desk.tracker.sync()
        desk.rig.hide_position("AAPL")
        report = desk.tracker.sync()
        assert (len(report.differences), report.exits) == (1, ())
        assert desk.journal.trade(1).status == "open"
