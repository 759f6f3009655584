"""Wrong input on the command line: one line, a stable code, an exit code, never a traceback."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.forked import COMMANDS, forked
from tests.twinstep.conftest import Cli

GOOD = "date,open,high,low,close,volume\n2020-01-02,10,11,9,10.5,100\n2020-01-03,10,11,9,10.5,100\n"
HEAD = "class Mine:\n    name = 'mine'\n    warmup = 0\n    def signals(self, bars):\n"
FILES = {
    "good.csv": GOOD,
    "empty.csv": "",
    "header.csv": "date,open,high,low,close,volume\n",
    "columns.csv": "date,price\n2020-01-02,10\n",
    "negative.csv": GOOD + "2020-01-06,-1,11,-2,10,100\n",
    "ohlc.csv": GOOD + "2020-01-06,10,9,11,10,100\n",
    "words.csv": GOOD + "2020-01-06,ten,11,9,10,100\n",
    "unsorted.csv": GOOD + "2020-01-01,10,11,9,10,100\n",
    "syntax.py": "class Mine(:\n",
    "raises.py": "raise RuntimeError('no')\n",
    "empty.py": "",
    "none.py": f"{HEAD}        return None\n",
    "breaks.py": f"{HEAD}        return bars.nothing\n",
    "bare.py": "class Mine:\n    def signals(self, bars):\n        return None\n",
    "bad.toml": "[risk]\nlevrage = 2\n",
    "broken.toml": "[risk\n",
}

CASES: list[tuple[str, str, str]] = [
    # nothing that the parser knows
    ("backtes", "CLI_USAGE", "Did you mean 'backtest'"),
    ("backtest", "CLI_USAGE", "STRATEGY"),
    ("backtest sma-cross --foo", "CLI_USAGE", "--foo"),
    ("backtest sma-cross --cash lots", "CLI_USAGE", "--cash"),
    ("backtest sma-cross extra", "CLI_USAGE", "extra"),
    ("dashboard --journal postgresql://x/y --folder z", "CLI_USAGE", "a journal in a file"),
    ("sweep sma-cross --top -1", "CLI_USAGE", "--top"),
    # strategies
    ("backtest sma-cros", "NAME_STRATEGY", "Did you mean 'sma-cross'?"),
    ("backtest missing.py:Mine", "STRATEGY_FILE_MISSING", "missing.py"),
    ("backtest no_such_module:Mine", "STRATEGY_MODULE_MISSING", "no_such_module"),
    ("backtest syntax.py:Mine", "STRATEGY_IMPORT", "line 1"),
    ("backtest raises.py:Mine", "STRATEGY_IMPORT", "RuntimeError"),
    ("backtest empty.py", "STRATEGY_CLASS_MISSING", "no strategy class"),
    ("backtest none.py:Mne", "STRATEGY_CLASS_MISSING", "Did you mean 'Mine'?"),
    ("backtest bare.py:Mine", "STRATEGY_CONTRACT", "name and warmup"),
    ("backtest none.py:Mine", "STRATEGY_SIGNALS", "instead of Signals"),
    ("backtest sma-cross --param fst=3", "STRATEGY_PARAM_UNKNOWN", "Did you mean 'fast'?"),
    ("backtest sma-cross --param fast=long", "STRATEGY_PARAM_VALUE", "whole number"),
    ("backtest sma-cross --param fast=0", "STRATEGY_PARAM_VALUE", "at least 1"),
    ("backtest sma-cross --param fast=60", "STRATEGY_PARAM_VALUE", "shorter"),
    ("backtest sma-cross --param fast", "CLI_PARAM", "NAME=VALUE"),
    ("strategies nope", "NAME_STRATEGY", "Known"),
    ("new-strategy 9lives", "STRATEGY_NAME", "letter first"),
    ("new-strategy class", "STRATEGY_NAME", "Python keeps"),
    # sweeps and comparisons
    ("sweep sma-cross", "CLI_PARAM", "at least one --param"),
    ("sweep sma-cross --param fast=5:50", "CLI_RANGE", "low:high:step"),
    ("sweep sma-cross --param fast=50:5:5", "CLI_RANGE", "low <= high"),
    ("sweep sma-cross --param fast=0:1:0.0000001", "CLI_GRID", "too small"),
    ("sweep sma-cross --param fast=5,10 --metric sharp", "NAME_METRIC", "Did you mean 'sharpe'?"),
    ("sweep sma-cross --param fst=5,10", "STRATEGY_PARAM_UNKNOWN", "Did you mean 'fast'?"),
    ("compare sma-cross", "CLI_COMPARE", "two strategies"),
    ("compare sma-cross gap-fade --profiles vectrbt", "NAME_PROFILE", "Did you mean 'vectorbt'?"),
    ("compare sma-cross --profiles worst,best --conventions best", "CLI_EXCLUSIVE", "exclude"),
    ("backtest sma-cross --open", "CLI_OPEN", "--report FILE"),
    # data
    ("backtest sma-cross --data sample:stoks", "NAME_SAMPLE", "Did you mean 'stocks'?"),
    ("backtest sma-cross --data stocks", "NAME_SOURCE", "sample:stocks"),
    ("backtest sma-cross --data nowhere/", "DATA_FILE", "nowhere"),
    ("backtest sma-cross --data empty.csv", "DATA_EMPTY", "empty.csv"),
    ("backtest sma-cross --data header.csv", "DATA_EMPTY", "header"),
    ("backtest sma-cross --data columns.csv", "DATA_COLUMNS", "columns"),
    ("backtest sma-cross --data negative.csv", "DATA_PRICE", "2020-01-06"),
    ("backtest sma-cross --data ohlc.csv", "DATA_OHLC", "2020-01-06"),
    ("backtest sma-cross --data words.csv", "DATA_", "ten"),
    ("backtest sma-cross --data unsorted.csv", "DATA_UNSORTED", "unsorted"),
    ("backtest sma-cross --symbols AAPL,MSFTT", "NAME_SYMBOL", "Did you mean 'MSFT'?"),
    ("backtest sma-cross --start 2010-13-01", "CONFIG_DATE", "2010-01-31"),
    ("backtest sma-cross --start 2010-01-01 --end 2009-01-01", "CONFIG_DATES", "before start"),
    ("backtest sma-cross --start 2030-01-01", "DATA_", "2030"),
    ("backtest sma-cross --data synthetic:", "DATA_SYNTHETIC", "synthetic"),
    ("backtest sma-cross --benchmark sample:spz", "NAME_SAMPLE", "Did you mean 'spx'?"),
    ("data fetch yfinance:AAPL --set data.cache_dir=good.csv", "FETCH_CACHE", "cannot be written"),
    ("data show sample:stoks", "NAME_SAMPLE", "Did you mean 'stocks'?"),
    ("data check columns.csv", "DATA_COLUMNS", "columns"),
    # account, risk, costs, conventions
    ("backtest sma-cross --cash 0", "CONFIG_CASH", "more than 0"),
    ("backtest sma-cross --cash nan", "CONFIG_CASH", "nan"),
    ("backtest sma-cross --costs ibkr", "NAME_COSTS", "ibkr"),
    ("backtest sma-cross --conventions realistc", "NAME_PROFILE", "Did you mean 'realistic'?"),
    ("backtest sma-cross --no-risk", "SIGNAL_QTY", "qty"),
    ("backtest sma-cross --set risk.leverage", "CONFIG_SET", "section.key=value"),
    ("backtest sma-cross --set risk.levrage=2", "CONFIG_KEY", "Did you mean 'leverage'?"),
    ("backtest sma-cross --set risk.leverage=-2", "CONFIG_LIMIT_RANGE", "above 0"),
    ("backtest sma-cross --set risk.leverage=high", "CONFIG_TYPE", "a number"),
    ("backtest sma-cross --set costs.slippage_bps=9999", "COST_TOO_LARGE", "unit"),
    # files
    ("backtest sma-cross --config absent.toml", "CONFIG_FILE", "does not exist"),
    ("backtest sma-cross --config bad.toml", "CONFIG_KEY", "bad.toml:2"),
    ("config check broken.toml", "CONFIG_TOML", "is not TOML"),
    ("config check", "CONFIG_FILE", "config init"),
    ("config init good.csv", "CLI_EXISTS", "--force"),
    ("config init good.csv/x.toml", "CLI_WRITE", "cannot be written"),
    ("sweep sma-cross --param fast=5,10 --csv good.csv/x.csv", "CLI_WRITE", "cannot be written"),
    ("lookahead sma-cross --every 0", "STRATEGY_LOOKAHEAD_EVERY", "at least 1"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("line", "code", "words"), CASES, ids=[case[0] for case in CASES])
def test_wrong_input_gives_one_line_with_its_code(
    cli: Cli, folder: Path, line: str, code: str, words: str
) -> None:
    answer = cli(*line.split())
    errors = [text for text in answer.err.splitlines() if not text.startswith("warning")]
    assert answer.code == 2
    assert len(errors) == 1, answer.err
    assert errors[0].startswith(f"error [{code}")
    assert words in errors[0]
    assert "Traceback" not in answer.err
    assert not answer.out


def test_a_source_that_is_out_of_reach_says_so(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody listens there
    answer = cli("data", "fetch", "yfinance:AAPL", "--set", f"data.cache_dir={tmp_path / 'cache'}")
    assert answer.code == 2
    assert answer.err.startswith("error [FETCH_OFFLINE]")
    assert answer.err.count("\n") == 1


def test_a_report_that_cannot_be_written_is_one_line(cli: Cli, folder: Path) -> None:
    span = ("--symbols", "AAPL", "--start", "2005-01-01", "--end", "2005-12-31")
    for option in ("--report", "--export"):
        answer = cli("backtest", "sma-cross", *span, option, "good.csv/below")
        assert answer.code == 2
        assert answer.err.count("\n") == 1
        assert answer.err.startswith("error [")


def test_an_error_inside_a_strategy_is_one_line_and_debug_shows_the_traceback(cli: Cli, folder: Path) -> None:
    answer = cli("backtest", "breaks.py:Mine")
    assert answer.code == 1
    assert answer.err.startswith("error [CLI_UNFORESEEN]: AttributeError")
    assert "--debug" in answer.err
    assert answer.err.count("\n") == 1
    with pytest.raises(AttributeError):
        cli("backtest", "breaks.py:Mine", "--debug")


def test_an_interruption_is_no_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("twinstep.commands.strategies.emit_json", interrupted)
    answer = cli("strategies", "--json")
    assert answer.code == 130
    assert answer.err == "interrupted\n"


def test_a_reader_that_stops_early_is_no_error() -> None:
    # emits more than a pipe holds, into a pipe that nobody reads
    command = [*forked(COMMANDS), "-m", "twinstep", "config", "show", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(timeout=60)
