from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.statements.grouping import Group, Grouping, group
from journal.statements.rows import StatementRow, contract
from journal.statements.shape import close_code_of, package_of, strategy_of, trade_values
from tests.budget import cases

approx: Any = pytest.approx  # stands in tuples, which its own type does not

SECOND = 1_000_000_000
PUT, LOWER, CALL = "SPY260417P00500000", "SPY260417P00495000", "SPY260417C00520000"


def row(number: int, side: int, symbol: str, quantity: float, price: float, **more: Any) -> StatementRow:
    option = contract(symbol)
    base: dict[str, Any] = {
        "key": f"k{number:04d}",
        "identity": "",
        "ts": number * 3_600 * SECOND,
        "kind": "trade",
        "effect": "",
        "symbol": symbol,
        "underlying": option.underlying if option else symbol,
        "side": side,
        "quantity": quantity,
        "price": price,
        "multiplier": 100.0 if option else 1.0,
    }
    return StatementRow(**{**base, **more})


def profit(one: Group) -> float:
    return float(trade_values(one, package_of(one), one.parts)["gross_pnl"])


def spread(number: int, order: str, quantity: float = 1.0, opening: bool = True) -> list[StatementRow]:
    effect = "open" if opening else "close"
    side = -1 if opening else 1
    when = {"ts": number * 3_600 * SECOND, "effect": effect, "order_id": order}
    return [
        row(number, side, PUT, quantity, 2.0, **when),
        row(number + 1, -side, LOWER, quantity, 1.5, **when),
    ]


def test_legs_of_one_order_are_one_trade() -> None:
    (one,) = group(spread(1, "a", 3.0)).groups
    held = package_of(one)
    assert (held.quantity, held.ratios) == (3.0, {PUT: 1.0, LOWER: 1.0})
    values = trade_values(one, held, one.parts)
    assert (values["side"], values["entry_price"], values["max_loss"]) == (-1, 0.5, 3 * 450.0)
    assert (strategy_of(one), values["width"]) == ("short-put-spread", 5.0)


def test_equal_trades_close_oldest_first_leg_by_leg() -> None:
    rows = [*spread(1, "a"), *spread(3, "b"), *spread(5, "c", opening=False)]
    first, second = group(rows).groups
    assert not first.is_open
    assert all(leg.open == 1.0 for leg in second.legs.values())


def test_an_order_closes_the_trade_that_holds_its_contracts() -> None:
    naked = row(1, -1, PUT, 1.0, 2.0, effect="open", order_id="n")
    first, second = group([naked, *spread(3, "a"), *spread(5, "c", opening=False)]).groups
    assert first.is_open
    assert not second.is_open
    alone = row(7, 1, PUT, 1.0, 0.5, effect="close", order_id="d")
    both = group([naked, *spread(3, "a"), alone]).groups
    assert [one.is_open for one in both] == [False, True]
    assert all(leg.open for leg in both[1].legs.values())


def test_one_fill_may_close_two_trades_and_its_fees_are_shared() -> None:
    rows = [
        row(1, -1, PUT, 2.0, 2.0, effect="open", order_id="a"),
        row(2, -1, PUT, 1.0, 2.2, effect="open", order_id="b"),
        row(3, 1, PUT, 3.0, 1.0, effect="close", order_id="c", fees=3.0),
    ]
    first, second = group(rows).groups
    assert [part.fees for one in (first, second) for part in one.parts if part.effect == "close"] == [
        2.0,
        1.0,
    ]
    assert (profit(first), profit(second)) == (approx(200.0), approx(120.0))


def test_shares_flip_through_zero_and_additions_stay_in_one_trade() -> None:
    rows = [
        row(1, 1, "ACME", 100.0, 10.0),
        row(2, 1, "ACME", 50.0, 11.0),
        row(3, -1, "ACME", 200.0, 12.0),
        row(4, 1, "ACME", 50.0, 11.0),
    ]
    longer, shorter = group(rows).groups
    assert (package_of(longer).quantity, profit(longer)) == (150.0, approx(250.0))
    assert (package_of(shorter).quantity, profit(shorter)) == (50.0, approx(50.0))


def test_a_package_with_shares_is_one_trade() -> None:
    rows = [
        row(1, 1, "SPY", 200.0, 510.0, effect="open", order_id="a"),
        row(2, -1, CALL, 2.0, 3.0, effect="open", order_id="a"),
    ]
    (one,) = group(rows).groups
    held = package_of(one)
    values = trade_values(one, held, one.parts)
    assert (strategy_of(one), held.quantity, held.ratios["SPY"]) == ("covered-call", 2.0, 1.0)
    assert (values["entry_price"], values["side"]) == (approx(507.0), 1)
    assert values["max_profit"] == approx(200 * (520 - 507))


