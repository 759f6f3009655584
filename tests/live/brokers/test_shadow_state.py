"""The account of a shadow: its worth, that it outlives its process, and what it tells of the real one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from live.brokers.interface import Account, Leg, OrderRequest, Outcome
from live.brokers.shadow import ShadowBroker
from live.brokers.shadowing.status import lines_of
from simulator.brokerage import Execution
from simulator.errors import ConfigError, DataError
from tests.live.brokers.quoted_broker import OPEN, QuotedBroker, Shade
from tests.live.brokers.shadows import BROKERS, shadowed

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[3]


def test_the_account_is_worth_what_the_real_one_is_and_what_the_book_has_made() -> None:
    shade = Shade()
    shade.real.worth = Account(cash=20_000.0, equity=100_000.0, buying_power=20_000.0, currency="EUR")
    first = shade.shadow.get_account()
    assert (first.cash, first.equity, first.currency) == (100_000.0, 100_000.0, "EUR")
    shade.quote("AAPL", 100.0, 100.0)
    shade.send(100)
    shade.quote("AAPL", 110.0, 110.0)
    now = shade.shadow.get_account()
    assert (now.cash, now.equity) == (90_000.0, 101_000.0)
    # what the trader does by hand moves it too
    shade.real.worth = replace(shade.real.worth, equity=103_000.0)
    after = shade.shadow.get_account()
    assert (after.cash, after.equity) == (93_000.0, 104_000.0)
    assert after.buying_power == pytest.approx(93_000.0)
    assert shade.real.get_positions() == []


def test_an_entry_has_the_real_worth_and_no_more() -> None:
    shade = Shade()
    shade.quote("AAPL", 100.0, 100.0)
    refused = shade.send(1001)
    assert (refused.outcome, refused.code) == (Outcome.REJECTED, "VENUE_BUYING_POWER")
    assert shade.send(1000).outcome is Outcome.CONFIRMED
    assert shade.send(1).code == "VENUE_BUYING_POWER"
    shade.real.worth = replace(shade.real.worth, equity=100_100.0)
    assert shade.send(1).outcome is Outcome.CONFIRMED
    # and an exit needs none
    shade.real.worth = replace(shade.real.worth, equity=1.0)
    assert shade.send(-1001, purpose="exit").outcome is Outcome.CONFIRMED
    assert shade.held() == {}


@pytest.mark.parametrize(("granted", "leverage"), [(100_000.0, 1.0), (200_000.0, 2.0), (400_000.0, 4.0)])
def test_leverage_is_what_the_broker_grants(granted: float, leverage: float, tmp_path: Path) -> None:
    real = QuotedBroker()
    real.worth = replace(real.worth, buying_power=granted)
    with ShadowBroker(real, path=tmp_path / "book", clock=lambda: OPEN) as shadow:
        assert shadow.get_account().buying_power == pytest.approx(leverage * 100_000.0)
    # a position that was bought by hand since does not change the terms of the book
    real.worth = replace(real.worth, buying_power=0.0)
    with ShadowBroker(real, path=tmp_path / "book", clock=lambda: OPEN) as shadow:
        assert shadow.get_account().buying_power == pytest.approx(leverage * 100_000.0)
    with ShadowBroker(real, leverage=2.0, clock=lambda: OPEN) as shadow:
        assert shadow.get_account().buying_power == pytest.approx(200_000.0)


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    shade = Shade(tmp_path / "deep" / "book")
    shade.quote("AAPL", 100.0, 100.0)
    shade.send(10, order_class="bracket", stop_loss=90.0, take_profit=120.0)
    rests = shade.send(5, kind="limit", limit_price=95.0)
    before = (
        shade.shadow.get_orders(open_only=False), shade.shadow.executions(), shade.shadow.get_account(),
        shade.held(), shade.shadow.account,
    )  # fmt: skip
    shade.restart()
    assert before == (
        shade.shadow.get_orders(open_only=False), shade.shadow.executions(), shade.shadow.get_account(),
        shade.held(), shade.shadow.account,
    )  # fmt: skip
    # the same id is the same order, also for the new process
    again = shade.shadow.submit_order(
        OrderRequest(client_order_id=rests.client_order_id, legs=(Leg("AAPL", 5.0),), kind="limit",
                     limit_price=95.0)
    )  # fmt: skip
    assert again.order == rests.order
    shade.quote("AAPL", 89.0, 89.0)
    assert shade.held() == {"AAPL": 5.0}


def test_days_without_a_process_end_their_sessions(tmp_path: Path) -> None:
    shade = Shade(tmp_path / "book")
    shade.quote("AAPL", 100.0, 100.0)
    shade.send(10)
    day = shade.send(-10, kind="limit", limit_price=120.0, purpose="exit")
    stop = shade.send(5, kind="stop", stop_price=130.0, tif="gtc")
    shade.shadow.close()
    shade.now += timedelta(days=9)
    shade.shadow = shade.open()
    shade.quote("AAPL", 125.0, 125.0)
    assert (shade.state(day), shade.state(stop), shade.held()) == ("expired", "submitted", {"AAPL": 10.0})


_WORK = """
import sys
from pathlib import Path
from tests.live.brokers.quoted_broker import Shade
shade = Shade(Path(sys.argv[1]))
shade.quote("AAPL", 99.0, 101.0)
while True:
    answer = shade.send(1, order_class="bracket", stop_loss=50.0)
    print(answer.client_order_id, flush=True)
    shade.quote("AAPL", 99.0, 101.0)
