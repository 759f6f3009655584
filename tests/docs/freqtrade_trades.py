"""Runs freqtrade's own backtest of `examples/migration/freqtrade_before.py`, and keeps its trades.

freqtrade is heavy and is no dependency of the tests, so what it answered is a file, `data/freqtrade.csv`.
It is made anew in an environment of its own, with the bundled prices as candles, and a market per symbol that
needs no exchange. Candles lie on the market's grid of 1e-8, as those of an exchange do: off it, an exit at a
candle's very low may be rounded to just below it, and then waits for another day.

    python -m venv /tmp/freqtrade && /tmp/freqtrade/bin/pip install freqtrade==2026.9
    .venv/bin/python -m tests.docs.freqtrade_trades candles /tmp/candles.csv
    /tmp/freqtrade/bin/python tests/docs/freqtrade_trades.py run /tmp/candles.csv
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import pandas as pd

ROOT: Final = Path(__file__).resolve().parents[2]
TRADES: Final = Path(__file__).parent / "data" / "freqtrade.csv"
COLUMNS: Final = {
    "pair": "symbol",
    "open_date": "entry_time",
    "close_date": "exit_time",
    "open_rate": "entry_price",
    "close_rate": "exit_price",
    "exit_reason": "exit_reason",
}


def write_candles(file: Path) -> None:
    """Write the bundled prices as one table, in an environment that has Twinstep."""
    from simulator import load_bars

    bars = load_bars("sample:stocks")
    frames = [bars.frame(symbol).dropna().round(8).assign(symbol=symbol) for symbol in bars.symbols]
    pd.concat(frames).rename_axis("date").to_csv(file)


def run(file: Path) -> None:
    """Backtest, in an environment that has freqtrade, and write its trades."""
    candles = pd.read_csv(file)
    candles["date"] = pd.to_datetime(candles["date"], utc=True)
    frames = {
        f"{symbol}/USDT": frame.drop(columns="symbol").reset_index(drop=True)
        for symbol, frame in candles.groupby("symbol")
    }
    exchange = importlib.import_module("freqtrade.exchange.exchange").Exchange
    exchange._load_async_markets = lambda self, reload=False: self._api_async.set_markets(
        [_market(pair) for pair in frames]
    )
    backtesting = importlib.import_module("freqtrade.optimize.backtesting")
    with tempfile.TemporaryDirectory() as folder:
        engine: Any = backtesting.Backtesting(_configuration(list(frames), Path(folder)))
        strategy = engine.strategylist[0]
        engine._set_strategy(strategy)
        first, last = candles["date"].min(), candles["date"].max()
        found = engine.backtest(
            strategy.advise_all_indicators(frames), first.to_pydatetime(), last.to_pydatetime()
        )["results"]
    table = found[list(COLUMNS)].rename(columns=COLUMNS)
    table["symbol"] = table["symbol"].str.removesuffix("/USDT")
    for name in ("entry_time", "exit_time"):
        table[name] = table[name].dt.strftime("%Y-%m-%d")
    TRADES.parent.mkdir(exist_ok=True)
    table.sort_values(["symbol", "entry_time"]).to_csv(TRADES, index=False)
    sys.stdout.write(f"{len(table)} trades in {TRADES}\n")


def _market(pair: str) -> dict[str, Any]:
    base, quote = pair.split("/")
    free = {"min": None, "max": None}
    return {
        "id": pair, "symbol": pair, "base": base, "quote": quote, "baseId": base, "quoteId": quote,
        "active": True, "type": "spot", "spot": True, "margin": False, "swap": False, "future": False,
        "option": False, "contract": False, "settle": None, "linear": None, "inverse": None, "info": {},
        "maker": 0.0, "taker": 0.0, "precision": {"price": 1e-8, "amount": 1e-8},
        "limits": {"amount": free, "price": free, "cost": free},
    }  # fmt: skip


def _configuration(pairs: list[str], folder: Path) -> dict[str, Any]:
    prices = {"price_side": "same", "use_order_book": False, "order_book_top": 1}
    mode = importlib.import_module("freqtrade.enums").RunMode.BACKTEST
    return {
        "strategy": "SmaCross", "strategy_path": str(ROOT / "examples" / "migration"), "timeframe": "1d",
        "fee": 0.0, "stake_currency": "USDT", "stake_amount": 10_000, "dry_run_wallet": 1_000_000,
        "max_open_trades": len(pairs), "tradable_balance_ratio": 1.0, "trading_mode": "spot",
        "margin_mode": "", "pairlists": [{"method": "StaticPairList"}], "dry_run": True,
        "exchange": {"name": "binance", "pair_whitelist": pairs, "pair_blacklist": []},
        "entry_pricing": prices, "exit_pricing": prices, "enable_protections": False,
        "user_data_dir": folder, "datadir": folder, "dataformat_ohlcv": "feather",
        "dataformat_trades": "feather", "export": "none", "exportfilename": folder / "none",
        "runmode": mode, "original_config": {}, "disableparamexport": True,
    }  # fmt: skip


if __name__ == "__main__":
    {"candles": write_candles, "run": run}[sys.argv[1]](Path(sys.argv[2]))
