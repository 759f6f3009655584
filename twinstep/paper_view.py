"""How an account looks in a terminal: head and money, then requests, positions, working orders, verdicts.

`render` draws what it is given and asks nobody, so the same drawing serves a running session, a look at the
journal, and a test. It is made for 80 columns; from `WIDE` on there is room for more. What needs attention,
a halt, old data, a request that waits, stands at the top, where a short terminal cuts nothing off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from twinstep.account_lines import AccountLines, OrderLine, PositionLine, VerdictLine
from twinstep.console import plain_times, price_text
from twinstep.fact_lines import FactLines

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "DeskView", "FeedLine", "RequestLine", "account_line", "age_words", "cell_text", "dim_text", "fact_words",
    "head_text", "make_grid", "money_text", "orders_table", "price_word", "render", "requests_table",
    "status_text", "verdicts_table",
]  # fmt: skip

WIDE: Final = 110
ORDERS: Final = 6
"""Working orders shown; the rest is counted."""

_COLOURS: Final = {"ACTIVE": "green", "REDUCING": "yellow", "HALTED": "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """One order that waits for a person."""

    request_id: str
    what: str
    expires: datetime
    broker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLine:
    """Where bars come from.

    Attributes
    ----------
    state
        In a word or two: "live", "replay", "stale".
    age
        Seconds since the last data; None where it does not matter.
    stale
        Whether that is too long.
    """

    name: str
    state: str
    age: float | None = None
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskView:
    """Everything that the view shows.

    Attributes
    ----------
    account
        None where nobody knows it.
    switch, why
        State of the kill switch, and why it is so; "" where the session has none.
    fact
        What is at the broker, as last recorded: the account's figures are then the plan's. None where the
        session's orders go to no broker, or the fact is shown elsewhere.
    """

    account: AccountLines | None
    switch: str = ""
    why: str = ""
    mode: str = "PAPER"
    requests: tuple[RequestLine, ...] = ()
    feed: FeedLine | None = None
    closed: int | None = None
    fact: FactLines | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the width of the terminal."""
        yield from render(self, options.max_width)


def render(view: DeskView, width: int) -> RenderResult:
    """Yield the parts of the view for so many columns."""
    account = view.account
    yield head_text(view)
    fact = view.fact
    if account is not None and fact is None:
        yield money_text(account, width)
    elif account is not None:
        yield cell_text("plan ", "dim").append_text(money_text(account, width - 5))
    yield status_text(view)
    if view.requests:
        yield requests_table(view.requests)
    if account is not None:
        if fact is not None:
            if account.positions or fact.positions:
                yield _beside(account.positions, fact)
            yield dim_text(fact_words(fact))
        elif account.positions:
            yield _positions(account.positions, wide=width >= WIDE)
        else:
            yield dim_text("no open position")
        if account.orders:
            yield orders_table(account.orders)
        if account.verdicts:
            yield verdicts_table(account.verdicts, wide=width >= WIDE)


def account_line(account: AccountLines, state: str = "") -> str:
    """Return the account in one line, for where no terminal is."""
    halted = state or account.halt
    return (
        f"{_day(account.ts)}  equity {account.equity:,.2f}  day {account.day:+,.2f} "
        f"({account.day_pct:+.2f} %)  heat {_heat(account)}  open {len(account.positions)}  "
        f"working {len(account.orders)}  {halted}"
    )