"""


@pytest.mark.slow
def test_what_was_confirmed_is_there_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "book"
    with subprocess.Popen(
        [sys.executable, "-c", _WORK, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().split("\n")[:-1]
    real = QuotedBroker()
    with ShadowBroker(real, path=path, clock=lambda: OPEN, quotes=False) as shadow:
        found = [shadow.find_order(name) for name in told]
        assert len(told) >= 40
        assert all(order is not None and order.filled == 1.0 for order in found)
        (held,) = shadow.get_positions()
        assert held.quantity in (len(told), len(told) + 1)
        # each has its stop
        assert len(shadow.get_orders()) == held.quantity


def test_a_book_is_of_one_account_and_one_process(tmp_path: Path) -> None:
    path = tmp_path / "book"
    first = ShadowBroker(QuotedBroker(), path=path)
    with pytest.raises(ConfigError) as caught:
        ShadowBroker(QuotedBroker(), path=path)
    assert caught.value.code == "VENUE_FILE_LOCKED"
    first.close()
    other = ShadowBroker(QuotedBroker(account="R-2"), path=path)
    with pytest.raises(ConfigError, match=r"of memory R-1, not of memory R-2") as caught:
        other.get_account()
    assert caught.value.code == "LIVE_SHADOW_OTHER"
    other.close()
    (tmp_path / "book.owner").write_text("{")
    with pytest.raises(DataError) as damaged:
        ShadowBroker(QuotedBroker(), path=path)
    assert damaged.value.code == "LIVE_SHADOW_FILE"
    (tmp_path / "book.owner").unlink()
    with pytest.raises(ConfigError) as strange:
        ShadowBroker(QuotedBroker(), path=path)
    assert strange.value.code == "LIVE_SHADOW_OTHER"


def test_a_broker_without_quotes_is_shadowed_by_bars_alone() -> None:
    class Mute(QuotedBroker):
        quotes = None  # type: ignore[assignment]

    with pytest.raises(ConfigError) as caught:
        ShadowBroker(Mute())
    assert caught.value.code == "LIVE_SHADOW"
    assert ShadowBroker(Mute(), quotes=False).get_account().equity == 100_000.0


def test_a_broker_that_does_not_answer_takes_no_order_and_says_nothing() -> None:
    shade = Shade()
    shade.quote("AAPL", 100.0, 100.0)
    shade.send(10)
    shade.now += timedelta(minutes=1)
    shade.real.broken = TimeoutError("nobody there")
    for purpose in ("entry", "protect"):
        answer = shade.send(-10, kind="stop", stop_price=90.0, purpose=purpose)
        assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_SHADOW_BLIND")
        assert "nobody there" in answer.message
    for ask in (shade.shadow.get_positions, shade.shadow.get_orders, shade.shadow.get_account):
        with pytest.raises(TimeoutError):
            ask()
    shade.real.broken = None
    assert shade.held() == {"AAPL": 10.0}
    assert len(shade.shadow.get_orders(open_only=False)) == 1


def test_status_says_so_where_the_real_account_does_not_answer() -> None:
    shade = Shade()
    shade.quote("AAPL", 100.0, 100.0)
    shade.send(10)
    shade.real.faults["executions"] = TimeoutError
    status = shade.shadow.status()
    assert status.problem.startswith("TimeoutError")
    assert "could not be read" in str(status)
    assert [line.symbol for line in status.lines] == ["AAPL"]


@pytest.mark.parametrize("name", BROKERS)
def test_the_real_account_is_told_beside_the_shadow(name: str) -> None:
    with shadowed(name) as one:
        one.move({"AAPL": 100.0, "MSFT": 200.0})
        one.trade("AAPL", 7.0, 100.0)  # before the shadow, and so no part of it
        one.move({"AAPL": 100.0, "MSFT": 200.0})
        shadow = one.shadow()
        one.move({"AAPL": 100.0})
        shadow.submit_order(OrderRequest(client_order_id="s1", legs=(Leg("AAPL", 10.0),)))
        shadow.submit_order(
            OrderRequest(client_order_id="s2", legs=(Leg("MSFT", 1.0),), kind="limit", limit_price=150.0)
        )
        one.move({"AAPL": 102.0})
        one.trade("AAPL", 5.0, 102.0)
        one.move({"AAPL": 104.0})
        shadow.submit_order(OrderRequest(client_order_id="s3", legs=(Leg("AAPL", -10.0),), purpose="exit"))
        status = shadow.status()
        assert (status.broker, status.computed, status.sent, status.working) == (name, 3, 0, 1)
        apple, microsoft = status.lines
        assert (apple.symbol, microsoft.symbol) == ("AAPL", "MSFT")
        assert (apple.shadow.bought, apple.shadow.sold, apple.shadow.held) == (10.0, 10.0, 0.0)
        assert apple.shadow.result == pytest.approx(40.0, abs=1.0)
        assert (apple.real.bought, apple.real.sold, apple.real.fills) == (5.0, 0.0, 1)
        assert apple.real.bought_at == pytest.approx(102.0, abs=0.02)
        assert apple.real.result == pytest.approx(10.0, abs=1.0)
        assert (microsoft.shadow.fills, microsoft.real.fills) == (0, 0)
        json.dumps(status.plain(), allow_nan=False)
        assert "3 orders computed, 0 sent, 1 working" in str(status)
        assert "bought 5 at 102.0" in str(status)
        assert one.writes() == []


def test_a_broker_that_names_itself_says_that_it_is_a_shadow() -> None:
    shade = Shade()
    assert (shade.shadow.broker, shade.shadow.is_paper) == ("shadow:memory", True)
    assert ShadowBroker(QuotedBroker(paper=False)).is_paper
    assert ShadowBroker(QuotedBroker(paper=False)).status().real_money
    assert "R-1" in repr(shade.shadow)


def test_a_result_counts_fees_contracts_and_what_is_left() -> None:
    def done(side: int, quantity: float, price: float, fees: float) -> Execution:
        return Execution(
            execution_id=f"{side}{price}", order_id="", time=OPEN, symbol="X", side=side, quantity=quantity,
            price=price, multiplier=100.0, fees=fees,
        )  # fmt: skip

    fills = [done(-1, 2.0, 4.0, 1.5), done(1, 1.0, 3.0, 0.5)]
    (line,) = lines_of(["X"], fills, [], lambda symbol: 2.0)
    # 800 received, 300 paid, 2 of fees, and one that is short at 2
    assert (line.shadow.held, line.shadow.fees, line.shadow.result) == (-1.0, 2.0, 298.0)
    (unknown,) = lines_of(["X"], fills, [], lambda symbol: None)
    assert unknown.shadow.result is None
    assert unknown.real.result == 0.0
