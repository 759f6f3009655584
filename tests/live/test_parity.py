"""A receipt finds what was changed afterwards: a bar, a limit, a row of a log, the snapshot, the engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from journal import schema
from journal.database import Database
from live import Receipt, Session, verify_parity
from live.sessions.frames import decode_frame
from live.sessions.recording import Piece, decode_piece, encode_piece, pack, unpack
from live.sessions.store import SessionStore, sealed
from simulator import Bars, load_bars, setup
from simulator.errors import JournalError, UnknownNameError
from simulator.kernel.state import from_bytes, to_bytes
from strategies.registry import strategy_class

CHANGED = 50


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:4x120?seed=11")


@pytest.fixture
def path(bars: Bars, tmp_path: Path) -> Path:
    made = tmp_path / "journal.db"
    with Session(made, like=bars, strategies=strategy_class("donchian-breakout")(), group=30) as session:
        session.push(bars)
    assert verify_parity(made).ok
    return made


@pytest.fixture(autouse=True, params=[4_096, 16], ids=["whole", "in stretches"])
def stretches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("live.comparing.replay._ROWS", request.param)


def change(path: Path, how: Callable[[Connection], Any]) -> Receipt:
    with Database(path) as database, database.write() as connection:
        how(connection)
    return verify_parity(path)


def stored(connection: Connection, table: Any, column: str, bar: int) -> Any:
    return connection.execute(select(table.c[column]).where(table.c.bar == bar)).scalar_one()


def with_another_close(database: Database, connection: Connection, *, reseal: bool) -> None:
    inputs, steps, sessions = schema.inputs, schema.steps, schema.sessions
    like = decode_frame(connection.execute(select(sessions.c.frame)).scalar_one())
    piece = decode_piece(stored(connection, inputs, "data", CHANGED), like)
    panel = piece.bars.panel.copy()
    panel[0, :, 1:4] *= 1.002
    data = encode_piece(Piece(piece.bars.replaced(panel=panel), piece.signals, piece.commands))
    connection.execute(update(inputs).where(inputs.c.bar == CHANGED).values(data=data))
    if reseal:
        seal = SessionStore(database, "paper").get(connection).segments()[0].seal
        connection.execute(update(steps).where(steps.c.bar == CHANGED).values(input=sealed(seal, data)))


def test_a_changed_bar_is_named(path: Path) -> None:
    receipt = change(path, lambda connection: with_another_close(Database(path), connection, reseal=False))
    assert not receipt.ok
    assert receipt.difference is not None
    assert (receipt.difference.bar, receipt.difference.log) == (CHANGED, "input")
    assert f"then bar {CHANGED}" in str(receipt)


def test_a_changed_bar_with_its_check_sum_forged_still_differs(path: Path) -> None:
    receipt = change(path, lambda connection: with_another_close(Database(path), connection, reseal=True))
    assert receipt.difference is not None
    assert receipt.difference.bar == CHANGED
    assert receipt.difference.log in ("state", "equity", "fills", "events")


def test_a_changed_limit_is_named(path: Path) -> None:
    def tighten(connection: Connection) -> None:
        table = schema.sessions
        plain = json.loads(connection.execute(select(table.c.configuration)).scalar_one())
        plain["risk"]["risk_per_trade_pct"] = 0.1
        connection.execute(update(table).values(configuration=json.dumps(plain)))

    receipt = change(path, tighten)
    assert receipt.difference is not None
    assert (receipt.difference.bar, receipt.difference.log) == (0, "rules")
    assert "a verdict differs" in str(receipt) or "an event differs" in str(receipt)


@pytest.mark.parametrize(("log", "field"), [("trades", "pnl"), ("verdicts", "granted"), ("fills", "price")])
def test_a_changed_row_of_a_log_is_named_with_its_field(path: Path, log: str, field: str) -> None:
    where: list[int] = []

    def falsify(connection: Connection) -> None:
        table = schema.steps
        for bar, data in connection.execute(select(table.c.bar, table.c.logs).order_by(table.c.bar)).all():
            logs, _ = unpack(data)
            if log in logs:
                logs[log] = logs[log].copy()
                logs[log][field][-1] += 0.01
                connection.execute(update(table).where(table.c.bar == bar).values(logs=pack(logs)))
                where.append(bar)
                return

    receipt = change(path, falsify)
    found = receipt.difference
    assert found is not None
    assert (found.bar, found.log, found.field) == (where[0], log, field)
    assert float(found.recorded) == pytest.approx(float(found.replayed) + 0.01)
    assert field in str(receipt)


def test_a_row_that_is_gone_is_named(path: Path) -> None:
    def remove(connection: Connection) -> None:
        table = schema.steps
        logs, _ = unpack(stored(connection, table, "logs", CHANGED))
        del logs["equity"]
        connection.execute(update(table).where(table.c.bar == CHANGED).values(logs=pack(logs)))

    found = change(path, remove).difference
    assert found is not None
    assert (found.bar, found.log, found.row, found.recorded) == (CHANGED, "equity", 0, "no such row")


def test_a_changed_snapshot_is_named(path: Path) -> None:
    def enrich(connection: Connection) -> None:
        table = schema.snapshots
        state = from_bytes(connection.execute(select(table.c.state)).scalar_one())
        state.account["cash"] += 1.0
        connection.execute(update(table).values(state=to_bytes(state)))

    found = change(path, enrich).difference
    assert found is not None
    assert found.log == "snapshot"


def test_a_bar_that_is_gone_is_named(path: Path) -> None:
    def remove(connection: Connection) -> None:
        connection.execute(schema.inputs.delete().where(schema.inputs.c.bar == CHANGED))

    found = change(path, remove).difference
    assert found is not None
    assert (found.log, found.bar) == ("bars", CHANGED)


def gone(connection: Connection, table: Any, first: int) -> None:
    """Delete rows of bars, triggers or not."""
    connection.execute(table.delete().where(table.c.bar >= first))


@pytest.mark.parametrize("first", [0, CHANGED, 119])
def test_steps_that_are_gone_from_the_end_are_named(path: Path, first: int) -> None:
    receipt = change(path, lambda connection: gone(connection, schema.steps, first))
    assert not receipt.ok
    found = receipt.difference
    assert found is not None
    assert (found.bar, found.log, receipt.bars) == (first, "bars", first)
    assert (found.recorded, found.replayed) == ("120 bars", f"only {first} can be read")
    assert "1970" not in str(found)


@pytest.mark.parametrize("kept", ["inputs", "steps"])
def test_a_snapshot_that_was_set_back_hides_nothing(path: Path, kept: str) -> None:
    """Bars that only one table still speaks of are missing too."""

    def cut(connection: Connection) -> None:
        gone(connection, schema.steps if kept == "inputs" else schema.inputs, CHANGED)
        connection.execute(update(schema.snapshots).values(bars=CHANGED))

    found = change(path, cut).difference
    assert found is not None
    assert (found.bar, found.log, found.recorded) == (CHANGED, "bars", "120 bars")


def test_a_hole_in_the_steps_is_named(path: Path) -> None:
    def remove(connection: Connection) -> None:
        connection.execute(schema.steps.delete().where(schema.steps.c.bar.in_((0, 1))))

    found = change(path, remove).difference
    assert found is not None
    assert (found.log, found.bar) == ("bars", 0)


def test_a_session_without_a_bar_has_none_missing(bars: Bars, tmp_path: Path) -> None:
    Session(tmp_path / "new.db", like=bars).close()
    assert verify_parity(tmp_path / "new.db").ok


def test_damage_is_named(path: Path) -> None:
    def damage(connection: Connection) -> None:
        data = bytearray(stored(connection, schema.inputs, "data", CHANGED))
        data[-1] ^= 1
        connection.execute(
            update(schema.inputs).where(schema.inputs.c.bar == CHANGED).values(data=bytes(data))
        )

    found = change(path, damage).difference
    assert found is not None
    assert (found.bar, found.log) == (CHANGED, "input")
    assert "damaged" in found.replayed


def test_another_engine_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("live.parity.ENGINE_HASH", "e" * 64)
    receipt = verify_parity(path)
    assert receipt.ok  # every byte is equal: the engine is another, and answers the same
    assert "replayed by eeeeeeee" in receipt.notes[0]


def test_an_engine_that_answers_otherwise_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = setup.params_of

    def mutated(*given: Any, **named: Any) -> Any:
        params = usual(*given, **named)
        params["collision"] = (params["collision"] + 1) % 3
        params["slippage"] = 1e-4
        return params

    monkeypatch.setattr("simulator.engine.params_of", mutated)
    monkeypatch.setattr("simulator.stepper.params_of", mutated)
    found = verify_parity(path).difference
    assert found is not None
    assert found.log in ("fills", "events", "verdicts", "trades", "equity")


def test_what_is_not_there(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'paper'") as caught:
        verify_parity(path, "papr")
    assert caught.value.code == "LIVE_SESSION"
    with pytest.raises(JournalError):
        verify_parity(tmp_path / "nothing.db")


def test_receipts_of_the_same_inputs_are_the_same(bars: Bars, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with Session(other, like=bars, strategies=strategy_class("donchian-breakout")()) as session:
        session.push(bars)
    one, two = verify_parity(path).plain(), verify_parity(other).plain()
    assert {**one, "journal": ""} == {**two, "journal": ""}
    assert one["bars"] == len(bars)
    assert len(one["result"]) == hashlib.sha256().digest_size * 2