def test_a_called_covered_call_closes_the_shares_it_covered() -> None:
    rows = [
        row(1, 1, "SPY", 100.0, 480.0),
        row(2, 1, "SPY", 100.0, 510.0, effect="open", order_id="a"),
        row(3, -1, CALL, 1.0, 3.0, effect="open", order_id="a"),
        row(9, 1, CALL, 1.0, 0.0, kind="assignment", effect="close"),
        row(10, -1, "SPY", 100.0, 520.0, kind="exercise", delivered=True, ts=9 * 3_600 * SECOND),
    ]
    held, covered = group(rows).groups
    assert held.is_open
    assert (covered.is_open, close_code_of(covered)) == (False, "assignment")
    assert profit(covered) == approx(1300.0)


def test_a_partial_assignment_leaves_the_rest() -> None:
    rows = [
        row(1, -1, PUT, 3.0, 2.0, effect="open", order_id="a"),
        row(5, 1, PUT, 1.0, 0.0, kind="assignment", effect="close"),
        row(6, 1, "SPY", 100.0, 500.0, kind="exercise", delivered=True, ts=5 * 3_600 * SECOND),
    ]
    puts, shares = group(rows).groups
    assert puts.legs[PUT].open == 2.0
    assert shares.parent is puts
    assert {part.kind for part in shares.parts} == {"assignment"}
    assert not group(rows).unmatched
    missing = group(rows[:2])
    assert "no row moves the shares" in missing.unmatched[0].reason


def test_an_expiry_without_a_side_takes_the_side_of_the_position() -> None:
    rows = [
        row(1, 1, PUT, 2.0, 2.0, effect="open", order_id="a"),
        row(5, 0, PUT, 2.0, 0.0, kind="expiry", effect="close"),
    ]
    (one,) = group(rows).groups
    assert (one.parts[-1].side, close_code_of(one), profit(one)) == (-1, "expiry", -400.0)


def test_a_roll_links_the_trades_of_one_order() -> None:
    later = "SPY260515P00490000"
    rows = [
        row(1, -1, PUT, 1.0, 2.0, effect="open", order_id="a"),
        row(5, 1, PUT, 1.0, 3.0, effect="close", order_id="r"),
        row(5, -1, later, 1.0, 4.0, effect="open", order_id="r", key="k0006"),
    ]
    first, second = group(rows).groups
    assert second.rolled_from is first
    assert close_code_of(first) == "roll"


actions = st.lists(
    st.tuples(
        st.sampled_from(["SPY", PUT, LOWER, CALL]),
        st.sampled_from([-1, 1]),
        st.integers(1, 5),
        st.integers(0, 400),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=24,
)


def fills(drawn: list[tuple[str, int, int, int, int, bool]]) -> list[StatementRow]:
    """Return fills whose effects are left to the position, some sharing an order, some a time."""
    rows = []
    hour = 0
    for number, (symbol, side, quantity, cents, order, later) in enumerate(drawn):
        hour += later
        unit = 100.0 if symbol == "SPY" else 1.0
        given = {"ts": hour * 3_600 * SECOND, "order_id": f"o{hour}{order}" if order else "", "fees": 0.5}
        rows.append(row(number, side, symbol, quantity * unit, cents / 100, **given))
    return rows


def told(found: Grouping) -> Any:
    groups = [
        (
            [(part.row.key, part.effect, part.side, part.quantity) for part in one.parts],
            one.rolled_from.number if one.rolled_from else None,
            {symbol: (leg.side, leg.open) for symbol, leg in one.legs.items()},
        )
        for one in found.groups
    ]
    return groups, [(miss.row.key, miss.quantity) for miss in found.unmatched]


@cases(many=300, few=60)
@given(actions, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(drawn: list[Any], chance: Any) -> None:
    rows = fills(drawn)
    mixed = rows.copy()
    chance.shuffle(mixed)
    assert told(group(rows)) == told(group(mixed))


@cases(many=300, few=60)
@given(actions)
def test_cash_and_positions_are_conserved(drawn: list[Any]) -> None:
    rows = fills(drawn)
    found = group(rows)
    assert not found.unmatched
    cash = sum(-one.side * one.quantity * one.price * one.multiplier - one.fees for one in rows)
    profits, entries = 0.0, 0.0
    for one in found.groups:
        held = package_of(one)
        values = trade_values(one, held, one.parts)
        profits += values["pnl"]
        entries += values["side"] * values["entry_price"] * held.open_quantity * held.multiplier
        assert 0 <= held.open_quantity <= held.quantity
        assert (values["status"] == "open") == one.is_open
    assert profits - entries == approx(cash, abs=1e-6)
    for symbol in {one.symbol for one in rows}:
        net = sum(one.side * one.quantity for one in rows if one.symbol == symbol)
        legs = [one.legs[symbol] for one in found.groups if symbol in one.legs]
        assert sum(leg.side * leg.open for leg in legs) == approx(net)
        # the broker nets: a contract is never held long and short at once
        assert len({leg.side for leg in legs if leg.open}) <= 1
