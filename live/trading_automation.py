"""Automated paper trading: signals in, risk verdicts, orders, exits, and the report.

A `Session` decides everything: sizes and verdicts, stops, targets, trails, scale-outs and time exits are
those of a backtest, and `verify_parity` replays what it recorded, byte for byte. Without a feed it is stepped
by prices: `execute_signal` pushes the entry price and the order fills there, `update_positions` pushes the
prices given, and `close_position` records a person's fill. What a signal would get is asked of a copy first,
so `process_signal` changes nothing in the account. Entries pass the kill switch, exits always go.

The signal's own size is what is asked for; the risk manager may grant less. In the run below the 400 shares
of the signal are 60 % of the account in one sector, and 25 % is the default limit: 166 are granted.

>>> from strategies import create_manual_signal
>>> automation = TradingAutomation(AutomationConfig(account_size=100_000))
>>> signal = create_manual_signal("AAPL", 150.0, 145.0, 160.0, account_size=100_000)
>>> bracket = automation.process_signal(signal)
>>> signal.position_size, bracket.quantity, bracket.verdict.rule.label
(400, 166.0, 'sector')
>>> automation.execute_signal(signal.signal_id).entry.state.name
'FILLED'
>>> automation.close_position("AAPL", exit_price=155.0, reason="target_reached").pnl
830.0
>>> automation.close()
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from journal import PerformanceTracker, TradeJournal
from journal.database import Database
from journal.performance.report import PerformanceReport
from journal.records import Trade
from live.automation.account import PricedSession
from live.automation.broker import AutomationBroker
from live.automation.config import AutomationConfig, AutomationMode, ExecutionMode
from live.automation.desk import SignalDesk, planned
from live.automation.ideas import Idea
from live.automation.journal import SOURCE, TradeBook
from live.automation.positions import Positions
from live.automation.safety import Safety, folder_of, refuse_live
from live.automation.status import portfolio_status
from live.brokers.manager import BrokerManager
from live.clock import Clock, system_clock
from live.session import Session
from simulator.errors import ConfigError, SignalError
from simulator.order_manager import BracketOrder, OrderManager
from simulator.portfolio_risk_manager import PortfolioRisk, PortfolioRiskManager, Verdict
from simulator.types import TradingSignal
from strategies import SignalGenerator
from strategies.patterns.scan import PatternScan

__all__ = ["AutomationConfig", "AutomationMode", "ExecutionMode", "TradingAutomation"]

_TAKEN: Final[weakref.WeakKeyDictionary[Database, set[str]]] = weakref.WeakKeyDictionary()
"""Accounts that an automation trades now; the journal's lock keeps other processes away."""