def age_words(seconds: float) -> str:
    """Return a span in words: 8 s, 3 min, 2.5 h, 4 d."""
    for limit, unit, word in ((100.0, 1.0, "s"), (6_000.0, 60.0, "min"), (172_800.0, 3_600.0, "h")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {word}" if unit == 3_600.0 else f"{seconds / unit:.0f} {word}"
    return f"{seconds / 86_400.0:.0f} d"


def head_text(view: DeskView) -> Text:
    """Return mode, state, name and time of an account, and why it is halted."""
    from rich.text import Text

    account = view.account
    states = [state for state in (view.switch, "" if account is None else account.halt) if state]
    worst = max(states, key=list(_COLOURS).index, default="")
    text = Text()
    text.append(f" {view.mode} ", "bold reverse red" if view.mode == "LIVE" else "bold reverse")
    if worst:
        word = "armed" if worst == "ACTIVE" else worst
        text.append(f" {word} ", f"bold {'reverse ' if worst == 'HALTED' else ''}{_COLOURS[worst]}")
    if account is not None:
        text.append(f" {account.session}", "bold")
        text.append(f"  {_day(account.ts)}  bar {account.bars:,}")
    for why in _reasons(view):
        text.append(f"\n{why}", f"bold {_COLOURS.get(worst, '')}")
    return text


def _reasons(view: DeskView) -> list[str]:
    account = view.account
    found = []
    if view.switch not in ("", "ACTIVE"):
        found.append(plain_times(f"kill switch {view.switch}: {view.why}"))
    if account is not None and account.halt != "ACTIVE":
        found.append(plain_times(f"account {account.halt}: {account.halt_why or 'unknown'}"))
    return found


def money_text(account: AccountLines, width: int) -> Text:
    """Return what an account is worth, in as many lines as the width needs."""
    from rich.text import Text

    parts: list[tuple[str, str, str]] = [
        ("equity", f"{account.equity:,.2f}", "bold"),
        ("cash", f"{account.cash:,.2f}", ""),
        ("day", f"{account.day:+,.2f} ({account.day_pct:+.2f} %)", _sign(account.day)),
        ("heat", _heat(account), "red" if _full(account) else ""),
        ("drawdown", f"{account.drawdown_pct:.2f} %", ""),
    ]
    text, line = Text(), 0
    for name, value, style in parts:
        size = len(name) + len(value) + 1
        if line and line + 2 + size > width:
            text.append("\n")
            line = 0
        elif line:
            text.append("  ")
            line += 2
        text.append(f"{name} ", "dim").append(value, style)
        line += size
    return text


def _positions(positions: Sequence[PositionLine], *, wide: bool) -> Table:
    columns = ["symbol", "qty", "entry", "mark", "stop", "target", "R", "days", "to target"]
    if wide:
        columns[2:2] = ["legs"] if any(held.legs for held in positions) else []
        columns.insert(columns.index("R"), "result")
    else:
        columns[-1] = "tgt %"
    grid = make_grid(columns, left=("symbol", "legs"))
    for held in positions:
        reached = held.target_pct
        cells = {
            "symbol": held.symbol,
            "qty": f"{held.quantity:g}",
            "legs": held.legs,
            "entry": price_word(held.entry),
            "mark": price_word(held.mark),
            "stop": price_word(held.stop),
            "target": price_word(held.target),
            "result": f"{held.result:+,.2f}",
            "R": "-" if held.r is None else f"{held.r:+.2f}",
            "days": f"{held.days:.0f}",
            "tgt %": "-" if reached is None else f"{reached:.0f}",
            "to target": "-" if reached is None else f"{_bar(reached)} {reached:4.0f} %",
        }
        styles = {"R": _sign(held.result), "result": _sign(held.result), "symbol": "bold"}
        grid.add_row(*(cell_text(cells[name], styles.get(name, "")) for name in columns))
    return grid


def fact_words(fact: FactLines) -> str:
    """Return where the fact is, and how old what is known of it."""
    when = "nothing is recorded yet" if fact.at is None else f"as last recorded, {fact.at:%Y-%m-%d %H:%M:%SZ}"
    none = "" if fact.positions else "; nothing held"
    return f"plan: what the session decided; held: at {fact.broker} {fact.account}, {when}{none}"


def _beside(positions: Sequence[PositionLine], fact: FactLines) -> Table:
    """Return the plan's positions beside what is held; "?" where the record does not say."""
    grid = make_grid(
        ("symbol", "plan", "held", "entry", "mark", "plan stop", "rests at", "R", "days"), left=("symbol",)
    )
    planned = {one.symbol for one in positions}
    for held in positions:
        # a package's legs are held each under its own name
        there = None if held.legs else fact.held(held.symbol)
        stop = None if held.legs else fact.stop(held.symbol)
        apart = there is not None and abs(there - held.quantity) > 1e-9
        grid.add_row(
            cell_text(held.symbol, "bold"), cell_text(f"{held.quantity:g}"),
            cell_text("?" if there is None else f"{there:g}", "bold yellow" if apart else ""),
            cell_text(price_word(held.entry)), cell_text(price_word(held.mark)),
            cell_text(price_word(held.stop)), cell_text(_rests(there, stop)),
            cell_text("-" if held.r is None else f"{held.r:+.2f}", _sign(held.result)),
            cell_text(f"{held.days:.0f}"),
        )  # fmt: skip
    for one in fact.positions:
        if one.symbol not in planned:
            grid.add_row(
                cell_text(one.symbol, "bold"), cell_text("0"),
                cell_text(f"{one.quantity:g}", "bold yellow"), *(cell_text("-") for _ in range(3)),
                cell_text(_rests(one.quantity, one.stop)), cell_text("-"), cell_text("-"),
            )  # fmt: skip
    return grid


def _rests(held: float | None, stop: float | None) -> str:
    return "-" if held == 0.0 else "?" if stop is None else price_word(stop)


def orders_table(orders: Sequence[OrderLine]) -> Table:
    """Return the entries that work."""
    columns = ("working", "qty", "order", "trigger", "limit", "bars")
    grid = make_grid(columns, left=("working", "order"))
    for order in orders[:ORDERS]:
        quantity = f"{order.quantity:g}" if abs(order.quantity) < float("inf") else "all"
        cells = (
            order.symbol,
            quantity,
            order.kind,
            price_word(order.trigger),
            price_word(order.limit),
            str(order.bars),
        )
        grid.add_row(*(cell_text(cell) for cell in cells))
    if len(orders) > ORDERS:
        grid.add_row(cell_text(f"and {len(orders) - ORDERS} more", "dim"))
    return grid


def verdicts_table(verdicts: Sequence[VerdictLine], *, wide: bool) -> Table:
    """Return the last answers of the risk manager."""
    columns = ["symbol", "verdict", "rule", "value", "limit", "granted"]
    if wide:
        columns.insert(0, "time")
        columns.insert(-1, "asked")
    grid = make_grid(columns, left=("time", "symbol", "verdict", "rule"))
    colours = {"admitted": "green", "shrunk": "yellow", "rejected": "red"}
    for said in verdicts:
        cells = {
            "time": _day(said.ts),
            "symbol": said.symbol,
            "verdict": said.verdict,
            "rule": said.decided_by,
            "value": _figure(said.value),
            "limit": _figure(said.limit),
            "asked": _figure(said.asked),
            "granted": f"{said.granted:g}",
        }
        styles = {"verdict": colours[said.verdict]}
        grid.add_row(*(cell_text(cells[name], styles.get(name, "")) for name in columns))
    return grid


def requests_table(requests: Sequence[RequestLine]) -> Table:
    """Return the orders that wait for a person."""
    grid = make_grid(("waits for you", "until", "order"), left=("waits for you", "until", "order"))
    grid.columns[2].no_wrap = False  # an order is read whole before it is approved
    grid.columns[0].min_width = max(len(one.request_id) for one in requests)  # and its id is copied
    for one in requests:
        until = one.expires.astimezone(UTC).strftime("%H:%M:%SZ")
        grid.add_row(cell_text(one.request_id, "bold yellow"), cell_text(until), cell_text(one.what))
    return grid


def status_text(view: DeskView) -> Text:
    """Return counts, and where bars come from."""
    from rich.text import Text

    parts = []
    if view.account is not None:
        parts.append(f"open {len(view.account.positions)}")
        parts.append(f"working {len(view.account.orders)}")
        if view.account.waiting:
            parts.append(f"commands waiting {view.account.waiting}")
    if view.closed is not None:
        parts.append(f"closed {view.closed:,}")
    text = Text("  ".join(parts), "dim")
    feed = view.feed
    if feed is not None:
        age = "" if feed.age is None else f", data {age_words(feed.age)} old"
        text.append("\n" if parts else "")
        text.append(f"feed {feed.name}: {feed.state}{age}", "bold red" if feed.stale else "dim")
    return text


def make_grid(columns: Sequence[str], *, left: Sequence[str]) -> Table:
    """Return an empty table; columns named in `left` hold words, the others figures."""
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for name in columns:
        is_text = name in left
        grid.add_column(
            name,
            justify="left" if is_text else "right",
            no_wrap=True,
            overflow="ellipsis",
            # where there is too little room words give way, figures never
            min_width=4 if is_text else None,
            ratio=None,
        )
    return grid


def cell_text(cell: str, style: str = "") -> Text:
    """Return a cell, in which a bracket is no markup."""
    from rich.text import Text

    return Text(cell, style)


def dim_text(words: str) -> Text:
    """Return words that are no figure."""
    return cell_text(words, "dim")


def _bar(percent: float, cells: int = 10) -> str:
    done = round(min(max(percent, 0.0), 100.0) / 100.0 * cells)
    return "#" * done + "." * (cells - done)


def _heat(account: AccountLines) -> str:
    if account.heat_pct is None:
        return "unknown"
    cap = "" if account.heat_cap_pct is None else f" of {account.heat_cap_pct:g}"
    return f"{account.heat_pct:.2f}{cap} %"


def _full(account: AccountLines) -> bool:
    heat, cap = account.heat_pct, account.heat_cap_pct
    return heat is not None and cap is not None and heat > cap


def price_word(value: float | None) -> str:
    """Return a price; "-" where there is none."""
    if value is None or abs(value) < 1.0:
        return price_text(value)
    return f"{value:.2f}" if abs(value) < 100_000.0 else f"{value:.0f}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 1_000.0 else f"{value:,.0f}"


def _sign(value: float) -> str:
    return "green" if value > 0.0 else "red" if value < 0.0 else ""


def _day(ts: int | None) -> str:
    if ts is None:
        return "no bar yet"
    time = datetime.fromtimestamp(ts // 1_000_000_000, UTC)
    return time.strftime("%Y-%m-%d") if ts % 86_400_000_000_000 == 0 else time.strftime("%Y-%m-%d %H:%MZ")
