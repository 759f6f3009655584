"""What `twinstep paper` shows while a session runs: a view that refreshes, or lines where no terminal is.

What is drawn is copied once per bar, in the session's own thread, so that the thread that draws never sees
half a bar. Between bars only what does not depend on one is looked at anew: the kill switch, the requests
that wait, the age of the data.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twinstep.account_lines import VERDICTS, AccountLines, VerdictLine, account_lines, verdict_lines
from twinstep.console import emit, note
from twinstep.paper_view import DeskView, FeedLine, RequestLine, account_line

if TYPE_CHECKING:
    from rich.live import Live

    from live.session import Session
    from live.sessions.outcome import StepOutcome

__all__ = ["Watch", "feed_line", "request_reader", "spoken"]

LOOKS: Final = 4
"""How often a second the view is drawn."""
_LOOK_SECONDS: Final = 1.0  # between looks at switch and queue


class Watch:
    """What is shown of one session.

    Parameters
    ----------
    quiet
        Nothing but counts.
    every
        Bars per line of the account where no terminal is; 0: a line per trade only.
    requests
        Gives what waits for a person.
    feed
        Gives where bars come from, and how old they are.
    clock
        Seconds that never go back.
    """

    def __init__(
        self,
        *,
        quiet: bool,
        every: int = 0,
        requests: Callable[[], tuple[RequestLine, ...]] = tuple,
        feed: Callable[[], FeedLine | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.quiet = quiet
        self.signals = self.fills = self.trades = self.refused = self.gaps = 0
        self._every = every
        self._requests, self._feed, self._clock = requests, feed, clock
        self._live: Live | None = None
        self._lines: AccountLines | None = None
        self._verdicts: deque[VerdictLine] = deque(maxlen=VERDICTS)
        self._switch: Any = None
        self._seen: tuple[float, str, str, tuple[RequestLine, ...]] | None = None
        self._shown = 0

    def __enter__(self) -> Watch:
        if not self.quiet and sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(
                get_renderable=self.view, refresh_per_second=LOOKS, transient=True, vertical_overflow="crop"
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, session: Session) -> None:
        """Show how the session stands before its first bar."""
        self._switch = session.kill_switch
        self._lines = self._copied(session, None)

    def tell(self, session: Session, outcome: StepOutcome) -> None:
        """Take in what came of a transaction."""
        self.signals += outcome.signals
        self.fills += len(outcome.logs["fills"])
        self.trades += len(outcome.trades)
        self.refused += len(outcome.refused)
        self.gaps += len(outcome.gaps)
        if self.quiet:
            return
        for gap in outcome.gaps:
            note(str(gap))
        for bar in outcome.refused:
            note(f"{bar.kind} bar {_day(bar.ts)}: recorded and ignored")
        for hold in outcome.holds:
            note(str(hold))
        if self._live is None:
            for trade in outcome.logs["trades"]:
                emit(self.trade_words(session, trade))
            if not self._every or session.bars - self._shown < self._every:
                return
            self._shown = session.bars
        self._verdicts.extend(verdict_lines(outcome.logs["verdicts"], session.symbols))
        self._lines = self._copied(session, outcome)
        if self._live is None:
            emit(account_line(self._lines, self._looked()[1]))

    def trade_words(self, session: Session, trade: Any) -> str:
        """Return a closed trade in one line."""
        return _trade_line(session, trade)

    def view(self) -> DeskView:
        """Return what is drawn; asked by the thread that draws."""
        _, switch, why, requests = self._looked()
        return DeskView(
            account=self._lines,
            switch=switch,
            why=why,
            requests=requests,
            feed=self._feed(),
            closed=self.trades,
        )

    def _looked(self) -> tuple[float, str, str, tuple[RequestLine, ...]]:
        now = self._clock()
        if self._seen is None or now - self._seen[0] >= _LOOK_SECONDS:
            status = {} if self._switch is None else self._switch.status
            self._seen = (now, status.get("state", ""), status.get("why", ""), self._requests())
        return self._seen

    def _copied(self, session: Session, outcome: StepOutcome | None) -> AccountLines:
        equity: Any = [] if outcome is None else outcome.logs["equity"]
        risk = session.rules.risk
        limits = None if risk is None else {"max_portfolio_heat_pct": risk.max_portfolio_heat_pct}
        return account_lines(
            session.state,
            session.symbols,
            session=session.name,
            bars=session.bars,
            limits=limits,
            heat=float(equity[-1]["heat"]) if len(equity) else None,
            verdicts=tuple(self._verdicts),
        )


def feed_line(feed: Any, name: str, *, now: Callable[[], float] = time.time) -> Callable[[], FeedLine]:
    """Return what says where bars come from: of a feed that is live, with the age of its last bar."""

    def look() -> FeedLine:
        if not feed.live:
            return FeedLine(name=name, state="replay")
        status = feed.status()
        last, stale = status.get("last_bar"), bool(status.get("stale"))
        age = None if last is None else max(0.0, now() - _seconds(last))
        failures = int(status.get("failures") or 0)
        state = "STALE" if stale else f"{failures} failures" if failures else "live"
        return FeedLine(name=name, state=state, age=age, stale=stale)

    return look


def spoken(event: Any) -> None:
    """Say what happened to a feed."""
    note(f"feed {event.kind}: {event.text}")


def request_reader(state: Path) -> Callable[[], tuple[RequestLine, ...]]:
    """Return what reads the review queue in the folder of a kill switch."""

    def read() -> tuple[RequestLine, ...]:
        from twinstep.commands.desk import request_lines

        return request_lines(state / "reviews")

    return read


def _trade_line(session: Session, trade: Any) -> str:
    from simulator.types import ExitReason

    side = "long" if trade["side"] > 0 else "short"
    reason = ExitReason(int(trade["exit_reason"])).label
    return (
        f"{_day(int(trade['exit_ts']))} {session.symbols[trade['sym']]} {side} {trade['qty']:g}: "
        f"{trade['entry_price']:.2f} to {trade['exit_price']:.2f}, {trade['pnl']:+,.2f} ({reason})"
    )


def _seconds(label: str) -> float:
    """Return the time that a feed says in words, in seconds since 1970."""
    return datetime.fromisoformat(label.removesuffix("Z")).replace(tzinfo=UTC).timestamp()


def _day(ts: int) -> str:
    from simulator.bars.arrays import stamp

    return stamp(ts)