class TradingAutomation:
    """Automated trading of one paper account.

    Parameters
    ----------
    config
        Settings; `AutomationConfig()` by default.
    journal
        A `TradeJournal`, the path or URL of one, or None for a temporary one that ends with the automation;
        `journal_note` says which. An automation over the same journal goes on where the last one ended.
    name
        Of the account: the session in the journal that it is. Accounts that are open at one time need a
        `state_folder` each, because review queue and kill switch lie there.
    clock
        Gives the time, aware; the system's by default.
    sectors
        Sector by symbol. A signal's own sector counts where its symbol is not named here and has no price
        yet; a symbol without any counts as unknown, and unknown ones share one limit.
    state_folder
        Folder of the kill switch and the review queue; beside the journal by default. A journal at a URL has
        no folder, and needs one named here.
    live_flag
        What the command line says to execution mode LIVE, beside `live_key` of the configuration.
    accept_change
        Why a stored account may go on although engine, limits, costs or conventions are not those that it was
        left with; recorded. Without it that is refused.

    Raises
    ------
    ConfigError
        LIVE_FULL_AUTO, LIVE_NOT_ENABLED, LIVE_SCOPE, LIVE_PAPER_ACCOUNT for execution mode LIVE, see
        `live.automation.safety.refuse_live`. LIVE_STATE_FOLDER; LIVE_ACCOUNT_BUSY where another automation of
        this process trades the account.
    EngineError
        LIVE_CHANGED where the stored account was opened under other rules.
    DataError
        LIVE_FRAME where it counts other sessions: `calendar` was another.
    JournalError
        What opening and writing a journal may raise.
    """

    def __init__(
        self,
        config: AutomationConfig | None = None,
        *,
        journal: TradeJournal | str | os.PathLike[str] | None = None,
        name: str = "automation",
        clock: Clock | None = None,
        sectors: Mapping[str, str] | None = None,
        state_folder: str | os.PathLike[str] | None = None,
        live_flag: bool = False,
        accept_change: str | None = None,
    ) -> None:
        self.config = config if config is not None else AutomationConfig()
        self._rules = self.config.rules()
        self._live_flag = live_flag
        self._state_folder = state_folder
        self.clock: Clock = clock or system_clock
        self._owns_journal = not isinstance(journal, TradeJournal)
        self._temporary: Path | None = None
        if journal is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="twinstep-"))
            weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
            journal = self._temporary / "trades.db"
        if not isinstance(journal, TradeJournal):
            journal = TradeJournal(journal, source=SOURCE, clock=self.clock)
        self.journal = journal
        self._name = name
        self._holds = self._opened = False
        try:
            self._refuse_live()
            self._take()
            self._open(sectors, state_folder, accept_change)
        except BaseException:
            self.close()
            raise

    def _open(
        self,
        sectors: Mapping[str, str] | None,
        state_folder: str | os.PathLike[str] | None,
        accept_change: str | None,
    ) -> None:
        self.tracker = PerformanceTracker(self.journal, source=SOURCE)
        self.risk_manager = PortfolioRiskManager(
            self._rules["risk"], costs=self._rules["costs"], conventions=self._rules["conventions"]
        )
        self._book = TradeBook(self.journal, self._name, self.config.max_days_in_trade)
        self.account = PricedSession(
            self.journal.database, self._rules, name=self._name, clock=self.clock,
            calendar=self.config.calendar, sectors=sectors, trade_log=self._book, accept_change=accept_change,
        )  # fmt: skip
        self._book.begin(
            self.account.session,
            lambda orders, signal, quantity: planned(orders, self.config, signal, quantity),
        )
        self.broker = AutomationBroker(self)
        self.safety = Safety.open(self, state_folder)
        self.positions = Positions(self)
        self.desk = SignalDesk(self.config, self.account, self._book, self.clock, blocked=self.safety.blocked)
        self._opened = True
        self.safety.note_modes()
        self.safety.recovered()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal if it was opened here; positions stay as they are."""
        if self._holds:
            self._holds = False
            _TAKEN[self.journal.database].discard(self._name)
        if self._opened:
            self.account.session.close()
        if self._owns_journal:
            self.journal.close()

    @property
    def session(self) -> Session:
        """The account's session: `twinstep parity` and `verify_parity` replay it."""
        return self.account.session

    @property
    def order_manager(self) -> OrderManager:
        """The account's orders, those of before a restart included."""
        return self._book.orders

    @property
    def broker_manager(self) -> BrokerManager:
        """The submit gate, the kill switch and the review queue."""
        return self.safety.manager

    @property
    def journal_note(self) -> str:
        """Say where trades are logged."""
        if self._temporary is not None:
            return (
                "trades are logged in a temporary journal that ends with this automation; journal= keeps them"
            )
        return f"trades are logged in {self.journal.database.name}"

    # Signals

    def process_pattern_scans(self, pattern_scans: Sequence[PatternScan]) -> list[BracketOrder]:
        """Make signals of pattern scans and process them, best score first; return those that were admitted.

        Raises
        ------
        ConfigError
            LIVE_MANUAL_MODE in MANUAL mode, where signals are made by hand.
        """
        if self.config.automation_mode == AutomationMode.MANUAL:
            raise ConfigError(
                "in MANUAL mode signals are made by hand: process_signal takes them. SEMI_AUTO and FULL_AUTO "
                "make them from pattern scans",
                code="LIVE_MANUAL_MODE",
            )
        generator = SignalGenerator(
            min_risk_reward_ratio=self.config.min_risk_reward_ratio,
            min_pattern_score=self.config.min_pattern_score,
        )
        equity = float(self.account.state.account[0]["equity"])
        signals = generator.generate_signals(list(pattern_scans), equity, self.config.risk_per_trade_pct)
        found = [self.process_signal(signal) for signal in signals]
        return [bracket for bracket in found if bracket is not None]

    def process_signal(self, signal: TradingSignal) -> BracketOrder | None:
        """Ask the risk manager about a signal, and log it; FULL_AUTO executes what is admitted at once.

        Parameters
        ----------
        signal
            From a `SignalGenerator`, or made by hand; its size is what is asked for.

        Returns
        -------
        BracketOrder | None
            The orders as the kernel would place them now, with the verdict; None where it refuses, and
            `refusal(signal.signal_id)` says why. The same signal again is judged again.

        Raises
        ------
        SignalError
            LIVE_SIGNAL for what is no `TradingSignal`, LIVE_SIGNAL_DONE for one that was executed.
        """
        self._check_config()
        if not isinstance(signal, TradingSignal):
            raise SignalError(
                f"a {type(signal).__name__} is no TradingSignal; create_manual_signal makes one",
                code="LIVE_SIGNAL",
            )
        self.safety.settle()
        bracket = self.desk.process(signal)
        if bracket is not None and self.config.automation_mode == AutomationMode.FULL_AUTO:
            return self.execute_signal(signal.signal_id)
        return bracket

    def execute_signal(self, signal_id: str) -> BracketOrder | None:
        """Carry a processed signal out, after asking kill switch and risk manager again.

        It fills at its entry price, or at the last price of its symbol that came since it was processed.

        Returns
        -------
        BracketOrder | None
            With its fill. In MANUAL_REVIEW as it was, with the `request_id` of the request that waits for a
            person: `broker_manager.approve_request(request_id, approved_by=...)` carries it out. None where
            it is refused now; `refusal` says why.

        Raises
        ------
        UnknownNameError
            LIVE_SIGNAL_UNKNOWN for a signal that was not processed, was refused, or has been executed.
        ConfigError
            LIVE_PAPER_ACCOUNT in execution mode LIVE.
        """
        self._check_config()
        self.safety.settle()
        waiting = self.desk.get(signal_id)
        if self.clock() > waiting.expires:
            why = f"the signal was valid until {waiting.expires:%Y-%m-%d %H:%M} UTC"
            self.desk.give_up(waiting, why, "time")
            return None
        return self.safety.submit(waiting)

    def pending_signals(self) -> list[BracketOrder]:
        """Return the brackets of signals that wait to be executed, oldest first."""
        self.safety.settle()
        return [idea.bracket for idea in self.desk.waiting if idea.bracket is not None]

    def discard_signal(self, signal_id: str, reason: str = "") -> None:
        """Say that a processed signal will not be executed; it is logged as ignored."""
        self.desk.give_up(self.desk.get(signal_id), reason or "discarded", "person")

    def verdict(self, signal_id: str) -> Verdict:
        """Return the last answer of the risk manager, or of the kill switch, to a signal.

        Raises
        ------
        UnknownNameError
            LIVE_SIGNAL_UNKNOWN.
        """
        return self.desk.verdict(signal_id)

    def refusal(self, signal_id: str) -> str | None:
        """Say why a signal was refused last, or return None where it was not."""
        self.safety.settle()
        idea = self.desk.find(signal_id)
        return None if idea is None else idea.refusal

    def bracket(self, signal_id: str) -> BracketOrder:
        """Return the orders of a signal as they stand.

        Raises
        ------
        UnknownNameError
            LIVE_SIGNAL_UNKNOWN.
        """
        return self.desk.bracket(signal_id)

    # Positions

    def update_positions(self, prices: Mapping[str, float]) -> list[Trade]:
        """Push these prices into the session; return the trades that ended on them.

        Stops, trails, targets, scale-outs and time exits fill as the kernel's rules say; a stop that the
        price has jumped over fills at the price. The daily loss limit is watched here.

        Parameters
        ----------
        prices
            Price by symbol, in currency; symbols that are not named keep their last price.

        Raises
        ------
        SignalError
            LIVE_PRICE for what is no price.
        JournalError
            Where the journal cannot be written: nothing was stepped then, and the prices may come again.
            What goes wrong after the step, with reviews, raises nothing: `safety.problems` has it.
        """
        return self.positions.update(prices)

    def close_position(self, ticker: str, exit_price: float | None = None, reason: str = "manual") -> Trade:
        """Record that a person closed a position, and return the trade as the journal has it.

        Parameters
        ----------
        ticker
            Symbol.
        exit_price
            What was got for it; the last price by default.
        reason
            In your words; the journal keeps them and what they mean.

        Raises
        ------
        UnknownNameError
            LIVE_NO_POSITION.
        """
        return self.positions.close(ticker, exit_price, reason)

    def close_by_order(self, ticker: str, reason: str, note: Mapping[str, Any]) -> Trade:
        """Close a position for an order of the paper broker, noted with the price; raises as above."""
        return self.positions.close(ticker, None, reason, note)

    def carry_out(self, idea: Idea, client_order_id: str) -> BracketOrder | None:
        """Carry a waiting signal out for an order of the paper broker; None where the step refuses it."""
        idea.review = self.safety.review_of(idea)
        bracket = self.desk.fill(idea, client_order_id)
        self.safety.watch()
        return bracket

    def emergency_close_all(self, reason: str = "emergency") -> int:
        """Close every position at its last price and drop what waits; return how many were closed.

        Works in every state of the kill switch, and leaves it as it is. Signals that wait are given up and
        their requests made void; an approval that somebody has left for one of them is not carried out.

        Raises
        ------
        JournalError
            Where the journal cannot be written: then positions are open, or signals wait, as before.
        EngineError
            LIVE_NOT_FLAT where something is open at the end all the same.
        """
        return self.positions.close_all(reason)

    def portfolio_risk(self) -> PortfolioRisk:
        """Return what the account has at risk; percents of equity."""
        seen = self.session.seen()
        return self.risk_manager.portfolio_risk(self.account, seen if len(seen) else None, row=len(seen) - 1)

    # Reports

    def get_portfolio_status(self) -> dict[str, Any]:
        """Return the account, its positions, risk, safety and performance as plain values.

        See `live.automation.status.portfolio_status` for the keys.
        """
        return portfolio_status(self)

    def generate_report(self, days: float | None = 30) -> PerformanceReport:
        """Return the performance report of the last `days`; also a mapping, see `PerformanceReport`."""
        return self.tracker.generate_report(days=days)

    # Inside

    def _check_config(self) -> None:
        self._refuse_live()
        if self.config.rules() != self._rules:
            raise ConfigError(
                "account, limits, costs or conventions of the configuration were changed while the account "
                "is open; open another TradingAutomation for them. Modes may be changed at any time",
                code="LIVE_CONFIG_CHANGED",
            )

    def _refuse_live(self) -> None:
        folder = folder_of(self.journal.database, self._state_folder)
        refuse_live(self.config, live_flag=self._live_flag, folder=folder)

    def _take(self) -> None:
        taken = _TAKEN.setdefault(self.journal.database, set())
        if self._name in taken:
            raise ConfigError(
                f"another automation trades the account {self._name!r} in {self.journal.database.name}; give "
                "this one its own name or journal",
                code="LIVE_ACCOUNT_BUSY",
            )
        taken.add(self._name)
        self._holds = True
