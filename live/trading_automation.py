"""Automated paper trading: signals in, risk verdicts, orders, exits, and the report.

One kernel account decides everything: sizes and verdicts, stops, targets, trails, scale-outs and time exits
are those of a backtest. Without a feed the account is stepped by ticks: `execute_signal` steps one at the
entry price and the order fills there, `update_positions` steps one at the prices given, and `close_position`
records a person's fill. What a signal would get is asked of a copy first, so `process_signal` changes
nothing in the account. Entries pass the kill switch, exits always go.

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

import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Self

from journal import PerformanceTracker, TradeJournal
from journal.performance.report import PerformanceReport
from journal.records import Trade
from live.automation_account import TickAccount, to_time
from live.automation_broker import PaperBroker
from live.automation_config import AutomationConfig, AutomationMode, ExecutionMode
from live.automation_desk import SignalDesk
from live.automation_journal import SOURCE, TradeBook
from live.automation_keeper import Keeper
from live.automation_safety import Safety
from live.automation_status import portfolio_status
from live.brokers.manager import BrokerManager
from live.clock import Clock, system_clock
from simulator.commands import Command
from simulator.errors import (
    ConfigError,
    SignalError,
    UnknownNameError,
    did_you_mean,
)
from simulator.order_manager import BracketOrder, OrderManager
from simulator.portfolio_risk_manager import PortfolioRisk, PortfolioRiskManager, Verdict
from simulator.types import TradingSignal
from strategies import SignalGenerator
from strategies.patterns.scan import PatternScan

__all__ = ["AutomationConfig", "AutomationMode", "ExecutionMode", "TradingAutomation"]


class TradingAutomation:
    """Automated trading of one paper account.

    Parameters
    ----------
    config
        Settings; `AutomationConfig()` by default.
    journal
        A `TradeJournal`, the path or URL of one, or None for a temporary one that ends with the automation;
        `journal_note` says which. An automation over the same journal goes on with the account as it was
        left; signals that waited are to be processed again.
    clock
        Gives the time, aware; the system's by default.
    sectors
        Sector by symbol. A signal's own sector counts where its symbol is not named here and has no price
        yet; a symbol without any counts as unknown, and unknown ones share one limit.
    state_folder
        Folder of the kill switch, the review queue and the account; beside the journal by default. A journal
        at a URL has no folder, and needs one named here.

    Raises
    ------
    ConfigError
        LIVE_PAPER_ACCOUNT for execution mode LIVE: there is no broker for real orders here.
        LIVE_STATE_FOLDER; LIVE_ACCOUNT_BUSY, LIVE_ACCOUNT_CHANGED where the stored account cannot go on.
    JournalError
        LIVE_TICK_FILE where what came in before cannot be read.
    """

    def __init__(
        self,
        config: AutomationConfig | None = None,
        *,
        journal: TradeJournal | str | os.PathLike[str] | None = None,
        clock: Clock | None = None,
        sectors: Mapping[str, str] | None = None,
        state_folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.config = config if config is not None else AutomationConfig()
        self._rules = self.config.rules()
        self._refuse_live()
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
        self.tracker = PerformanceTracker(self.journal, source=SOURCE)
        self.account = TickAccount(
            self._rules, clock=self.clock, calendar=self.config.calendar, sectors=sectors
        )
        self.order_manager = OrderManager(self.account)
        self.risk_manager = PortfolioRiskManager(
            self._rules["risk"], costs=self._rules["costs"], conventions=self._rules["conventions"]
        )
        self.broker = PaperBroker(self)
        self.safety = Safety.open(self, state_folder)
        self.keeper = Keeper(
            self.account, self.journal, None if self._temporary is not None else self.safety.folder,
            told=self.broker.note,
        )  # fmt: skip
        book = TradeBook(self.journal, run=f"automation-{self.keeper.run}")
        self.desk = SignalDesk(
            self.config, self.account, self.order_manager, book, self.clock, blocked=self.safety.blocked,
            tick=self.keeper.enter,
        )  # fmt: skip
        if self.keeper.begun:
            book.look_up()
            self.keeper.recover(self.desk)
            self.safety.recovered()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal if it was opened here; positions stay as they are."""
        self.keeper.close()
        if self._owns_journal:
            self.journal.close()

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
            self.desk.give_up(signal_id, f"the signal was valid until {waiting.expires:%Y-%m-%d %H:%M} UTC")
            return None
        bracket = self.safety.submit(waiting)
        self.safety.watch()
        return bracket

    def pending_signals(self) -> list[BracketOrder]:
        """Return the brackets of signals that wait to be executed, oldest first."""
        self.safety.settle()
        return [waiting.bracket for waiting in self.desk.waiting.values()]

    def discard_signal(self, signal_id: str, reason: str = "") -> None:
        """Say that a processed signal will not be executed; it is logged as ignored."""
        self.desk.give_up(self.desk.get(signal_id).signal.signal_id, reason or "discarded")

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
        return self.desk.refusals.get(signal_id)

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
        """Step the account by one tick at these prices; return the trades that ended on it.

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
        """
        self.keeper.check()
        if not isinstance(prices, Mapping) or not prices:
            raise SignalError(
                f"prices are {prices!r}; give a mapping of symbol to price with at least one",
                code="LIVE_PRICE",
            )
        return self._step({str(symbol): _price(str(symbol), value) for symbol, value in prices.items()})

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
        self.keeper.check()
        held = self._held()
        if ticker not in held:
            hint = did_you_mean(str(ticker), held)
            raise UnknownNameError(f"no position in {ticker!r} is open.{hint}", code="LIVE_NO_POSITION")
        position, mark = held[ticker]
        price = mark if exit_price is None else _price(ticker, exit_price)
        return self._close({ticker: price}, {position: reason})[0]

    def emergency_close_all(self, reason: str = "emergency") -> int:
        """Close every position at its last price and drop all waiting signals; return how many were closed.

        Works in every state of the kill switch, and leaves it as it is.
        """
        self.keeper.check()
        self.safety.withdraw_all(reason)
        for signal_id in list(self.desk.waiting):
            self.desk.give_up(signal_id, reason)
        held = self._held()
        if not held:
            return 0
        prices = {symbol: mark for symbol, (_, mark) in held.items()}
        return len(self._close(prices, {position: reason for position, _ in held.values()}))

    def portfolio_risk(self) -> PortfolioRisk:
        """Return what the account has at risk; percents of equity."""
        return self.risk_manager.portfolio_risk(self.account, self.account.bars)

    # Reports

    def get_portfolio_status(self) -> dict[str, Any]:
        """Return the account, its positions, risk, safety and performance as plain values.

        See `live.automation_status.portfolio_status` for the keys.
        """
        return portfolio_status(self)

    def generate_report(self, days: float | None = 30) -> PerformanceReport:
        """Return the performance report of the last `days`; also a mapping, see `PerformanceReport`."""
        return self.tracker.generate_report(days=days)

    def save_session(self, where: str | os.PathLike[str], name: str = "automation") -> int:
        """Store every tick, signal and command as a session in a journal of its own; return the ticks.

        `verify_parity(where, name)` then replays it through the backtest driver and compares every byte. The
        automation's own journal is refused, because a session writes its trades there as well.

        Raises
        ------
        ConfigError
            LIVE_SESSION_FILE for the automation's own journal, LIVE_SESSION_EXISTS for a session that has
            bars already, LIVE_NO_TICKS before the first price.
        """
        own = self.journal.database.path
        if own is not None and Path(where).resolve() == Path(own).resolve():
            raise ConfigError(
                f"{where} is this automation's journal, where its trades are logged already; save the "
                "session to a file of its own",
                code="LIVE_SESSION_FILE",
            )
        return self.account.save(where, name)

    # Inside

    def _close(self, prices: Mapping[str, float], reasons: Mapping[int, str]) -> list[Trade]:
        now = to_time(self.account.next_time())
        commands = [Command(now, "close", symbol, price) for symbol, price in prices.items()]
        return self._step(prices, commands, reasons)

    def _step(
        self,
        prices: Mapping[str, float],
        commands: Sequence[Command] = (),
        reasons: Mapping[int, str] | None = None,
    ) -> list[Trade]:
        logs = self.keeper.step(prices, commands, reasons or {})
        closed = self.desk.take(logs, reasons=reasons)
        self.keeper.written()
        self.safety.watch()
        return closed

    def _held(self) -> dict[str, tuple[int, float]]:
        # Position id and last price by symbol; the limits allow one position per symbol.
        state = self.account.state
        slots = state.open_slots["slot"][: int(state.account[0]["n_positions"])]
        return {
            self.account.symbols[int(record["sym"])]: (int(record["id"]), float(record["mark"]))
            for record in state.positions[slots]
        }

    def _check_config(self) -> None:
        self._refuse_live()
        self.keeper.check()
        if self.config.rules() != self._rules:
            raise ConfigError(
                "account, limits, costs or conventions of the configuration were changed while the account "
                "is open; open another TradingAutomation for them. Modes may be changed at any time",
                code="LIVE_CONFIG_CHANGED",
            )

    def _refuse_live(self) -> None:
        if self.config.execution_mode == ExecutionMode.LIVE:
            raise ConfigError(
                "execution_mode is LIVE, and this automation trades its paper account only: orders to a real "
                "broker need an adapter that passes BrokerContract. Use PAPER_ONLY or MANUAL_REVIEW",
                code="LIVE_PAPER_ACCOUNT",
            )


def _price(symbol: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < float(value) < math.inf:
        raise SignalError(
            f"the price of {symbol} is {value!r}; it must be a finite number above 0", code="LIVE_PRICE"
        )
    return float(value)
