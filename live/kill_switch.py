"""The kill switch: nothing is submitted without a token file, and killing removes the file.

It fails safe. Trading needs the file ARMED in the switch's folder, whole and of the right scope; absent,
unreadable, damaged or made for another scope means HALTED. A kill removes the file first and writes its
record afterwards, so it works on a full disk, beside a broken journal and without one; a record that cannot
be written is reported and never in the way, and signs in its words that no page or terminal takes are
escaped. A kill outlives restarts, and only a named person with a reason ends it. The first start of a fresh
paper folder arms it once, on record; a live folder is armed by nobody but a person.

The state is looked up, never remembered: any process may kill, and every other one sees it at its next look,
which costs a few microseconds. A halt by this switch is not the account's own: daily loss and drawdown are
measured by the step. Arming here writes nothing but the token; a session that follows this switch tells its
account `arm` at its next bar, which keeps the peak unless the drawdown itself had halted (docs/risk.md).

>>> import tempfile
>>> switch = KillSwitch(tempfile.mkdtemp())
>>> switch.engage("market crash", "ada").complete, switch.state
(True, 'HALTED')
>>> switch.arm("ada", "prices are sane again")
>>> switch.state
'ACTIVE'
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from live import kill_files as files
from live.kill_files import Token, switch_folder
from live.people import is_person
from simulator.errors import ConfigError, TwinstepError

__all__ = ["Halt", "KillSwitch", "KillSwitchError", "Scope", "SwitchState", "switch_folder"]

SwitchState = Literal["ACTIVE", "REDUCING", "HALTED"]
Scope = Literal["paper", "live"]

ARM_WAIT_SECONDS: Final = 0.5
"""How long an arming waits for another one."""

_PROGRAM: Final = "twinstep"
"""Who arms a fresh folder, which no person can be called."""
_FIRST: Final = "first start of a fresh paper folder"
_NAME_SIGNS: Final = 100
_REASON_SIGNS: Final = 1000
"""Longest name and reason of an arming, so that its token is short enough to be one."""


class KillSwitchError(TwinstepError, RuntimeError):
    """The kill switch refuses: a submit while it is engaged, or an arming that does not hold."""


@dataclass(frozen=True, slots=True)
class Halt:
    """What a kill or a reduction achieved.

    Attributes
    ----------
    state
        The state afterwards.
    complete
        Whether every process sees it. False where the token could be neither removed nor emptied: then only
        the process that called is halted, and the others have to be ended by hand.
    recorded
        Whether the reason is in the record.
    problems
        What went wrong, in words; none of it undoes the halt.
    """

    state: SwitchState
    complete: bool
    recorded: bool
    problems: tuple[str, ...] = ()


class KillSwitch:
    """The switch whose files lie in `folder`.

    Parameters
    ----------
    folder
        Made where it is missing. That of a journal is `switch_folder(journal)`.
    clock
        Gives the time of records, aware; the system's clock by default.
    scope
        "paper" or "live"; a token of the other scope arms nothing.
    arm_fresh
        Whether a fresh paper folder is armed; False to look only.
    tell
        Is given every entry of the record too, the journal for instance; its errors are reported, no more.

    Raises
    ------
    ConfigError
        LIVE_SCOPE for a scope that is neither.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] | None = None,
        scope: Scope = "paper",
        arm_fresh: bool = True,
        tell: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        if scope not in ("paper", "live"):
            raise ConfigError(
                f"the scope of a kill switch is {scope!r}, not paper or live", code="LIVE_SCOPE"
            )
        self.folder = Path(folder)
        self.scope: Scope = scope
        self._clock = clock
        self._tell = tell
        self._token_path = os.fspath(self.folder / files.TOKEN)
        self._mark_path = os.fspath(self.folder / files.MARK)
        self._seen: tuple[files.Identity, Token | None] | None = None
        self._refused: set[str] = set()
        self._unwritten: list[dict[str, Any]] = []
        self._trouble: list[str] = []
        if arm_fresh and files.is_fresh(self.folder):
            self._begin()

    @property
    def state(self) -> SwitchState:
        """ACTIVE, REDUCING (exits only) or HALTED, as the files say now; never raises."""
        if self._token() is None:
            return "HALTED"
        try:
            os.lstat(self._mark_path)
        except FileNotFoundError:
            return "ACTIVE"
        except OSError:
            return "HALTED"
        return "REDUCING"

    @property
    def arming(self) -> str:
        """Identity of the arming that stands: another one means a halt in between, "" that there is none."""
        token = self._token()
        return "" if token is None else token.mark

    @property
    def armed_itself(self) -> bool:
        """Whether the arming that stands is that of a fresh folder, and of no person."""
        token = self._token()
        return token is not None and token.by == _PROGRAM

    @property
    def status(self) -> dict[str, Any]:
        """State, who brought it about, when and why; unknown is None.

        `engaged` says whether trading is halted, `engaged_by`, `engaged_at` and `reason` who did it first
        since the last arming, `why` what is wrong with the token, in words; `armed_by`, `armed_at` and
        `arm_reason` are of the token that stands or stood last; `problems` are things to look after.
        """
        state = self.state
        problems = list(self._trouble)
        try:
            entries = files.read_record(self.folder)
        except OSError as error:
            entries = []
            problems.append(f"the record cannot be read ({error.strerror})")
        arm, cause = _last(entries + self._unwritten, "kill" if state == "HALTED" else "reduce")
        if state == "ACTIVE":
            cause = {}
        token = self._token()
        armed = {"by": token.by, "at": token.at, "reason": token.reason} if token else arm
        return {
            "state": state,
            "engaged": state == "HALTED",
            "scope": self.scope,
            "reason": cause.get("reason"),
            "engaged_by": cause.get("by"),
            "engaged_at": cause.get("at"),
            "why": self._why(state, cause),
            "armed_by": armed.get("by"),
            "armed_at": armed.get("at"),
            "arm_reason": armed.get("reason"),
            "folder": str(self.folder),
            "problems": problems,
        }

    def check(self) -> None:
        """Return where new orders may be sent.

        Raises
        ------
        KillSwitchError
            LIVE_HALTED or LIVE_REDUCING, with who, when and why.
        """
        state = self.state
        if state == "ACTIVE":
            return
        why = self.status["why"]
        if state == "REDUCING":
            raise KillSwitchError(f"only exits are sent: {why}", code="LIVE_REDUCING")
        import shlex  # not needed to kill, which has to be quick

        raise KillSwitchError(
            f"trading is halted: {why}. A named person arms: twinstep arm --folder "
            f"{shlex.quote(str(self.folder))} --scope {self.scope} --by NAME --reason TEXT --confirm",
            code="LIVE_HALTED",
        )

    def engage(self, reason: str, engaged_by: str) -> Halt:
        """Halt at once and for every process, then write down why; never raises, whatever goes wrong."""
        problems = self._disarm()
        complete = not problems
        recorded = self._note("kill", engaged_by, reason, problems)
        return Halt(self.state, complete, recorded, tuple(problems))

    def reduce(self, reason: str, engaged_by: str) -> Halt:
        """Let only exits pass from now on; where the mark for it cannot be written, halt instead."""
        problems: list[str] = []
        try:
            self._mark()
        except OSError as error:
            problems = [f"the mark cannot be written ({error}), so trading is halted instead"]
            halt = self.engage(reason, engaged_by)
            return Halt(halt.state, halt.complete, halt.recorded, (*problems, *halt.problems))
        recorded = self._note("reduce", engaged_by, reason, problems)
        return Halt(self.state, True, recorded, tuple(problems))

    def arm(self, by: str, reason: str) -> None:
        """End a halt or a reduction, in the name of a person and for a reason.

        Raises
        ------
        KillSwitchError
            LIVE_ARM_NAME or LIVE_ARM_REASON where one is missing or is no person's; LIVE_ARMED where it is
            armed already, LIVE_ARM_BUSY while another arms; LIVE_ARM_OVERTAKEN where a kill came in between;
            LIVE_ARM_FAILED where the files cannot be written. In all of them nothing is armed that was not.
        """
        by, reason = _short(_text(by), _NAME_SIGNS), _short(_text(reason), _REASON_SIGNS)
        if not is_person(by):
            raise KillSwitchError(f"{by!r} is nobody's name; only a named person arms", code="LIVE_ARM_NAME")
        if not reason:
            raise KillSwitchError("no reason is given; say why trading may go on", code="LIVE_ARM_REASON")
        self._arm(by, reason)

    def _begin(self) -> None:
        """Begin a folder: paper is armed on record, live is only named, so that others know its scope."""
        try:
            if self.scope == "paper":
                self._arm(_PROGRAM, _FIRST, fresh=True)
            else:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.append(self.folder, self._entry("open", _PROGRAM, "first start", []))
        except (KillSwitchError, OSError) as error:
            self._trouble.append(f"the folder could not be begun ({error})")

    def _arm(self, by: str, reason: str, *, fresh: bool = False) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with files.arming(self.folder, ARM_WAIT_SECONDS):
                if fresh and not files.is_fresh(self.folder):
                    return  # another process was first
                self._refuse_second()
                self._write_token(by, reason)
        except BlockingIOError as error:
            raise KillSwitchError(
                f"another process is arming {self.folder} right now; look at its outcome first",
                code="LIVE_ARM_BUSY",
            ) from error
        except OSError as error:
            raise KillSwitchError(
                f"{self.folder} cannot be armed, and stays halted: {error.strerror}. The likely cause is a "
                "full disk or a missing right",
                code="LIVE_ARM_FAILED",
            ) from error

    def _refuse_second(self) -> None:
        token = self._token()
        if token is not None and self.state == "ACTIVE":
            raise KillSwitchError(
                f"{self.folder} is armed already, by {token.by} at {token.at}: {token.reason}",
                code="LIVE_ARMED",
            )

    def _write_token(self, by: str, reason: str) -> None:
        """Write record and token; the lock is held, but a kill asks nobody and may come at any point."""
        problems: list[str] = []
        entry = self._entry("arm", by, reason, problems)
        token = Token(self.scope, by, entry["at"], reason, os.urandom(8).hex())
        draft = files.write_draft(self.folder, token)
        try:
            files.append(self.folder, {**entry, "mark": token.mark})
            # the old token goes first: without its mark it would let everything pass
            for path in (self._token_path, self._mark_path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            os.rename(draft, self._token_path)
            files.sync_folder(self.folder)
        except FileNotFoundError as error:
            self._disarm()
            self._note("arm_undone", by, "a kill came in between", problems, mark=token.mark)
            raise KillSwitchError(
                f"{self.folder} was killed while {by} was arming it, and stays halted",
                code="LIVE_ARM_OVERTAKEN",
            ) from error
        except OSError:
            self._disarm()
            self._note("arm_undone", by, "it could not be written", problems, mark=token.mark)
            raise
        self._trouble = problems
        self._told({**entry, "mark": token.mark}, self._trouble)

    def _disarm(self) -> list[str]:
        """Remove the token; returns what kept it, and then this process refuses it nevertheless."""
        token = self._token()
        problems = files.remove_tokens(self.folder)
        if problems and token is not None:
            self._refused.add(token.mark)
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.sync_folder(self.folder)
        return problems

    def _token(self) -> Token | None:
        """Return the token that stands, None where none does that arms this switch."""
        try:
            found = files.identity(os.lstat(self._token_path))
        except OSError:
            return None
        seen = self._seen
        if seen is None or seen[0] != found:
            seen = self._read()
        token = None if seen is None else seen[1]
        return token if token is not None and token.mark not in self._refused else None

    def _read(self) -> tuple[files.Identity, Token | None] | None:
        try:
            found, token = files.read_token(Path(self._token_path))
        except (OSError, ValueError):
            return None
        self._seen = (found, token if token.scope == self.scope else None)
        return self._seen

    def _why(self, state: SwitchState, cause: dict[str, Any]) -> str:
        if state == "ACTIVE":
            return "armed"
        if cause:
            word = "killed" if state == "HALTED" else "reduced"
            return f"{word} by {cause.get('by')} at {cause.get('at')}: {cause.get('reason')}"
        if state == "REDUCING":
            return "the mark REDUCING is there, and the record does not say why"
        try:
            _, token = files.read_token(Path(self._token_path))
        except FileNotFoundError:
            return "no ARMED token is there, and no kill is on record: never armed, or the file was removed"
        except OSError as error:
            return f"the ARMED token cannot be read ({error.strerror})"
        except ValueError as error:
            return f"the ARMED token is damaged ({error})"
        if token.scope != self.scope:
            return f"the ARMED token is for {token.scope}, not for {self.scope}"
        return "it was killed here, but its ARMED token could not be removed: other processes may go on"

    def _mark(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with files.arming(self.folder, ARM_WAIT_SECONDS):  # which would take the mark away again
            # that it is there is all that counts; who and why are in the record
            os.close(os.open(self._mark_path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            files.sync_folder(self.folder)

    def _note(self, event: str, by: str, reason: str, problems: list[str], **more: str) -> bool:
        """Append to the record what could not be written before and this; returns whether it is written."""
        entry = {**self._entry(event, by, reason, problems), **more}
        waiting = [*self._unwritten, entry]
        try:
            while waiting:
                files.append(self.folder, waiting[0])
                waiting.pop(0)
        except (OSError, ValueError) as error:
            problems.append(f"the record cannot be written ({error})")
        self._unwritten = waiting
        self._told(entry, problems)
        self._trouble = list(problems)
        return not waiting

    def _told(self, entry: dict[str, Any], problems: list[str]) -> None:
        if self._tell is None:
            return
        try:
            self._tell(entry)
        except Exception as error:  # of whoever is told, a broken journal say; the halt holds without it
            problems.append(f"nobody could be told ({type(error).__name__}: {_text(error)})")

    def _entry(self, event: str, by: str, reason: str, problems: list[str]) -> dict[str, Any]:
        return {
            "event": event,
            "at": self._now(problems),
            "by": _text(by) or "unknown",
            "reason": _text(reason) or "no reason given",
            "scope": self.scope,
            "pid": os.getpid(),
            "host": os.uname().nodename,
        }

    def _now(self, problems: list[str]) -> str:
        if self._clock is not None:
            try:
                return self._clock().astimezone(UTC).isoformat()
            except Exception as error:  # of an injected clock; a kill needs a time, not that one
                problems.append(
                    f"the clock failed ({type(error).__name__}: {_text(error)}); the system's is used"
                )
        return datetime.now(UTC).isoformat()


def _last(entries: list[dict[str, Any]], event: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the last arming that held, and the first event of a kind after it; {} for none."""
    undone = {entry.get("mark") for entry in entries if entry.get("event") == "arm_undone"}
    arm: dict[str, Any] = {}
    cause: dict[str, Any] = {}
    for entry in entries:
        if entry.get("event") == "arm" and entry.get("mark") not in undone:
            arm, cause = entry, {}
        elif entry.get("event") == event and not cause:
            cause = entry
    return arm, cause


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _text(value: object) -> str:
    """Return a value as text on one line, escaped; a kill takes whatever it is given."""
    try:
        return files.escaped(str(value))
    except Exception:  # `str` runs the value's own code, and no reason may keep anybody from killing
        return f"a {type(value).__name__} without a text"
