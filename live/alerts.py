"""Alerts: what a person away from the screen has to know, by mail, SMS, Telegram, Slack or desktop.

An alert is put into a bounded queue and delivered by a thread of its own; whoever sends one never waits, and
never hears of a failure. Of each kind only so many an hour go out; the others are held back, counted, and
told together in one message. A delivery that fails is tried again a few times with growing pauses, counted,
and said once, until one succeeds. What is lost when the process ends is lost: the journal has the facts.

Addresses are apprise's URLs, and they are secrets: they carry tokens and passwords. They come from the
configuration, an environment variable or a file, and are shown nowhere: a target is called by its scheme and
its place in the list, and log lines of the libraries below that hold a part of an address are dropped.

>>> alerts = Alerts(targets=[Target("test #1", lambda title, body: print(title, "|", body) or True)])
>>> alerts.send("stop_hit", "AAPL stopped out", "200 at 189.50")
True
>>> alerts.close()
AAPL stopped out | 200 at 189.50
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, get_args

from live.feeds.backoff import Backoff
from simulator.errors import ConfigError, did_you_mean, warn

__all__ = ["KINDS", "AlertKind", "Alerts", "Target"]

AlertKind = Literal[
    "profit_half", "stop_hit", "kill_switch", "daily_loss_half", "daily_loss_full", "approval_waiting",
    "feed_stale", "reconcile_difference", "slippage_drift", "test",
]  # fmt: skip
KINDS: Final[tuple[AlertKind, ...]] = get_args(AlertKind)

PER_HOUR: Final = 10
WINDOW_SECONDS: Final = 3600.0
QUEUE: Final = 256
ATTEMPTS: Final = 4
CLOSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where alerts go.

    Attributes
    ----------
    name
        What it is called in messages; never an address.
    deliver
        Takes title and body, returns whether they arrived. It may block and raise.
    """

    name: str
    deliver: Callable[[str, str], bool]


@dataclass(slots=True)
class _Alert:
    kind: AlertKind
    title: str
    body: str


@dataclass(slots=True)
class _Window:
    """What went out of one kind lately, and what was held back."""

    sent: list[float] = field(default_factory=list)
    held: int = 0
    first: str = ""
    last: str = ""


