"""A watch over what fills cost, beside a desk that trades.

It reads what is new in the journal, so that it costs little at every look and a restart loses nothing. Of
each sort of order a drift is told once: the next word about it comes only after a new calibration, or where
it goes on after a person has promoted. The demotion comes before the word, and is on record, so neither a
failed alert nor a crash lets trading go on by itself.

>>> watch = watch_slippage(desk, "slippage.json", alerts, demote=config)   # doctest: +SKIP
>>> desk.poll(); watch.look()                                              # doctest: +SKIP
[]
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from live.intents import IntentLog
from live.slippage.calibrating import Calibration
from live.slippage.demoting import Demotable, Demotion, Reins, Standing
from live.slippage.drift import ALPHA, BLOCK, LEAST_BPS, LEAST_SHARE, Drift, find_drift
from live.slippage.measuring import SampleBook
from simulator.errors import TwinstepError

if TYPE_CHECKING:
    from live.alerts import Alerts
    from live.brokers.manager import BrokerManager

__all__ = ["SlippageWatch", "watch_slippage"]


class HasManager(Protocol):
    """A desk."""

    @property
    def manager(self) -> BrokerManager:
        """What sends its orders."""
        ...


def watch_slippage(
    desk: HasManager,
    calibration: Calibration | str | os.PathLike[str] | None,
    alerts: Alerts | None = None,
    *,
    demote: Demotable | None = None,
    **limits: Any,
) -> SlippageWatch:
    """Attach a watch to a desk: call `look` after every reconciliation, and show `status`.

    A demotion that stands is carried out before this returns.

    Parameters
    ----------
    calibration
        What is usual, or the file that `Calibration.save` wrote; None: nothing is compared, and a demotion
        that stands holds all the same.
    alerts
        Is told under "slippage_drift".
    demote
        What may no longer trade by itself after a drift: an `AutomationConfig`, or the desk's manager.
    **limits
        `block`, `alpha`, `least_bps`, `least_share` of `find_drift`.

    Raises
    ------
    ConfigError
        LIVE_SLIPPAGE_FILE for a file that is no calibration, LIVE_SLIPPAGE_DRIFT for limits that cannot be,
        LIVE_NO_QUEUE for a manager whose orders cannot wait.
    """
    manager = desk.manager
    made = SlippageWatch(
        manager.intents, calibration, alerts=alerts, demote=demote, folder=manager.kill_switch.folder,
        clock=manager.clock, **limits,
    )  # fmt: skip
    made.look()
    return made


class SlippageWatch:
    """Looks for drift, says each once, and demotes.

    Parameters
    ----------
    log
        Of the account; what was said and who was demoted is on record there.
    calibration, alerts, demote
        As for `watch_slippage`.
    folder
        Of the kill switch, where persons leave promotions; None where nobody can.
    clock
        Aware.
    block, alpha, least_bps, least_share
        As `find_drift`.

    Raises
    ------
    ConfigError
        As `watch_slippage`.
    """

    def __init__(
        self,
        log: IntentLog,
        calibration: Calibration | str | os.PathLike[str] | None,
        *,
        alerts: Alerts | None = None,
        demote: Demotable | None = None,
        folder: str | os.PathLike[str] | None = None,
        clock: Callable[[], datetime] | None = None,
        block: int = BLOCK,
        alpha: float = ALPHA,
        least_bps: float = LEAST_BPS,
        least_share: float = LEAST_SHARE,
    ) -> None:
        if isinstance(calibration, (str, os.PathLike)):
            calibration = Calibration.load(calibration)
        self.calibration = calibration
        self.problem = ""
        """Why the last look failed, "" where it did not; the next one tries again."""
        self._log = log
        self._alerts = alerts
        self._reins = None if demote is None else Reins(demote)
        self._folder = None if folder is None else Path(folder)
        self._clock = clock or _now
        self._limits: dict[str, Any] = {
            "block": block, "alpha": alpha, "least_bps": least_bps, "least_share": least_share
        }  # fmt: skip
        if calibration is not None:
            find_drift([], calibration, **self._limits)  # says what is wrong with the limits
        self._book, self._standing = SampleBook(), Standing()
        self._number = 0  # of the last event that was read
        self._drifts: list[Drift] = []
        self._judged = True  # whether every sample is, with all that follows from it on record
        self._lock = threading.Lock()

    @property
    def demotion(self) -> Demotion | None:
        """What stands, None for nothing."""
        return self._standing.demotion

    def look(self) -> list[Drift]:
        """Return the drifts that are told now; to be called after every reconciliation. Never raises."""
        with self._lock:
            try:
                new = self._looked(self._clock())
                self.problem = ""
            except (TwinstepError, OSError) as error:  # a full disk, say: whoever trades has halted by then
                new, self.problem = [], f"{type(error).__name__}: {error.args[0] if error.args else error}"
        for one in new:
            if self._alerts is not None:
                self._alerts.send("slippage_drift", f"{one.broker}: fills have become worse", one.message)
        return new

    def status(self) -> dict[str, Any]:
        """Return plain values: what is watched, what has drifted, and whether a demotion stands."""
        with self._lock:
            calibration, demotion, problem = self.calibration, self.demotion, self.problem
            until = None if calibration is None else calibration.until
            known = self._book.samples()
            if not problem and until is not None and not any(one.time <= until for one in known):
                problem = "no order of the calibration is in this account's journal, so nothing is compared"
            return {
                "orders": len(known),
                "calibrated_until": None if until is None else until.isoformat(),
                "drifts": [one.message for one in self._drifts],
                "demoted_since": None if demotion is None else demotion.at.isoformat(),
                "demoted_why": "" if demotion is None else demotion.why,
                "problem": problem,
            }

    def _looked(self, at: datetime) -> list[Drift]:
        self._read()
        if self._folder is not None:
            self._standing.note_promotions(self._log, self._folder, at)
        self._obey()
        if self._judged or self.calibration is None:
            return []
        self._judged = True
        try:
            return self._told(self.calibration, at)
        except BaseException:
            self._judged = False
            raise

    def _read(self) -> None:
        for event in self._log.events(*SampleBook.KINDS, *Standing.KINDS, after=self._number):
            self._number = event.number
            (self._standing if event.kind in Standing.KINDS else self._book).take(event)
        if self._book.settle():
            self._judged = False

    def _told(self, calibration: Calibration, at: datetime) -> list[Drift]:
        """Carry out what follows from the samples, and return the drifts that were not told before."""
        promoted = self._standing.promoted
        drifts = find_drift(self._book.samples(), calibration, **self._limits)
        self._drifts = [one for one in drifts if promoted is None or one.first >= promoted]
        new = []
        for one in self._drifts:
            since = max(time for time in (calibration.until, promoted) if time is not None)
            key = f"slippage_drift:{one.broker}:{one.asset}:{one.kind}:{since.isoformat()}"
            if self._reins is not None and not self._log.has(f"demoted:{key}"):
                # first, so that a journal that cannot be written lets nothing trade by itself
                self._reins.pull()
                self._log.note("demoted", at, key=f"demoted:{key}", why=one.message)
            if not self._log.has(key):
                self._log.note("slippage_drift", at, key=key, broker=one.broker, message=one.message)
                new.append(one)
        self._obey()
        return new

    def _obey(self) -> None:
        self._read()
        if self._reins is None:
            return
        if self._standing.demotion is not None:
            self._reins.pull()
        elif self._judged:
            self._reins.give()


def _now() -> datetime:
    return datetime.now(UTC)
