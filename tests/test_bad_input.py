"""Bad input, one row per mistake: one clear error with a stable code, and no traceback on the command line.

Each row says what is wrong, how it is done, and what must come of it: the class of the error (or warning),
its code, and words that the message must contain, so that it names the object and the value. A call that is
a text is a command line: it must leave exit code 2, one line on standard error and nothing on standard
output; a warning leaves exit code 0.
"""

# ruff: noqa: E501 - a row of a table is one line, however long

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
import requests
from requests.adapters import BaseAdapter

from simulator import (
    Bars,
    Command,
    Conventions,
    Costs,
    Result,
    RiskLimits,
    Signals,
    Stepper,
    backtest,
    backtest_stream,
    load_bars,
    sweep,
)
from simulator.bars.yahoo import Yahoo
from simulator.errors import (
    ConfigError,
    DataError,
    EngineError,
    FetchError,
    SignalError,
    StrategyError,
    TwinstepError,
    TwinstepWarning,
    UnknownNameError,
)
from simulator.kernel.state import from_bytes
from strategies import OnBarStrategy, SmaCross, create_manual_signal, load_strategy
from strategies.risk_calculator import RiskCalculator
from tests.twinstep import conftest

cli = conftest.cli  # the fixture: a command line that runs inside the test, in an empty folder

Call = Callable[[Path], object] | str
Case = tuple[str, Call, type[Exception] | type[Warning] | None, str, tuple[str, ...]]

DAYS: Final = ("2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08")


# What is done wrong


def table(**columns: Any) -> pd.DataFrame:
    """Five good days of one symbol, closes 10.0 to 11.2; columns replaced as given."""
    close = np.array([10.0, 10.5, 11.0, 10.8, 11.2])
    prices = {"open": close, "high": close + 0.5, "low": close - 0.5, "close": close, "volume": 1000.0}
    return pd.DataFrame({**prices, **columns}, index=pd.to_datetime(DAYS))


@lru_cache(maxsize=1)
def market() -> Bars:
    return Bars.from_frames({"AAPL": table(), "MSFT": table()})


@lru_cache(maxsize=1)
def result() -> Result:
    return backtest(market(), Signals.from_arrays(market(), [1], 0, 1, stop=9.0))


def bars(**columns: Any) -> Call:
    """Bars from a table of AAPL with columns replaced."""
    return lambda _: Bars.from_frames({"AAPL": table(**columns)})


def spoiled(spoil: Callable[[pd.DataFrame], Any]) -> Call:
    """Bars from a table of AAPL that something has been done to."""
    return lambda _: Bars.from_frames({"AAPL": spoil(table())})


def arrays(**changes: Any) -> Call:
    given = {
        "symbols": ["AAPL"],
        "ts": np.array(DAYS, "datetime64[ns]"),
        "panel": table().to_numpy()[:, None],
    }
    return lambda _: Bars.from_arrays(**{**given, **changes})


def load(source: str, **options: Any) -> Call:
    """`load_bars` of a source, or of a file in the test's folder."""
    return lambda at: load_bars(str(at / source) if ":" not in source else source, **options)


def signal(**columns: Any) -> Call:
    """A table of one signal, long AAPL on 2020-01-03 at the close of 10.5, run over the bars."""
    row = {"time": "2020-01-03", "symbol": "AAPL", "side": 1, **columns}
    return lambda _: backtest(market(), Signals.from_frame(pd.DataFrame([row])))


def placed(row: Any, symbol: Any = 0, side: Any = 1, **columns: Any) -> Call:
    return lambda _: Signals.from_arrays(market(), row, symbol, side, **columns)


def run(strategy: Any = None, **rules: Any) -> Call:
    """A backtest under given rules."""
    return lambda _: backtest(market(), Signals.empty(market()) if strategy is None else strategy, **rules)


def swept(strategy: Any, grid: Any = None, **rules: Any) -> Call:
    return lambda _: sweep(market(), strategy, grid, **rules)


def limits(**values: Any) -> Call:
    return lambda _: RiskLimits(**values)


def costs(**values: Any) -> Call:
    return lambda _: Costs(**values)


def conventions(**values: Any) -> Call:
    return lambda _: Conventions(**values)


def command(*parts: Any) -> Call:
    """A command, and a run that carries it out."""
    return lambda _: backtest(market(), Signals.empty(market()), commands=[Command(*parts)])


def strategy(spec: Any, **parameters: Any) -> Call:
    return lambda _: load_strategy(spec, **parameters)


def on_bar(act: Callable[[Any], object]) -> Call:
    """A backtest of a strategy that does something wrong when it is asked."""

    class Asked(OnBarStrategy):
        def on_bar(self, context: Any) -> None:
            act(context)

    return lambda _: backtest(market(), Asked())


class Silence(BaseAdapter):
    """A network on which nobody answers."""

    def send(self, *_: Any, **__: Any) -> requests.Response:
        raise requests.exceptions.ConnectionError("no route to host")

    def close(self) -> None:
        """Nothing is open."""


def offline(at: Path) -> Bars:
    session = requests.Session()
    session.mount("https://", Silence())
    session.mount("http://", Silence())
    client = Yahoo(session=session, sleep=lambda _: None)
    return load_bars("yfinance:AAPL", cache_dir=at / "cache", yahoo=client)


def pushed_twice(_: Path) -> int:
    stepper = Stepper(market())
    stepper.push(market()[:2])
    return stepper.push(market()[1:3])