class Alerts:
    """A sender of alerts.

    Parameters
    ----------
    urls
        Apprise's addresses, as "tgram://token/chat".
    kinds
        Which kinds go out; None: all.
    per_hour
        Alerts of each kind that go out within an hour; the others are told together when it is over.
    size
        Alerts that wait at most; further ones are dropped and counted.
    attempts
        How often a delivery is tried.
    backoff
        Makes the pauses between attempts.
    monotonic
        Seconds that only grow.
    window
        What an hour is, seconds.
    targets
        Instead of, or beside, addresses.

    Raises
    ------
    ConfigError
        ALERT_URL for an address that is none, ALERT_KIND for an unknown kind, ALERT_SETTING for a number that
        cannot be.
    MissingExtraError
        ALERT_EXTRA where addresses are given and apprise is not installed.
    """

    def __init__(
        self,
        urls: Iterable[str] = (),
        *,
        kinds: Iterable[str] | None = None,
        per_hour: int = PER_HOUR,
        size: int = QUEUE,
        attempts: int = ATTEMPTS,
        backoff: Callable[[], Backoff] = Backoff,
        monotonic: Callable[[], float] = time.monotonic,
        window: float = WINDOW_SECONDS,
        targets: Sequence[Target] = (),
    ) -> None:
        self.kinds = _kinds(kinds)
        for name, value in (("per_hour", per_hour), ("size", size), ("attempts", attempts)):
            if value < 1:
                raise ConfigError(
                    f"{name} of alerts is {value!r}; it is a whole number from 1", code="ALERT_SETTING"
                )
        self.per_hour, self.attempts, self.window = per_hour, attempts, window
        self.targets = (*targets, *_targets(list(urls)))
        self._backoff, self._monotonic = backoff, monotonic
        self._queue: queue.Queue[_Alert | None] = queue.Queue(size)
        self._windows: dict[AlertKind, _Window] = {}
        self._stop = threading.Event()
        self._said = False
        self._counts = {"sent": 0, "held": 0, "dropped": 0, "failed": 0, "retried": 0}
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def send(self, kind: AlertKind, title: str, body: str = "") -> bool:
        """Have an alert delivered; returns at once, False where it will not be.

        Raises
        ------
        ConfigError
            ALERT_KIND for an unknown kind: a mistake of whoever wrote the call, not of the day.
        """
        if kind not in KINDS:
            raise _unknown(kind)
        if kind not in self.kinds or not self.targets or self._stop.is_set():
            return False
        try:
            self._queue.put_nowait(_Alert(kind, title, body))
        except queue.Full:
            self._counts["dropped"] += 1
            return False
        return True

    def status(self) -> dict[str, Any]:
        """Return counts of alerts `sent`, `held` back, `dropped`, `failed`, `retried`, and how many wait."""
        return self._counts | {"waiting": self._queue.qsize(), "targets": [one.name for one in self.targets]}

    def flush(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Wait until everything that was sent so far is delivered or given up; False where time ran out."""
        end = time.monotonic() + seconds
        while self._queue.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.01)
        return not self._queue.unfinished_tasks

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Deliver what waits, tell what was held back, and end the thread; for so many seconds at most."""
        self.flush(seconds)
        self._stop.set()
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return  # the thread hangs in a delivery; it is a daemon and ends with the process
        self._thread.join(seconds)

    def __enter__(self) -> Alerts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Alerts({', '.join(one.name for one in self.targets) or 'nowhere'})"

    # The thread

    def _run(self) -> None:
        while True:
            try:
                alert = self._queue.get(timeout=self._until_summary())
            except queue.Empty:
                self._summaries(over=False)
                continue
            try:
                if alert is None:
                    self._summaries(over=True)
                    return
                if self._may_pass(alert):
                    self._deliver(alert.title, alert.body)
                self._summaries(over=False)
            finally:
                self._queue.task_done()

    def _may_pass(self, alert: _Alert) -> bool:
        window, now = self._windows.setdefault(alert.kind, _Window()), self._monotonic()
        window.sent = [at for at in window.sent if now - at < self.window]
        if len(window.sent) < self.per_hour and not window.held:
            window.sent.append(now)
            return True
        window.first, window.last = window.first or alert.title, alert.title
        window.held += 1
        self._counts["held"] += 1
        return False

    def _until_summary(self) -> float | None:
        waiting = [window.sent[0] for window in self._windows.values() if window.held and window.sent]
        if not waiting:
            return None
        return max(0.0, min(waiting) + self.window - self._monotonic())

    def _summaries(self, *, over: bool) -> None:
        """Tell what was held back, of the kinds whose hour is over, or of all."""
        now = self._monotonic()
        for kind, window in self._windows.items():
            window.sent = [at for at in window.sent if now - at < self.window]
            if window.held and (over or len(window.sent) < self.per_hour):
                title = f"{window.held} more of {kind}"
                body = f"held back. The first: {window.first}. The last: {window.last}."
                window.held, window.first = 0, ""
                window.sent.append(now)
                self._deliver(title, body)

    def _deliver(self, title: str, body: str) -> None:
        missing = list(self.targets)
        pauses = self._backoff()
        for attempt in range(self.attempts):
            missing = [one for one in missing if not _delivered(one, title, body)]
            if not missing:
                self._counts["sent"] += 1
                self._said = False
                return
            last = attempt == self.attempts - 1
            # whoever closes does not wait for pauses: the attempts that are left are made at once
            if not last:
                self._counts["retried"] += 1
                self._stop.wait(pauses.next())
        self._counts["failed"] += 1
        if not self._said:
            self._said = True
            names = ", ".join(one.name for one in missing)
            warn(
                f"an alert did not reach {names} in {self.attempts} attempts; further failures are counted "
                "and not said. `twinstep alerts test` tries the addresses",
                code="ALERT_FAILED",
            )


def _delivered(target: Target, title: str, body: str) -> bool:
    try:
        return bool(target.deliver(title, body))
    except Exception:
        # an error's text may hold the address, so it is not passed on
        return False


def _targets(urls: list[str]) -> list[Target]:
    if not urls:
        return []
    from live.alerting.addresses import targets

    return targets(urls)


def _kinds(given: Iterable[str] | None) -> frozenset[AlertKind]:
    if given is None:
        return frozenset(KINDS)
    found: list[AlertKind] = ["test"]
    for kind in given:
        known = [one for one in KINDS if one == kind]
        if not known:
            raise _unknown(kind)
        found += known
    return frozenset(found)


def _unknown(kind: object) -> ConfigError:
    return ConfigError(
        f"there are no alerts of kind {kind!r}.{did_you_mean(str(kind), KINDS)}", code="ALERT_KIND"
    )
