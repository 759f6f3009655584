"""Sessions that were followed at a broker, explained from their journal: one way to part after the other.

The broker is a paper account that does what a test says: it fills at worse prices, in parts, not at all, or
is traded in by somebody else. What each side made is counted here from the venue and the plan's own trades.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import fsum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from journal.database import Database
from live.automation.config import ExecutionMode
from live.brokers.interface import BrokerInterface, BrokerOrder, Leg, OrderRequest, Outcome, Submitted
from live.brokers.paper import PaperBroker
from live.brokers.shadow import ShadowBroker
from live.clock import FakeClock
from live.following import BrokerSession
from live.following.explain import Explanation, explain
from live.intents import IntentLog
from live.session import Session
from live.venue import Venue
from simulator import Bars, Conventions, Costs, Signals, load_bars
from simulator.brokerage import Execution
from simulator.errors import ConfigError, UnknownNameError
from simulator.options.market import OptionMarket
from simulator.options.packages import make_legs, make_rules, package_signals
from tests.twinstep.conftest import Cli, cli
from twinstep.console import EXIT_FOUND

__all__ = ["cli"]  # a fixture

NAME = "live"
START = np.datetime64("2024-03-04T15:00", "ns")
MINUTE = np.timedelta64(60_000_000_000, "ns")
SILENCE = "silence"
CLOSES = (100.0, 100.0, 101.0, 102.0, 103.0, 104.0, 103.0, 102.0, 101.0, 100.0)


class Scripted(PaperBroker):
    """A paper account that fills worse by some basis points, and refuses what it is told to refuse."""

    def __init__(
        self,
        venue: Venue,
        *,
        worse_bps: float = 0.0,
        limits_too: bool = False,
        refused: Mapping[str, str] | None = None,
        later: timedelta = timedelta(0),
    ) -> None:
        super().__init__(venue)
        self.later = later
        self.worse = worse_bps / 1e4
        self.limits_too = limits_too
        self.refused = dict(refused or {})

    def submit_order(self, request: OrderRequest) -> Submitted:
        words = self.refused.get(request.purpose)
        if words is None:
            return super().submit_order(request)
        if words == SILENCE:
            raise TimeoutError("no answer within 10 s")
        return Submitted(
            outcome=Outcome.REJECTED, client_order_id=request.client_order_id, code="BROKER_SAYS_NO",
            message=words,
        )  # fmt: skip

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        if SILENCE in self.refused.values():
            raise TimeoutError("no answer within 10 s")
        return super().find_order(client_order_id)

    def executions(self, since: datetime | None = None) -> Sequence[Execution]:
        limits = {one.order_id for one in self.get_orders(open_only=False) if one.kind == "limit"}
        return [
            replace(
                one,
                time=one.time + self.later,
                price=one.price
                if one.order_id in limits and not self.limits_too
                else one.price * (1.0 + one.side * self.worse),
            )
            for one in super().executions(None if since is None else since - self.later)
        ]


def market(closes: Sequence[float] = CLOSES, volume: float = 1e6) -> Bars:
    """A minute each: from the close before to its own, with wicks of a quarter."""
    ends = np.array(closes)
    opens = np.concatenate([ends[:1], ends[:-1]])
    high, low = np.maximum(opens, ends) + 0.25, np.minimum(opens, ends) - 0.25
    panel = np.stack([opens, high, low, ends, np.full_like(ends, volume)], axis=1)[:, None, :]
    return Bars.from_arrays(("AAA",), START + np.arange(len(ends)) * MINUTE, panel, daily=False)


def bought(bars: Bars, row: int = 1, **more: Any) -> Signals:
    """A hundred shares from the bar after `row`."""
    return Signals.from_arrays(bars, [row], 0, 1, **{"qty": 100.0, "stop": 95.0, **more})


def venue_of(bars: Bars, **more: Any) -> Venue:
    return Venue(cash=100_000.0, instruments=bars.symbols, **more)


def played(
    folder: Path,
    bars: Bars,
    signals: Signals,
    broker: BrokerInterface,
    between: Callable[[BrokerSession, int], object] = lambda session, row: None,
    **more: Any,
) -> Explanation:
    """Play the bars one by one, and explain what came of them."""
    folder.mkdir(exist_ok=True)
    clock = more.pop("clock", FakeClock(ended(bars, 0)))
    with BrokerSession(
        folder / "j.db", broker, like=bars, strategies=[signals], risk=None, name=NAME, clock=clock,
        **{"drive": True, **more},
    ) as session:  # fmt: skip
        for row in range(len(bars)):
            clock.set(ended(bars, row))
            session.push(bars[row : row + 1])
            between(session, row)
        while_open = explain(session.session.database, NAME)
        made = session.session.equity - 100_000.0
    found = explain(folder / "j.db", NAME)
    assert while_open.plain()["trades"] == found.plain()["trades"]
    assert found.plan_profit == pytest.approx(made, abs=1e-6)
    assert fsum(found.causes.values()) == pytest.approx(found.difference, abs=1e-6)
    assert found.difference == pytest.approx(found.fact_profit - found.plan_profit)
    assert json.loads(json.dumps(found.plain()))["ok"] is found.ok
    return found


def ended(bars: Bars, row: int) -> datetime:
    return datetime.fromtimestamp(int(bars.close_ts[row]) / 1e9, UTC)


def causes_of(found: Explanation) -> list[str]:
    return [each.cause for one in found.trades for each in one.differences]


def gained(venue: Venue) -> float:
    """What the account made, by its own books."""
    return venue.account().equity - 100_000.0


def test_a_session_as_planned_has_nothing_to_explain(tmp_path: Path) -> None:
    bars = market()
    venue = venue_of(bars)
    found = played(tmp_path, bars, bought(bars, target=103.0), PaperBroker(venue))
    assert (found.ok, found.equal, len(found.trades)) == (True, 1, 1)
    assert found.fact_profit == pytest.approx(gained(venue)) == pytest.approx(300.0)
    assert "1 of 1 trade as planned" in str(found)
    assert found.accounts == ("paper",)


def test_slippage_is_worth_what_the_broker_took(tmp_path: Path) -> None:
    bars = market()
    found = played(tmp_path / "a", bars, bought(bars, max_bars=3), Scripted(venue_of(bars), worse_bps=10.0))
    assert causes_of(found) == ["slippage", "slippage"]
    # in at 100, out at 103, a thousandth of each
    assert found.difference == pytest.approx(-100.0 * (0.1 + 0.103))
    assert "10.0 bp (0.1 each) worse" in " ".join(str(found).split())
    better = played(tmp_path / "b", bars, bought(bars), Scripted(venue_of(bars), worse_bps=-10.0))
    assert causes_of(better) == ["improvement"]
    assert better.difference == pytest.approx(10.0)


def test_a_part_only(tmp_path: Path) -> None:
    bars = market(CLOSES[:8], volume=400.0)
    venue = venue_of(bars, conventions=Conventions(volume_cap=0.1))
    found = played(tmp_path, bars, bought(bars, 0, entry="limit", limit_price=100.0), PaperBroker(venue))
    [one] = found.trades
    assert one.fact is not None
    assert found.fact_profit == pytest.approx(gained(venue))
    assert found.ok, str(found)
    # forty in each of the two minutes that reach the limit; the second forty are a minute late
    assert one.fact.quantity == 80.0
    assert [(each.cause, each.amount) for each in one.differences] == [
        ("partial fill", pytest.approx(-40.0)), ("filled late", 0.0)
    ]  # fmt: skip
    assert "80 of 100 filled" in one.differences[0].detail


def test_what_the_broker_refuses_in_its_words(tmp_path: Path) -> None:
    bars = market()
    broker = Scripted(venue_of(bars), refused={"entry": "account is restricted"})
    found = played(tmp_path, bars, bought(bars), broker)
    [one] = found.trades
    assert [(each.field, each.cause) for each in one.differences] == [("entry", "rejected")]
    assert "account is restricted" in one.differences[0].detail
    assert one.fact is None
    assert found.fact_profit == 0.0


def test_what_nobody_knows(tmp_path: Path) -> None:
    bars = market()
    broker = Scripted(venue_of(bars), refused={"entry": SILENCE})
    found = played(tmp_path, bars, bought(bars), broker)
    [one] = found.trades
    assert [each.cause for each in one.differences] == ["unresolved"]
    assert "no answer within 10 s" in one.differences[0].detail


def test_a_stop_that_the_broker_refused(tmp_path: Path) -> None:
    bars = market((100.0, 100.0, 101.0, 102.0, 98.0, 97.0, 96.0, 96.0))
    venue = venue_of(bars)
    broker = Scripted(venue, refused={"protect": "no stops today"})

    def naked(session: BrokerSession, row: int) -> None:
        if row == 2:
            # what the bracket left is gone, and another one is refused
            for order in broker.get_orders():
                broker.cancel_order(order.order_id)
        if row == 4:
            broker.refused.clear()

    found = played(tmp_path, bars, bought(bars, stop=98.5), broker, naked)
    [one] = found.trades
    assert one.fact is not None
    assert [each.cause for each in one.differences] == ["rejected"]
    assert "its own stop was not there: the broker said: no stops today" in one.differences[0].detail
    assert found.fact_profit == pytest.approx(gained(venue))


def test_a_short_trade(tmp_path: Path) -> None:
    bars = market()
    venue = venue_of(bars)
    signals = Signals.from_arrays(bars, [1], 0, -1, qty=100.0, stop=120.0, max_bars=3)
    found = played(tmp_path, bars, signals, Scripted(venue, worse_bps=10.0))
    assert causes_of(found) == ["slippage", "slippage"]
    assert found.difference == pytest.approx(-100.0 * (0.1 + 0.103))
    assert "AAA short" in str(found)


def test_a_shadow_account_is_explained_too(tmp_path: Path) -> None:
    bars = market()
    real = venue_of(bars)
    clock = FakeClock(ended(bars, 0))
    shadow = ShadowBroker(PaperBroker(real), quotes=False, clock=clock)
    found = played(tmp_path, bars, bought(bars, target=103.0), shadow, drive=None, clock=clock)
    [one] = found.trades
    assert one.fact is not None, str(found)
    assert one.fact.quantity == 100.0
    assert found.ok, str(found)
    assert fsum(found.causes.values()) == pytest.approx(found.difference, abs=1e-6)
    assert real.orders("all") == []


def raw(actions: Sequence[tuple[str, str, str, float]], closes: Sequence[float]) -> Bars:
    """Days of raw prices, with what happens to the shares."""
    ends = np.array(closes)
    frame = pd.DataFrame(
        {"open": ends, "high": ends * 1.002, "low": ends * 0.998, "close": ends, "volume": 1e6},
        index=pd.bdate_range("2024-03-04", periods=len(ends)),
    )
    return Bars.from_frames({"AAA": frame}, raw=True, actions=actions)


def test_a_split_that_waits_for_a_person(tmp_path: Path) -> None:
    closes = (100.0, 100.0, 101.0, 102.0, 51.0, 51.5, 52.0, 52.5)
    bars = raw([("AAA", "2024-03-08", "split", 2.0)], closes)
    venue = venue_of(bars)
    found = played(tmp_path, bars, bought(bars), PaperBroker(venue))
    [one] = found.trades
    assert one.plan is not None
    assert one.fact is not None
    assert [(each.field, each.cause, each.amount) for each in one.differences] == [("quantity", "split", 0.0)]
    assert "2 for 1 on 2024-03-08" in one.differences[0].detail
    assert (one.plan.quantity, one.fact.quantity) == (200.0, 200.0)
    assert found.fact_profit == pytest.approx(found.plan_profit) == pytest.approx(400.0)


def test_a_split_on_both_sides_is_none(tmp_path: Path) -> None:
    closes = (100.0, 100.0, 101.0, 102.0, 51.0, 51.5, 52.0, 52.5)
    bars = raw([("AAA", "2024-03-08", "split", 2.0)], closes)
    venue = venue_of(bars)

    def accept(session: BrokerSession, row: int) -> None:
        differences = session.desk.manager.differences
        assert differences is not None
        for one in differences.open():
            differences.accept(one.item_id, "ada", "it was a split")
        session.poll()

    found = played(tmp_path, bars, bought(bars, max_bars=5), PaperBroker(venue), accept, window=timedelta(0))
    assert found.equal == 1, str(found)
    assert found.fact_profit == pytest.approx(found.plan_profit) == pytest.approx(400.0)


def test_dividends_are_not_among_the_fills(tmp_path: Path) -> None:
    bars = raw([("AAA", "2024-03-08", "dividend", 0.5)], (100.0, 100.0, 101.0, 102.0, 101.5, 102.0))
    found = played(tmp_path, bars, bought(bars), PaperBroker(venue_of(bars)))
    assert causes_of(found) == ["dividends"]
    assert found.difference == pytest.approx(-50.0)


def test_stored_bars_at_a_broker_of_today(tmp_path: Path) -> None:
    bars = market()
    years = timedelta(days=700)
    broker = Scripted(venue_of(bars), worse_bps=200.0, later=years)

    class Standing(FakeClock):
        def set(self, now: datetime) -> None:
            super().set(now + years)

    clock = Standing(ended(bars, 0) + years)
    found = played(tmp_path, bars, bought(bars, max_bars=3), broker, clock=clock)
    assert causes_of(found) == ["stored bars", "stored bars"]
    assert found.difference == pytest.approx(-100.0 * (2.0 + 2.06))


def test_a_denial_on_record(tmp_path: Path) -> None:
    bars = market()
    found = played(
        tmp_path, bars, bought(bars), Scripted(venue_of(bars), refused={"entry": SILENCE}),
        window=timedelta(0),
    )  # fmt: skip
    [one] = found.trades
    identity = one.differences[0].order
    with Database(tmp_path / "j.db") as database:
        # in the name of another desk, which has no row for it
        IntentLog(database, "aaa").note(
            "denied", ended(bars, 3), order=identity, symbol="AAA", code="LIVE_REDUCING", message="bob: lunch"
        )
        with database.write() as connection:
            connection.exec_driver_sql("DELETE FROM orders")
        [again] = explain(database, NAME).trades
    assert [each.cause for each in again.differences] == ["kill switch"]
    assert "LIVE_REDUCING: bob: lunch" in again.differences[0].detail


def test_packages_are_explained_by_their_net_price(tmp_path: Path) -> None:
    bars = load_bars("sample:spx", start="2015-01-02", end="2015-03-31")
    iv = load_bars("sample:vix")
    level = pd.Series(iv.close[:, 0] / 100.0, index=iv.index).reindex(bars.index).ffill()
    market = bars.with_options(OptionMarket.modelled(bars, {bars.symbols[0]: level}))
    rows = np.array([2, 20])
    strikes = 5.0 * np.round(bars.close[rows, 0] * 0.97 / 5.0)
    legs = make_legs(
        [[(-1, "put", strike), (1, "put", strike - 50.0)] for strike in strikes.tolist()],
        expiry=bars.session[rows + 32],
    )
    rules = make_rules(2, profit_target=0.4, stop_loss=1.0, dte_exit=10)
    signals = package_signals(market, rows, 0, -1, legs, rules, qty=3.0)
    with BrokerSession(
        tmp_path / "j.db", like=market, strategies=[signals], cash=1_000_000.0, risk=None, name=NAME
    ) as session:
        session.push(market[:26])
        made = session.broker.get_account().equity - 1_000_000.0
        planned = session.session.equity - 1_000_000.0
    found = explain(tmp_path / "j.db", NAME)
    assert found.ok, str(found)
    sides = [(one.side, one.plan and one.plan.reason, one.fact and one.fact.reason) for one in found.trades]
    assert sides == [(-1, "profit_target", "close"), (-1, "open", "open")]
    # decided at a close and filled at that instant is in the plan's bar; the exit waits for the next
    assert causes_of(found) == ["a bar later"]
    assert found.plan_profit == pytest.approx(planned, abs=1e-4)
    assert found.fact_profit == pytest.approx(made, abs=1e-4)
    assert fsum(found.causes.values()) == pytest.approx(found.difference, abs=1e-4)


def test_an_exit_by_the_plan_comes_a_bar_later(tmp_path: Path) -> None:
    bars = market()
    venue = venue_of(bars)
    signals = bought(bars, target=102.0, target2=104.0, target_fraction=0.5)
    found = played(tmp_path, bars, signals, PaperBroker(venue))
    assert found.ok, str(found)
    assert set(causes_of(found)) == {"a bar later"}
    assert found.fact_profit == pytest.approx(gained(venue))


def test_a_stop_that_only_ticks_have_seen(tmp_path: Path) -> None:
    bars = market()
    venue = venue_of(bars)

    def spike(session: BrokerSession, row: int) -> None:
        if row == 4:
            at = ended(bars, row)
            venue.tick(at + timedelta(seconds=20), {"AAA": 94.0})
            venue.tick(at + timedelta(seconds=40), {"AAA": 103.0})
            session.poll()

    found = played(tmp_path, bars, bought(bars), PaperBroker(venue), spike)
    [one] = found.trades
    assert one.fact is not None
    assert one.fact.reason == "stop"
    assert [each.cause for each in one.differences] == ["inside the bar"]
    assert found.fact_profit == pytest.approx(gained(venue)) == pytest.approx(-600.0)
    assert found.plan_profit == pytest.approx(-600.0)


def test_sold_by_somebody_else(tmp_path: Path) -> None:
    bars = market()
    venue = venue_of(bars)
    broker = PaperBroker(venue)

    def by_hand(session: BrokerSession, row: int) -> None:
        if row == 4:
            for order in broker.get_orders():
                broker.cancel_order(order.order_id)
            request = OrderRequest(client_order_id="hand-1", legs=(Leg("AAA", -100.0),), purpose="exit")
            assert broker.submit_order(request).outcome is Outcome.CONFIRMED

    found = played(tmp_path, bars, bought(bars), broker, by_hand)
    assert "foreign fill" in causes_of(found)
    assert found.ok, str(found)
    assert found.fact_profit == pytest.approx(gained(venue))


def test_bought_by_somebody_else_is_no_trade_of_the_session(tmp_path: Path) -> None:
    bars = market()
    venue = venue_of(bars)
    broker = PaperBroker(venue)

    def by_hand(session: BrokerSession, row: int) -> None:
        if row == 4:
            broker.submit_order(OrderRequest(client_order_id="hand-1", legs=(Leg("AAA", 7.0),)))

    found = played(tmp_path, bars, bought(bars), broker, by_hand)
    strange = found.trades[-1]
    assert (strange.plan, strange.fact, strange.amount) == (None, None, 0.0)
    assert [each.cause for each in strange.differences] == ["foreign fill"]
    assert "bought 7 at" in strange.differences[0].detail
    assert found.fact_profit == pytest.approx(100.0 * (CLOSES[-1] - 100.0))


def test_nobody_has_approved(tmp_path: Path) -> None:
    bars = market()
    venue = venue_of(bars)
    found = played(tmp_path, bars, bought(bars), PaperBroker(venue), mode=ExecutionMode.MANUAL_REVIEW)
    [one] = found.trades
    assert [each.cause for each in one.differences] == ["review"]
    assert found.ok
    assert gained(venue) == 0.0


def test_fees_of_the_broker(tmp_path: Path) -> None:
    bars = market()
    venue = venue_of(bars, costs=Costs(commission_per_share=0.01))
    found = played(tmp_path, bars, bought(bars, target=103.0), PaperBroker(venue))
    assert causes_of(found) == ["fees"]
    assert found.difference == pytest.approx(-2.0)
    assert found.fact_profit == pytest.approx(gained(venue))


def test_what_was_not_followed_has_no_explanation(tmp_path: Path) -> None:
    bars = market()
    with Session(tmp_path / "j.db", like=bars, strategies=[bought(bars)], risk=None, name=NAME) as session:
        session.push(bars)
        with pytest.raises(ConfigError, match="has followed no broker") as caught:
            explain(session.database, NAME)
    assert caught.value.code == "LIVE_NOT_FOLLOWED"
    with pytest.raises(UnknownNameError):
        explain(tmp_path / "j.db", "another")


def test_the_command_prints_the_receipt_and_the_trades(cli: Cli, tmp_path: Path) -> None:
    bars = market()
    played(tmp_path, bars, bought(bars, target=103.0), Scripted(venue_of(bars), worse_bps=10.0))
    journal = str(tmp_path / "j.db")
    told = cli("parity", NAME, "--journal", journal)
    assert told.code == 0, told.err
    assert "equal in every byte" in told.out
    assert "slippage, once: filled in the plan's bar at a worse price" in told.out
    plain = cli("parity", NAME, "--journal", journal, "--json").json
    assert plain["ok"] is True
    assert plain["trades"]["difference"] == pytest.approx(-10.0)
    assert plain["trades"]["trades"][0]["differences"][0]["cause"] == "slippage"


def test_the_command_says_where_nothing_explains_it(cli: Cli, tmp_path: Path) -> None:
    bars = market()
    # no limit order can fill above its limit
    broker = Scripted(venue_of(bars), worse_bps=10.0, limits_too=True)
    found = played(tmp_path, bars, bought(bars, entry="limit", limit_price=100.0), broker)
    assert not found.ok
    assert "UNEXPLAINED" in str(found)
    told = cli("parity", NAME, "--journal", str(tmp_path / "j.db"))
    assert told.code == EXIT_FOUND
    assert "worse than its limit of 100.00" in " ".join(told.out.split())


def test_the_sample_of_the_page_is_what_its_lines_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "parity.md").read_text(encoding="utf-8")
    lines = page.partition("```python run\n")[2].partition("```")[0]
    sample = page.partition("```text\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(lines, "parity.md", "exec"), {"__name__": "page"})  # noqa: S102 - our own page
    assert capsys.readouterr().out == sample
