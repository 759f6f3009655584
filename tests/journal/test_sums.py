"""What a trade comes to does not depend on who told of its fills: a statement, somebody's hand, or both."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from journal import Trade, TradeJournal
from journal.statements import import_statement

NOW = datetime(2026, 5, 1, tzinfo=UTC)
approx: Any = pytest.approx


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[TradeJournal]:
    with TradeJournal(tmp_path / "journal.db", clock=lambda: NOW) as one:
        yield one


def fill(day: int, symbol: str, intent: str, quantity: float, price: float, key: str = "0") -> dict[str, Any]:
    side, _, effect = intent.partition("_")
    return {
        "activity_type": "FILL", "id": f"202603{day:02}::{symbol}{key}", "price": f"{price:.4f}",
        "qty": f"{quantity:g}", "side": side, "position_intent": f"{side}_{effect}", "symbol": symbol,
        "transaction_time": f"2026-03-{day:02}T15:00:00Z", "order_id": f"order-{day}{key}",
    }  # fmt: skip


def split(day: int, symbol: str, before: float, after: float) -> list[dict[str, Any]]:
    return [
        {"activity_type": "SPLIT", "id": f"2026-{day}::{word}", "date": f"2026-03-{day:02}", "symbol": symbol,
         "net_amount": "0", "qty": f"{quantity:g}", "price": "1"}
        for word, quantity in (("out", -before), ("in", after))
    ]  # fmt: skip


def read(journal: TradeJournal, rows: list[dict[str, Any]], folder: Path, name: str = "one") -> None:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(rows))
    import_statement(journal, path, broker="alpaca")


def only(journal: TradeJournal) -> Trade:
    (trade,) = journal.trades()
    return trade


def test_a_spread_of_a_statement_is_closed_by_hand(journal: TradeJournal, tmp_path: Path) -> None:
    short, long = "SPY260417P00500000", "SPY260417P00495000"
    read(
        journal,
        [fill(3, short, "sell_to_open", 26, 2.10), fill(3, long, "buy_to_open", 26, 1.50)],
        tmp_path,
    )
    number = only(journal).id
    journal.log_trade_exit(number, exit_debit=0.30, quantity=10, when=datetime(2026, 3, 20, tzinfo=UTC))
    trade = only(journal)
    assert (trade.entry_price, trade.exit_price) == (approx(0.60), approx(0.30))
    assert trade.gross_pnl == approx(10 * 30.0)
    assert (trade.quantity, trade.open_quantity) == (26.0, 16.0)
    journal.log_trade_exit(number, exit_debit=0.0, close_reason="expiry", fees=2.0)
    trade = only(journal)
    assert trade.gross_pnl == approx(10 * 30.0 + 16 * 60.0)
    assert trade.pnl == approx(10 * 30.0 + 16 * 60.0 - 2.0)
    assert trade.capture_percent == approx(100 * 1260 / 1560)


def test_a_ratio_spread_and_a_covered_call_are_closed_by_hand(journal: TradeJournal, tmp_path: Path) -> None:
    # 3 packages of one bought and two sold calls for 2.50 - 2 x 1.00 = 0.50, sold for 0.90
    rows = [
        fill(3, "QQQ260417C00500000", "buy_to_open", 3, 2.50),
        fill(3, "QQQ260417C00510000", "sell_to_open", 6, 1.00),
    ]
    read(journal, rows, tmp_path)
    ratio = only(journal)
    assert (ratio.quantity, ratio.entry_price, ratio.side) == (3.0, approx(0.50), 1)
    journal.log_trade_exit(ratio.id, exit_price=0.90, quantity=1)
    journal.log_trade_exit(ratio.id, exit_price=0.80)
    assert only(journal).gross_pnl == approx(40.0 + 2 * 30.0)
    # 200 shares at 50 with two calls sold at 1: 49 net, closed at 51 net
    rows = [
        fill(4, "ACME", "buy_to_open", 200, 50.0),
        fill(4, "ACME260417C00055000", "sell_to_open", 2, 1.00),
    ]
    read(journal, rows, tmp_path, "two")
    (covered,) = journal.trades(symbol="ACME", status="open")
    assert (covered.kind, covered.quantity, covered.entry_price) == ("option", 2.0, approx(49.0))
    journal.log_trade_exit(covered.id, exit_price=51.0, quantity=1)
    assert journal.trade(covered.id).gross_pnl == approx(200.0)


def test_shares_that_were_split_are_closed_by_hand(journal: TradeJournal, tmp_path: Path) -> None:
    # 100 at 50, of which 20 are sold at 60; then 80 become 160, of which 60 go at 31 and 100 at 24
    rows = [fill(3, "ACME", "buy_to_open", 100, 50.0), fill(5, "ACME", "sell_to_close", 20, 60.0)]
    read(journal, [*rows, *split(9, "ACME", 80, 160)], tmp_path)
    trade = only(journal)
    assert (trade.quantity, trade.open_quantity, trade.entry_price) == (200.0, 160.0, approx(25.0))
    journal.log_trade_exit(trade.id, exit_price=31.0, quantity=60)
    trade = only(journal)
    assert (trade.entry_price, trade.open_quantity) == (approx(25.0), 100.0)
    assert trade.gross_pnl == approx(20 * 10.0 + 60 * 6.0)
    journal.log_trade_exit(trade.id, exit_price=24.0)
    assert only(journal).gross_pnl == approx(20 * 10.0 + 60 * 6.0 - 100.0)
    assert only(journal).exit_price == approx((20 * 60.0 + 60 * 31.0 + 100 * 24.0) / 200)


class Package(NamedTuple):
    """Legs with what they cost at the entry and at two exits, and the packages that each exit closes."""

    legs: list[tuple[str, int, int]]
    prices: list[list[float]]
    closed: tuple[int, int]


@some.composite
def packages(draw: some.DrawFn) -> Package:
    count = draw(some.integers(1, 4))
    strikes = draw(some.lists(some.integers(80, 120), min_size=count, max_size=count, unique=True))
    ratios = [1, *draw(some.lists(some.integers(1, 3), min_size=count - 1, max_size=count - 1))]
    sides = draw(some.lists(some.sampled_from([-1, 1]), min_size=count, max_size=count))
    legs = [
        (f"SPY260417{draw(some.sampled_from('CP'))}00{strike:03}000", side, ratio)
        for strike, side, ratio in zip(strikes, sides, ratios, strict=True)
    ]
    entry = [draw(some.integers(1, 200)) / 20 for _ in legs]
    if sum(side * ratio * price for (_, side, ratio), price in zip(legs, entry, strict=True)) == 0:
        entry[0] += 0.05
    factors = draw(some.lists(some.sampled_from([0.2, 0.6, 1.0, 1.4, 2.0]), min_size=2, max_size=2))
    prices = [entry, *([round(price * factor, 4) for price in entry] for factor in factors)]
    return Package(legs, prices, (draw(some.integers(1, 9)), draw(some.integers(1, 9))))


def statement_rows(package: Package, moment: int) -> list[dict[str, Any]]:
    """Rows of the entry (0) or of an exit, one a leg."""
    whole = sum(package.closed) if moment == 0 else package.closed[moment - 1]
    rows = []
    for (symbol, side, ratio), price in zip(package.legs, package.prices[moment], strict=True):
        word = "buy" if (side > 0) == (moment == 0) else "sell"
        intent = f"{word}_to_{'close' if moment else 'open'}"
        rows.append(fill(3 + 4 * moment, symbol, intent, whole * ratio, price))
    return rows


def by_hand(journal: TradeJournal, package: Package, moment: int, *, legs: bool) -> None:
    number, when = only(journal).id, datetime(2026, 3, 3 + 4 * moment, 15, tzinfo=UTC)
    whole = package.closed[moment - 1]
    if legs:
        for (symbol, _, ratio), price in zip(package.legs, package.prices[moment], strict=True):
            journal.log_leg_exit(number, symbol, price, quantity=whole * ratio, when=when)
        return
    worth = sum(
        side * ratio * price
        for (_, side, ratio), price in zip(package.legs, package.prices[moment], strict=True)
    )
    side = only(journal).side
    journal.log_trade_exit(number, exit_price=side * worth, quantity=whole, when=when)


@settings(derandomize=True, database=None, deadline=None, max_examples=8)
@given(package=packages())
def test_who_closes_does_not_matter(package: Package) -> None:
    found = []
    for how in ("statement", "hand", "statement, then hand", "legs", "statement, then legs"):
        with (
            tempfile.TemporaryDirectory() as folder,
            TradeJournal(Path(folder) / "journal.db", clock=lambda: NOW) as journal,
        ):
            shown = {"statement": (0, 1, 2)}.get(how, (0, 1) if how.startswith("statement") else (0,))
            rows = [row for moment in shown for row in statement_rows(package, moment)]
            read(journal, rows, Path(folder))
            for moment in (1, 2):
                if moment not in shown:
                    by_hand(journal, package, moment, legs="legs" in how)
            trade = only(journal)
            assert trade.status == "closed"
            assert trade.quantity == sum(package.closed)
            found.append((trade.entry_price, trade.exit_price, trade.gross_pnl, trade.pnl))
    cash = sum(
        -side * ratio * package.prices[moment][place] * count * 100.0
        for place, (_, side, ratio) in enumerate(package.legs)
        for moment, count in ((0, sum(package.closed)), (1, -package.closed[0]), (2, -package.closed[1]))
    )
    for entry, out, gross, pnl in found:
        assert (gross, pnl) == (approx(cash, abs=1e-6), approx(cash, abs=1e-6))
        assert (entry, out) == (approx(found[0][0], abs=1e-9), approx(found[0][1], abs=1e-9))
