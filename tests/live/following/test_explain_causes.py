"""Each difference between a plan's trade and the account's has one cause: a table of trades."""

from __future__ import annotations

from math import fsum
from pathlib import Path

import pytest

from live.following.explaining.values import CAUSES, UNEXPLAINED, Case, Course, Explained, Sent, Written
from live.following.record import Parted
from tests.live.following.explained import case, course, explained_case, marked, piece, sent

PLAN = course(piece(2, 100.0, 100.0), piece(5, 100.0, 104.0, "target"))
OPEN = course(piece(2, 100.0, 100.0), marked(100.0, 104.0))
ENTRY = sent()


def there(*exits: tuple[int, float, str], entry: tuple[int, float] = (2, 100.0)) -> Course:
    """A hundred in, and out in equal parts."""
    part = 100.0 / max(1, len(exits))
    outs = [piece(row, part, price, what, order="tw-2") for row, price, what in exits]
    return course(piece(entry[0], 100.0, entry[1], order="tw-1"), *outs)


def close(reason: str = "closed", state: str = "filled", message: str = "") -> Sent:
    return sent("tw-2", "close", row=5, reason=reason, state=state, message=message)


def denied(identity: str = "tw-1", quantity: float = 100.0) -> Sent:
    return sent(identity, quantity=quantity, state="denied", code="LIVE_HALTED", message="ada: news")


def parted(kind: str, message: str = "", price: float | None = None) -> Parted:
    return Parted(kind=kind, ts=0, symbol="AAA", trade=1, order=1, message=message, price=price)  # type: ignore[arg-type]


def written(state: str, reason: str = "", **more: object) -> Written:
    return Written(state, reason, 3, 100.0, **more)  # type: ignore[arg-type]


RESTS = sent("tw-2", "stop")

