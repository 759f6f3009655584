"""What a reader of the pages has in the folder: a journal, sessions, prices, quotes, a strategy."""

from __future__ import annotations

import contextlib
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from journal import ParameterStore, TradeJournal
from simulator import load_bars
from simulator.options.chain import Chain
from simulator.options.pricing import price
from simulator.options.snapshots import save_snapshot
from twinstep.cli import run

__all__ = ["prepare"]

STATEMENTS = Path(__file__).resolve().parents[1] / "journal" / "statements"
OPENED = datetime(2026, 1, 5, 15, tzinfo=UTC)
LEVELS = (0.2, 0.24, 0.18, 0.3, 0.22, 0.21, 0.26, 0.31)
EXPIRY = "2026-02-20"


def prepare(folder: Path) -> None:
    """Make the files that commands and snippets of the pages name."""
    with contextlib.chdir(folder):
        _files()
        _journal(Path("trade_journal.db"))
        _done("paper", "--strategy", "donchian-breakout", "--end", "2000-12-29", "--group", "100")
        _done("paper", "--strategy", "sma-cross", "--end", "2000-06-30", "--group", "100", "--name", "trend")
        shutil.copy("trade_journal.db", "desk.db")
        options = (
            "--data",
            "sample:spx",
            "--iv",
            "sample:vix",
            "--strategy",
            "short-put-spread",
            "--name",
            "premium",
        )
        _done(
            "paper",
            *options,
            "--start",
            "2014-01-03",
            "--end",
            "2014-04-30",
            "--cash",
            "1000000",
            "--group",
            "100",
        )
        _done("journal", "backup")
        _done("journal", "backup", "out/today.db")
        _done("new-strategy", "my-idea")
        # the tests' commands count and keep nothing, a reader's do
        off = {name: os.environ.pop(name, None) for name in ("TWINSTEP_NO_TRIALS", "TWINSTEP_NO_KEEP")}
        _done("backtest", "donchian-breakout", "--end", "2001-12-31", "--no-trials")
        _done("backtest", "sma-cross", "--end", "2001-12-31")
        _done("backtest", "sma-cross", "--end", "2001-12-31", "--param", "fast=10")
        os.environ.update({name: value for name, value in off.items() if value is not None})


def _done(*arguments: str) -> None:
    code = run(arguments)
    assert code == 0, arguments


def _files() -> None:
    bars = load_bars("sample:stocks", start="2010-01-01", symbols=["AAPL", "MSFT"])
    Path("prices").mkdir()
    for number, symbol in enumerate(bars.symbols):
        table = pd.DataFrame(
            bars.panel[:, number, :],
            index=bars.index + pd.Timedelta(weeks=208),  # recent enough for what the pages ask of them
            columns=["open", "high", "low", "close", "volume"],
        )
        table.to_csv(f"prices/{symbol}.csv", index_label="date")
    shutil.copy("prices/AAPL.csv", "aapl.csv")
    quotes = _quotes("SPX")
    quotes.to_parquet("chain.parquet")
    quotes.to_parquet("quotes.parquet")
    for session in np.unique(quotes.session):
        for name in ("snapshots", "chains"):
            save_snapshot(quotes.rows(quotes.session == session), name)
    shutil.copy(STATEMENTS / "tastytrade.csv", "transactions.csv")
    shutil.copy(STATEMENTS / "ib_flex.xml", "flex.xml")
    Path("out").mkdir()


def _quotes(symbol: str) -> Chain:
    """Return quotes of eight sessions from one volatility per day, expiries 25 to 60 days ahead."""
    parts = []
    for day, level in zip(pd.bdate_range("2020-01-06", periods=len(LEVELS)), LEVELS, strict=True):
        session = int(np.datetime64(day, "D").astype(np.int64))
        for ahead in (25, 45, 60):
            for kind, code in (("call", 1), ("put", -1)):
                strikes = np.arange(70.0, 131.0)
                mid = price(kind, 100.0, strikes, ahead / 365, 0.0, level)
                columns = {"strike": strikes, "bid": mid * 0.98, "ask": mid * 1.02}
                parts.append(
                    pd.DataFrame(columns).assign(
                        ts=pd.Timestamp(f"{day.date()} 16:00", tz="America/New_York").value,
                        expiry=session + ahead,
                        kind=code,
                        underlying=100.0,
                    )
                )
    table = pd.concat(parts)
    return Chain.from_arrays(symbol, {str(name): table[name].to_numpy() for name in table}, origin="real")


def _journal(path: Path) -> None:
    """Log recommendations 1 to 3, trades 1 to 3 that are open, closed ones, and parameter sets 1 to 3."""
    package = ("--symbol", "SPY", "--strategy", "short-put-spread", "--legs", "-95P +90P", "--contracts", "7")
    shares = ("--symbol", "AAPL", "--side", "buy", "--quantity", "100", "--price", "50", "--stop", "48")
    opened = ("--when", OPENED.isoformat())
    for credit in ("1.80", "1.85", "1.90"):
        _done("journal", "log", "--recommend", *package, "--expiry", "2030-02-15", "--credit", credit)
    for of in (("--expiry", EXPIRY, "--credit", "1.90"), (), ("--expiry", EXPIRY, "--credit", "1.90")):
        _done("journal", "log", *(package if of else shares), *of, *opened)
    with TradeJournal(path) as journal:
        for number in range(12):
            when = OPENED + timedelta(days=number)
            trade = journal.log_trade_entry(
                symbol="SPY", strategy="short-put-spread", actual_contracts=1, entry_credit=1.9, width=5.0,
                iv_rank=50.0 + 4 * number, dte=45, when=when,
            )  # fmt: skip
            journal.log_trade_exit(
                trade, exit_debit=0.95 if number % 3 else 3.0, when=when + timedelta(days=9)
            )
        journal.add_tag(1, "hedge")
        store = ParameterStore(journal)
        for rank in (55.0, 60.0, 65.0):
            store.propose("options_scanner", {"min_iv_rank": rank})
        store.approve(2, "Ada", reason="try it")