GOOD: Final = "date,open,high,low,close,volume\n2020-01-02,10,11,9,10.5,100\n2020-01-03,10,11,9,10.5,100\n"
FILES: Final = {
    "good.csv": GOOD,
    "empty.csv": "",
    "header.csv": "date,open,high,low,close,volume\n",
    "columns.csv": "date,price\n2020-01-02,10\n",
    "unsorted.csv": GOOD + "2020-01-01,10,11,9,10,100\n",
    "twice.csv": GOOD + "2020-01-03,10,11,9,10,100\n",
    "naive.csv": GOOD.replace(",10,11", " 15:30,10,11"),
    "two_forms.csv": GOOD + "2020-01-06 00:00:00,10,11,9,10,100\n",
    "nan.csv": GOOD + "2020-01-06,10,11,,10,100\n",
    "negative.csv": GOOD + "2020-01-06,-1,11,-2,10,100\n",
    "words.csv": GOOD + "2020-01-06,ten,11,9,10,100\n",
    "broken.parquet": "no parquet",
    "prices.xls": "no table",
    "empty.py": "",
    "syntax.py": "class Mine(:\n",
    "two.py": "\n".join(
        f"class {name}:\n    name = 'x'\n    warmup = 0\n    def signals(self, bars): ...\n" for name in "AB"
    ),
    "mine.py": "class Mine:\n    name = 'mine'\n    warmup = 0\n    def signals(self, bars):\n        return []\n",
    "broken.toml": "[risk\n",
    "unknown.toml": "[account]\ncash = 5000.0\n\n[risk]\nmax_open_position = 8\n",
    "section.toml": "[risks]\nleverage = 2\n",
    "type.toml": "[risk]\nleverage = 'high'\n",
    "limit.toml": "[risk]\nmax_open_positions = 0\n",
    "choice.toml": "[conventions]\ntrail_rule = 'closes'\n",
    "fraction.toml": "[risk]\nrisk_per_trade_pct = 0.02\n",
}

