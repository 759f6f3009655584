"""Tables of the journal: what was recommended, traded and learned.

One set of definitions serves SQLite and PostgreSQL. Conventions that hold in every table:

- Columns that end in `_ts` are UTC nanoseconds since 1970; dates (`expiry`, `session`) are ISO text.
- Money is in currency. Prices of options and packages are per unit of the underlying, as brokers quote them;
  amounts (`pnl`, `fees`, `max_loss`, `initial_risk`) are for the whole trade. Percent is percent.
- `side` is +1 for what was bought (stock long, debit package) and -1 for what was sold (stock short, credit
  package); `entry_price` is never negative. So one line of arithmetic serves all: gross profit is
  `side * (exit_price - entry_price) * quantity * multiplier`.
- NULL is unknown. Infinite and NaN are refused, by the boundary (`journal.values`), by the columns when a
  value is bound (`journal.storage.columns`), and by the tables.
- One trade is one position group: a spread is one row in `trades`, and its legs are rows in `legs`.

`fills` is the record of what happened; the columns of `trades` that sum it up (`open_quantity`, `exit_price`,
`pnl`, `fees`) are kept beside it in the same transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    DDL,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    event,
    text,
)

from journal.storage.columns import Big, Real, Words
from journal.values import LARGEST

__all__ = [
    "APPLICATION_ID",
    "READABLE_FROM",
    "SCHEMA_VERSION",
    "commands",
    "counterfactuals",
    "equity",
    "events",
    "fills",
    "inputs",
    "insights",
    "iv_history",
    "legs",
    "lessons",
    "lots",
    "metadata",
    "mistakes",
    "orders",
    "parameters",
    "performance_metrics",
    "recommendations",
    "reviews",
    "runs",
    "schema_history",
    "sessions",
    "snapshots",
    "statements",
    "steps",
    "tags",
    "trades",
    "verdicts",
]

APPLICATION_ID = 0x7457_4E53
"""Marks an SQLite file as a journal of ours (`PRAGMA application_id`)."""

SCHEMA_VERSION = 2
"""Version that this code reads and writes (`PRAGMA user_version`, and the last row of `schema_history`)."""

READABLE_FROM = 1
"""Oldest version that may be read as it is: later ones only have a table more, which no reader needs."""

SOURCES = ("backtest", "paper", "live")
RECOMMENDATION_STATES = ("recommended", "executed", "ignored", "expired")
TRADE_STATES = ("open", "closed")
KINDS = ("stock", "option")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key() -> Column[Any]:
    return Column("id", Big("id"), primary_key=True)


def _integer(name: str, *, required: bool = False, default: int | None = None) -> Column[Any]:
    server = None if default is None else str(default)
    return Column(name, Big(name), nullable=not required, server_default=server)


def _number(name: str, *, required: bool = False, default: float | None = None) -> Column[Any]:
    # NaN is NULL in SQLite and above every number in PostgreSQL: the range refuses it there, NOT NULL here.
    check = CheckConstraint(f"{name} BETWEEN -{LARGEST!r} AND {LARGEST!r}", name=f"{name}_finite")
    server = None if default is None else repr(default)
    return Column(name, Real(name), check, nullable=not required, server_default=server)


def _text(name: str, *, required: bool = False, default: str | None = None) -> Column[Any]:
    return Column(name, Words(name), nullable=not required, server_default=default)


def _bytes(name: str, *, required: bool = False) -> Column[Any]:
    return Column(name, LargeBinary(), nullable=not required)


def _flag(name: str, *, default: int | None = None) -> Column[Any]:
    check = CheckConstraint(f"{name} IN (0, 1)", name=f"{name}_flag")
    server = None if default is None else str(default)
    return Column(name, Big(name), check, nullable=default is None, server_default=server)


def _choice(name: str, choices: tuple[str, ...], *, required: bool = True) -> Column[Any]:
    among = ", ".join(f"'{choice}'" for choice in choices)
    return Column(
        name, Words(name), CheckConstraint(f"{name} IN ({among})", name=name), nullable=not required
    )


def _side(*, required: bool = True) -> Column[Any]:
    return Column("side", Big("side"), CheckConstraint("side IN (-1, 1)", name="side"), nullable=not required)


def _reference(name: str, target: str, *, required: bool = False) -> Column[Any]:
    return Column(name, Big(name), ForeignKey(target), nullable=not required)


def _table(name: str, *parts: Any) -> Table:
    return Table(name, metadata, *parts, sqlite_strict=True)


schema_history = _table(
    "schema_history",
    Column("version", Big("version"), primary_key=True, autoincrement=False),
    _integer("applied_ts", required=True),
    _text("program", required=True),  # name and version of the program that applied it
)

runs = _table(
    "runs",
    _key(),
    _integer("created_ts", required=True),
    _choice("source", SOURCES),
    _text("fingerprint"),  # of a backtest; storing the same result twice adds nothing
    _text("label", required=True, default=""),
    _text("config"),  # JSON
    UniqueConstraint("source", "fingerprint"),
)

parameters = _table(
    "parameters",
    _key(),
    _text("component", required=True),  # "options_scanner", "signal_generator"
    _integer("version", required=True),  # 1, 2, ... per component
    _choice("status", ("proposed", "in_force", "superseded", "rejected", "rolled_back")),
    _text("settings", required=True),  # JSON: name -> value
    _text("evidence", required=True),  # JSON: sample sizes, intervals, significance, text
    _choice("source", SOURCES),
    _integer("created_ts", required=True),
    _integer("decided_ts"),
    _text("decided_by"),
    _text("reason", required=True, default=""),
    _reference("parent_id", "parameters.id"),
    UniqueConstraint("component", "version"),
    Index(
        "ix_parameters_one_in_force",  # at most one set of a component is in force
        "component",
        unique=True,
        sqlite_where=text("status = 'in_force'"),
        postgresql_where=text("status = 'in_force'"),
    ),
)

recommendations = _table(
    "recommendations",
    _key(),
    _choice("status", RECOMMENDATION_STATES),
    _choice("source", SOURCES),
    _choice("kind", KINDS),
    _integer("created_ts", required=True),
    _integer("expires_ts"),  # after it, nobody may act on the recommendation
    _integer("decided_ts"),
    _text("decision", required=True, default=""),  # why it was ignored, or who took it
    _text("reason", required=True, default=""),  # why it was made
    _text("symbol", required=True),
    _text("strategy", required=True),
    _side(),
    _text("signal_id"),
    _text("signal_type"),
    _text("sector"),
    # What was recommended: packages or shares, and at what price of the package or share
    _number("quantity", required=True),
    _number("entry_price", required=True),
    _number("multiplier", required=True, default=1.0),
    _number("stop_price"),
    _number("target_price"),
    _number("reward_risk"),
    # Expected outcomes, for one package or share
    _number("max_profit"),  # NULL with max_profit_unlimited 1 where nothing bounds it
    _flag("max_profit_unlimited", default=0),
    _number("max_loss"),
    _flag("max_loss_unlimited", default=0),
    _number("probability"),  # of profit, 0 to 1
    _number("expected_value"),
    _number("risk"),
    _text("risk_basis"),
    _number("margin"),
    _number("buying_power"),
    _text("break_evens"),  # JSON list
    # What the market looked like
    _integer("as_of_ts"),
    _number("spot"),
    _text("expiry"),
    _integer("dte"),
    _number("width"),
    _number("mid_price"),
    _number("iv"),
    _number("iv_rank"),
    _text("iv_rank_definition"),
    _number("delta"),
    _number("theta"),
    _number("vega"),
    _number("score"),
    _integer("strength"),  # SignalStrength
    _text("grade"),  # "quoted" or "modelled"
    # How it was sized
    _text("sizing_rule"),
    _number("account_size"),
    _number("total_risk"),
    _text("details"),  # JSON: notes, reasons and limits of the sizing
    _reference("parameter_set_id", "parameters.id"),
    Index(None, "symbol", "created_ts"),
    Index(None, "status", "expires_ts"),
    Index(None, "signal_id"),
)

trades = _table(
    "trades",
    _key(),
    _text("name"),  # a name that the user gave, such as "TRADE_001"; unique
    _reference("recommendation_id", "recommendations.id"),
    _reference("run_id", "runs.id"),
    _reference("parameter_set_id", "parameters.id"),
    _reference("rolled_from_id", "trades.id"),  # the trade that this one continues
    _reference("campaign_id", "trades.id"),  # first trade of a chain: rolls, and the shares of an assignment
    _choice("source", SOURCES),
    _choice("status", TRADE_STATES),
    _choice("kind", KINDS),
    _text("account"),
    _text("symbol", required=True),
    _text("strategy", required=True),
    _text("signal_type"),
    _text("sector"),
    _side(),
    _number("quantity", required=True),  # packages or shares entered in all
    _number("open_quantity", required=True),
    _number("multiplier", required=True, default=1.0),
    # Entry
    _integer("entry_ts", required=True),
    _number("entry_price", required=True),  # average per package or share
    _number("stop_price"),  # as planned at entry
    _number("target_price"),
    _number("current_stop_price"),  # as it stands; a stop moved away from entry is a mistake
    _number("initial_risk"),  # currency for the whole trade; the R of this trade
    _number("max_profit"),
    _number("max_loss"),
    _number("buying_power"),
    _number("max_days"),  # days in trade allowed
    _integer("signal_expires_ts"),
    _number("granted_quantity"),  # what the risk verdict granted
    # The market at entry
    _number("spot"),
    _text("expiry"),
    _integer("dte"),
    _number("width"),
    _number("mid_price"),
    _number("iv"),
    _number("iv_rank"),
    _text("iv_rank_definition"),
    _number("vix"),
    _number("delta"),
    _number("score"),
    _integer("strength"),
    _number("probability"),
    _integer("earnings_days"),  # days to the next known earnings date
    _text("grade"),
    _text("config_hash"),
    _text("entry_notes", required=True, default=""),
    _text("details"),  # JSON
    # Exit; NULL while nothing was closed
    _integer("exit_ts"),
    _number("exit_price"),  # average per package or share closed
    _text("close_reason"),  # as written by whoever closed it
    _text("close_code"),  # the exit reason of `simulator.types.ExitReason` that it means, or "other"
    _text("exit_notes", required=True, default=""),
    # Sums
    _number("fees", required=True, default=0.0),
    _number("gross_pnl", required=True, default=0.0),  # of what is closed
    _number("pnl", required=True, default=0.0),  # gross less all fees so far
    _number("r_multiple"),
    _number("capture_percent"),  # profit kept as percent of the credit or of max_profit
    _number("mae"),  # currency for the whole trade, 0 or negative
    _number("mfe"),  # currency for the whole trade, 0 or positive
    _number("slippage"),  # currency lost against mid_price at entry
    _number("days"),  # calendar days in trade
    CheckConstraint("quantity > 0", name="quantity_positive"),
    CheckConstraint("open_quantity >= 0 AND open_quantity <= quantity", name="open_quantity_range"),
    CheckConstraint("(status = 'open') = (open_quantity > 0)", name="status_matches"),
    CheckConstraint("(status = 'closed') = (exit_ts IS NOT NULL AND open_quantity = 0)", name="closed_once"),
    CheckConstraint("entry_price >= 0", name="entry_price_sign"),
    UniqueConstraint("name"),
    Index(None, "status", "symbol"),
    Index(None, "source", "status", "exit_ts"),
    Index(None, "symbol", "status"),
    Index(None, "recommendation_id"),
    Index(None, "run_id"),
    Index(None, "campaign_id"),
)

legs = _table(
    "legs",
    _key(),
    _reference("recommendation_id", "recommendations.id"),
    _reference("trade_id", "trades.id"),
    _integer("position", required=True),  # 0, 1, ... within its owner
    _side(),
    _choice("kind", ("call", "put", "shares", "stock")),
    _text("symbol", required=True),  # canonical OCC symbol of an option, else the ticker
    _number("strike"),
    _text("expiry"),
    _number("ratio", required=True, default=1.0),  # contracts per package
    _number("open_quantity"),  # contracts open; NULL in recommendations
    _number("bid"),
    _number("ask"),
    _number("iv"),
    _number("delta"),
    CheckConstraint("(recommendation_id IS NULL) <> (trade_id IS NULL)", name="one_owner"),
    Index(None, "trade_id"),
    Index(None, "recommendation_id"),
    Index(None, "symbol"),
)

statements = _table(
    "statements",
    _key(),
    _text("broker", required=True),
    _text("account", required=True, default=""),
    _text("digest", required=True),  # SHA-256 of the file
    _text("file", required=True, default=""),
    _integer("imported_ts", required=True),
    _integer("rows_read", required=True),
    _integer("rows_new", required=True),
    Index(None, "digest"),
)

fills = _table(
    "fills",
    _key(),
    _text("execution_key", required=True),  # broker, account and execution id; our own for what was typed in
    _reference("trade_id", "trades.id"),  # NULL until it is known which trade it belongs to
    _reference("statement_id", "statements.id"),
    _choice("source", SOURCES),
    _text("broker", required=True, default=""),
    _text("account", required=True, default=""),
    _text("order_id", required=True, default=""),  # broker's order, which groups legs
    _integer("ts", required=True),
    _choice(
        "kind",
        ("trade", "exercise", "assignment", "expiry", "dividend", "fee", "interest", "transfer", "split"),
    ),
    _choice("effect", ("open", "close", "none")),
    _text("symbol", required=True),  # canonical OCC symbol or ticker; the underlying for a whole package
    _text("underlying", required=True),
    _side(),  # +1 bought, -1 sold
    _number("quantity", required=True),  # packages, contracts or shares, never negative
    _number("price", required=True),
    _number("multiplier", required=True, default=1.0),
    _number("fees", required=True, default=0.0),  # paid is positive
    _integer("leg"),  # position in `legs`; NULL is the whole package
    _number("mid_price"),
    _text("raw"),  # JSON: the row of the statement
    UniqueConstraint("execution_key"),
    Index(None, "trade_id"),
    Index(None, "underlying", "ts"),
)

lots = _table(
    "lots",  # which opening fill a closing fill uses up, where the owner chose it; other methods need no row
    _key(),
    _reference("close_fill_id", "fills.id", required=True),
    _reference("open_fill_id", "fills.id", required=True),
    _number("quantity", required=True),
    _integer("chosen_ts", required=True),
    UniqueConstraint("close_fill_id", "open_fill_id"),
)

performance_metrics = _table(
    "performance_metrics",  # one row per scope after each closed trade: a time series of running figures
    _key(),
    _choice("source", SOURCES),
    _text("scope", required=True),  # "all", "strategy:short-put-spread", ...
    _integer("ts", required=True),
    _reference("trade_id", "trades.id"),  # the trade that closed
    _integer("trades", required=True),
    _integer("wins", required=True),
    _integer("losses", required=True),
    _number("gross_profit", required=True),
    _number("gross_loss", required=True),  # negative or 0
    _number("total_pnl", required=True),
    _number("total_fees", required=True),
    _number("sum_squares", required=True),  # of pnl
    _integer("r_count", required=True),
    _number("sum_r", required=True),
    _number("sum_r_squares", required=True),
    _number("win_rate"),  # percent
    _number("profit_factor"),  # NULL without losses
    _number("expectancy"),  # currency per trade
    _number("average_win"),
    _number("average_loss"),
    _number("average_r"),
    _integer("streak", required=True),  # positive: wins in a row, negative: losses
    _integer("longest_win_streak", required=True),
    _integer("longest_loss_streak", required=True),
    _number("peak_pnl", required=True),  # highest running total
    _number("max_drawdown", required=True),  # of the running total, 0 or negative
    Index(None, "source", "scope", "id"),
)

insights = _table(
    "insights",
    _key(),
    _reference("trade_id", "trades.id", required=True),
    _integer("ts", required=True),
    _text("code", required=True),  # stable name of the rule that found it
    _integer("direction", required=True),  # +1 speaks for the trade, -1 against it, 0 neither
    _number("value"),
    _text("text", required=True),
    Index(None, "trade_id"),
    Index(None, "ts"),
)

mistakes = _table(
    "mistakes",
    _key(),
    _reference("trade_id", "trades.id", required=True),
    _integer("ts", required=True),
    _text("category", required=True),  # MistakeCategory
    _text("description", required=True, default=""),
    _flag("automatic", default=0),
    Index(None, "trade_id"),
    Index(None, "category"),
)

lessons = _table(
    "lessons",
    _key(),
    _reference("trade_id", "trades.id", required=True),
    _integer("ts", required=True),
    _text("lesson", required=True),
    Index(None, "trade_id"),
)

tags = _table(
    "tags",
    Column("trade_id", Big("trade_id"), ForeignKey("trades.id"), primary_key=True),
    Column("tag", Words("tag"), primary_key=True),
    Index(None, "tag"),
)

verdicts = _table(
    "verdicts",
    _key(),
    _reference("run_id", "runs.id"),
    _reference("recommendation_id", "recommendations.id"),
    _choice("source", SOURCES),
    _integer("ts", required=True),
    _text("symbol", required=True),
    _text("strategy", required=True, default=""),
    _text("rule", required=True),  # reason code of `simulator.types.Reason`
    _number("value"),
    _number("threshold"),
    _number("asked"),
    _number("granted", required=True),
    Index(None, "run_id"),
    Index(None, "symbol", "ts"),
)

equity = _table(
    "equity",  # what an account was worth: at every bar of a session, at the end of a backtest's sessions
    Column("run_id", Big("run_id"), ForeignKey("runs.id"), primary_key=True),
    Column("ts", Big("ts"), primary_key=True),  # label of the bar
    _number("equity", required=True),  # cash and positions at their marks
    _number("cash", required=True),
    _number("gross", required=True),  # positions without their signs
    _number("heat"),  # open risk as a fraction of equity; NULL where nothing is left to divide by
    _integer("state", required=True),  # code of `simulator.types.HaltState`
)

commands = _table(
    "commands",  # of other processes, which arrived through the inbox; the row is stored with what it did
    Column("id", Words("id"), primary_key=True),
    _text("name", required=True),
    _integer("dropped_ts", required=True),
    _integer("decided_ts", required=True),
    _choice("outcome", ("applied", "rejected")),
    _text("reason", required=True, default=""),  # why it was rejected
)

iv_history = _table(
    "iv_history",
    Column("symbol", Words("symbol"), primary_key=True),
    Column("session", Words("session"), primary_key=True),
    Column("definition", Words("definition"), primary_key=True),  # "30-day ATM", "VIX", a broker's own
    _number("iv", required=True),  # fraction
    _number("iv_rank"),
    _text("provider", required=True, default=""),
    _integer("recorded_ts", required=True),
)

# Sessions: what a paper account saw and did, bar by bar. `live.sessions.recording` says what the bytes mean.

sessions = _table(
    "sessions",
    _key(),
    _text("name", required=True),
    _reference("run_id", "runs.id", required=True),  # its trades and verdicts name this run
    _integer("created_ts", required=True),
    _text("engine", required=True),  # hash of the kernel
    _text("configuration", required=True),  # JSON: cash, limits, costs, conventions
    _text("changes", required=True, default="[]"),  # JSON list: what changed since, from which bar, and why
    _bytes("frame", required=True),  # symbols, instruments and what else all bars share
    UniqueConstraint("name"),
)

inputs = _table(
    "inputs",
    _key(),
    _reference("session_id", "sessions.id", required=True),
    _integer("bar", required=True),  # 0, 1, ...; of what was ignored, the bar that would have been next
    # frame: from this bar on with more symbols; note: what the caller wants to find again, with its last bar
    _choice("kind", ("bar", "duplicate", "revised", "late", "gap", "change", "frame", "note")),
    _integer("ts", required=True),
    _bytes("data", required=True),  # bars, signals and commands; of a note, its words
    Index(
        "ix_inputs_one_per_bar",
        "session_id",
        "bar",
        unique=True,
        sqlite_where=text("kind = 'bar'"),
        postgresql_where=text("kind = 'bar'"),
    ),
    Index(
        "ix_inputs_beside_bars",
        "session_id",
        "kind",
        "bar",
        sqlite_where=text("kind <> 'bar'"),
        postgresql_where=text("kind <> 'bar'"),
    ),
)

steps = _table(
    "steps",
    Column("session_id", Big("session_id"), ForeignKey("sessions.id"), primary_key=True),
    Column("bar", Big("bar"), primary_key=True),
    _integer("ts", required=True),
    _integer("code", required=True),  # what the step answered
    _text("input", required=True),  # SHA-256 of the bar's input
    _text("state", required=True),  # SHA-256 of the state after the bar
    _bytes("logs", required=True),  # fills, trades, verdicts, events and equity of the bar
    Index(None, "session_id", "ts"),
)

snapshots = _table(
    "snapshots",  # the newest state of each session
    Column("session_id", Big("session_id"), ForeignKey("sessions.id"), primary_key=True),
    _integer("bars", required=True),  # bars seen
    _bytes("state", required=True),
    _bytes("memory", required=True),  # what else the session goes on with
    _bytes("closes", required=True),  # session closes before the bar `closes_bars`
    _integer("closes_bars", required=True),
)

# Orders: what was sent to brokers, what came of it, and what a person decided. `live.intents` writes them.

orders = _table(
    "orders",  # one row per intent, stored before it is sent; a projection of `events`
    _key(),
    _text("account", required=True),  # whose intents: one desk, whatever brokers it uses
    _text("client_order_id", required=True),
    _text("broker", required=True),
    _text("symbol", required=True),  # of the first leg
    _text("order_class", required=True),
    _choice("purpose", ("entry", "exit", "protect")),
    _text("strategy", required=True, default=""),
    _integer("bar_ts"),  # bar that it was decided on
    _text("request", required=True),  # JSON: the order as it was asked for
    _text("review", required=True, default=""),  # review request that it came from
    _choice("outcome", ("sending", "confirmed", "rejected", "denied", "unresolved")),
    _text("code", required=True, default=""),
    _text("message", required=True, default=""),
    _integer("absent", required=True, default=0),  # how often the broker said that it has no such order
    _text("broker_order", required=True, default=""),  # the broker's id, "" while unknown
    _text("state"),  # label of `simulator.types.OrderState`; NULL while unknown
    _number("quantity", required=True),  # of the first leg, not signed
    _number("filled", required=True, default=0.0),
    _number("average_price"),
    _flag("final", default=0),  # nothing more can come of it, confirmed by a second look
    _integer("sent_ts", required=True),
    _integer("updated_ts", required=True),
    UniqueConstraint("account", "client_order_id"),
    Index(None, "account", "final"),
    Index(None, "account", "broker", "broker_order"),
    Index(None, "account", "symbol"),
)

events = _table(
    "events",  # what happened, in order; rows are added and never changed
    _key(),
    _text("account", required=True),
    _integer("ts", required=True),
    _text("kind", required=True),  # intent, sent, outcome, order, fill, alias, kill, cancel, reconcile, ...
    _text("key"),  # of what is noted once, however often it is told: a fill by its execution id
    _text("client_order_id", required=True, default=""),
    _text("symbol", required=True, default=""),
    _text("data", required=True, default="{}"),  # JSON
    UniqueConstraint("account", "key"),
    Index(None, "account", "kind"),
    Index(None, "client_order_id"),
)
for _verb in ("UPDATE", "DELETE"):
    event.listen(
        events,
        "after_create",
        DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types
            f"CREATE TRIGGER events_no_{_verb.lower()} BEFORE {_verb} ON events "
            "BEGIN SELECT RAISE(ABORT, 'events are only added'); END"
        ).execute_if(dialect="sqlite"),
    )

reviews = _table(
    "reviews",  # requests and differences that a person decides; copies of the files that decisions lie in
    _key(),
    _text("account", required=True),
    _text("review", required=True),  # its id: R-... a request, D-... a difference
    _choice("kind", ("request", "difference")),
    _text("state", required=True),  # pending, approved, rejected, ...; open, accepted, cleared
    _text("cause", required=True, default=""),  # of a difference: foreign_position, split, ...
    _text("broker", required=True),
    _text("symbol", required=True),
    _text("purpose", required=True, default=""),
    _text("strategy", required=True, default=""),
    _text("client_order_id", required=True, default=""),
    _integer("created_ts", required=True),
    _integer("expires_ts"),
    _integer("decided_ts"),  # NULL while it waits; less created_ts it is the delay of the decision
    _text("decided_by", required=True, default=""),
    _text("note", required=True, default=""),
    _number("price"),
    _text("outcome", required=True, default=""),
    _text("data", required=True, default="{}"),  # JSON: all of it
    UniqueConstraint("account", "review"),
    Index(None, "account", "kind", "state"),
)

counterfactuals = _table(
    "counterfactuals",  # what signals that were not traded would have come to, each run alone to its end
    _key(),
    _text("case_key", required=True),  # "session:1:17", "recommendation:4", "review:desk:R-..."
    _choice("source", SOURCES),
    _choice("origin", ("rule", "decision")),  # who refused: the risk manager, or a person
    _text("name", required=True),  # of the rule or of the decision
    _text("outcome", required=True),  # rejected or shrunk; of a person, the decision's word
    _text("session", required=True, default=""),
    _reference("recommendation_id", "recommendations.id"),
    _text("decided_by", required=True, default=""),
    _integer("ts", required=True),  # of the signal
    _text("symbol", required=True),
    _side(),
    _text("strategy", required=True, default=""),
    _text("tag", required=True, default=""),
    _number("value"),  # of the verdict
    _number("threshold"),
    _number("asked"),
    _number("granted", required=True, default=0.0),
    _choice("state", ("never_filled", "waiting", "open", "closed")),
    _number("quantity", required=True),  # that was run: what was refused
    _number("weight", required=True, default=1.0),  # part of what was asked for
    _integer("entry_ts"),
    _number("entry_price"),
    _integer("exit_ts"),  # of one that is open, its last mark
    _number("exit_price"),
    _text("exit_reason", required=True, default=""),
    _number("r_multiple"),
    _number("pnl", required=True, default=0.0),
    _number("fees", required=True, default=0.0),
    _number("mae_fraction"),  # of the entry price, 0 or negative
    _number("mfe_fraction"),
    _text("why", required=True, default=""),  # why nothing filled
    _integer("updated_ts", required=True),
    UniqueConstraint("case_key"),
    Index(None, "source", "origin", "name"),
    Index(None, "session", "state"),
)
