"""How a session at a broker looks in a terminal: the plan and the account at the broker, side by side.

The plan is what the engine holds, the fact what the broker answered last. A row is a symbol of either: how
much both have, at what price, where the plan's stop is and where one rests at the broker, how long some of it
stood without one, and what would be lost if the process died now. Where they differ, the row says so in
colour. `render_live` draws what it is given and asks nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from twinstep.paper_view import (
    WIDE,
    DeskView,
    age_words,
    cell_text,
    dim_text,
    head_text,
    make_grid,
    money_text,
    orders_table,
    price_word,
    requests_table,
    status_text,
    verdicts_table,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

    from live.brokers.interface import BrokerOrder
    from live.following.standing import HeldPosition, Standing

__all__ = ["LiveView", "left_working", "order_words", "render_live", "standing_line", "trouble_words"]

PROBLEMS: Final = 4
"""Problems and differences shown; the rest is counted."""

_DUST: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """Everything that the view shows.

    Attributes
    ----------
    plan
        As `twinstep paper` would show it.
    fact
        None before the first look at the broker.
    now
        Aware.
    """

    plan: DeskView
    fact: Standing | None
    now: datetime

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the width of the terminal."""
        yield from render_live(self, options.max_width)


def render_live(view: LiveView, width: int) -> RenderResult:
    """Yield the parts of the view for so many columns."""
    plan, fact = view.plan, view.fact
    account = plan.account
    yield head_text(plan)
    if fact is not None:
        yield _fact(fact, view.now, width)
        yield from _trouble(fact)
    if account is not None:
        yield cell_text("plan ", "dim").append_text(money_text(account, width - 5))
    yield status_text(plan)
    if plan.requests:
        yield requests_table(plan.requests)
    rows = _rows(view)
    yield _side_by_side(rows, view.now, wide=width >= WIDE) if rows else dim_text("no open position")
    if account is not None and account.orders:
        yield orders_table(account.orders)
    if account is not None and account.verdicts:
        yield verdicts_table(account.verdicts, wide=width >= WIDE)


def standing_line(fact: Standing, now: datetime, *, brief: bool = False) -> str:
    """Return the account at the broker in one line, for where no terminal is.

    Parameters
    ----------
    brief
        Without what does not change between two lines: broker, account and kind.
    """
    naked = [one.symbol for one in fact.positions if one.naked > _DUST]
    bare = f"  WITHOUT A STOP: {', '.join(naked)}" if naked else ""
    head = f"  {fact.broker} equity {_money(fact.equity)}" if brief else _worth(fact, now)
    return (
        f"{head}  held {len(fact.positions)}  at work {len(fact.orders)}  lost if it died now "
        f"{_loss_of(fact)}{bare}"
    )


def trouble_words(fact: Standing) -> list[str]:
    """Return what wants somebody's attention: differences, unanswered questions, dear fills."""
    costs = fact.slippage or {}
    found = [*(f"differs: {one}" for one in fact.differences), *fact.problems, *costs.get("drifts", ())]
    if costs.get("demoted_since"):
        found.append(f"orders wait for a person since {costs['demoted_since']}: {costs['demoted_why']}")
    return found


def left_working(fact: Standing) -> list[str]:
    """Return, in words, what stays when the session ends: orders at work, positions and what guards them."""
    lines = [f"left working at {fact.broker}: {order_words(one)}" for one in fact.orders]
    for held in fact.positions:
        guard = (
            f"{held.guarded:g} behind a stop at {price_word(held.stop)}"
            if held.naked <= _DUST
            else f"{held.naked:g} of it WITHOUT a stop"
        )
        lines.append(f"left open at {fact.broker}: {held.quantity:+g} {held.symbol}, {guard}")
    return lines


def order_words(order: BrokerOrder) -> str:
    """Return an order in words, as "sell 20 AAPL stop 96.00"."""
    legs = "/".join(f"{leg.quantity:+g} {leg.symbol}" for leg in order.legs)
    if len(order.legs) == 1:
        leg = order.legs[0]
        legs = f"{'buy' if leg.quantity > 0 else 'sell'} {order.quantity:g} {leg.symbol}"
    prices = [
        f"{name} {price:.2f}"
        for name, price in (("stop", order.stop_price), ("limit", order.limit_price))
        if price is not None
    ]
    done = f", {order.filled:g} filled" if order.filled else ""
    return f"{legs} {' '.join(prices) or order.kind}{done} ({order.client_order_id or order.order_id})"


@dataclass(frozen=True, slots=True)
class _Row:
    symbol: str
    planned: float
    held: HeldPosition | None
    entry: float | None
    stop: float | None

    @property
    def there(self) -> float:
        return 0.0 if self.held is None else self.held.quantity


