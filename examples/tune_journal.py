"""Tune the scanner from a journal: first from simulated trades, then from one in which an edge was planted.

The first journal holds put spreads that were simulated on the S&P 500 of 2014 to 2018, at every IV rank and
with 35, 45 and 60 days to expiry. No option was quoted in them: premiums are modelled from the VIX. Should
the scanner ask for another IV rank, or other days? The answer is what these trades can carry.

The second journal is made up so that trades below an IV rank of 65 lose. That is found, takes force (on
paper a program may do that; what was learned live waits for a person), the next scan uses it, and it is
taken back.

    python examples/tune_journal.py --out out
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from journal import ParameterStore, TradeJournal
from optimize import Tuning, tune_journal
from simulator import Bars, RiskLimits, backtest, load_bars
from simulator.errors import TwinstepWarning
from simulator.options import OptionMarket
from strategies import OptionsScanner
from strategies.premium import ShortPutSpread

DAYS_TO_EXPIRY: Final = (35, 45, 60)
ENTRY_DAYS: Final = ("monday", "thursday")
PLANTED_AT: Final = 65.0
"""IV rank below which the made-up trades lose."""


def main() -> None:
    """Tune from both journals, and write both reports."""
    parser = argparse.ArgumentParser(description="Tune the scanner from two journals.")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the HTML reports")
    out: Path = parser.parse_args().out
    tune(out)
    print(f"\nReports, to open in a browser: {out / 'tuning.html'}, {out / 'tuning_planted.html'}")


def tune(out: Path) -> None:
    """Tune from both journals in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory() as temporary:
        from_simulated_trades(Path(temporary)).report(out / "tuning.html")
        from_a_planted_edge(Path(temporary)).report(out / "tuning_planted.html")


def from_simulated_trades(folder: Path) -> Tuning:
    """Run a strategy at every IV rank, keep its trades in a journal, and ask what they teach."""
    title("Simulated trades, modelled premiums")
    bars = load_market()
    risk = RiskLimits(risk_per_trade_pct=2.0, max_sector_exposure_pct=100.0)
    with TradeJournal(folder / "simulated.db", source="backtest") as journal:
        runs = []
        for days in DAYS_TO_EXPIRY:
            for day in ENTRY_DAYS:
                strategy = ShortPutSpread(
                    min_iv_rank=0.0, target_dte=days, min_dte=25, max_dte=70, weeklies=True, entry_day=day
                )
                result = backtest(bars, strategy, cash=1_000_000.0, risk=risk)
                runs.append(result.to_journal(journal).run_id)
        tuning = tune_journal(journal, run=runs)
        print(tuning)
        if tuning.stored is not None:  # a person decides on what a simulation taught
            print(ParameterStore(journal).approve(tuning.stored.id, by="Ada"))
        scan(journal)
    return tuning


def from_a_planted_edge(folder: Path) -> Tuning:
    """Make trades up that lose below an IV rank of 65, and let paper trading learn from them."""
    title(f"Made-up trades: below an IV rank of {PLANTED_AT:g} they were made to lose")
    with TradeJournal(folder / "planted.db", source="paper") as journal:
        plant(journal, trades=250)
        scan(journal)
        tuning = tune_journal(journal)
        print(tuning)
        scan(journal)
        ParameterStore(journal).roll_back("options_scanner", reason="it was only an example")
        scan(journal)
    return tuning


def scan(journal: TradeJournal) -> None:
    """Scan the bundled S&P 500 with what the journal has learned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinstepWarning)  # what is printed says "modelled" as well
        scanner = OptionsScanner(parameters=journal)
    found = scanner.scan_for_opportunities()
    refused = scanner.candidates.loc[~scanner.candidates["accepted"].astype(bool), "reason"]
    print(f"scan with IV rank from {scanner.min_iv_rank:g} on: {len(found)} found [{scanner.grade}]", end="")
    print("" if found else f", as {refused.iloc[0]}")


def plant(journal: TradeJournal, trades: int) -> None:
    """Log put spreads of one contract that keep half of 1.90, or lose as much as they can."""
    draw = np.random.default_rng(7)
    when = datetime(2024, 1, 2, 20, tzinfo=UTC)
    with journal.database.write():  # one transaction for all
        for _ in range(trades):
            iv_rank = float(draw.uniform(50.0, 100.0))
            won = draw.random() < (0.9 if iv_rank >= PLANTED_AT else 0.6)
            number = journal.log_trade_entry(
                symbol="SPY", strategy="short-put-spread", actual_contracts=1, entry_credit=1.90, width=5.0,
                iv_rank=round(iv_rank, 1), dte=int(draw.integers(38, 53)), when=when,
            )  # fmt: skip
            journal.log_trade_exit(
                number, exit_debit=0.95 if won else 5.0, when=when + timedelta(days=int(draw.integers(8, 24)))
            )
            when += timedelta(days=3)


def load_market() -> Bars:
    """Return the S&P 500 with options on it, modelled from the VIX."""
    vix = load_bars("sample:vix")
    bars = load_bars("sample:spx", start=vix.index[0].date())
    level = pd.Series(vix.close[:, 0] / 100.0, vix.index)
    market = OptionMarket.modelled(
        bars, {bars.symbols[0]: level}, surface="index", rate=0.01, dividend_yield=0.02
    )
    return bars.with_options(market)


def title(text: str) -> None:
    """Print a headline."""
    print(f"\n== {text}")


if __name__ == "__main__":
    main()
