"""The examples of IRS Publication 550 ("Wash Sales") and of the rules, with figures worked by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.tax.matching import Execution, match
from journal.tax.wash_sales import Scope, Slice, apply_wash_sales, wash_window
from journal.tax_lots import holding_is_long
from tests.budget import cases

CALL, PUT, OTHER_CALL = "XYZ240621C00100000", "XYZ240621P00100000", "XYZ240719C00110000"


def do(
    key: str, day: str, side: int, quantity: float, price: float, symbol: str = "XYZ", **more: Any
) -> Execution:
    option = len(symbol) > 10
    base: dict[str, Any] = {"account": "", "underlying": "XYZ", "multiplier": 100.0 if option else 1.0}
    base["ts"] = int(datetime.fromisoformat(f"{day}T15:00:00").replace(tzinfo=UTC).timestamp()) * 10**9
    return Execution(key=key, symbol=symbol, side=side, quantity=quantity, price=price, **{**base, **more})


def washed(*executions: Execution, scope: Scope = "underlying") -> list[Slice]:
    return apply_wash_sales(match(executions).slices, scope)


def of(slices: list[Slice], key: str) -> list[Slice]:
    return [one for one in slices if one.lot.key == key]


def test_the_window_is_thirty_days_each_way() -> None:
    first, last = wash_window(date(2024, 12, 15))
    assert (first, last) == (date(2024, 11, 15), date(2025, 1, 14))
    for day, deferred in (("2024-07-31", 250.0), ("2024-08-01", 0.0)):
        slices = washed(
            do("a", "2023-01-03", 1, 100, 10.0),
            do("s", "2024-07-01", -1, 100, 7.5),
            do("b", day, 1, 100, 8.0),
        )
        assert of(slices, "b")[0].deferred == deferred


def test_the_loss_is_added_to_the_basis_of_the_new_stock() -> None:
    # Publication 550: bought for 1,000, sold for 750, bought again for 800: basis 1,050
    slices = washed(
        do("a", "2024-01-03", 1, 100, 10.0),
        do("s", "2024-07-01", -1, 100, 7.5),
        do("b", "2024-07-15", 1, 100, 8.0),
    )
    (sold,), (new,) = of(slices, "a"), of(slices, "b")
    assert (sold.raw_gain, sold.disallowed, sold.gain) == (-250.0, 250.0, 0.0)
    assert new.opened + new.deferred == 1_050.0


def test_less_stock_bought_than_sold() -> None:
    # Publication 550: 100 for 5,000, then 50 for 2,750 and 25 for 1,125; the 100 are sold for 4,000
    slices = washed(
        do("a", "2023-09-21", 1, 100, 50.0),
        do("b", "2023-12-21", 1, 50, 55.0),
        do("c", "2023-12-28", 1, 25, 45.0),
        do("s", "2024-01-04", -1, 100, 40.0),
    )
    assert sum(one.disallowed for one in of(slices, "a")) == pytest.approx(750.0)
    assert sum(one.gain for one in of(slices, "a")) == pytest.approx(-250.0)
    assert sum(one.opened + one.deferred for one in of(slices, "b")) == pytest.approx(3_250.0)
    assert sum(one.opened + one.deferred for one in of(slices, "c")) == pytest.approx(1_375.0)


def test_gains_of_other_lots_are_not_reduced() -> None:
    # Publication 550: blocks at 158, 100 and 95 sold at 125, 250 bought back: 33 a share are put off
    slices = washed(
        do("a", "2023-02-01", 1, 100, 158.0),
        do("b", "2023-03-01", 1, 100, 100.0),
        do("c", "2023-04-03", 1, 100, 95.0),
        do("s", "2023-12-22", -1, 300, 125.0),
        do("d", "2024-01-05", 1, 250, 120.0),
    )
    assert [sum(one.gain for one in of(slices, key)) for key in "abc"] == [0.0, 2_500.0, 3_000.0]
    assert sum(one.deferred for one in of(slices, "d")) == pytest.approx(3_300.0)
    assert sum(one.quantity for one in of(slices, "d") if one.deferred) == pytest.approx(100.0)


def test_the_holding_period_is_carried() -> None:
    slices = washed(
        do("a", "2023-06-01", 1, 100, 10.0),
        do("s", "2024-03-01", -1, 100, 7.5),
        do("b", "2024-03-11", 1, 100, 8.0),
        do("t", "2024-07-01", -1, 100, 9.0),
    )
    (new,) = of(slices, "b")
    assert new.tacked_days == (date(2024, 3, 1) - date(2023, 6, 1)).days == 274
    assert new.gain == pytest.approx(900 - 800 - 250)
    # 274 days of the old stock and 112 of the new one are more than a year; 112 alone are not
    start = date.fromordinal(new.lot.day.toordinal() - new.tacked_days)
    assert holding_is_long(start, date(2024, 7, 1))
    assert not holding_is_long(new.lot.day, date(2024, 7, 1))


def test_a_chain_of_wash_sales_carries_the_whole_loss_on() -> None:
    slices = washed(
        do("a", "2024-01-02", 1, 100, 10.0),
        do("s", "2024-02-01", -1, 100, 9.0),
        do("b", "2024-02-05", 1, 100, 9.5),
        do("t", "2024-03-01", -1, 100, 8.0),
        do("c", "2024-03-04", 1, 100, 8.5),
    )
    assert [one.gain for one in slices[:2]] == [0.0, 0.0]
    assert of(slices, "c")[0].deferred == pytest.approx(100 + 150)
    assert of(slices, "c")[0].tacked_days == 30 + 25  # 2 January to 1 February, 5 February to 1 March


def test_the_rest_of_the_purchase_that_was_sold_is_no_replacement() -> None:
    slices = washed(do("a", "2024-01-02", 1, 100, 10.0), do("s", "2024-01-10", -1, 50, 9.0))
    assert sum(one.disallowed for one in slices) == 0.0
    same_order = washed(
        do("a", "2024-01-02", 1, 50, 10.0, order_id="o"),
        do("b", "2024-01-02", 1, 50, 10.0, order_id="o"),
        do("s", "2024-01-10", -1, 50, 9.0),
    )
    assert sum(one.disallowed for one in same_order) == 0.0


def test_a_call_on_the_shares_counts_unless_only_the_contract_does() -> None:
    rows = (
        do("a", "2024-01-02", 1, 100, 110.0),
        do("s", "2024-05-01", -1, 100, 100.0),
        do("c", "2024-05-10", 1, 2, 3.0, CALL),
    )
    slices = washed(*rows)
    assert sum(one.disallowed for one in of(slices, "a")) == pytest.approx(1_000.0)
    # one contract is 100 shares: the other one is free
    assert sorted((one.quantity, one.deferred) for one in of(slices, "c")) == [(1.0, 0.0), (1.0, 1_000.0)]
    assert sum(one.disallowed for one in washed(*rows, scope="contract")) == 0.0


def test_options_of_one_direction_count_and_written_ones_do_not() -> None:
    def lost(symbol: str, again: str, side: int = 1) -> float:
        slices = washed(
            do("a", "2024-04-01", side, 1, 3.0 if side > 0 else 1.0, symbol),
            do("s", "2024-05-01", -side, 1, 1.0 if side > 0 else 3.0, symbol),
            do("b", "2024-05-06", side, 1, 2.0, again),
        )
        return sum(one.disallowed for one in slices)

    assert lost(CALL, OTHER_CALL) == pytest.approx(200.0)
    assert lost(CALL, PUT) == 0.0
    assert lost(PUT, PUT) == pytest.approx(200.0)
    assert lost(PUT, PUT, side=-1) == 0.0


def test_a_short_sale_is_washed_by_another_short_sale() -> None:
    slices = washed(
        do("a", "2024-04-01", -1, 100, 10.0),
        do("c", "2024-05-01", 1, 100, 12.0),
        do("b", "2024-05-06", -1, 100, 11.0),
        do("d", "2024-06-20", 1, 100, 10.0),
    )
    assert [one.gain for one in slices] == [0.0, pytest.approx(100.0 - 200.0)]


def test_what_was_sold_before_the_loss_replaces_nothing() -> None:
    slices = washed(
        do("a", "2023-01-02", 1, 100, 10.0, account="x"),
        do("b", "2024-05-02", 1, 100, 8.0, account="y"),
        do("t", "2024-05-06", -1, 100, 8.5, account="y"),
        do("s", "2024-05-10", -1, 100, 7.0, account="x"),
    )
    assert sum(one.disallowed for one in slices) == 0.0


def test_accounts_are_matched_with_one_another() -> None:
    slices = washed(
        do("a", "2023-01-02", 1, 100, 10.0, account="x"),
        do("s", "2024-05-10", -1, 100, 7.0, account="x"),
        do("b", "2024-05-12", 1, 100, 8.0, account="y"),
    )
    assert of(slices, "b")[0].deferred == pytest.approx(300.0)


trading = st.lists(
    st.tuples(
        st.sampled_from(["XYZ", CALL, PUT]),
        st.sampled_from([-1, 1]),
        st.integers(1, 4),
        st.integers(0, 500),
        st.integers(0, 25),
    ),
    max_size=25,
)


@cases(many=300, few=60)
@given(trading, st.sampled_from(["underlying", "contract"]))
def test_wash_sales_move_losses_and_lose_none(drawn: list[Any], scope: Scope) -> None:
    day, rows = date(2024, 1, 2).toordinal(), []
    for number, (symbol, side, quantity, cents, days) in enumerate(drawn):
        day += days
        unit = 100 if symbol == "XYZ" else 1
        when = date.fromordinal(day).isoformat()
        rows.append(do(f"k{number:03d}", when, side, quantity * unit, cents / 100, symbol))
    plain = match(rows).slices
    before = sum(one.raw_gain for one in plain if one.closed_day)
    slices = washed(*rows, scope=scope)
    assert sum(one.raw_gain for one in slices if one.closed_day) == pytest.approx(before, abs=1e-6)
    disallowed = sum(one.disallowed for one in slices)
    assert disallowed == pytest.approx(sum(one.deferred for one in slices), abs=1e-6)
    after = sum(one.gain for one in slices if one.closed_day)
    waiting = sum(one.deferred for one in slices if one.closed_day is None)
    assert after - waiting == pytest.approx(before, abs=1e-6)
    for one in slices:
        assert one.disallowed >= 0
        assert one.deferred >= 0
        assert one.quantity > 0
        if one.disallowed:
            # what is put off is the whole loss of its slice, and something took it over within the window
            assert one.gain == pytest.approx(0.0, abs=1e-6)
            assert one.closed_day is not None
            near = [
                other
                for other in slices
                if other.replaces and abs((other.lot.day - one.closed_day).days) <= 30
            ]
            assert near
