"""Calls that another process left in the inbox, and calls by name."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from journal import ParameterStore, TradeJournal
from journal.ledger.commands import COMMANDS, PARAMETER_COMMANDS, pack, unpack
from journal.performance_tracker import MistakeCategory, PerformanceTracker
from simulator.errors import DataError, UnknownNameError
from tests.journal.making import START, Desk, put_spread, signal, sizing
from twinstep.commands.journal_show import lesson, mistake


@pytest.fixture
def desk(journal_path: Path) -> Iterator[Desk]:
    made = Desk(journal_path)
    yield made
    made.journal.close()


def test_every_command_is_a_method() -> None:
    own = COMMANDS - set(PARAMETER_COMMANDS)
    assert [name for name in own if not callable(getattr(TradeJournal, name, None))] == []
    decisions = PARAMETER_COMMANDS.values()
    assert [name for name in decisions if not callable(getattr(ParameterStore, name, None))] == []
    logging = {name for name in dir(TradeJournal) if name.startswith("log_")}
    assert logging <= COMMANDS


def test_values_survive_json() -> None:
    opp = put_spread(max_loss=math.inf)
    given = {
        "opp": opp, "sizing": sizing(), "signal": signal(), "when": START, "expires": date(2026, 2, 20),
        "n": np.int64(3), "x": np.float32(0.5), "none": None, "flag": True, "many": [1, "a"],
        "rate": -math.inf,
    }  # fmt: skip
    back = unpack(json.loads(json.dumps(pack(given), allow_nan=False)))
    assert back == {**given, "n": 3, "x": 0.5}
    assert math.isnan(unpack(json.loads(json.dumps(pack(math.nan)))))
    assert isinstance(back["opp"].legs, tuple)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", datetime(2026, 1, 5)])  # noqa: DTZ001 - what is tested
def test_what_has_no_form_is_refused(value: object) -> None:
    with pytest.raises(DataError):
        pack(value)


def test_the_seed_by_commands_is_the_seed(desk: Desk, tmp_path: Path) -> None:
    reader = TradeJournal(desk.journal.database.path or "", read_only=True, clock=desk.clock)
    reader.queue("log_recommendation", opp=put_spread(), sizing=sizing(), reason="Scanner auto-generated")
    reader.queue("log_trade_entry", rec_id=1, actual_contracts=7, entry_credit=1.90, iv_rank=68.5, when=START)
    reader.queue("log_trade_exit", trade_id=1, exit_debit=0.95, close_reason="50% profit rule")
    reader.queue("log_trade_exit", trade_id=1, exit_debit=0.95)
    states = [outcome.state for outcome in desk.journal.drain()]
    assert states == ["applied", "applied", "applied", "rejected"]
    assert desk.journal.drain() == []
    direct = Desk(tmp_path / "direct.db")
    direct.journal.log_recommendation(put_spread(), sizing(), reason="Scanner auto-generated")
    direct.journal.log_trade_entry(1, 7, 1.90, 68.5)
    direct.journal.log_trade_exit(1, 0.95, "50% profit rule")
    assert desk.journal.trade(1) == direct.journal.trade(1)
    assert desk.journal.recommendation(1) == direct.journal.recommendation(1)
    assert reader.trade(1).pnl == pytest.approx(665.0)
    reader.close()
    direct.journal.close()


def test_a_second_process_can_queue_while_the_first_writes(desk: Desk) -> None:
    desk.journal.log_trade_entry(symbol="XYZ", quantity=10, entry_price=50.0)
    code = (
        "import sys\n"
        "from journal import TradeJournal\n"
        "from datetime import datetime, UTC\n"
        "with TradeJournal(sys.argv[1], read_only=True) as journal:\n"
        "    journal.queue('log_trade_exit', trade_id='TRADE_001', exit_price=51.0,\n"
        "                  when=datetime(2026, 1, 5, 16, tzinfo=UTC))\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run(
        [sys.executable, "-c", code, str(desk.journal.database.path)], check=True, cwd=root, timeout=60
    )
    [outcome] = desk.journal.drain()
    assert (outcome.state, desk.journal.trade(1).pnl) == ("applied", 10.0)
    assert desk.journal.trade(1).exit_time == datetime(2026, 1, 5, 16, tzinfo=UTC)


def test_a_call_by_name_returns_what_the_call_returns(desk: Desk) -> None:
    assert desk.journal.apply("log_trade_entry", {"symbol": "XYZ", "quantity": 1, "entry_price": 5.0}) == 1
    when = pack(START + timedelta(hours=1))
    assert desk.journal.apply("log_trade_exit", {"trade_id": 1, "exit_price": 6.0, "when": when}).pnl == 1.0


def test_only_known_names_are_queued(desk: Desk) -> None:
    with pytest.raises(DataError, match="Did you mean 'log_trade_exit'"):
        desk.journal.queue("log_trade_exits", trade_id=1)


def test_times_keep_their_zone() -> None:
    when = unpack(json.loads(json.dumps(pack(datetime(2026, 7, 1, 9, 30, tzinfo=UTC)))))
    assert when.utcoffset() == timedelta(0)


def test_what_was_learned_and_what_went_wrong_is_queued_as_well(desk: Desk) -> None:
    journal = desk.journal
    number = journal.log_trade_entry(symbol="XYZ", quantity=10, entry_price=50.0)
    with TradeJournal(journal.database.path or "", read_only=True) as reader:
        reader.queue("add_lesson", trade_id=number, lesson="Wait for the close")
        reader.queue("add_mistake", trade_id="TRADE_001", mistake_category=MistakeCategory.NO_PLAN)
        reader.queue("add_mistake", trade_id=1, mistake_category="no_stop", description="forgot it")
        reader.queue("add_mistake", trade_id=1, mistake_category="no_such_thing")
        reader.queue("remove_mistake", trade_id=1, mistake_category="no_plan")
    assert [one.state for one in journal.drain()] == ["applied"] * 3 + ["rejected", "applied"]
    record = PerformanceTracker(journal).record(1)
    assert (record.lessons, record.mistakes) == (("Wait for the close",), (("no_stop", "forgot it"),))


def test_the_journal_and_the_tracker_write_the_same_notes(desk: Desk) -> None:
    journal = desk.journal
    journal.log_trade_entry(symbol="XYZ", quantity=10, entry_price=50.0)
    tracker = PerformanceTracker(journal)
    assert [journal.add_lesson(1, " a "), tracker.add_lesson(1, "b")] == [1, 2]
    assert [journal.add_mistake(1, "no_plan"), tracker.add_mistake(1, "no_plan")] == [1, 2]
    assert tracker.record(1).lessons == ("a", "b")
    with pytest.raises(DataError, match="a lesson is empty"):
        journal.add_lesson(1, "  ")
    with pytest.raises(DataError, match="mistake_category is 'x'"):
        journal.add_mistake(1, "x")
    with pytest.raises(UnknownNameError):
        journal.add_lesson(9, "c")
    assert journal.remove_mistake(1, "no_plan") == 2


HOLD = """
import sys
from journal import TradeJournal
journal = TradeJournal(sys.argv[1])
journal.database.lock()
print("held", flush=True)
sys.stdin.readline()
for outcome in journal.drain():
    print(outcome.state, outcome.reason, flush=True)
"""


def test_the_command_line_leaves_them_where_another_process_writes(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(desk.journal.database.path)
    desk.journal.log_trade_entry(symbol="XYZ", quantity=10, entry_price=50.0)
    desk.journal.close()
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, place], cwd=root, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            lesson("1", "wait", journal=place)
            mistake("1", "no_plan", "none written", journal=place)
            with pytest.raises(UnknownNameError):
                lesson("9", "no such trade", journal=place)
            with pytest.raises(DataError, match="no_planing"):
                mistake("1", "no_planing", journal=place)
        finally:
            out, _ = other.communicate("go\n", timeout=60)
    assert capsys.readouterr().out.count("left the command in its inbox") == 2
    assert out.splitlines() == ["applied ", "applied "]
    with TradeJournal(place, read_only=True) as journal:
        record = PerformanceTracker(journal).record(1)
    assert (record.lessons, record.mistakes) == (("wait",), (("no_plan", "none written"),))
