"""What cannot be so is refused by a stable code, and nothing of it is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from journal import TradeJournal
from journal.schema import metadata
from simulator.errors import TwinstepError
from tests.journal.making import START, Desk, put_spread, signal, sizing

Call = Callable[[TradeJournal], Any]
NAIVE = datetime(2026, 1, 5, 15, 0)  # noqa: DTZ001 - what is tested


def entry(**changes: Any) -> Call:
    given = {"symbol": "XYZ", "quantity": 10, "entry_price": 50.0, **changes}
    return lambda journal: journal.log_trade_entry(**given)


def follow(**changes: Any) -> Call:
    given = {"rec_id": 1, "actual_contracts": 2, "entry_credit": 1.90, **changes}
    return lambda journal: journal.log_trade_entry(**given)


def leave(**changes: Any) -> Call:
    given = {"trade_id": 1, "exit_price": 51.0, **changes}
    return lambda journal: journal.log_trade_exit(**given)


# Trade 1: 10 XYZ at 50, open. Trade 2: closed. Trade 3: a spread, open. Recommendation 1: a put spread.
CASES: list[tuple[str, str, Call]] = [
    # Unknown ids and names
    ("unknown trade", "JOURNAL_TRADE", leave(trade_id=99)),
    ("unknown name", "JOURNAL_TRADE", leave(trade_id="TRADE_099")),
    ("negative id", "JOURNAL_TRADE", leave(trade_id=-1)),
    ("no id at all", "JOURNAL_VALUE", leave(trade_id=None)),
    ("true is no id", "JOURNAL_VALUE", leave(trade_id=True)),
    ("half an id", "JOURNAL_VALUE", leave(trade_id=1.5)),
    ("unknown recommendation", "JOURNAL_RECOMMENDATION", follow(rec_id=99)),
    ("recommendation by a name", "JOURNAL_VALUE", follow(rec_id="SPY spread")),
    ("name taken", "JOURNAL_NAME", entry(name="first")),
    ("empty name", "JOURNAL_NAME", entry(name=" ")),
    ("unknown campaign", "JOURNAL_TRADE", entry(campaign=99)),
    # Quantities
    ("nothing said how many", "JOURNAL_QUANTITY", entry(quantity=None)),
    ("none of it", "JOURNAL_VALUE", entry(quantity=0)),
    ("less than none", "JOURNAL_VALUE", entry(quantity=-10)),
    ("half a contract", "JOURNAL_QUANTITY", follow(actual_contracts=2.5)),
    ("two quantities", "JOURNAL_QUANTITY", follow(quantity=3)),
    ("quantity NaN", "JOURNAL_VALUE", entry(quantity=float("nan"))),
    ("quantity infinite", "JOURNAL_VALUE", entry(quantity=float("inf"))),
    ("quantity as text", "JOURNAL_VALUE", entry(quantity="10")),
    ("more than is open", "JOURNAL_QUANTITY", leave(quantity=10.5)),
    ("close nothing", "JOURNAL_VALUE", leave(quantity=0)),
    ("half a spread", "JOURNAL_QUANTITY", leave(trade_id=3, exit_price=1.0, quantity=0.5)),
    # Prices
    ("no price", "JOURNAL_PRICE", entry(entry_price=None)),
    ("two prices", "JOURNAL_PRICE", entry(entry_credit=1.0)),
    ("negative price", "JOURNAL_VALUE", entry(entry_price=-50.0)),
    ("price NaN", "JOURNAL_VALUE", entry(entry_price=float("nan"))),
    ("price NaN of NumPy", "JOURNAL_VALUE", entry(entry_price=np.float64("nan"))),
    ("no exit price", "JOURNAL_PRICE", leave(exit_price=None)),
    ("both exit prices", "JOURNAL_PRICE", leave(exit_debit=51.0)),
    ("negative exit price", "JOURNAL_PRICE", leave(exit_price=-1.0)),
    ("credit to close a credit", "JOURNAL_PRICE", leave(trade_id=3, exit_price=None, exit_debit=-0.5)),
    ("debit to close what was bought", "JOURNAL_PRICE", leave(exit_price=None, exit_debit=51.0)),
    ("a debit for a recommended credit", "JOURNAL_SIDE", follow(entry_credit=-1.90)),
    ("side 2", "JOURNAL_SIDE", entry(side=2)),
    ("credit against the side", "JOURNAL_PRICE", entry(entry_price=None, entry_credit=1.0, side=1)),
    ("fees infinite", "JOURNAL_VALUE", entry(fees=float("inf"))),
    ("fees as text", "JOURNAL_VALUE", leave(fees="1")),
    # Times
    ("naive entry", "JOURNAL_NAIVE_TIME", entry(when=NAIVE)),
    ("naive exit", "JOURNAL_NAIVE_TIME", leave(when=NAIVE)),
    ("a date is no time", "JOURNAL_VALUE", entry(when=START.date())),
    ("exit before entry", "JOURNAL_ORDER", leave(when=START - timedelta(days=1))),
    ("entry in two days", "JOURNAL_FUTURE", entry(when=START + timedelta(days=2))),
    ("exit next year", "JOURNAL_FUTURE", leave(when=START + timedelta(days=365))),
    ("entered after expiry", "JOURNAL_ORDER", entry(kind="option", expiry="2025-12-19")),
    ("expiry that is no date", "JOURNAL_VALUE", entry(kind="option", expiry="soon")),
    # States
    ("closed twice", "JOURNAL_STATUS", leave(trade_id=2)),
    ("added to a closed trade", "JOURNAL_STATUS", lambda j: j.log_trade_add(2, 1, entry_price=1.0)),
    ("stop of a closed trade", "JOURNAL_STATUS", lambda j: j.move_stop(2, 1.0)),
    ("addition before the entry", "JOURNAL_ORDER",
     lambda j: j.log_trade_add(1, 1, entry_price=1.0, when=START - timedelta(days=1))),
    ("addition without a quantity", "JOURNAL_QUANTITY", lambda j: j.log_trade_add(1, entry_price=1.0)),
    ("ignored twice", "JOURNAL_STATUS", lambda j: j.ignore_recommendation(2)),
    # Snapshot
    ("IV rank as a fraction of 100", "JOURNAL_RANGE", entry(iv_rank=168.5)),
    ("negative IV rank", "JOURNAL_RANGE", entry(iv_rank=-1.0)),
    ("probability in percent", "JOURNAL_RANGE", entry(probability=71.0)),
    ("volatility in percent of percent", "JOURNAL_RANGE", entry(iv=210.0)),
    ("stop on the wrong side", "JOURNAL_STOP", entry(stop_price=52.0)),
    ("stop at the entry", "JOURNAL_STOP", entry(stop_price=50.0)),
    ("stop of a short sale below", "JOURNAL_STOP", entry(side=-1, stop_price=48.0)),
    ("MAE that is a gain", "JOURNAL_RANGE", leave(mae=5.0)),
    ("MFE that is a loss", "JOURNAL_VALUE", leave(mfe=-5.0)),
    ("dte with a fraction", "JOURNAL_VALUE", entry(dte=30.5)),
    ("no symbol", "JOURNAL_SYMBOL", entry(symbol=None)),
    ("blank symbol", "JOURNAL_SYMBOL", entry(symbol="  ")),
    ("another symbol than recommended", "JOURNAL_SYMBOL", follow(symbol="QQQ")),
    ("NUL in the notes", "JOURNAL_VALUE", entry(notes="a\x00b")),
    ("notes that are no text", "JOURNAL_VALUE", entry(notes=5)),
    ("kind future", "JOURNAL_CHOICE", entry(kind="future")),
    ("source demo", "JOURNAL_CHOICE", entry(source="demo")),
    ("multiplier 0", "JOURNAL_VALUE", entry(multiplier=0)),
    ("misspelt argument", "JOURNAL_ARGUMENT", entry(stop_prise=48.0)),
    ("empty tag", "JOURNAL_VALUE", entry(tags=["ok", " "])),
    # Legs
    ("leg without a strike", "JOURNAL_LEGS", entry(legs=[{"side": 1, "kind": "call"}])),
    ("leg without an expiry", "JOURNAL_LEGS", entry(legs=[{"side": 1, "kind": "call", "strike": 1.0}])),
    ("leg with an unknown word", "JOURNAL_LEGS",
     entry(legs=[{"side": 1, "kind": "call", "strike": 1.0, "delt": 0.3}], expiry="2026-02-20")),
    ("leg of a third side", "JOURNAL_LEGS",
     entry(legs=[{"side": 0, "kind": "call", "strike": 1.0}], expiry="2026-02-20")),
    ("strike 0", "JOURNAL_VALUE",
     entry(legs=[{"side": 1, "kind": "call", "strike": 0.0}], expiry="2026-02-20")),
    ("a leg that is a number", "JOURNAL_LEGS", entry(legs=[5], expiry="2026-02-20")),
    ("a leg it does not have", "JOURNAL_LEGS", lambda j: j.log_leg_exit(3, "-80P", 1.0)),
    ("more than a leg holds", "JOURNAL_QUANTITY", lambda j: j.log_leg_exit(3, 0, 1.0, quantity=3)),
    ("negative price of a leg", "JOURNAL_VALUE", lambda j: j.log_leg_exit(3, 0, -1.0)),
    ("roll to nowhere", "JOURNAL_ROLL", lambda j: j.log_roll(3, 1.0, 1.0)),
    ("roll into another symbol", "JOURNAL_ROLL",
     lambda j: j.log_roll(3, 1.0, 1.0, expiry="2026-03-20", symbol="QQQ")),
    ("roll whose second half fails", "JOURNAL_PRICE", lambda j: j.log_roll(3, 1.0, expiry="2026-03-20")),
    ("cash of an unknown kind", "JOURNAL_CHOICE", lambda j: j.log_cash(1, 1.0, "gift")),
    # Recommendations
    ("recommend a text", "JOURNAL_OPPORTUNITY", lambda j: j.log_recommendation("SPY")),  # type: ignore[arg-type]  # what is tested
    ("size a signal", "JOURNAL_SIZING", lambda j: j.log_recommendation(signal(), sizing())),
    ("expired when made", "JOURNAL_EXPIRES", lambda j: j.log_recommendation(put_spread(), expires=START)),
    ("naive expiry", "JOURNAL_NAIVE_TIME", lambda j: j.log_recommendation(put_spread(), expires=NAIVE)),
    ("signal of no side", "JOURNAL_SIDE", lambda j: j.log_recommendation(signal(side=0))),
    ("signal without a price", "JOURNAL_VALUE", lambda j: j.log_recommendation(signal(entry_price=0.0))),
    ("credit infinite", "JOURNAL_VALUE", lambda j: j.log_recommendation(put_spread(credit=float("inf")))),
    ("quote at a naive time", "JOURNAL_NAIVE_TIME", lambda j: j.log_recommendation(put_spread(as_of=NAIVE))),
    ("status waiting", "JOURNAL_CHOICE", lambda j: j.recommendations("waiting")),
    ("status of a trade", "JOURNAL_CHOICE", lambda j: j.trades("won")),
    ("view of a source", "JOURNAL_CHOICE", lambda j: j.trades(source="demo")),
    ("naive bound of a view", "JOURNAL_NAIVE_TIME", lambda j: j.trades(since=NAIVE)),
    # Commands
    ("unknown command", "JOURNAL_COMMAND", lambda j: j.apply("drop_table", {})),
    ("a method that is no command", "JOURNAL_COMMAND", lambda j: j.apply("close", {})),
    ("argument that is none", "JOURNAL_ARGUMENT", lambda j: j.apply("log_trade_exit", {"trade": 1})),
    ("record of an unknown kind", "JOURNAL_COMMAND",
     lambda j: j.apply("log_recommendation", {"opp": {"$record": "Popen"}})),
    ("time that is none", "JOURNAL_COMMAND", lambda j: j.apply("move_stop", {"when": {"$time": "noon"}})),
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(Path(tmp_path_factory.mktemp("journal")) / "trades.db")
    journal = made.journal
    journal.log_trade_entry(symbol="XYZ", quantity=10, entry_price=50.0, stop_price=48.0, name="first")
    journal.log_trade_exit(journal.log_trade_entry(symbol="XYZ", quantity=1, entry_price=9.0), exit_price=9.5)
    journal.log_recommendation(put_spread(), sizing())
    journal.log_recommendation(put_spread())
    journal.log_recommendation(put_spread())
    journal.log_trade_entry(3, 2, 1.85)
    journal.ignore_recommendation(2)
    yield made
    journal.close()


def content(journal: TradeJournal) -> dict[str, Any]:
    """Everything that is stored, row by row."""
    with journal.database.read() as connection:
        return {
            name: connection.execute(select(table)).all()
            for name, table in metadata.tables.items()
            if connection.execute(select(func.count()).select_from(table)).scalar()
        }


@pytest.mark.parametrize(("code", "call"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_is_refused_and_nothing_is_stored(desk: Desk, code: str, call: Call) -> None:
    before = content(desk.journal)
    with pytest.raises(TwinstepError) as caught:
        call(desk.journal)
    assert caught.value.code == code
    assert len(caught.value.args[0]) > 15
    assert content(desk.journal) == before


def test_numpy_numbers_are_numbers(desk: Desk) -> None:
    given: dict[str, Any] = {
        "quantity": np.int64(3),
        "entry_price": np.float32(2.5),
        "iv_rank": np.float64(40),
    }
    trade_id = desk.journal.log_trade_entry(symbol="NPY", **given)
    trade = desk.journal.trade(trade_id)
    assert (trade.quantity, trade.entry_price, trade.iv_rank) == (3.0, 2.5, 40.0)
    with desk.journal.database.read() as connection:
        kinds = connection.exec_driver_sql(
            "SELECT typeof(quantity), typeof(entry_price), typeof(iv_rank) FROM trades WHERE symbol = 'NPY'"
        ).one()
    assert set(kinds) == {"real"}


def test_the_message_says_what_to_do(desk: Desk) -> None:
    with pytest.raises(TwinstepError, match=r"quantity is 12, but trade 1 has 10 of 10 open"):
        desk.journal.log_trade_exit(1, exit_price=51.0, quantity=12)
    with pytest.raises(
        TwinstepError, match=r"no argument of an entry 'stop_prise'. Did you mean 'stop_price'"
    ):
        entry(stop_prise=48.0)(desk.journal)
    with pytest.raises(TwinstepError, match=r"what was sold is closed at a debit, which is positive"):
        desk.journal.log_trade_exit(3, exit_debit=-0.5)