def _rows(view: LiveView) -> list[_Row]:
    account, fact = view.plan.account, view.fact
    planned = {} if account is None else {one.symbol: one for one in account.positions if not one.legs}
    held = {} if fact is None else {one.symbol: one for one in fact.positions}
    rows = []
    for symbol in sorted(planned.keys() | held.keys()):
        plan = planned.get(symbol)
        rows.append(
            _Row(
                symbol,
                0.0 if plan is None else plan.quantity,
                held.get(symbol),
                None if plan is None else plan.entry,
                None if plan is None else plan.stop,
            )
        )
    packages = () if account is None else [one for one in account.positions if one.legs]
    return rows + [
        _Row(f"{one.symbol} {one.legs}", one.quantity, None, one.entry, one.stop) for one in packages
    ]


def _side_by_side(rows: list[_Row], now: datetime, *, wide: bool) -> Table:
    columns = ["symbol", "plan", "held", "plan stop", "rests at", "bare", "for", "if died"]
    if wide:
        columns[3:3] = ["planned at", "paid", "mark"]
    grid = make_grid(columns, left=("symbol",))
    for row in rows:
        held = row.held
        same = abs(row.planned - row.there) <= _DUST
        bare = 0.0 if held is None else held.naked
        cells = {
            "symbol": row.symbol,
            "plan": f"{row.planned:g}",
            "held": f"{row.there:g}",
            "planned at": price_word(row.entry),
            "paid": price_word(None if held is None else held.average_price),
            "mark": price_word(None if held is None else held.mark),
            "plan stop": price_word(row.stop),
            "rests at": price_word(None if held is None else held.stop),
            "bare": f"{bare:g}" if bare > _DUST else "-",
            "for": _bare_words(held, now),
            "if died": _loss_words(held),
        }
        styles = {
            "symbol": "bold",
            "held": "" if same else "bold yellow",
            "bare": "bold red" if bare > _DUST else "",
            "for": "bold red" if bare > _DUST else "dim",
        }
        grid.add_row(*(cell_text(cells[name], styles.get(name, "")) for name in columns))
    return grid


def _fact(fact: Standing, now: datetime, width: int) -> Text:
    lines = [""]
    for part in _worth_parts(fact, now):
        longer = f"{lines[-1]}, {part}" if lines[-1] else part
        if lines[-1] and len(longer) > width:
            lines.append(part)
        else:
            lines[-1] = longer
    return cell_text("\n".join(lines), "bold" if fact.kind == "LIVE" else "")


def _worth(fact: Standing, now: datetime) -> str:
    return ", ".join(_worth_parts(fact, now))


def _worth_parts(fact: Standing, now: datetime) -> tuple[str, ...]:
    """Return what the account is worth, in parts that stay whole."""
    money = "REAL MONEY" if fact.kind == "LIVE" else "orders go nowhere" if fact.kind == "SHADOW" else "paper"
    asked = "not asked yet" if fact.at is None else f"asked {age_words(_age(fact.at, now))} ago"
    return (
        f"{fact.broker} {fact.account} ({money}, {fact.execution}): equity {_money(fact.equity)}",
        f"cash {_money(fact.cash)} {fact.currency}",
        asked,
    )


def _trouble(fact: Standing) -> list[Text]:
    words = trouble_words(fact)
    shown = [cell_text(one, "bold red") for one in words[:PROBLEMS]]
    if len(words) > PROBLEMS:
        shown.append(cell_text(f"and {len(words) - PROBLEMS} more", "red"))
    return shown


def _bare_words(held: HeldPosition | None, now: datetime) -> str:
    """Return for how long some of a position stands bare, or stood so in all, in brackets."""
    if held is None:
        return "-"
    if held.naked_since is not None:
        return age_words(_age(held.naked_since, now))
    return f"({age_words(held.naked_seconds)})" if held.naked_seconds >= 1.0 else "-"


def _loss_words(held: HeldPosition | None) -> str:
    if held is None:
        return "-"
    loss = _loss(held)
    return "unknown" if loss is None else "no limit" if loss == float("inf") else f"{loss:,.2f}"


def _loss(held: HeldPosition) -> float | None:
    parts = (held.loss_at_stops, held.open_loss if held.naked > _DUST else 0.0)
    return None if parts[0] is None or parts[1] is None else parts[0] + parts[1]


def _loss_of(fact: Standing) -> str:
    losses = [_loss(held) for held in fact.positions]
    if any(loss is None for loss in losses):
        return "unknown"
    total = sum(loss for loss in losses if loss is not None)
    return "no limit" if total == float("inf") else f"{total:,.2f}"


def _money(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"


def _age(then: datetime, now: datetime) -> float:
    return max(0.0, (now - then.astimezone(UTC)).total_seconds())
