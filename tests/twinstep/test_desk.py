"""`twinstep close`, `close-all`, `requests`, `approve`, `reject`: what a person decides beside a session."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from journal.inbox import Inbox
from journal.trade_journal import TradeJournal
from live import Session, verify_parity
from live.brokers.interface import Leg, OrderRequest, Outcome, Submitted
from live.decisions import leave_decision, take_decisions
from live.desk import ask, outcome_of
from live.kill_switch import KillSwitch
from live.review_queue import ReviewAnswer, ReviewQueue
from live.sessions.commands import queue_command
from simulator import Signals, load_bars
from simulator.errors import ConfigError, JournalError
from tests.forked import forked
from tests.twinstep.conftest import Cli
from twinstep.console import EXIT_FOUND, EXIT_INPUT

JOURNAL = "trade_journal.db"
BARS = load_bars("synthetic:3x60?seed=1")
NAMES = BARS.symbols


def held(name: str = "paper", *, switch: KillSwitch | None = None) -> None:
    """A session that holds two positions at its last bar, written in this folder."""
    with Session(JOURNAL, like=BARS, name=name, kill_switch=switch, risk=None) as session:
        signals = Signals.from_arrays(BARS, [20, 20], list(NAMES[:2]), 1, stop_percent=30.0, qty=10.0)
        session.push(BARS[:25], signals)
        assert len(session.positions()) == 2


def pushed(rows: slice, name: str = "paper", *, switch: KillSwitch | None = None) -> list[str]:
    """Go on with a session; what is open afterwards."""
    with Session(JOURNAL, like=BARS, name=name, kill_switch=switch, risk=None) as session:
        session.push(BARS[rows])
        return [held.symbol for held in session.positions()]


def typing(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(words + "\n"))


# Closing


def test_a_close_is_stored_in_a_session_that_does_not_run(cli: Cli) -> None:
    held()
    done = cli("close", NAMES[0], "--yes")
    assert (done.code, done.err) == (0, "")
    assert "stored" in done.out
    assert "commands waiting 1" in cli("status").out
    assert Inbox(JOURNAL).waiting() == []
    assert pushed(slice(25, 26)) == [NAMES[1]]
    assert verify_parity(JOURNAL, "paper").ok


def test_a_close_at_a_price_is_booked_at_that_price(cli: Cli) -> None:
    held()
    assert cli("close", NAMES[0], "--price", "111.25", "--yes").code == 0
    with Session(JOURNAL, like=BARS, risk=None) as session:
        outcome = session.push(BARS[25:26])
        assert [float(trade["exit_price"]) for trade in outcome.logs["trades"]] == [111.25]


def test_a_running_session_takes_a_close_before_its_next_bar(cli: Cli) -> None:
    held()
    with Session(JOURNAL, like=BARS, risk=None) as session:
        done = said_by_another_process("close", NAMES[1], "--yes", "--json")
        (one,) = json.loads(done)["commands"]
        assert one["where"] == "inbox"
        assert outcome_of(JOURNAL, one["id"]).state == "waiting"
        session.push(BARS[25:26])
        assert [held.symbol for held in session.positions()] == [NAMES[0]]
        assert outcome_of(JOURNAL, one["id"]).state == "applied"
    assert verify_parity(JOURNAL, "paper").ok


def said_by_another_process(*arguments: str) -> str:
    done = subprocess.run(
        [*forked(), "-m", "twinstep", *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("state", ["ACTIVE", "REDUCING", "HALTED"])
def test_close_all_closes_in_every_state_of_the_kill_switch(cli: Cli, state: str) -> None:
    switch = KillSwitch(JOURNAL + ".switch")
    held(switch=switch)
    if state == "REDUCING":
        switch.reduce("x", "ada")
    if state == "HALTED":
        switch.engage("x", "ada")
    assert cli("close-all", "--reason", "quotes are frozen", "--yes").code == 0
    assert pushed(slice(25, 26), switch=switch) == []
    assert switch.state == state
    assert verify_parity(JOURNAL, "paper").ok
    record = (switch.folder / "switch.jsonl").read_text(encoding="utf-8")
    assert '"reason": "quotes are frozen"' in record
    assert switch.status["state"] == state


def test_close_all_reaches_every_session_and_only_those_that_hold_something(cli: Cli) -> None:
    held("a")
    held("b")
    with Session(JOURNAL, like=BARS, name="empty", risk=None) as session:
        session.push(BARS[:3])
    done = cli("close-all", "--reason", "x", "--yes", "--json")
    assert [(one["session"], one["where"]) for one in done.json["commands"]] == [
        ("b", "session"),
        ("a", "session"),
    ]
    assert pushed(slice(25, 26), "a") == pushed(slice(25, 26), "b") == []
    again = cli("close-all", "--reason", "x", "--yes")
    assert again.out == "nothing is open and nothing works\n"


def test_the_reason_is_kept_where_nothing_is_open_too(cli: Cli) -> None:
    switch = KillSwitch(JOURNAL + ".switch")
    with Session(JOURNAL, like=BARS, kill_switch=switch, risk=None) as session:
        session.push(BARS[:3])
    done = cli("close-all", "--reason", "going  away", "--yes")
    assert (done.code, done.out, done.err) == (0, "nothing is open and nothing works\n", "")
    record = (switch.folder / "switch.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(record[-1])
    assert (last["event"], last["reason"], last["sessions"]) == ("close_all", "going away", [])
    assert switch.state == "ACTIVE"


def test_a_reason_makes_no_folder_of_a_switch_stale(cli: Cli) -> None:
    held()
    Path(JOURNAL + ".switch").mkdir()
    assert "kept nowhere" in cli("close-all", "--reason", "x", "--yes").err
    assert KillSwitch(JOURNAL + ".switch").state == "ACTIVE"


def test_what_a_running_session_takes_reads_like_a_success(cli: Cli) -> None:
    held()
    with Session(JOURNAL, like=BARS, risk=None) as session:
        done = said_by_another_process("close", NAMES[0], "--yes")
        assert done.startswith(
            "paper: left in the inbox; the session that runs takes it before its next bar ("
        )
        assert f"(it is process {os.getpid()} on " in done
        assert "only one process" not in done
        told = json.loads(said_by_another_process("close-all", "--reason", "frozen", "--yes", "--json"))
        assert told["reason"] == "frozen"
        assert told["commands"][0]["why"].startswith(f"it is process {os.getpid()} on ")
        session.push(BARS[25:26])
        assert session.positions() == ()


def test_symbols_may_be_typed_in_lower_case(cli: Cli) -> None:
    held()
    assert cli("close", NAMES[0].lower(), "--yes").code == 0
    assert pushed(slice(25, 26)) == [NAMES[1]]


def test_close_all_says_whose_positions_go(cli: Cli) -> None:
    shown = " ".join(cli("close-all", "--help").out.replace("│", " ").split())
    assert "without it, every session of the journal" in shown
    assert "the only one there is" not in shown


def test_close_all_of_a_named_session_needs_no_readable_journal(cli: Cli) -> None:
    held()
    with open(JOURNAL, "r+b") as file:
        file.write(b"garbage garbage!")
    done = cli("close-all", "--reason", "x", "--name", "paper", "--yes")
    assert done.code == 0
    assert "left in the inbox" in done.out
    assert len(Inbox(JOURNAL).waiting()) == 1
    assert "[CLI_NO_SESSION]" in cli("close-all", "--reason", "x", "--yes").err


def test_nothing_is_closed_that_nobody_has_confirmed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    held()
    for words in (("close", NAMES[0]), ("close-all", "--reason", "x")):
        refused = cli(*words)
        assert refused.code == EXIT_INPUT
        assert "[CLI_CONFIRM]" in refused.err
        assert f"+10 {NAMES[0]}" in refused.err
    typing(monkeypatch, NAMES[1])
    assert "[CLI_CONFIRM]" in cli("close", NAMES[0]).err
    typing(monkeypatch, "close")
    assert "[CLI_CONFIRM]" in cli("close-all", "--reason", "x").err
    assert pushed(slice(25, 26)) == list(NAMES[:2])
    typing(monkeypatch, NAMES[0].lower())
    assert cli("close", NAMES[0]).code == 0
    typing(monkeypatch, "close all")
    assert cli("close-all", "--reason", "x").code == 0
    assert pushed(slice(26, 27)) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("close", "NOBODY", "--yes"), "LIVE_NO_POSITION"),
        (("close", NAMES[0], "--name", "papr", "--yes"), "LIVE_SESSION"),
        (("close", NAMES[0], "--price", "-1", "--yes"), "CONFIG_COMMAND"),
        (("close-all", "--reason", " ", "--yes"), "CLI_REASON"),
        (("close", NAMES[0], "--journal", "elsewhere.db", "--yes"), "JOURNAL_MISSING"),
        (("close", NAMES[0], "--journal", "postgresql://x/y", "--yes"), "CLI_SOURCE"),
        (("approve", "R-0123456789abcdef", "--by", "ada"), "CLI_NO_QUEUE"),
    ],
)
def test_what_cannot_be_closed_is_named(cli: Cli, words: tuple[str, ...], code: str) -> None:
    held()
    answer = cli(*words)
    assert answer.code == EXIT_INPUT
    assert f"[{code}]" in answer.err
    assert Inbox(JOURNAL).waiting() == []


def test_of_two_sessions_one_has_to_be_named(cli: Cli) -> None:
    held("a")
    held("b")
    assert "[CLI_NO_SESSION]" in cli("close", NAMES[0], "--yes").err
    assert cli("close", NAMES[0], "--name", "a", "--yes").code == 0
    assert pushed(slice(25, 26), "a") == [NAMES[1]]
    assert pushed(slice(25, 26), "b") == list(NAMES[:2])


def test_commands_keep_their_order_and_the_journals_own_leave_them_alone(cli: Cli) -> None:
    held()
    queue_command(JOURNAL, "paper", "close", NAMES[0])
    # the session has ended without another bar, and somebody writes to the journal
    assert len(Inbox(JOURNAL).waiting()) == 1
    with TradeJournal(JOURNAL) as journal:
        assert journal.drain() == []
    assert len(Inbox(JOURNAL).waiting()) == 1
    asked = ask(JOURNAL, "paper", "deposit", None, 500.0)
    assert asked.where == "session"
    with Session(JOURNAL, like=BARS, risk=None) as session:
        outcome = session.push(BARS[25:26])
        assert len(outcome.logs["trades"]) == 1
        assert float(session.state.account["deposits"][0]) == 500.0


def test_a_command_for_a_symbol_that_is_none_is_refused_by_the_session_that_stores_it(cli: Cli) -> None:
    held()
    asked = ask(JOURNAL, "paper", "cancel", "NOBODY")
    assert asked.where == "rejected"
    assert "NAME_SYMBOL" in asked.reason
    assert ask(JOURNAL, "other", "close_all").where == "rejected"


# The review queue


def order(number: int = 1, **more: Any) -> OrderRequest:
    fields = {
        "client_order_id": f"T-{number}",
        "legs": (Leg("AAPL", 100.0),),
        "limit_price": 187.5,
        "kind": "limit",
    }
    return OrderRequest(**{**fields, **more})


@pytest.fixture
def queue(cli: Cli) -> ReviewQueue:
    folder = Path(JOURNAL + ".switch")
    return ReviewQueue(folder / "reviews", KillSwitch(folder))


class Manager:
    """Approves as a broker manager does, and counts what it sends."""

    def __init__(self, queue: ReviewQueue) -> None:
        self.queue = queue
        self.sent: list[str] = []

    def approve_request(self, request_id: str, approved_by: str) -> ReviewAnswer:
        answer = self.queue.approve(request_id, approved_by)
        if answer.accepted:
            self.sent.append(answer.request.order.client_order_id)
            said = Submitted(outcome=Outcome.CONFIRMED, client_order_id=answer.request.order.client_order_id)
            self.queue.finish(request_id, said)
        return answer


def test_requests_are_listed(cli: Cli, queue: ReviewQueue) -> None:
    assert cli("requests").out == "nothing waits\n"
    first = queue.add(order(), broker="paper", price=187.0)
    shown = cli("requests")
    assert first.request_id in shown.out
    # whole, so that it can be copied from a terminal of any width
    assert f"{first.request_id}  buy 100 AAPL limit, limit 187.5\n" in shown.out
    assert "asked at 187, paper" in shown.out
    (plain,) = cli("requests", "--json").json
    assert (plain["request_id"], plain["decided"], plain["price"]) == (first.request_id, False, 187.0)
    queue.reject(first.request_id, "no")
    assert cli("requests").out == "nothing waits\n"


def test_a_request_that_is_not_there_is_said_in_the_shells_words(cli: Cli, queue: ReviewQueue) -> None:
    queue.add(order(), broker="paper", price=187.0)
    for words in (("approve", "R-1", "--by", "ada", "--yes"), ("reject", "R-1", "--reason", "x")):
        said = cli(*words)
        assert said.code == EXIT_INPUT
        assert "[NAME_REQUEST]" in said.err
        assert "`twinstep requests`" in said.err
        assert "get_pending" not in said.err


def test_a_trail_is_a_part_of_what_is_asked(cli: Cli, queue: ReviewQueue) -> None:
    legs = (Leg("AAPL", -100.0),)
    trailing = order(legs=legs, kind="trailing", trail_percent=5.0, limit_price=None, purpose="protect")
    queue.add(trailing, broker="paper", price=187.0)
    assert "sell 100 AAPL trailing, trail % 5\n" in cli("requests").out


def test_a_journal_on_a_server_needs_a_folder_and_makes_none(cli: Cli) -> None:
    address = "postgresql://ada:secret@db/trades"
    for words in (("kill",), ("status",), ("requests",), ("arm", "--by", "ada", "--reason", "x")):
        for given in ((*words, "--journal", address), words):
            if given == words:
                Path("twinstep.toml").write_text(f'[journal]\npath = "{address}"\n', encoding="utf-8")
            said = cli(*given)
            assert said.code == EXIT_INPUT, given
            assert "[CLI_SWITCH]" in said.err
            assert "secret" not in said.out + said.err
            Path("twinstep.toml").unlink(missing_ok=True)
    assert [path.name for path in Path().iterdir()] == []


def test_status_shows_the_only_switch_and_arm_names_it(cli: Cli) -> None:
    KillSwitch("practice.db.switch")
    assert cli("kill", "--reason", "frozen").code == 0
    shown = cli("status", "--journal", "practice.db")
    for out in (shown.out, cli("status").out):
        assert out.partition(" (paper)")[0].endswith("practice.db.switch")
        assert out.startswith("HALTED: ")
        assert ": frozen\n" in out
    refused = cli("arm", "--by", "ada", "--reason", "back", "--confirm")
    assert refused.code == EXIT_INPUT
    command = "twinstep arm --folder practice.db.switch --by ada --reason back --confirm"
    assert command in refused.err
    assert not Path(JOURNAL + ".switch").exists(), "looking and refusing begin no switch"
    assert cli(*command.split()[1:]).code == 0
    assert KillSwitch("practice.db.switch").state == "ACTIVE"


def test_status_lists_every_switch_and_arming_one_names_the_others(cli: Cli) -> None:
    held(switch=KillSwitch(JOURNAL + ".switch"))
    for name in ("crash.db", "practice.db"):
        shutil.copy(JOURNAL, name)
        KillSwitch(name + ".switch")
    assert "other switches here" in cli("status").out
    KillSwitch("crash.db.switch").engage("frozen", "ada")
    out = cli("status").out
    assert "HALTED: crash.db.switch (paper): killed by ada" in out
    assert "  twinstep arm --journal crash.db --by NAME --reason TEXT --confirm\n" in out
    assert "ACTIVE: practice.db.switch (paper): armed\n" in out
    assert "arm --journal practice.db" not in out
    others = {one["folder"]: one["state"] for one in cli("status", "--json").json["others"]}
    assert others == {"crash.db.switch": "HALTED", "practice.db.switch": "ACTIVE"}
    assert "other switches here" not in cli("status", "--journal", JOURNAL).out
    armed = cli("arm", "--by", "ada", "--reason", "back", "--confirm")
    assert "still halted: crash.db.switch; arm it with twinstep arm --journal crash.db --by ada" in armed.err
    assert "practice" not in armed.err
    Path(JOURNAL).unlink()
    shutil.rmtree(JOURNAL + ".switch")
    listed = cli("status")
    assert listed.code == 0
    assert listed.out.startswith(f"no journal {JOURNAL} is here; name one of these:\nHALTED: crash.db.switch")


def test_what_status_cannot_read_has_a_code(cli: Cli) -> None:
    missing = cli("status")
    assert missing.code == EXIT_FOUND
    assert "[CLI_JOURNAL_UNREAD]" in missing.err
    held("trend")
    assert cli("status").code == 0
    nobody = cli("status", "--name", "nosuch")
    assert nobody.code == EXIT_FOUND
    assert "[LIVE_SESSION]" in nobody.err
    assert "Known: trend" in nobody.err
    assert cli("status", "--name", "nosuch", "--json").code == EXIT_FOUND
    Path(JOURNAL).write_bytes(b"")
    assert "[CLI_JOURNAL_UNREAD]" in cli("status").err


def test_status_counts_what_the_account_holds(cli: Cli) -> None:
    held()
    out = cli("status").out
    assert "open trades: none in the journal; positions held by session paper: 2, each logged as" in out
    assert "-0.00 %" not in out


def test_an_untouched_account_has_no_drawdown_below_zero(cli: Cli) -> None:
    with Session(JOURNAL, like=BARS, risk=None) as session:
        session.push(BARS[:3])
    out = cli("status").out
    assert "drawdown 0.00 %" in out
    assert not cli("status", "--json").json["account"]["drawdown_pct"] < 0


def test_status_says_where_switch_and_journal_are_not_of_one_session(cli: Cli) -> None:
    switch = KillSwitch(JOURNAL + ".switch")
    held(switch=switch)
    assert "its own switch" not in cli("status").out
    KillSwitch("elsewhere.switch")
    assert f"its own switch is {Path(JOURNAL + '.switch').resolve()}" in " ".join(
        cli("status", "--folder", "elsewhere.switch", "--journal", JOURNAL).out.split()
    )


def test_an_approval_waits_for_the_session_and_is_judged_there(cli: Cli, queue: ReviewQueue) -> None:
    request = queue.add(order(), broker="paper", price=187.0)
    said = cli("approve", request.request_id, "--by", "ada", "--yes", "--wait", "0")
    assert said.code == 0
    assert "no session has taken it up yet" in said.out
    assert queue.get(request.request_id).state == "pending"
    assert "approved and not taken up" in cli("requests").out
    manager = Manager(queue)
    (taken,) = take_decisions(queue_folder(queue), manager.approve_request)
    assert (taken.by, taken.problem, manager.sent) == ("ada", "", ["T-1"])
    assert take_decisions(queue_folder(queue), manager.approve_request) == []
    again = cli("approve", request.request_id, "--by", "bob", "--yes")
    assert again.code == EXIT_FOUND
    assert "approved by ada" in again.out
    assert manager.sent == ["T-1"]


def queue_folder(queue: ReviewQueue) -> Path:
    return Path(queue.switch.folder) / "reviews"


@pytest.mark.parametrize("refused", [False, True])
def test_an_approval_that_the_session_takes_is_told_with_what_came_of_it(
    cli: Cli, queue: ReviewQueue, refused: bool
) -> None:
    folder = queue_folder(queue)
    judging = ReviewQueue(folder, queue.switch, judge=lambda _: "heat is 6.1 of 6" if refused else None)
    request = queue.add(order(), broker="paper", price=187.0)
    manager, ended = Manager(judging), threading.Event()

    def session() -> None:
        while not take_decisions(folder, manager.approve_request) and not ended.wait(0.01):
            pass

    thread = threading.Thread(target=session)
    thread.start()
    try:
        said = cli("approve", request.request_id, "--by", "ada", "--yes", "--wait", "20")
    finally:
        ended.set()
        thread.join()
    assert said.code == (EXIT_FOUND if refused else 0)
    assert ("heat is 6.1 of 6" in said.out) == refused
    assert ("CONFIRMED".lower() in said.out.lower()) != refused
    assert manager.sent == ([] if refused else ["T-1"])


def test_an_approval_needs_the_symbol_typed(
    cli: Cli, queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = queue.add(order(), broker="paper", price=187.0)
    line = ("approve", request.request_id, "--by", "ada", "--wait", "0")
    for words in ("", "MSFT", "yes"):
        typing(monkeypatch, words)
        refused = cli(*line)
        assert refused.code == EXIT_INPUT
        assert "[CLI_CONFIRM]" in refused.err
        assert "buy 100 AAPL" in refused.err
        assert "scope paper" in refused.err
    assert take_decisions(queue_folder(queue), Manager(queue).approve_request) == []
    typing(monkeypatch, "AAPL")
    assert cli(*line).code == 0
    assert len(take_decisions(queue_folder(queue), Manager(queue).approve_request)) == 1


def test_what_is_halted_or_expired_cannot_be_approved(cli: Cli, queue: ReviewQueue) -> None:
    late = ReviewQueue(
        queue_folder(queue), queue.switch, clock=lambda: datetime.now(UTC) - timedelta(hours=1)
    ).add(order(1), broker="paper")
    said = cli("approve", late.request_id, "--by", "ada", "--yes")
    assert (said.code, "expired" in said.out) == (EXIT_FOUND, True)
    open_one = queue.add(order(2), broker="paper")
    queue.switch.engage("crash", "bob")
    said = cli("approve", open_one.request_id, "--by", "ada", "--yes")
    assert said.code == EXIT_FOUND
    assert "killed by bob" in said.err
    assert take_decisions(queue_folder(queue), Manager(queue).approve_request) == []
    assert "[NAME_REQUEST]" in cli("approve", "R-1", "--by", "ada", "--yes").err


def test_a_rejection_is_stored_at_once(cli: Cli, queue: ReviewQueue) -> None:
    request = queue.add(order(), broker="paper")
    said = cli("reject", request.request_id, "--reason", "earnings tomorrow", "--by", "ada")
    assert said.code == 0
    assert "rejected by ada: earnings tomorrow" in said.out
    assert queue.get(request.request_id).state == "rejected"
    assert cli("reject", request.request_id, "--reason", "again").code == EXIT_FOUND


def test_what_is_no_decision_stands_in_nobodys_way(cli: Cli, queue: ReviewQueue) -> None:
    folder = queue_folder(queue)
    good = queue.add(order(3), broker="paper")
    leave_decision(folder, good.request_id, "ada")
    for number, content in enumerate((b"", b"{}", b'{"request_id": "R-0", "by": "x"}', b"[" * 9999)):
        (folder / "decisions" / f"R-{number:016x}.json").write_bytes(content)
    (folder / "decisions" / "notes.txt").write_text("mine", encoding="utf-8")
    manager = Manager(queue)
    taken = take_decisions(folder, manager.approve_request)
    assert len(taken) == 5
    assert [one.request_id for one in taken if one.answer is not None] == [good.request_id]
    assert manager.sent == ["T-3"]
    assert [file.name for file in (folder / "decisions").iterdir()] == ["notes.txt"]


def test_a_decision_needs_a_name_and_a_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs the name of a person"):
        leave_decision(tmp_path, "R-0000000000000000", " ")
    (tmp_path / "decisions").write_bytes(b"in the way")
    with pytest.raises(JournalError) as error:
        leave_decision(tmp_path, "R-0000000000000000", "ada")
    assert error.value.code == "LIVE_REVIEW_STORE"
