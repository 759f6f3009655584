"""Kill switches from the shell: which ones, and what killing, arming and looking print.

A kill has to work when little else does, and soon: this module imports nothing but the switch itself, which
rests on the standard library. What it can do without (the configuration, the journal, a name for the user)
may fail, and is then left out.

The switch of a journal lies beside it, in `<journal>.switch`. Whoever kills without naming one halts every
switch of this folder and the configured one: halting too much is cheap.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from live.kill_files import ENDING, is_fresh, read_record, switch_folder
from live.kill_switch import KillSwitch, KillSwitchError, Scope
from simulator.errors import ConfigError

__all__ = [
    "JOURNAL",
    "arm",
    "beside",
    "configured_journal",
    "folder_of",
    "journal_file",
    "kill",
    "look",
    "naming",
    "quick_kill",
    "scope_of",
    "user",
]

JOURNAL: Final = "trade_journal.db"
DONE, FAILED, FOUND = 0, 1, 3

_OPTIONS: Final = ("--folder", "--journal", "--reason", "--by")


def quick_kill(arguments: Sequence[str]) -> int | None:
    """Kill as `twinstep kill ARGUMENTS` does, or return None for a line that only the parser understands."""
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name not in _OPTIONS or name in given or (not equals and not rest):
            return None
        given[name] = value if equals else rest.pop(0)
    try:
        return kill(
            folder=given.get("--folder"),
            journal=given.get("--journal"),
            reason=given.get("--reason", ""),
            by=given.get("--by", ""),
        )
    except Exception:
        return None  # the ordinary way tries again, and prints it as every error is printed


def kill(*, folder: str | None = None, journal: str | None = None, reason: str = "", by: str = "") -> int:
    """Halt, print what was halted, and return the exit code.

    It is 0, or 1 where a halt does not reach everybody, or 3 where the named folder had no switch.

    Raises
    ------
    KillSwitchError
        LIVE_NO_SWITCH where none is named and none is found.
    ConfigError
        CLI_SWITCH.
    """
    folders = [folder_of(folder, journal)] if folder or journal else _all_here()
    answer = DONE
    for place in folders:
        was_fresh = is_fresh(place)
        switch = KillSwitch(place, scope=scope_of(place), arm_fresh=False)
        before = "" if was_fresh or switch.state != "HALTED" else f", as before: {switch.status['why']}"
        halt = switch.engage(reason or "killed from the command line", by or user())
        # what could not be recorded in a folder that was new has left nothing there to halt anybody
        nothing = was_fresh and is_fresh(place)
        if halt.complete and not nothing:
            _say(f"{halt.state}: {place}{before}")
        for problem in halt.problems:
            _complain(f"warning: {place}: {problem}")
        error_code = "LIVE_KILL_INCOMPLETE"
        if nothing or _is_in_the_way(place):
            _complain(
                f"error [{error_code}]: nothing was halted: {place} is no folder of a switch, and none can "
                "be made there. Name the one that the session has"
            )
            answer = FAILED
        elif not halt.complete:
            _complain(
                f"error [{error_code}]: the token in {place} is still there, so other processes trade on: "
                "end them by hand, or remove the file as a user who may"
            )
            answer = FAILED
        elif was_fresh and answer == DONE:
            _complain(f"warning: no switch was in {place}; one is there now, halted. Is that the right path?")
            answer = FOUND
    return answer


def _is_in_the_way(place: Path) -> bool:
    """Whether a file stands where the folder, or one above it, would be."""
    try:
        return not stat.S_ISDIR(os.stat(place).st_mode)
    except NotADirectoryError:
        return True
    except OSError:
        return False


def arm(place: Path, by: str, reason: str, *, scope: Scope) -> KillSwitch:
    """Arm a switch; raises `KillSwitchError`."""
    was_fresh = is_fresh(place)
    switch = KillSwitch(place, scope=scope, arm_fresh=False)
    switch.arm(by, reason)
    if was_fresh:
        _complain(f"warning: no switch was in {place}; one is there now, armed. Is that the right path?")
    return switch


def look(place: Path, *, scope: Scope | None = None) -> dict[str, Any]:
    """Return the status of a switch, for the scope that its folder was begun for or another one."""
    return KillSwitch(place, scope=scope or scope_of(place), arm_fresh=False).status


def folder_of(folder: str | None, journal: str | None) -> Path:
    """Return the folder of the switch that is meant: the one named, else that of the journal.

    Raises
    ------
    ConfigError
        CLI_SWITCH for a journal on a server, which has nothing beside it.
    """
    return Path(folder) if folder else switch_folder(journal_file(journal))


def journal_file(journal: str | None) -> str:
    """Return the file of the journal that is named, or configured; raises as `folder_of`."""
    chosen = journal or configured_journal()
    if "://" in chosen:
        raise ConfigError(
            f"the journal is on a server ({chosen.partition('://')[0]}), so no switch lies beside it: name "
            "the switch's folder with --folder",
            code="CLI_SWITCH",
        )
    return chosen


def scope_of(place: Path) -> Scope:
    """Return the scope that a folder was begun for; paper where its record does not say."""
    try:
        scopes = [entry["scope"] for entry in read_record(place) if "scope" in entry]
    except OSError:
        scopes = []
    return "live" if scopes and scopes[0] == "live" else "paper"


def configured_journal() -> str:
    """Return the journal that twinstep.toml names, without checking the rest of it; else the default."""
    try:
        content = Path("twinstep.toml").read_bytes()
    except OSError:
        return JOURNAL
    try:
        import tomllib

        path = tomllib.loads(content.decode())["journal"]["path"]
    except (ValueError, KeyError, TypeError):
        return JOURNAL
    return path if isinstance(path, str) else JOURNAL


def beside(place: Path) -> list[Path]:
    """Return the other switches that a `kill` without a name halts; never raises."""
    mine = os.path.realpath(place)
    try:
        return [one for real, one in _found_here().items() if real != mine]
    except (ConfigError, OSError):
        return []


def naming(place: Path) -> str:
    """Return the option that names a switch: the journal that it lies beside, else its folder."""
    journal = place.with_name(place.name.removesuffix(ENDING))
    own = place.name.endswith(ENDING) and journal.is_file()
    return f"--journal {shlex.quote(str(journal))}" if own else f"--folder {shlex.quote(str(place))}"


def _all_here() -> list[Path]:
    found = _found_here()
    if not found:
        try:
            configured = switch_folder(journal_file(None))
        except (OSError, RuntimeError):
            configured = Path(JOURNAL + ENDING)  # no working directory, or a ~ that means nobody
        raise KillSwitchError(
            f"no switch is in this folder, and none at {configured}: nothing was halted. Name it with "
            "--folder or --journal",
            code="LIVE_NO_SWITCH",
        )
    return list(found.values())


def _found_here() -> dict[str, Path]:
    """Return the switches of this folder and the configured one, by where they really are."""
    try:
        here = sorted(name for name in os.listdir() if name.endswith(ENDING) and os.path.isdir(name))
    except OSError:
        here = []
    found = {os.path.realpath(name): Path(name) for name in here}
    try:
        configured = switch_folder(journal_file(None))
        if configured.is_dir():
            found[os.path.realpath(configured)] = configured
    except (OSError, RuntimeError):
        pass  # no working directory, or a ~ that means nobody
    except ConfigError:
        if not found:
            raise
    return found


def user() -> str:
    """Return a name for whoever runs this process; never raises."""
    for name in ("USER", "LOGNAME"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return f"user {os.getuid()}"


def _say(text: str) -> None:
    _write(sys.stdout, text)


def _complain(text: str) -> None:
    _write(sys.stderr, text)


def _write(stream: Any, text: str) -> None:
    # a closed pipe or a full disk behind the output is no reason not to halt the next one
    try:
        stream.write(text + "\n")
        stream.flush()
    except (OSError, ValueError, AttributeError):
        pass
