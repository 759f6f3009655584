"""A session and its kill switch: no command outdoes it, no halt goes unseen, and none is lost by a move."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from journal.inbox import Inbox
from live import KillSwitch, Session, queue_command, verify_parity
from live.kill_switch import switch_folder
from live.sessions.store import SessionStore
from simulator import Bars, Command, RiskLimits, Signals, load_bars
from simulator.errors import ConfigError, TwinstepWarning
from simulator.types import Reason


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:1x60?seed=1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def switch(path: Path) -> KillSwitch:
    return KillSwitch(switch_folder(path))


def entry(bars: Bars, row: int, **more: Any) -> Signals:
    return Signals.from_arrays(bars, [row], 0, 1, stop_percent=5.0, **more)


def resting(bars: Bars, row: int) -> Signals:
    """A limit above the close, which any bar after `row` fills that opens near it."""
    return entry(bars, row, entry="limit", limit_price=float(bars.close[row, 0]) * 1.02)


def flag(session: Session, name: str) -> int:
    return int(session.state.account[name][0])


def rejections(path: Path) -> list[str]:
    folder = Inbox(path).rejected
    return [one.read_text() for one in sorted(folder.glob("*.reason.txt"))] if folder.is_dir() else []


def commands_of(path: Path) -> list[str]:
    """Kinds of all commands recorded, in their order."""
    from live.sessions.frames import decode_frame
    from live.sessions.recording import decode_piece

    with Database(path, read_only=True) as database, database.read() as connection:
        store = SessionStore(database, "paper")
        found = store.get(connection)
        like = decode_frame(found.frame)
        pieces = [decode_piece(data, like) for data in store.pieces(connection, found.id)]
    return [command.kind for piece in pieces for command in piece.given_commands()]


def test_arm_cannot_be_queued_where_there_is_a_switch(bars: Bars, path: Path, switch: KillSwitch) -> None:
    with pytest.raises(ConfigError) as caught:
        queue_command(path, "paper", "arm")
    assert caught.value.code == "LIVE_ARM_QUEUED"
    with Session(path, like=bars, kill_switch=switch) as session:
        session.push(bars[0:10])
        switch.engage("crash", "ada")
        session.push(bars[10:11])
        # past the function that refuses it
        Inbox(path).drop("session_arm", {"session": "paper", "symbol": None, "value": None})
        outcome = session.push(bars[11:12], entry(bars, 11))
        assert outcome.logs["verdicts"]["reason"].tolist() == [int(Reason.KILLED)]
        assert flag(session, "killed") == 1
    assert [("ConfigError" in reason, "twinstep arm" in reason) for reason in rejections(path)] == [
        (True, True)
    ]


def test_a_session_with_a_switch_elsewhere_is_not_armed_either(
    bars: Bars, path: Path, tmp_path: Path
) -> None:
    far = KillSwitch(tmp_path / "far" / "switch")
    queue_command(path, "paper", "arm")  # nothing beside the journal says that there is a switch
    with Session(path, like=bars, kill_switch=far) as session:
        session.push(bars[0:1])
    assert len(rejections(path)) == 1
    assert commands_of(path) == []


def test_without_a_switch_arm_is_a_command_like_any_other(bars: Bars, path: Path) -> None:
    with Session(path, like=bars) as session:
        session.push(bars[0:5], commands=[Command(bars.index[2].to_pydatetime(), "kill")])
        queue_command(path, "paper", "arm")
        session.push(bars[5:6])
        assert flag(session, "killed") == 0
    assert commands_of(path) == ["kill", "arm"]


@pytest.mark.parametrize(("how", "held"), [("engage", "killed"), ("reduce", "reducing")])
@pytest.mark.parametrize("group", [1, 5])
def test_an_arm_from_inside_is_outdone_at_the_same_bar(
    bars: Bars, path: Path, switch: KillSwitch, how: str, held: str, group: int
) -> None:
    with Session(path, like=bars, kill_switch=switch, group=group) as session:
        session.push(bars[0:10])
        getattr(switch, how)("crash", "ada")
        session.push(bars[10:11])
        session.command("arm")
        outcome = session.push(bars[11:16], entry(bars, 13))
        assert outcome.logs["verdicts"]["granted"].tolist() == [0.0]
        assert flag(session, held) == 1
        # said once, and not again at every bar of a halt
        session.push(bars[16:30])
    kind = "kill" if how == "engage" else "reduce"
    assert commands_of(path) == [kind, "arm", kind]
    assert verify_parity(path).ok


def test_an_account_armed_while_no_switch_was_watching_is_halted_again(
    bars: Bars, path: Path, switch: KillSwitch
) -> None:
    with Session(path, like=bars, kill_switch=switch) as session:
        session.push(bars[0:10])
        switch.engage("crash", "ada")
        session.push(bars[10:11])
    with Session(path, like=bars) as session:
        session.push(bars[11:12], commands=[Command(bars.index[11].to_pydatetime(), "arm")])
        assert flag(session, "killed") == 0
    with Session(path, like=bars, kill_switch=switch) as session:
        session.push(bars[12:13])
        assert flag(session, "killed") == 1
    assert commands_of(path) == ["kill", "arm", "kill"]
    assert verify_parity(path).ok


@pytest.mark.parametrize("how", ["engage", "reduce"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_halt_that_was_over_before_the_next_bar_cancels_what_works(
    bars: Bars, path: Path, switch: KillSwitch, how: str, restart: bool
) -> None:
    with Session(path.with_name("calm.db"), like=bars) as session:
        session.push(bars[0:10])
        session.push(bars[10:11], resting(bars, 10))
        assert len(session.push(bars[11:12]).logs["fills"]) == 1  # what it would have done
    session = Session(path, like=bars, kill_switch=switch)
    session.push(bars[0:10])
    session.push(bars[10:11], resting(bars, 10))
    assert flag(session, "n_orders") == 1
    getattr(switch, how)("crash", "ada")
    switch.arm("ada", "it was nothing")
    if restart:
        session.close()
        session = Session(path, like=bars, kill_switch=KillSwitch(switch.folder))
    rehearsed = session.rehearse(bars[11:12])
    outcome = session.push(bars[11:12])
    for logs in (rehearsed.logs, outcome.logs):
        assert len(logs["fills"]) == 0
    assert flag(session, "n_orders") == 0
    assert flag(session, "killed") == 0
    after = session.push(bars[12:20], entry(bars, 12))
    assert len(after.logs["fills"]) > 0  # and trading goes on
    session.close()
    assert commands_of(path) == ["kill", "arm"]
    assert verify_parity(path).ok


def test_a_bar_that_could_not_be_stored_sees_the_halt_when_it_comes_again(
    bars: Bars, path: Path, switch: KillSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any, **named: Any) -> None:
        raise OSError("no room")

    with Session(path, like=bars, kill_switch=switch) as session:
        session.push(bars[0:10])
        session.push(bars[10:11], resting(bars, 10))
        switch.engage("crash", "ada")
        switch.arm("ada", "it was nothing")
        with monkeypatch.context() as patched:
            patched.setattr(SessionStore, "save", full)
            with pytest.raises(OSError, match="no room"):
                session.push(bars[11:12])
        session.push(bars[11:12])
        assert flag(session, "n_positions") == 0
    assert commands_of(path) == ["kill", "arm"]


def test_halted_reduced_and_armed_between_two_bars(bars: Bars, path: Path, switch: KillSwitch) -> None:
    with Session(path, like=bars, kill_switch=switch) as session:
        session.push(bars[0:10])
        session.push(bars[10:11], resting(bars, 10))
        switch.engage("crash", "ada")
        switch.arm("ada", "it was nothing")
        switch.reduce("carefully", "ada")
        session.push(bars[11:12])
        assert (flag(session, "killed"), flag(session, "reducing")) == (0, 1)
        assert (flag(session, "n_orders"), flag(session, "n_positions")) == (0, 0)
        switch.arm("ada", "all is well")
        session.push(bars[12:13])
        assert flag(session, "reducing") == 0
    assert commands_of(path) == ["kill", "arm", "reduce", "arm"]


def test_arming_keeps_the_peak_unless_the_drawdown_itself_had_halted(tmp_path: Path) -> None:
    bars = load_bars("synthetic:1x60?seed=1")
    panel = bars.panel.copy()
    panel[:, 0, :4] = 100.0
    panel[:, 0, 1], panel[:, 0, 2] = 100.5, 99.5
    panel[12:, 0, :4] *= 0.9  # a fall of a tenth, below no stop
    falling = bars.replaced(panel=panel)
    bought = Signals.from_arrays(falling, [9], 0, 1, stop_percent=60.0, qty=250.0)
    peaks = []
    for number, limit in enumerate((None, 2.0)):
        risk = RiskLimits(
            max_drawdown_pct=limit, daily_loss_limit=50.0, risk_per_trade_pct=20.0,
            max_portfolio_heat_pct=90.0, max_gross_exposure_pct=100.0,
        )  # fmt: skip
        switch = KillSwitch(tmp_path / f"{number}.switch")
        with Session(tmp_path / f"{number}.db", like=falling, risk=risk, kill_switch=switch) as session:
            session.push(falling[0:14], bought)
            assert flag(session, "n_positions") == 1
            assert flag(session, "drawdown_halt") == (limit is not None)
            before, equity = float(session.state.account["peak_equity"][0]), session.equity
            switch.engage("a look", "ada")
            session.push(falling[14:15])
            switch.arm("ada", "seen")
            session.push(falling[15:16])
            assert flag(session, "drawdown_halt") == 0
            peaks.append((float(session.state.account["peak_equity"][0]), before, equity))
    assert peaks[0][0] == peaks[0][1] > peaks[0][2]
    assert peaks[1][0] == peaks[1][2] < peaks[1][1]


def test_a_journal_moved_without_its_switch_is_halted_and_says_so(
    bars: Bars, path: Path, switch: KillSwitch
) -> None:
    with Session(path, like=bars, kill_switch=switch) as session:
        session.push(bars[0:10])
        switch.engage("crash", "ada")
        session.push(bars[10:11])
    moved = path.with_name("elsewhere") / "moved.db"
    moved.parent.mkdir()
    for part in path.parent.glob("journal.db*"):
        if part.is_file():
            shutil.copy(part, moved.with_name(part.name.replace("journal.db", "moved.db")))
    fresh = KillSwitch(switch_folder(moved))
    assert fresh.state == "ACTIVE"  # a folder alone cannot know
    with pytest.warns(TwinstepWarning, match="LIVE_SWITCH_NEW"):
        session = Session(moved, like=bars, kill_switch=fresh, name="another")
    with session:
        session.push(bars[0:1])
        assert flag(session, "killed") == 1
    again = KillSwitch(switch_folder(moved))
    assert (again.state, again.status["engaged_by"]) == ("HALTED", "twinstep")
    assert "moved or renamed" in str(again.status["reason"])
    again.arm("ada", "the old one was looked at")
    with Session(moved, like=bars, kill_switch=again) as session:
        session.push(bars[11:12])
        assert flag(session, "killed") == 0


def test_sessions_of_one_journal_share_a_switch_that_armed_itself(
    bars: Bars, path: Path, switch: KillSwitch
) -> None:
    for name in ("one", "two"):
        with Session(path, like=bars, kill_switch=switch, name=name) as session:
            session.push(bars[0:3])
    assert switch.state == "ACTIVE"


def test_a_command_for_another_session_waits_for_it(bars: Bars, path: Path) -> None:
    with Database(path) as database:
        one = Session(database, like=bars, name="one")
        two = Session(database, like=bars, name="two")
        killed = queue_command(path, "two", "kill")
        nobody = queue_command(path, "three", "kill")
        one.push(bars[0:10])
        assert Inbox(path).outcome(database, killed).state == "waiting"
        assert Inbox(path).outcome(database, nobody).state == "rejected"
        assert flag(one, "killed") == 0
        outcome = two.push(bars[0:10], entry(bars, 9))
        assert flag(two, "killed") == 1
        assert outcome.logs["verdicts"]["granted"].tolist() == [0.0]
        assert Inbox(path).outcome(database, killed).state == "applied"
        three = Session(database, like=bars, name="three")
        four = queue_command(path, "three", "close_all")
        one.push(bars[10:11])  # a session that came later is known too
        assert Inbox(path).outcome(database, four).state == "waiting"
        three.push(bars[0:1])
        assert Inbox(path).outcome(database, four).state == "applied"
        Inbox(path).drop("session_kill", {"session": ["one"]})  # names of no kind harm nobody
        one.push(bars[11:12])
        assert flag(one, "killed") == 0
    assert len(rejections(path)) == 2