# name: the case; field, cause, amount of each difference; words that have to be there
TABLE: dict[str, tuple[Case, list[tuple[str, str, float]], str]] = {
    "nothing differs": (case(PLAN, there((5, 104.0, "target")), ENTRY), [], ""),
    "entry slipped": (
        case(PLAN, there((5, 104.0, "target"), entry=(2, 100.05)), ENTRY),
        [("entry price", "slippage", -5.0)], "100 at 100.05 for 100.00: 5.0 bp (0.05 each) worse",
    ),
    "entry improved": (
        case(PLAN, there((5, 104.0, "target"), entry=(2, 99.9)), ENTRY),
        [("entry price", "improvement", 10.0)], "10.0 bp",
    ),
    "exit slipped, beyond what the bar knows": (
        case(PLAN, there((5, 89.0, "close")), ENTRY, close()),
        [("exit price", "slippage", -1500.0)], "the bar knows 90 to 110",
    ),
    "entered two bars later": (
        case(PLAN, there((5, 104.0, "target"), entry=(4, 101.0)), ENTRY),
        [("entry price", "filled late", -100.0)], "entry on 2024-03-08, entry on 2024-03-06 in the plan",
    ),
    "entered later at the same price": (
        case(PLAN, there((5, 104.0, "target"), entry=(3, 100.0)), ENTRY),
        [("entry bar", "filled late", 0.0)], "2024-03-07",
    ),
    "entered earlier": (
        case(PLAN, there((5, 104.0, "target"), entry=(1, 99.0)), ENTRY),
        [("entry price", "filled early", 100.0)], "",
    ),
    "entered at the close in the plan": (
        case(
            course(piece(2, 100.0, 100.0, at_close=True), piece(5, 100.0, 104.0, "target")),
            there((5, 104.0, "target"), entry=(3, 100.5)), ENTRY,
        ),
        [("entry price", "a bar later", -50.0)], "",
    ),
    "worse than its limit": (
        case(
            PLAN, there((5, 104.0, "target"), entry=(2, 100.5)),
            sent(kind="limit", limit_price=100.0),
        ),
        [("entry price", UNEXPLAINED, -50.0)], "worse than its limit of 100.00",
    ),
    "filled in part": (
        case(PLAN, course(piece(2, 60.0, 100.0), piece(5, 60.0, 104.0, "target")), ENTRY),
        [("quantity", "partial fill", -160.0)], "60 at the broker, 100 in the plan; 60 of 100 filled",
    ),
    "whole lots": (
        case(
            course(piece(2, 100.7, 100.0), piece(5, 100.7, 104.0, "target")),
            there((5, 104.0, "target")), ENTRY,
        ),
        [("quantity", "rounding", -2.8)], "100 were sent",
    ),
    "made smaller": (
        case(
            PLAN, course(piece(2, 80.0, 100.0), piece(5, 80.0, 104.0, "target")),
            sent(quantity=80.0, reason="buying power"),
        ),
        [("quantity", "shrunk", -80.0)], "80 were sent: buying power",
    ),
    "the plan made its fill smaller": (
        case(
            course(piece(2, 50.0, 100.0), piece(5, 50.0, 104.0, "target")),
            there((5, 104.0, "target")), ENTRY,
            written=written("filled", shrunk="fill_buying_power"),
        ),
        [("quantity", "shrunk", 200.0)], "fill_buying_power",
    ),
    "more than was asked": (
        case(PLAN, course(piece(2, 120.0, 100.0), piece(5, 120.0, 104.0, "target")), ENTRY),
        [("quantity", "overfill", 80.0)], "100 were sent",
    ),
    "an add that was refused": (
        case(
            course(piece(2, 100.0, 100.0), piece(3, 50.0, 102.0, "add"), piece(5, 150.0, 104.0, "target")),
            there((5, 104.0, "target")), ENTRY, denied("tw-3", 50.0),
        ),
        # of 104 only the half that the adds have: what is missing cost 102
        [("quantity", "kill switch", -100.0)], "LIVE_HALTED: ada: news",
    ),
    "halted": (
        case(PLAN, None, denied()), [("entry", "kill switch", -400.0)], "LIVE_HALTED: ada: news",
    ),
    "gate": (
        case(PLAN, None, sent(state="denied", code="LIVE_UNRECONCILED", message="no answer")),
        [("entry", "gate", -400.0)], "LIVE_UNRECONCILED: no answer",
    ),
    "refused by a person": (
        case(PLAN, None, sent(state="review", message="rejected by bob: too late")),
        [("entry", "review", -400.0)], "rejected by bob: too late",
    ),
    "refused by the broker": (
        case(PLAN, None, sent(state="rejected", message="insufficient buying power")),
        [("entry", "rejected", -400.0)], "the broker said: insufficient buying power",
    ),
    "nobody knows": (
        case(PLAN, None, sent(state="unresolved", message="no answer within 10 s")),
        [("entry", "unresolved", -400.0)], "no answer within 10 s",
    ),
    "never arrived": (
        case(PLAN, None, sent(state="denied", code="LIVE_NOT_SENT", message="said twice that it has it not")),
        [("entry", "not sent", -400.0)], "",
    ),
    "not filled": (
        case(PLAN, None, sent(state="ended", kind="limit", limit_price=100.0)),
        [("entry", "not filled", -400.0)], "limit order at 100.00 ended at the broker without a fill",
    ),
    "not filled yet": (
        case(OPEN, None, sent(state="working", kind="stop", stop_price=100.0)),
        [("entry", "not filled", -400.0)], "stop order at 100.00 works still",
    ),
    "decided, and nothing on record": (
        case(PLAN, None, sent(state="absent")),
        [("entry", UNEXPLAINED, -400.0)], "decided on 2024-03-05; nothing on record",
    ),
    "nothing was decided": (case(PLAN, None), [("entry", UNEXPLAINED, -400.0)], "nothing was decided"),
    "nothing could be done": (
        case(PLAN, None, parted=[parted("unfollowed", "no such contract at the broker")]),
        [("entry", "not followed", -400.0)], "no such contract",
    ),
    "said to be filled, without a fill": (
        case(PLAN, None, sent(state="filled")), [("entry", UNEXPLAINED, -400.0)], "told of no fill",
    ),
    "cancelled in the plan, filled there": (
        case(None, there((4, 99.0, "close")), ENTRY, close(), written=written("expired", "tif_expired")),
        [("entry", "cancelled in the plan", -100.0)], "was expired (tif_expired) on 2024-03-07",
    ),
    "filled there, no bar yet": (
        case(None, course(piece(10, 100.0, 100.0), marked(100.0, 101.0)), ENTRY, written=written("working")),
        [("entry", "not yet in the plan", 100.0)], "no bar after it is complete",
    ),
    "filled there on trades that bars do not show": (
        case(None, course(piece(6, 100.0, 100.0), marked(100.0, 101.0)), ENTRY, written=written("working")),
        [("entry", "filled early", 100.0)], "still works",
    ),
    "no order of the plan": (
        case(None, there((4, 99.0, "close")), ENTRY), [("entry", UNEXPLAINED, -100.0)], "",
    ),
    "stored bars against the prices of now": (
        case(
            PLAN,
            course(
                piece(2, 100.0, 250.0, order="tw-1", stored=True),
                piece(5, 100.0, 251.0, "target", order="tw-1", stored=True),
            ),
            ENTRY,
        ),
        [("entry price", "stored bars", -15000.0), ("exit price", "stored bars", 14700.0)], "",
    ),
    "the broker's stop inside the bar": (
        case(OPEN, there((6, 95.0, "stop")), ENTRY, RESTS),
        [("exit price", "inside the bar", -900.0)], "stop at 95.00 on 2024-03-10, the plan still holds it",
    ),
    "the broker's stop before the plan's target": (
        case(PLAN, there((4, 95.0, "stop")), ENTRY, RESTS),
        [("exit price", "inside the bar", -900.0)],
        "stop at 95.00 on 2024-03-08, the plan left on 2024-03-09 at 104.00 (target)",
    ),
    "stop there and target here, in one bar": (
        case(PLAN, there((5, 95.0, "stop")), ENTRY, RESTS), [("exit price", "inside the bar", -900.0)], "",
    ),
    "the plan was told": (
        case(
            course(piece(2, 100.0, 100.0), piece(5, 100.0, 95.0, "manual")), there((4, 95.0, "stop")),
            ENTRY, RESTS, parted=[parted("left_at_broker", price=95.0)],
        ),
        [("exit bar", "inside the bar", 0.0)], "on 2024-03-09 at 95.00 (manual); the plan was told",
    ),
    "the stop has not filled yet": (
        case(
            course(piece(2, 100.0, 100.0), piece(5, 100.0, 95.0, "stop")),
            there((8, 94.0, "stop")), ENTRY, RESTS,
        ),
        [("exit price", "filled late", -100.0)], "",
    ),
    "the stop has filled a bar later, by itself": (
        case(
            course(piece(2, 100.0, 100.0), piece(5, 100.0, 95.0, "stop")),
            there((6, 94.0, "stop")), ENTRY, RESTS,
        ),
        [("exit price", "filled late", -100.0)], "",
    ),
    "a time exit": (
        case(
            course(piece(2, 100.0, 100.0), piece(5, 100.0, 103.0, "target2")),
            there((6, 102.5, "close")), ENTRY, close("part"),
        ),
        [("exit price", "a bar later", -50.0)], "close on 2024-03-10, target2 on 2024-03-09 in the plan",
    ),
    "two targets and a stop": (
        case(
            course(
                piece(2, 100.0, 100.0), piece(4, 50.0, 105.0, "target"), piece(6, 50.0, 98.0, "breakeven")
            ),
            there((5, 104.5, "close"), (6, 97.9, "stop")), ENTRY, close("part"), RESTS,
        ),
        [("exit price", "a bar later", -25.0), ("exit price", "slippage", -5.0)], "",
    ),
    "still there, the exit was refused": (
        case(
            PLAN, course(piece(2, 100.0, 100.0), marked(100.0, 103.0)), ENTRY,
            close("signal", state="rejected", message="market closed"),
        ),
        [("exit price", "rejected", -100.0)], "the broker said: market closed",
    ),
    "still there, the exit works": (
        case(PLAN, course(piece(2, 100.0, 100.0), marked(100.0, 103.0)), ENTRY, close(state="working")),
        [("exit price", "not filled", -100.0)], "works still",
    ),
    "still there, and nothing was sent": (
        case(PLAN, course(piece(2, 100.0, 100.0), marked(100.0, 103.0)), ENTRY),
        [("exit price", UNEXPLAINED, -100.0)], "nothing was sent",
    ),
    "left in the last bar": (
        case(
            course(piece(2, 100.0, 100.0), piece(9, 100.0, 104.0, "target")),
            course(piece(2, 100.0, 100.0), marked(100.0, 103.0)), ENTRY,
        ),
        [("exit price", "a bar later", -100.0)], "in the last bar",
    ),
    "closed before the plan": (
        case(OPEN, there((6, 101.0, "close")), ENTRY, close("excess")),
        [("exit price", "closed early", -300.0)], ": excess",
    ),
    "closed before the plan, without a word": (
        case(OPEN, there((6, 101.0, "close")), ENTRY, close("")),
        [("exit price", UNEXPLAINED, -300.0)], "",
    ),
    "sold by hand": (
        case(OPEN, there((6, 101.0, "foreign")), ENTRY),
        [("exit price", "foreign fill", -300.0)], "foreign at 101.00",
    ),
    "the wide stop": (
        case(OPEN, there((6, 91.0, "protective stop")), ENTRY),
        [("exit price", "protective stop", -1300.0)], "",
    ),
    "stop and target both": (
        case(
            PLAN,
            course(
                piece(2, 100.0, 100.0), piece(5, 100.0, 104.0, "target"), piece(6, 100.0, 95.0, "stop"),
                marked(-100.0, 97.0),
            ),
            ENTRY,
        ),
        [("exit", "double exit", -200.0)], "100 more left than there was",
    ),
    "fees": (
        case(
            PLAN, course(piece(2, 100.0, 100.0, fee=1.0), piece(5, 100.0, 104.0, "target", fee=1.25)), ENTRY
        ),
        [("fees", "fees", -2.25)], "2.25 at the broker, 0.00 in the plan",
    ),
    "dividends": (
        case(
            course(piece(2, 100.0, 100.0), piece(5, 100.0, 104.0, "target"), dividends=12.0),
            there((5, 104.0, "target")), ENTRY,
        ),
        [("dividends", "dividends", -12.0)], "12.00 in the plan",
    ),
    "shares that came of options": (
        case(
            course(piece(2, 100.0, 100.0), piece(5, 100.0, 104.0, "target"), other=-30.0),
            there((5, 104.0, "target")), ENTRY,
        ),
        [("profit", "settlement", 30.0)], "",
    ),
    "expired there, closed here": (
        case(PLAN, there((5, 0.0, "expiry")), ENTRY), [("exit price", "settlement", -10400.0)], "expiry",
    ),
    "a split that the books there do not have": (
        # its pieces are brought to new shares where the case is put together
        case(
            course(piece(2, 100.0, 100.0), marked(100.0, 104.0)),
            course(piece(2, 100.0, 100.0), marked(100.0, 104.0)), ENTRY, splits=[(0, 4, 2.0)],
        ),
        [("quantity", "split", 0.0)], "2 for 1 on 2024-03-08",
    ),
    "a split that the plan's bars lack": (
        case(
            course(piece(2, 100.0, 100.0), piece(5, 100.0, 52.0, "stop")),
            course(piece(2, 200.0, 50.0), piece(5, 200.0, 52.0, "stop")), ENTRY, fact_split=2.0,
        ),
        [("quantity", "split", 5200.0)], "its bars lack it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_a_difference_has_its_cause(name: str) -> None:
    one, expected, words = TABLE[name]
    found = explained_case(one)
    told = [(each.field, each.cause, each.amount) for each in found.differences]
    assert [each[:2] for each in told] == [each[:2] for each in expected], found.differences
    assert [each[2] for each in told] == pytest.approx([each[2] for each in expected])
    assert words in " ".join(each.detail for each in found.differences)
    adds_up(found)


def test_every_cause_is_met() -> None:
    met = {cause for _, expected, _ in TABLE.values() for _, cause, _ in expected}
    assert met == set(CAUSES)


def test_the_page_names_every_cause() -> None:
    page = (Path(__file__).parents[3] / "docs" / "parity.md").read_text(encoding="utf-8")
    for cause, meaning in CAUSES.items():
        assert f"| {cause} | {meaning} |" in page


def test_a_short_trade_counts_the_other_way() -> None:
    plan = course(piece(2, 100.0, 100.0), piece(5, 100.0, 95.0, "target"), side=-1)
    fact = course(piece(2, 100.0, 99.9), piece(5, 100.0, 95.1, "target"), side=-1)
    found = explained_case(case(plan, fact, ENTRY))
    assert [(one.cause, round(one.amount, 9)) for one in found.differences] == [("slippage", -10.0)] * 2
    adds_up(found)


def adds_up(found: Explained) -> None:
    """What is said is worth what the two sides are apart."""
    apart = (0.0 if found.fact is None else found.fact.profit) - (
        0.0 if found.plan is None else found.plan.profit
    )
    assert fsum(one.amount for one in found.differences) == pytest.approx(apart, abs=1e-6)
    assert found.amount == pytest.approx(apart)
