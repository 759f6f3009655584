"""From a scan to what it taught: recommendations, an entry, an exit, ten trades, the learning report.

The scan runs over SPY, taken as a tenth of the bundled S&P 500, with quotes modelled from the bundled VIX.
These prices end in 2018, so the journal gets a clock that stands there; without one it takes the time of day.
Nine of the ten trades are made up, and ten trades prove nothing: the report says so itself.

    python examples/trade_memory.py [FOLDER]

The journal goes into FOLDER, which must not have one yet; without it, into a folder that is removed at the
end.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd

from journal import ParameterStore, PerformanceTracker, TradeJournal, TradeLearningSystem
from journal.backup import backup
from journal.export import export_trades
from simulator import load_bars
from simulator.errors import TwinstepWarning
from simulator.opportunity import describe_legs
from strategies import OptionsScanner, PositionSizer
from strategies.scanner_market import ScanMarket

MADE_UP: Final = (
    # symbol, contracts, credit, debit, IV rank, days to expiry, days held, why it was closed
    ("SPY", 10, 1.70, 0.85, 72.0, 45, 24, "21 DTE"),
    ("SPY", 13, 1.30, 0.65, 61.0, 46, 25, "21 DTE"),
    ("SPY", 2, 1.40, 2.80, 45.0, 35, 9, "Stop loss"),
    ("QQQ", 7, 2.00, 1.00, 64.0, 44, 13, "50% profit rule"),
    ("QQQ", 7, 2.10, 1.05, 59.0, 47, 16, "50% profit rule"),
    ("QQQ", 2, 1.40, 2.80, 40.3, 34, 7, "Stop loss"),
    ("NVDA", 4, 2.60, 1.30, 70.0, 43, 11, "50% profit rule"),
    ("NVDA", 2, 1.40, 2.80, 41.0, 36, 8, "Stop loss"),
    ("IWM", 5, 1.10, 0.55, 62.6, 45, 14, "50% profit rule"),
)
WIDE: Final[dict[str, Any]] = {"widths": (10.0,), "max_spread_share": 0.6}
"""Strikes of the modelled quotes are 5 apart, and their spreads are those of an index, ten times as large."""


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def forward(self, days: float) -> None:
        """Let days pass."""
        self.now += timedelta(days=days)


def main() -> None:
    """Run the workflow in a folder."""
    parser = argparse.ArgumentParser(description="From a scan to what it taught.")
    parser.add_argument("folder", nargs="?", type=Path, help="where to keep the journal")
    folder: Path | None = parser.parse_args().folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinstepWarning)  # what is printed says "modelled" as well
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            workflow(folder)
            return
        with tempfile.TemporaryDirectory() as temporary:
            workflow(Path(temporary))


def workflow(folder: Path) -> None:
    """Scan, trade, learn, and let the scanner use what was learned."""
    clock = Clock(datetime(2018, 12, 31, 21, 5, tzinfo=UTC))
    with TradeJournal(folder / "trade_journal.db", clock=clock) as journal:
        market = spy()
        scan_and_log(market, journal)
        clock.forward(days=2)
        enter(journal)
        clock.forward(days=12)
        leave(journal)
        trade_on(journal, clock)
        learn(journal)
        adjust(market, journal)
        keep(journal, folder)


def scan_and_log(market: ScanMarket, journal: TradeJournal) -> None:
    """When the scanner finds opportunities."""
    title("When the scanner finds opportunities")
    scanner = OptionsScanner(market, **WIDE)
    sizer = PositionSizer(account_size=46000)

    # Run scan
    opportunities = scanner.scan_for_opportunities()

    # For each opportunity
    for opp in opportunities:
        sizing = sizer.calculate_position_details(opp)

        # LOG THE RECOMMENDATION
        rec_id = journal.log_recommendation(opp, sizing, reason="Scanner auto-generated")
        print(
            f"{rec_id:3} {opp.strategy:18} {describe_legs(opp.legs):28} credit {opp.credit:5.2f}  IV rank "
            f"{opp.iv_rank:.0f}  {sizing.contracts} contracts [{opp.grade}]"
        )


def enter(journal: TradeJournal) -> None:
    """When you enter a trade."""
    title("When you enter a trade")
    journal.log_trade_entry(
        rec_id=1,  # From scanner recommendation
        actual_contracts=7,  # What you actually entered
        entry_credit=1.90,  # Actual fill price
        iv_rank=68.5,  # IV at entry
        notes="Entered at better price than expected",
    )
    print(journal.trade(1))
    print(f"recommendation 1 is {journal.recommendation(1).status}")


def leave(journal: TradeJournal) -> None:
    """When a trade closes: P&L, why it worked, insights and figures follow by themselves."""
    title("When a trade closes")
    outcome = journal.log_trade_exit(
        trade_id=1,
        exit_debit=0.95,  # What you paid to close
        close_reason="50% profit rule",
        notes="Closed in 12 days for $665 profit",
    )
    print(outcome)
    record = PerformanceTracker(journal).record("TRADE_001")  # the same trade
    for category, words in record.mistakes:
        print(f"  ! {category}: {words}")


def trade_on(journal: TradeJournal, clock: Clock) -> None:
    """Log nine more trades, so that there is something to learn from."""
    title("Nine more trades")
    for symbol, contracts, credit, debit, iv_rank, dte, held, reason in MADE_UP:
        clock.forward(days=1)
        trade_id = journal.log_trade_entry(
            symbol=symbol, strategy="short-put-spread", actual_contracts=contracts, entry_credit=credit,
            iv_rank=iv_rank, expiry=clock.now.date() + timedelta(days=dte), width=5.0,
        )  # fmt: skip
        clock.forward(days=held)
        print(journal.log_trade_exit(trade_id, exit_debit=debit, close_reason=reason))


def learn(journal: TradeJournal) -> None:
    """Look at what works, and at the week."""
    title("Weekly review")
    learner = TradeLearningSystem(journal)

    # See what's working
    learner.analyze_what_works()

    # Get recommendations
    learner.generate_weekly_report()


def adjust(market: ScanMarket, journal: TradeJournal) -> None:
    """Let a person approve what was learned, and the scanner use it."""
    title("The scanner adjusts")
    store = ParameterStore(journal)
    # ten trades prove nothing, so significant_only=True would propose nothing
    for proposed in TradeLearningSystem(journal).propose(significant_only=False):
        print(store.approve(proposed.id, by="Ada"))
    learned = OptionsScanner(market, **WIDE, journal=journal, parameters=journal)
    print(f"learned: min_iv_rank={learned.min_iv_rank:g}, target_dte={learned.target_dte}")
    for opp in learned.scan_for_opportunities()[:3]:
        print(opp)

    # the same by hand
    scanner = OptionsScanner(
        market,
        min_iv_rank=60,  # Increased based on learning
        target_dte=45,  # Optimized from historical data
    )
    print(f"by hand: min_iv_rank={scanner.min_iv_rank:g}, target_dte={scanner.target_dte}")


def keep(journal: TradeJournal, folder: Path) -> None:
    """Back the journal up and take its trades along."""
    title("What stays")
    copy = backup(journal.database, folder / "backup.db")
    print(f"{copy.path.name}: {sum(copy.rows.values())} rows, checked")
    for name in ("trades.csv", "trades.json"):
        print(f"{export_trades(journal, folder / name).name}: {len(journal.trades())} trades")


def spy() -> ScanMarket:
    """Return a tenth of the S&P 500 until the end of 2018, quotes modelled from the VIX."""
    index, volatility = load_bars("sample:spx"), load_bars("sample:vix")
    return ScanMarket.modelled(
        "SPY",
        pd.Series(index.close[:, 0] / 10.0, index.index),
        pd.Series(volatility.close[:, 0], volatility.index),
        rate=0.024,
        dividend_yield=0.02,
        source="a tenth of sample:spx with sample:vix",
    )


def title(text: str) -> None:
    """Print a headline."""
    print(f"\n== {text}")


if __name__ == "__main__":
    main()
