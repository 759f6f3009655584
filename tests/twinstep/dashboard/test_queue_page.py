"""What the queue says of an order: worked by hand for shares, spreads and single options, and its heat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from live.brokers.interface import Leg, OrderRequest
from live.kill_switch import KillSwitch, switch_folder
from live.review_queue import ReviewQueue
from simulator.types import Reason
from tests.twinstep.dashboard.conftest import Client
from twinstep.account_lines import AccountLines, PositionLine
from twinstep.dashboard.reading.queue import Bet, Heat, bet_of, heat_with, read_queue, underlying
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.reading.verdicts import why_of


def order(*legs: tuple[str, float], **more: Any) -> OrderRequest:
    return OrderRequest(client_order_id="tw-1", legs=tuple(Leg(*one) for one in legs), **more)


def account(*positions: PositionLine, heat: float | None = 2.0, cap: float | None = 6.0) -> AccountLines:
    return AccountLines(
        session="s", bars=1, ts=0, equity=100_000.0, cash=1.0, day=0.0, day_pct=0.0, drawdown_pct=0.0,
        heat_pct=heat, heat_cap_pct=cap, halt="ACTIVE", halt_why="", positions=positions, orders=(),
    )  # fmt: skip


def held(symbol: str, quantity: float, mark: float, stop: float) -> PositionLine:
    return PositionLine(
        symbol=symbol, quantity=quantity, entry=mark, mark=mark, stop=stop, target=None, result=0.0, r=None,
        days=0.0, target_pct=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("legs", "more", "asked", "expected"),
    [
        # 10 shares at 100, stop 95, target 115: 50 against 150
        ([("AAPL", 10.0)], {"stop_loss": 95.0, "take_profit": 115.0}, 100.0, (150.0, 50.0)),
        # short, the other way round; the limit counts and not the price of the asking
        ([("AAPL", -10.0)], {"kind": "limit", "limit_price": 100.0, "stop_loss": 104.0, "take_profit": 90.0},
         99.0, (100.0, 40.0)),
        ([("AAPL", 10.0)], {"stop_loss": 95.0}, 100.0, (None, 50.0)),
        # put spread 115/110 sold twice for 1.35: 2 x 135 against 2 x 365
        ([("SPY260220P00115000", -2.0), ("SPY260220P00110000", 2.0)], {}, 1.35, (270.0, 730.0)),
        # iron condor 100/105/120/125 for 2.00: the wider side loses, and only one can
        ([("SPY260220P00100000", 1.0), ("SPY260220P00105000", -1.0), ("SPY260220C00120000", -1.0),
          ("SPY260220C00125000", 1.0)], {}, 2.0, (200.0, 300.0)),
        # call spread bought for 2.00 (paid, so below 0): 3 x 200 against 3 x 300
        ([("SPY260220C00100000", 3.0), ("SPY260220C00105000", -3.0)], {}, -2.0, (900.0, 600.0)),
        # a bought call loses its price and wins without limit; a bought put wins down to nothing
        ([("SPY260220C00100000", 1.0)], {}, 4.0, (None, 400.0)),
        ([("SPY260220P00100000", 2.0)], {}, 4.0, (19_200.0, 800.0)),
        # a sold call has no limit; what is sold against shares has
        ([("SPY260220C00100000", -1.0)], {}, 4.0, (400.0, None)),
        # ratio 1:2 below: worst where the stock is worth nothing
        ([("SPY260220P00100000", 1.0), ("SPY260220P00090000", -2.0)], {}, 1.0, (1100.0, 7900.0)),
    ],
)  # fmt: skip
def test_what_an_order_can_win_and_lose(
    legs: list[tuple[str, float]], more: dict[str, Any], asked: float, expected: tuple[Any, Any]
) -> None:
    kind = {"order_class": "multi_leg", "kind": "limit", "limit_price": asked} if len(legs) > 1 else {}
    if "stop_loss" in more:
        kind["order_class"] = "bracket"
    found = bet_of(order(*legs, **{**kind, **more}), asked)
    assert (found.reward, found.risk) == pytest.approx(expected)
    reward, risk = expected
    assert found.ratio == (None if reward is None or risk is None else pytest.approx(reward / risk))
    assert bool(found.why) == (None in expected)


def test_what_is_not_known_is_said() -> None:
    apart = order(
        ("SPY260220C00100000", -1.0), ("SPY260320C00100000", 1.0), order_class="multi_leg", kind="limit",
        limit_price=-1.0,
    )  # fmt: skip
    assert bet_of(apart, -1.0) == Bet(None, None, "its legs end on different days")
    assert bet_of(order(("AAPL", 1.0)), None).why == "its price is not known"
    assert bet_of(order(("AAPL", -1.0), purpose="exit"), 1.0).why == "it ends or guards a position"
    assert (underlying("SPY260220C00100000"), underlying("BRK.B")) == ("SPY", "BRK.B")


def test_heat_with_an_order_and_without() -> None:
    bought = order(("AAPL", 100.0), order_class="bracket", stop_loss=90.0)
    bet = bet_of(bought, 100.0)
    assert heat_with(account(), bought, bet) == Heat(before=2.0, after=3.0, cap=6.0)
    assert heat_with(account(cap=2.5), bought, bet).above  # type: ignore[union-attr]
    # the plan holds it by now, and the broker does not: 100 x (102 - 90) of 100,000 are inside its 2 percent
    for plan, broker in ((100.0, 0.0), (300.0, 200.0)):
        inside = heat_with(account(held("AAPL", plan, 102.0, 90.0)), bought, bet, broker)
        assert inside is not None
        assert (inside.before, inside.after) == pytest.approx((0.8, 1.8))
    # what the broker holds too is a position beside which the order comes, and so is one of another side
    for plan, at_broker in ((100.0, 100.0), (-100.0, 0.0), (100.0, None)):
        other = heat_with(account(held("AAPL", plan, 102.0, 90.0)), bought, bet, at_broker)
        assert other is not None
        assert (other.before, other.after) == (2.0, 3.0)
    assert heat_with(account(heat=None), bought, bet) is None
    assert heat_with(account(), order(("AAPL", 1.0)), bet_of(order(("AAPL", 1.0)), 100.0)) is None


def test_a_stop_or_target_beyond_the_price_says_so_and_lowers_no_heat() -> None:
    for given, word in (({"stop_loss": 95.0}, "stop"), ({"stop_loss": 80.0, "take_profit": 85.0}, "target")):
        wrong = order(("AAPL", 10.0), kind="limit", limit_price=90.0, order_class="bracket", **given)
        bet = bet_of(wrong, 90.0)
        assert (bet.reward, bet.risk, bet.ratio) == (None, None, None)
        assert f"its {word} lies beyond its price" in bet.why
        assert heat_with(account(), wrong, bet) is None


def test_what_made_an_order_smaller_is_said_with_its_unit(client: Client, journal: Path) -> None:
    reader = Reader(journal)
    rows = reader.ask("SELECT symbol, granted FROM verdicts WHERE rule = 'shrunk' AND value IS NOT NULL "
                      "ORDER BY id DESC LIMIT 1")  # fmt: skip
    folder = switch_folder(journal)
    queue = ReviewQueue(folder / "reviews", KillSwitch(folder))
    wanted = order((rows[0]["symbol"], rows[0]["granted"]))
    number = queue.add(wanted, broker="paper", price=100.0).request_id
    try:
        verdict = read_queue(reader, reader.now()).waiting[number].verdict
        assert verdict is not None
        assert (verdict.word, verdict.granted, verdict.other) == ("shrunk", rows[0]["granted"], False)
        assert verdict.value is not None
        assert verdict.limit is not None
        assert verdict.rule in {one.label for one in Reason}
        said = why_of(verdict.rule, verdict.value, verdict.limit)
        assert "% of equity, at most" in said
        assert said in client.ask("/queue").body
    finally:
        queue.reject(number, "the test is over", rejected_by="ada")


def test_an_order_of_several_stocks_hides_no_other(client: Client, journal: Path) -> None:
    folder = switch_folder(journal)
    queue = ReviewQueue(folder / "reviews", KillSwitch(folder))
    pair = order(("AAPL", 10.0), ("MSFT", -10.0), order_class="multi_leg", kind="limit", limit_price=1.0)
    assert bet_of(pair, 1.0) == Bet(None, None, "it is made of several stocks")
    number = queue.add(pair, broker="paper", price=1.0).request_id
    try:
        for path in ("/queue", "/queue/live"):
            answer = client.ask(path)
            assert answer.status == 200
            assert number in answer.body
    finally:
        queue.reject(number, "the test is over", rejected_by="ada")
