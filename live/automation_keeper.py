"""The keeper of an automation's account: every tick goes to the disk first, and a restart steps them again.

    tick file  ->  account  ->  journal

What fails before the account has stepped is taken back. What fails after it leaves account and journal apart:
then nothing more is done until a restart, which writes what the journal lacks.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from journal import TradeJournal
from live.account import Rules
from live.automation_account import Logs, Tick, TickAccount
from live.automation_desk import SignalDesk
from live.automation_journal import plain_signal, signal_of
from live.automation_ticks import TickFile
from simulator.commands import Command
from simulator.errors import JournalError, TwinstepError
from simulator.kernel._jit import ENGINE_HASH
from simulator.types import TradingSignal

__all__ = ["Keeper"]


class Keeper:
    """Steps one account, and keeps what went in.

    Parameters
    ----------
    account
        What is stepped.
    journal
        Where its trades are logged; a part of what the account was opened under.
    folder
        Of the tick file; None keeps nothing.
    told
        Is given the logs of every tick, before they are journaled.

    Raises
    ------
    ConfigError, JournalError
        As `TickFile`.
    """

    def __init__(
        self,
        account: TickAccount,
        journal: TradeJournal,
        folder: Path | None,
        *,
        told: Callable[[Logs], None],
    ) -> None:
        self.run = uuid.uuid4().hex[:12]
        self._account = account
        self._told = told
        self._unwritten = False
        self._file: TickFile | None = None
        if folder is not None:
            self._file = TickFile(folder, _head(self.run, account, journal))
            self.run = self._file.head["run"]

    @property
    def begun(self) -> bool:
        """Whether there are ticks to step again."""
        return self._file is not None and bool(self._file.entries)

    def check(self) -> None:
        """Return where the journal has all that the account did.

        Raises
        ------
        JournalError
            LIVE_UNWRITTEN.
        """
        if self._unwritten:
            raise JournalError(
                "the journal could not be written after the last tick, so it and the account differ; open "
                "the automation anew when there is room: it goes on with the same account and writes what is "
                "missing",
                code="LIVE_UNWRITTEN",
            )

    def written(self) -> None:
        """Note that the journal has what the last tick did."""
        self._unwritten = False

    def step(
        self, prices: Mapping[str, float], commands: Sequence[Command], reasons: Mapping[int, str]
    ) -> Logs:
        """Step by prices, and what a person asks for; the reasons are by position."""
        return self._tick(prices, None, commands, {"reasons": dict(reasons)})

    def enter(
        self, prices: Mapping[str, float], columns: Mapping[str, Any], signal: TradingSignal, number: int
    ) -> Logs:
        """Step by a price at which a signal is carried out; `number` is its recommendation."""
        return self._tick(prices, columns, (), {"idea": plain_signal(signal), "recommendation": number})

    def recover(self, desk: SignalDesk) -> None:
        """Step everything again that came in before a restart."""
        for entry in [] if self._file is None else self._file.entries:
            for name, sector in entry["sectors"].items():
                self._account.sectors.setdefault(name, sector)
            logs = self._account.step(Tick.of(entry))
            self._told(logs)
            if entry.get("idea") is not None:
                desk.carried_out(signal_of(entry["idea"]), int(entry["recommendation"]), logs)
            else:
                reasons = {int(position): text for position, text in entry["reasons"].items()}
                desk.take(logs, reasons=reasons)

    def close(self) -> None:
        """Give the account back."""
        if self._file is not None:
            self._file.close()

    def _tick(
        self,
        prices: Mapping[str, float],
        columns: Mapping[str, Any] | None,
        commands: Sequence[Command],
        note: Mapping[str, Any],
    ) -> Logs:
        file = self._file
        known = self._account.sectors
        sectors = {name: known[name] for name in prices if name in known}
        appended: list[Tick] = []

        def before(tick: Tick) -> None:
            if file is not None:
                file.append({**tick.plain(), **note, "sectors": sectors})
                appended.append(tick)

        try:
            logs = self._account.tick(prices, columns, commands, before)
        except TwinstepError:
            if file is not None and appended:
                file.take_back()
            raise
        self._unwritten = True
        self._told(logs)
        return logs


def _head(run: str, account: TickAccount, journal: TradeJournal) -> dict[str, Any]:
    database = journal.database
    where = database.name if database.path is None else str(Path(database.path).resolve())
    return {
        "run": run,
        **Rules(**account.rules, capacity=None).plain(),
        "calendar": account.calendar,
        "engine": ENGINE_HASH,
        "journal": where,
    }