CASES: Final[list[Case]] = [
    # Bars from tables
    ("a column is missing", spoiled(lambda f: f.drop(columns="close")), DataError, "DATA_COLUMNS", ("AAPL", "close")),
    ("a column is misspelt", spoiled(lambda f: f.rename(columns={"close": "clsoe"})), DataError, "DATA_COLUMNS", ("Did you mean 'clsoe'",)),
    ("a table without rows", spoiled(lambda f: f[:0]), DataError, "DATA_EMPTY", ("AAPL", "no rows")),
    ("no tables at all", lambda _: Bars.from_frames({}), DataError, "DATA_EMPTY", ("no symbols",)),
    ("one table instead of a mapping", lambda _: Bars.from_frames(table()), DataError, "DATA_TYPE", ("DataFrame", '{"AAPL": frame}')),  # type: ignore[arg-type]
    ("a list instead of a table", spoiled(lambda f: f.to_numpy().tolist()), DataError, "DATA_TYPE", ("AAPL", "list")),
    ("a word as a price", bars(close=["10", "ten", "11", "10", "11"]), DataError, "DATA_TYPE", ("2020-01-03", "'ten'")),
    ("a NaN among the prices", bars(low=[9.5, np.nan, 10.5, 10.3, 10.7]), DataError, "DATA_NAN", ("AAPL", "2020-01-03", "low")),
    ("a negative price", bars(low=[9.5, -1.0, 10.5, 10.3, 10.7]), DataError, "DATA_PRICE", ("AAPL", "2020-01-03", "low -1.0")),
    ("a price of zero", bars(open=[10.0, 0.0, 11.0, 10.8, 11.2]), DataError, "DATA_PRICE", ("open 0.0",)),
    ("an infinite price", bars(high=[10.5, np.inf, 11.5, 11.3, 11.7]), DataError, "DATA_PRICE", ("high inf",)),
    ("high below low", bars(high=[10.5, 9.0, 11.5, 11.3, 11.7]), DataError, "DATA_OHLC", ("2020-01-03", "high 9.0 is below")),
    ("a negative volume", bars(volume=[1.0, -5.0, 1.0, 1.0, 1.0]), DataError, "DATA_VOLUME", ("volume -5.0",)),
    ("bid above ask", bars(bid=10.2, ask=10.0), DataError, "DATA_SPREAD", ("AAPL", "bid is above ask")),
    ("unsorted times", spoiled(lambda f: f[::-1]), DataError, "DATA_UNSORTED", ("AAPL", "2020-01-02")),
    ("duplicate times", spoiled(lambda f: pd.concat([f[:2], f[1:]])), DataError, "DATA_DUPLICATE", ("AAPL", "2020-01-03")),
    ("naive intraday times", spoiled(lambda f: f.set_axis(pd.date_range("2020-01-02 09:30", periods=5, freq="h"))), DataError, "DATA_NAIVE", ("AAPL", "2020-01-02 09:30:00", "tz_localize")),
    ("unreadable times", spoiled(lambda f: f.set_axis([f"day {n}" for n in range(5)])), DataError, "DATA_TIME", ("AAPL", "day 0")),
    ("a row without a time", spoiled(lambda f: f.set_axis(f.index.where(np.arange(5) != 2))), DataError, "DATA_TIME", ("AAPL", "row 2")),
    ("no times at all", spoiled(lambda f: f.reset_index(drop=True)), DataError, "DATA_TIME", ("AAPL", "no times")),
    ("daily and intraday bars mixed", lambda _: Bars.from_frames({"AAPL": table(), "MSFT": table().set_axis(pd.date_range("2020-01-02 09:30", periods=5, freq="h", tz="America/New_York"))}), DataError, "DATA_MIXED", ("AAPL", "MSFT", "with_detail")),
    ("a symbol without a name", arrays(symbols=[" "]), DataError, "DATA_SYMBOLS", ("' '",)),
    ("a panel of another shape", arrays(panel=np.ones((5, 5))), DataError, "DATA_SHAPE", ("(5, 5)", "(5, 1, 5)")),
    ("a panel of texts", arrays(panel=np.full((5, 1, 5), "x")), DataError, "DATA_TYPE", ("<U1",)),
    ("times as fractions", arrays(ts=np.arange(5) / 2), DataError, "DATA_TIME", ("float64",)),
    ("sectors of other symbols' number", arrays(sectors=["Technology", "Energy"]), DataError, "DATA_SHAPE", ("2 sectors", "1 symbols")),
    ("an unknown field of an instrument", arrays(instruments={"AAPL": {"tck": 0.01}}), DataError, "DATA_INSTRUMENT", ("AAPL", "'tck'", "Did you mean 'tick'")),
    ("a lot of zero", arrays(instruments={"AAPL": {"lot": 0}}), DataError, "DATA_INSTRUMENT", ("lot 0",)),
    ("a split of zero shares", arrays(actions=[("AAPL", "2020-01-03", "split", 0.0)]), DataError, "DATA_ACTION", ("AAPL", "2020-01-03", "0.0")),
    ("an action of an unknown symbol", arrays(actions=[("APPL", "2020-01-03", "split", 2.0)]), UnknownNameError, "NAME_SYMBOL", ("'APPL'", "Did you mean 'AAPL'")),
    ("an unknown calendar", arrays(calendar="XNYZ"), DataError, "DATA_CALENDAR", ("'XNYZ'", "Did you mean")),
    ("an unknown guard policy", arrays(guard="rase"), ConfigError, "CONFIG_GUARD", ("'rase'", "Did you mean 'raise'")),
    ("a symbol as an index", lambda _: market()["AAPL"], DataError, "DATA_INDEX", ("'AAPL'", "select")),  # type: ignore[index]
    ("an unknown symbol asked for", lambda _: market().frame("APPL"), UnknownNameError, "NAME_SYMBOL", ("'APPL'", "Did you mean 'AAPL'")),
    ("a higher timeframe that is lower", lambda _: market().resample("5min"), DataError, "DATA_RESAMPLE", ("'5min'", "daily")),
    ("an unknown timeframe", lambda _: market().resample("5z"), DataError, "DATA_RESAMPLE", ("'5z'", "1W")),
    ("detail of other dates", lambda _: market()[:2].with_detail(market()[3:]), DataError, "DATA_DETAIL", ("2020-01-07",)),
    # Sources
    ("an unknown sample", load("sample:stoks"), UnknownNameError, "NAME_SAMPLE", ("'stoks'", "Did you mean 'stocks'")),
    ("an unknown source", load("yfinace:AAPL"), UnknownNameError, "NAME_SOURCE", ("'yfinace'", "Did you mean 'yfinance'")),
    ("a file that is not there", load("goood.csv"), DataError, "DATA_FILE", ("goood.csv", "Did you mean 'good.csv'")),
    ("an empty file", load("empty.csv"), DataError, "DATA_EMPTY", ("empty.csv",)),
    ("a file with a header only", load("header.csv"), DataError, "DATA_EMPTY", ("header.csv", "no rows")),
    ("a file with the wrong columns", load("columns.csv"), DataError, "DATA_COLUMNS", ("columns", "price")),
    ("a file that is no Parquet", load("broken.parquet"), DataError, "DATA_FILE", ("broken.parquet",)),
    ("a file of an unknown kind", load("prices.xls"), DataError, "DATA_FILE", ("prices.xls", ".csv")),
    ("a folder without files", lambda at: load_bars(_folder(at / "nothing")), DataError, "DATA_EMPTY", ("nothing",)),
    ("a symbol that the file lacks", load("good.csv", symbols=["bad"]), UnknownNameError, "NAME_SYMBOL", ("'bad'", "good")),
    ("start after end", load("sample:spx", start="2012-01-01", end="2011-01-01"), DataError, "DATA_RANGE", ("2012-01-01", "2011-01-01")),
    ("a start that is no date", load("sample:spx", start="last year"), DataError, "DATA_RANGE", ("'last year'", "2020-01-31")),
    ("dates without bars", load("sample:spx", start="2030-01-01"), DataError, "DATA_RANGE", ("2030-01-01", "2018-12-31")),
    ("a synthetic market of no size", load("synthetic:8by750"), DataError, "DATA_SYNTHETIC", ("8by750",)),
    ("an unknown price basis", load("sample:spx", adjust="al"), ConfigError, "CONFIG_ADJUST", ("'al'", "Did you mean 'all'")),
    ("no symbol for Yahoo", load("yfinance:"), DataError, "DATA_EMPTY", ("yfinance:AAPL,MSFT",)),
    ("an interval that Yahoo lacks", load("yfinance:AAPL", interval="2d"), FetchError, "FETCH_INTERVAL", ("'2d'",)),
    ("Yahoo without a network", offline, FetchError, "FETCH_OFFLINE", ("AAPL", "offline")),
    ("a cache that cannot be written", lambda at: load_bars("yfinance:AAPL", cache_dir=at / "good.csv"), FetchError, "FETCH_CACHE", ("good.csv", "cannot be written")),
    # Signals from tables
    ("signals from a list", lambda _: Signals.from_frame([1]), SignalError, "SIGNAL_TYPE", ("DataFrame", "list")),  # type: ignore[arg-type]
    ("no column of symbols", lambda _: Signals.from_frame(pd.DataFrame({"time": ["2020-01-03"], "side": [1]})), SignalError, "SIGNAL_COLUMN", ("'symbol'", "time, side")),
    ("a misspelt column", signal(taget=12.0), SignalError, "SIGNAL_COLUMN", ("'taget'", "Did you mean 'target'")),
    ("a side of 2", signal(side=2), SignalError, "SIGNAL_SIDE", ("AAPL", "side 2")),
    ("a side as a word", signal(side="long"), SignalError, "SIGNAL_NUMBER", ("side", "'long'", "1 is long")),
    ("no symbol", signal(symbol=None), SignalError, "SIGNAL_SYMBOL", ("row 0",)),
    ("an unknown entry", signal(entry="opne"), SignalError, "SIGNAL_ENTRY", ("'opne'", "Did you mean 'open'")),
    ("a limit without a price", signal(entry="limit", limit_price=np.nan), SignalError, "SIGNAL_LIMIT_PRICE", ("AAPL", "limit_price is needed")),
    ("a stop entry without a price", signal(entry="stop", stop=9.0), SignalError, "SIGNAL_ENTRY_PRICE", ("AAPL", "entry_price is needed")),
    ("an unknown time in force", signal(tif="DAYS"), SignalError, "SIGNAL_TIF", ("'DAYS'", "Did you mean 'DAY'")),
    ("good till no date", signal(stop=9.0, tif="GTD"), SignalError, "SIGNAL_VALID_UNTIL", ("valid_until is needed",)),
    ("good till yesterday", signal(stop=9.0, valid_until="2020-01-02"), SignalError, "SIGNAL_VALID_UNTIL", ("AAPL at 2020-01-03", "before")),
    ("an unknown strength", signal(stop=9.0, strength="MODERAT"), SignalError, "SIGNAL_STRENGTH", ("'MODERAT'", "Did you mean 'MODERATE'")),
    ("a score above 100", signal(stop=9.0, score=120), SignalError, "SIGNAL_SCORE", ("score 120", "0 to 100")),
    ("a quantity of zero", signal(stop=9.0, qty=0), SignalError, "SIGNAL_QTY", ("AAPL", "qty 0")),
    ("a negative quantity", signal(stop=9.0, qty=-5), SignalError, "SIGNAL_QTY", ("qty -5",)),
    ("a quantity as a word", signal(stop=9.0, qty="ten"), SignalError, "SIGNAL_NUMBER", ("qty", "'ten'")),
    ("a negative stop", signal(stop=-3.0), SignalError, "SIGNAL_STOP", ("stop -3", "positive")),
    ("a stop above a long's close", signal(stop=12.0), SignalError, "SIGNAL_STOP_SIDE", ("AAPL 2020-01-03", "stop 12", "10.5")),
    ("a stop below a short's close", signal(side=-1, stop=9.0), SignalError, "SIGNAL_STOP_SIDE", ("AAPL", "stop 9", "short")),
    ("a stop above a long's limit", signal(entry="limit", limit_price=10.0, stop=10.2), SignalError, "SIGNAL_STOP_SIDE", ("stop 10.2", "wrong side of the entry")),
    ("a target inside the stop", signal(stop=9.0, target=8.5), SignalError, "SIGNAL_TARGET_SIDE", ("target 8.5", "target inside the stop")),
    ("a target below a long's limit", signal(entry="limit", limit_price=10.0, stop=9.0, target=9.5), SignalError, "SIGNAL_TARGET_SIDE", ("target 9.5", "wrong side of the entry")),
    ("a stop given twice", signal(stop=9.0, stop_percent=5.0), SignalError, "SIGNAL_STOP", ("given twice", "stop_percent")),
    ("a target given twice", signal(stop=9.0, target=12.0, target_r=2.0), SignalError, "SIGNAL_TARGET", ("given twice", "target_r")),
    ("a trail given twice", signal(trail_percent=5.0, trail_amount=1.0), SignalError, "SIGNAL_TRAIL", ("given twice", "trail_amount")),
    ("a stop of 150 percent", signal(stop_percent=150.0), SignalError, "SIGNAL_STOP_PERCENT", ("stop_percent 150", "below 100")),
    ("R without a stop", signal(qty=1.0, target_r=2.0), SignalError, "SIGNAL_TARGET_R", ("target_r 2", "neither a stop nor a trail")),
    ("an activation without a trail", signal(stop=9.0, trail_activate_r=1.0), SignalError, "SIGNAL_TRAIL_ACTIVATE_R", ("there is no trail",)),
    ("half a target as 50", signal(stop=9.0, target=12.0, target_fraction=50), SignalError, "SIGNAL_TARGET_FRACTION", ("target_fraction 50", "at most 1")),
    ("fractions above one", signal(stop=9.0, target=12.0, target_fraction=0.7, target2=13.0, target2_fraction=0.5), SignalError, "SIGNAL_TARGET_FRACTION", ("1.2",)),
    ("two and a half bars", signal(stop=9.0, max_bars=2.5), SignalError, "SIGNAL_MAX_BARS", ("max_bars 2.5", "whole number")),
    ("a naive intraday time", signal(time="2020-01-03 15:30"), SignalError, "SIGNAL_NAIVE_TIME", ("2020-01-03 15:30", "tz_localize")),
    ("a time as a word", signal(time="friday"), SignalError, "SIGNAL_TIME", ("friday",)),
    ("no time", signal(time=None), SignalError, "SIGNAL_TIME", ("row 0",)),
    ("a time after the data", signal(time="2021-01-04", stop=9.0), SignalError, "SIGNAL_TIME", ("2021-01-04", "2020-01-08")),
    ("a time on a weekend", signal(time="2020-01-04", stop=9.0), SignalError, "SIGNAL_TIME", ("2020-01-04", "nearest bar is 2020-01-06")),
    ("a symbol of another market", signal(symbol="APPL", stop=9.0), UnknownNameError, "NAME_SYMBOL", ("'APPL'", "Did you mean 'AAPL'")),
    ("2 % written as 0.02", signal(stop_percent=0.02), TwinstepWarning, "SIGNAL_PERCENT_LOOKS_LIKE_FRACTION", ("stop_percent 0.02", "was 2 % meant")),
    # Signals on rows of bars
    ("a row after the last", placed([5]), SignalError, "SIGNAL_ROW", ("row 5", "5 bars")),
    ("a row before the first", placed([-1]), SignalError, "SIGNAL_ROW", ("row -1",)),
    ("half a row", placed([1.5]), SignalError, "SIGNAL_ROW", ("1.5",)),
    ("a column of symbols that is not there", placed([1], 7), SignalError, "SIGNAL_SYMBOL", ("symbol 7", "2 columns")),
    ("a symbol that is not there", placed([1], "APPL"), UnknownNameError, "NAME_SYMBOL", ("'APPL'", "Did you mean 'AAPL'")),
    ("a column that is not there", placed([1], stp=9.0), SignalError, "SIGNAL_COLUMN", ("'stp'", "Did you mean 'stop'")),
    ("more stops than signals", placed([1], stop=[9.0, 9.1]), SignalError, "SIGNAL_SHAPE", ("stop", "(2,)", "1 signals")),
    ("fewer tags than signals", placed([1, 2], tag=["a"]), SignalError, "SIGNAL_SHAPE", ("tag", "(1,)", "2 signals")),
    ("a stop as a word", placed([1], stop="nine"), SignalError, "SIGNAL_NUMBER", ("stop", "'nine'")),
    ("rows of a table", lambda _: Signals.from_arrays(table(), [1], 0, 1), SignalError, "SIGNAL_TYPE", ("DataFrame",)),  # type: ignore[arg-type]
    ("signals of a longer history", lambda _: backtest(market()[:2], Signals.from_arrays(market(), [4], 0, 1, stop_percent=5.0)), SignalError, "SIGNAL_TIME", ("2020-01-08", "2020-01-03")),
    # Runs
    ("no cash", run(cash=0), ConfigError, "CONFIG_CASH", ("cash is 0",)),
    ("cash that is no number", run(cash=np.nan), ConfigError, "CONFIG_CASH", ("cash is nan",)),
    ("cash as a word", run(cash="lots"), ConfigError, "CONFIG_CASH", ("'lots'",)),
    ("limits as a dict", run(risk={"leverage": 2}), ConfigError, "CONFIG_RISK", ("dict", "RiskLimits")),
    ("no risk manager and no quantity", lambda _: backtest(market(), Signals.from_arrays(market(), [1], 0, 1, stop=9.0), risk=None), SignalError, "SIGNAL_QTY", ("AAPL", "2020-01-03", "qty")),
    ("an unknown cost preset", run(costs="alpca"), UnknownNameError, "NAME_COSTS", ("'alpca'", "Did you mean 'alpaca'")),
    ("costs as a number", run(costs=0.001), ConfigError, "COST_TYPE", ("float",)),
    ("an unknown profile", run(conventions="realistc"), UnknownNameError, "NAME_PROFILE", ("'realistc'", "Did you mean 'realistic'")),
    ("chunks of nothing", run(chunk=0), ConfigError, "CONFIG_CHUNK", ("chunk is 0",)),
    ("a number as a strategy", run(7), StrategyError, "STRATEGY_TYPE", ("a int",)),
    ("a name as a strategy", run("sma-cross"), StrategyError, "STRATEGY_TYPE", ("a str",)),
    ("a strategy that returns a list", run(lambda _: [1]), StrategyError, "STRATEGY_SIGNALS", ("list", "Signals")),
    ("a strategy that looks ahead", on_bar(lambda context: context.value("AAPL", back=-1)), StrategyError, "STRATEGY_LOOKAHEAD", ("back is -1",)),
    ("a field that is not there", on_bar(lambda context: context.value("AAPL", "clos")), UnknownNameError, "NAME_FIELD", ("'clos'", "Did you mean 'close'")),
    ("an order in an unknown symbol", on_bar(lambda context: context.buy("APPL", stop=9.0)), UnknownNameError, "NAME_SYMBOL", ("'APPL'",)),
    ("a bar pushed twice", pushed_twice, EngineError, "ENGINE_TIME", ("2020-01-03",)),
    ("bars of another account", lambda _: Stepper(market()).push(market().select(["AAPL"])), EngineError, "ENGINE_SYMBOLS", ("AAPL", "MSFT")),
    ("a stream of nothing", lambda _: backtest_stream([]), EngineError, "ENGINE_EMPTY_STREAM", ("no chunks",)),
    ("a state that is none", lambda _: from_bytes(b"abc"), EngineError, "ENGINE_STATE", ("3 bytes",)),
    # Commands
    ("an unknown command", command("2020-01-03", "kil"), UnknownNameError, "NAME_COMMAND", ("'kil'", "Did you mean 'kill'")),
    ("a close of nothing", command("2020-01-03", "close"), ConfigError, "CONFIG_COMMAND", ("'close'", "symbol")),
    ("a close at a negative price", command("2020-01-03", "close", "AAPL", -5.0), ConfigError, "CONFIG_COMMAND", ("-5",)),
    ("a deposit as a word", command("2020-01-03", "deposit", None, "much"), ConfigError, "CONFIG_COMMAND", ("'deposit'", "'much'")),
    ("a command after the data", command("2021-01-04", "kill"), ConfigError, "CONFIG_COMMAND_TIME", ("'kill'", "2021-01-04")),
    ("a command some time", command("soon", "kill"), ConfigError, "CONFIG_COMMAND_TIME", ("'soon'",)),
    ("a command at a naive time", command("2020-01-03 10:00", "kill"), ConfigError, "CONFIG_NAIVE_TIME", ("2020-01-03 10:00",)),
    ("a command that is a text", run(commands=["kill"]), ConfigError, "CONFIG_COMMAND", ("'kill'", "Command")),
    # Limits, costs, conventions
    ("a negative risk", limits(risk_per_trade_pct=-1.0), ConfigError, "CONFIG_LIMIT_RANGE", ("risk_per_trade_pct is -1", "above 0")),
    ("a heat of zero", limits(max_portfolio_heat_pct=0), ConfigError, "CONFIG_LIMIT_RANGE", ("max_portfolio_heat_pct is 0",)),
    ("a limit that is no number", limits(max_sector_exposure_pct=np.nan), ConfigError, "CONFIG_NUMBER", ("max_sector_exposure_pct is nan",)),
    ("a limit as a word", limits(daily_loss_limit="2 %"), ConfigError, "CONFIG_NUMBER", ("daily_loss_limit", "'2 %'")),
    ("no daily loss limit", limits(daily_loss_limit=None), ConfigError, "CONFIG_NUMBER", ("daily_loss_limit is None",)),
    ("half a position", limits(max_open_positions=2.5), ConfigError, "CONFIG_LIMIT_RANGE", ("max_open_positions is 2.5", "whole number")),
    ("a correlation above one", limits(max_correlation=1.5), ConfigError, "CONFIG_LIMIT_RANGE", ("max_correlation is 1.5", "at most 1")),
    ("more observations than the window", limits(correlation_window=20), ConfigError, "CONFIG_CORRELATION", ("40", "20")),
    ("an unknown least strength", limits(min_signal_strength="GREAT"), ConfigError, "CONFIG_STRENGTH", ("'GREAT'", "MODERATE")),
    ("a least score above 100", limits(min_pattern_score=120), ConfigError, "CONFIG_LIMIT_RANGE", ("min_pattern_score is 120", "at most 100")),
    ("an unknown policy", limits(on_heat="shrnk"), ConfigError, "CONFIG_POLICY", ("on_heat is 'shrnk'", "shrink or reject")),
    ("an unknown release", limits(halt_release="tomorrow"), ConfigError, "CONFIG_POLICY", ("'tomorrow'", "next_session")),
    ("endless leverage", limits(leverage=np.inf), ConfigError, "CONFIG_LIMIT_RANGE", ("leverage is inf",)),
    ("a limit that is not there", lambda _: RiskLimits().replace(max_open_position=8), ConfigError, "CONFIG_LIMIT", ("'max_open_position'", "Did you mean 'max_open_positions'")),
    ("2 % risk written as 0.02", limits(risk_per_trade_pct=0.02), TwinstepWarning, "CONFIG_PERCENT_LOOKS_LIKE_FRACTION", ("risk_per_trade_pct is 0.02", "was 2 % meant")),
    ("2 % loss written as 0.02", limits(daily_loss_limit=0.02), TwinstepWarning, "CONFIG_PERCENT_LOOKS_LIKE_FRACTION", ("daily_loss_limit is 0.02",)),
    ("a negative commission", costs(commission_per_share=-0.01), ConfigError, "COST_NEGATIVE", ("commission_per_share is -0.01",)),
    ("a slippage of 100 %", costs(slippage_bps=10_000), ConfigError, "COST_TOO_LARGE", ("slippage_bps is 10000", "unit")),
    ("a cost as a word", costs(commission_pct="0.1 %"), ConfigError, "COST_NUMBER", ("commission_pct", "'0.1 %'")),
    ("a limit misspelt", limits(max_open_position=8), ConfigError, "CONFIG_LIMIT", ("'max_open_position'", "Did you mean 'max_open_positions'")),
    ("a limit that nothing is like", limits(unknown=1), ConfigError, "CONFIG_LIMIT", ("'unknown'", "Known: cooldown_bars")),
    ("a limit without its name", lambda _: RiskLimits(2.0), ConfigError, "CONFIG_LIMIT", ("RiskLimits has 2.0 without a name", "risk_per_trade_pct=")),  # type: ignore[call-arg]
    ("a strength as a truth", limits(min_signal_strength=True), ConfigError, "CONFIG_STRENGTH", ("True", "MODERATE")),
    ("a cost misspelt", costs(slipage_bps=1.0), ConfigError, "COST_NAME", ("'slipage_bps'", "Did you mean 'slippage_bps'")),
    ("a preset without its method", lambda _: Costs("alpaca"), ConfigError, "COST_NAME", ("Costs has 'alpaca' without a name",)),  # type: ignore[arg-type, call-arg]
    ("costs named by a number", costs(name=5), ConfigError, "COST_TYPE", ("name of costs is 5",)),
    ("a convention misspelt", conventions(trail_rules="path"), ConfigError, "CONFIG_CONVENTION", ("'trail_rules'", "Did you mean 'trail_rule'")),
    ("a choice that is a list", conventions(collision=["path"]), ConfigError, "CONFIG_CONVENTION", ("collision is ['path']",)),
    ("conventions named by a number", conventions(name=5), ConfigError, "CONFIG_CONVENTION", ("name of conventions is 5",)),
    ("a convention that is not there", lambda _: Conventions().replace(trail="path"), ConfigError, "CONFIG_CONVENTION", ("no convention 'trail'", "Did you mean 'trail_rule'")),
    ("a cost that is not there", lambda _: Costs().replace(slipage_bps=1.0), ConfigError, "COST_NAME", ("'slipage_bps'", "Did you mean 'slippage_bps'")),
    ("an unknown trail rule", conventions(trail_rule="closes"), ConfigError, "CONFIG_CONVENTION", ("trail_rule is 'closes'", "close_only")),
    ("a volume cap of 10", conventions(volume_cap=10), ConfigError, "CONFIG_VOLUME_CAP", ("volume_cap is 10",)),
    ("a volume cap as a word", conventions(volume_cap="10 %"), ConfigError, "CONFIG_VOLUME_CAP", ("'10 %'",)),
    # Strategies and sweeps
    ("an unknown strategy", strategy("sma-cros"), UnknownNameError, "NAME_STRATEGY", ("'sma-cros'", "Did you mean 'sma-cross'")),
    ("a file without a strategy", lambda at: load_strategy(f"{at / 'empty.py'}"), StrategyError, "STRATEGY_CLASS_MISSING", ("empty.py",)),
    ("a file without the class", lambda at: load_strategy(f"{at / 'mine.py'}:Mne"), StrategyError, "STRATEGY_CLASS_MISSING", ("'Mne'", "Did you mean 'Mine'")),
    ("a file with two strategies", lambda at: load_strategy(f"{at / 'two.py'}"), StrategyError, "STRATEGY_CLASS_AMBIGUOUS", ("A, B",)),
    ("a file that is no Python", lambda at: load_strategy(f"{at / 'syntax.py'}:Mine"), StrategyError, "STRATEGY_IMPORT", ("syntax.py", "line 1")),
    ("a file that is not there as a strategy", strategy("nowhere.py:Mine"), StrategyError, "STRATEGY_FILE_MISSING", ("nowhere.py",)),
    ("a parameter that is not there", strategy("sma-cross", fst=3), StrategyError, "STRATEGY_PARAM_UNKNOWN", ("'fst'", "Did you mean 'fast'")),
    ("a parameter out of range", strategy("sma-cross", fast=0), StrategyError, "STRATEGY_PARAM_VALUE", ("fast is 0", "at least 1")),
    ("a slow average that is fast", strategy("sma-cross", fast=60), StrategyError, "STRATEGY_PARAM_VALUE", ("60", "50")),
    ("a manual signal with the stop above", lambda _: create_manual_signal("AAPL", 100.0, 110.0, 120.0, 100_000), SignalError, "SIGNAL_TARGET_SIDE", ("stop 110",)),
    ("2 % of an account written as 0.02", lambda _: RiskCalculator().position_size(100_000, 0.02, 150.0, 145.0), TwinstepWarning, "CONFIG_PERCENT_LOOKS_LIKE_FRACTION", ("0.02",)),
    ("a grid without values", swept(SmaCross, {"fast": []}), ConfigError, "CONFIG_GRID", ("'fast'", "no values")),
    ("a grid of an unknown parameter", swept(SmaCross, {"fst": [5]}), StrategyError, "STRATEGY_PARAM_UNKNOWN", ("'fst'", "Did you mean 'fast'")),
    ("a number swept", swept(7, {"fast": [5]}), ConfigError, "CONFIG_SWEEP", ("7",)),
    ("a sweep on no threads", lambda _: sweep(market(), [Signals.empty(market())], threads=0), ConfigError, "CONFIG_THREADS", ("threads is 0",)),
    # Things of another type
    ("a class as a strategy", run(SmaCross), StrategyError, "STRATEGY_TYPE", ("SmaCross", "class")),
    ("a table as a strategy", run(pd.DataFrame({"time": []})), StrategyError, "STRATEGY_TYPE", ("DataFrame",)),
    ("a source as bars", lambda _: backtest("sample:stocks", Signals.empty(market())), DataError, "DATA_TYPE", ("str", "load_bars")),  # type: ignore[arg-type]
    ("no bars", lambda _: backtest(None, Signals.empty(market())), DataError, "DATA_TYPE", ("NoneType",)),  # type: ignore[arg-type]
    ("a table as bars of an account", lambda _: Stepper(table()), DataError, "DATA_TYPE", ("DataFrame",)),  # type: ignore[arg-type]
    ("detail that is no bars", lambda _: market().with_detail(5), DataError, "DATA_DETAIL", ("int",)),  # type: ignore[arg-type]
    ("a percentage as limits of a sweep", swept([Signals.empty(market())], risk=2.0), ConfigError, "CONFIG_RISK", ("float", "RiskLimits")),
    ("half a chunk", run(chunk=2.5), ConfigError, "CONFIG_CHUNK", ("chunk is 2.5",)),
    ("no room", run(capacity=-1), ConfigError, "CONFIG_CAPACITY", ("capacity is -1",)),
    ("a grid as a word", swept(SmaCross, "fast"), ConfigError, "CONFIG_GRID", ("'fast'",)),
    ("a grid of numbers", swept(SmaCross, [5, 10]), ConfigError, "CONFIG_GRID", ("5",)),
    ("lanes of numbers", swept([1, 2]), ConfigError, "CONFIG_SWEEP", ("int", "Signals")),
    ("threads as a word", swept([Signals.empty(market())], threads="all"), ConfigError, "CONFIG_THREADS", ("'all'",)),
    ("a parameter that the function lacks", swept(lambda bars, fast: Signals.empty(bars), {"fast": [5], "slow": [9]}), StrategyError, "STRATEGY_PARAM_UNKNOWN", ("'slow'",)),
    ("a number as a strategy's name", strategy(3), UnknownNameError, "NAME_STRATEGY", ("3",)),
    # Results
    ("an unknown grouping", lambda _: result().by("tga"), UnknownNameError, "NAME_GROUP", ("'tga'", "Did you mean 'tag'")),
    ("an unknown export format", lambda at: result().export(at, format="xls"), UnknownNameError, "NAME_FORMAT", ("'xls'", "csv")),  # type: ignore[arg-type]
    ("a report below a file", lambda at: result().report(at / "good.csv" / "report.html"), ConfigError, "CONFIG_OUTPUT", ("good.csv",)),
    ("a benchmark that is no symbol", lambda _: result().with_benchmark("SPY").metrics, UnknownNameError, "NAME_SYMBOL", ("'SPY'",)),
    ("returns as a benchmark", lambda _: result().with_benchmark(pd.Series([-0.1], index=pd.to_datetime(["2020-01-02"]))).metrics, DataError, "DATA_BENCHMARK", ("-0.1", "not returns")),
    # The command line
    ("", "backtes", None, "CLI_USAGE", ("backtes",)),
    ("", "backtest", None, "CLI_USAGE", ("STRATEGY",)),
    ("", "backtest sma-cross --cash lots", None, "CLI_USAGE", ("--cash", "number", "'lots'")),
    ("", "sweep sma-cross --top -1", None, "CLI_USAGE", ("--top", "'-1'")),
    ("", "backtest sma-cross --chash 5", None, "CLI_USAGE", ("--chash",)),
    ("", "backtest sma-cros", UnknownNameError, "NAME_STRATEGY", ("Did you mean 'sma-cross'",)),
    ("", "backtest nowhere.py:Mine", StrategyError, "STRATEGY_FILE_MISSING", ("nowhere.py",)),
    ("", "backtest mine.py:Mne", StrategyError, "STRATEGY_CLASS_MISSING", ("Did you mean 'Mine'",)),
    ("", "backtest mine.py", StrategyError, "STRATEGY_SIGNALS", ("list",)),
    ("", "backtest sma-cross --param fst=3", StrategyError, "STRATEGY_PARAM_UNKNOWN", ("Did you mean 'fast'",)),
    ("", "backtest sma-cross --param fast=0", StrategyError, "STRATEGY_PARAM_VALUE", ("fast is 0",)),
    ("", "backtest sma-cross --param fast", ConfigError, "CLI_PARAM", ("NAME=VALUE",)),
    ("", "backtest sma-cross --data sample:stoks", UnknownNameError, "NAME_SAMPLE", ("Did you mean 'stocks'",)),
    ("", "backtest sma-cross --data empty.csv", DataError, "DATA_EMPTY", ("empty.csv",)),
    ("", "backtest sma-cross --data columns.csv", DataError, "DATA_COLUMNS", ("columns", "price")),
    ("", "backtest sma-cross --data unsorted.csv", DataError, "DATA_UNSORTED", ("2020-01-01",)),
    ("", "backtest sma-cross --data twice.csv", DataError, "DATA_DUPLICATE", ("2020-01-03",)),
    ("", "backtest sma-cross --data naive.csv", DataError, "DATA_NAIVE", ("2020-01-02 15:30",)),
    ("", "backtest sma-cross --data two_forms.csv", DataError, "DATA_TIME", ("two_forms.csv", "row 2 has '2020-01-06 00:00:00'", "joined")),
    ("", "backtest sma-cross --data nan.csv", DataError, "DATA_NAN", ("2020-01-06", "low")),
    ("", "backtest sma-cross --data negative.csv", DataError, "DATA_PRICE", ("2020-01-06", "-1.0")),
    ("", "data check words.csv", DataError, "DATA_TYPE", ("2020-01-06", "ten")),
    ("", "backtest sma-cross --symbols AAPL,MSFTT", UnknownNameError, "NAME_SYMBOL", ("Did you mean 'MSFT'",)),
    ("", "backtest sma-cross --start 2010-13-01", ConfigError, "CONFIG_DATE", ("2010-13-01",)),
    ("", "backtest sma-cross --end 1990-01-01", DataError, "DATA_RANGE", ("1990-01-01",)),
    ("", "data fetch yfinance:AAPL --set data.cache_dir=cache", FetchError, "FETCH_OFFLINE", ("AAPL", "offline")),
    ("", "data fetch yfinance:AAPL --set data.cache_dir=good.csv", FetchError, "FETCH_CACHE", ("good.csv", "cannot be written")),
    ("", "backtest sma-cross --cash 0", ConfigError, "CONFIG_CASH", ("cash is 0",)),
    ("", "backtest sma-cross --costs alpca", UnknownNameError, "NAME_COSTS", ("Did you mean 'alpaca'",)),
    ("", "backtest sma-cross --conventions realistc", UnknownNameError, "NAME_PROFILE", ("Did you mean 'realistic'",)),
    ("", "backtest sma-cross --no-risk", SignalError, "SIGNAL_QTY", ("qty",)),
    ("", "backtest sma-cross --set risk.levrage=2", ConfigError, "CONFIG_KEY", ("Did you mean 'leverage'",)),
    ("", "backtest sma-cross --set risk.on_heat=shrnk", ConfigError, "CONFIG_POLICY", ("on_heat", "shrnk")),
    ("", "backtest sma-cross --config absent.toml", ConfigError, "CONFIG_FILE", ("absent.toml",)),
    ("", "config check broken.toml", ConfigError, "CONFIG_TOML", ("broken.toml",)),
    ("", "config check unknown.toml", ConfigError, "CONFIG_KEY", ("unknown.toml:5", "Did you mean 'max_open_positions'")),
    ("", "config check section.toml", ConfigError, "CONFIG_SECTION", ("section.toml:1", "Did you mean 'risk'")),
    ("", "config check type.toml", ConfigError, "CONFIG_TYPE", ("type.toml:2", "'high'")),
    ("", "config check limit.toml", ConfigError, "CONFIG_LIMIT_RANGE", ("limit.toml:2", "max_open_positions is 0")),
    ("", "config check choice.toml", ConfigError, "CONFIG_CONVENTION", ("choice.toml:2", "closes")),
    ("", "config check fraction.toml", TwinstepWarning, "CONFIG_PERCENT_LOOKS_LIKE_FRACTION", ("risk_per_trade_pct is 0.02", "was 2 % meant")),
    ("", "sweep sma-cross", ConfigError, "CLI_PARAM", ("--param",)),
    ("", "sweep sma-cross --param fast=50:5:5", ConfigError, "CLI_RANGE", ("50:5:5",)),
    ("", "compare sma-cross", ConfigError, "CLI_COMPARE", ("two strategies",)),
    ("", "new-strategy 9lives", StrategyError, "STRATEGY_NAME", ("'9lives'",)),
]  # fmt: skip


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files above, on a machine whose network leads nowhere."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    return tmp_path


@pytest.mark.parametrize(
    ("call", "kind", "code", "words"),
    [pytest.param(*case[1:], id=case[0] or str(case[1])) for case in CASES],
)
def test_every_mistake_has_one_clear_message(
    call: Call,
    kind: type[Exception] | None,
    code: str,
    words: tuple[str, ...],
    folder: Path,
    cli: conftest.Cli,
) -> None:
    message = (
        _said_by_the_command_line(cli, call, kind) if isinstance(call, str) else _said(call, kind, folder)
    )
    assert f"[{code}]" in message
    assert "\n" not in message
    for word in words:
        assert word in message


def _said(call: Callable[[Path], object], kind: type[Exception] | None, folder: Path) -> str:
    assert kind is not None
    if issubclass(kind, Warning):
        with pytest.warns(kind) as warned:
            call(folder)
        return str(warned[0].message)
    with pytest.raises(TwinstepError) as caught:
        call(folder)
    assert type(caught.value) is kind
    return str(caught.value)


def _said_by_the_command_line(cli: conftest.Cli, line: str, kind: type[Exception] | None) -> str:
    answer = cli(*line.split())
    assert "Traceback" not in answer.err
    assert answer.err.count("\n") == 1
    if kind is not None and issubclass(kind, Warning):
        assert answer.code == 0
        assert answer.err.startswith("warning [")
        return answer.err.strip()
    assert answer.code == 2
    assert answer.err.startswith("error [")
    assert answer.out == ""
    if kind is not None:
        with pytest.raises(kind):
            cli(*line.split(), "--debug")
    return answer.err.strip()


def test_the_table_is_long_enough_and_says_each_thing_once() -> None:
    names = [case[0] or str(case[1]) for case in CASES]
    assert len(names) >= 70
    assert len(set(names)) == len(names)
    assert len({case[3] for case in CASES}) >= 60
