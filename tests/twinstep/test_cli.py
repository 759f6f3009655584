"""Every command does its work, and its JSON is JSON and nothing else."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from simulator import load_bars
from simulator.results import pdf
from tests.twinstep.conftest import Cli

SMALL = ("--symbols", "AAPL,MSFT", "--start", "2004-01-01", "--end", "2006-12-31")


def test_backtest_prints_the_summary_and_writes_report_and_export(cli: Cli, tmp_path: Path) -> None:
    answer = cli("backtest", "donchian-breakout", *SMALL, "--report", "out/r.html", "--export", "out/x")
    assert answer.code == 0, answer.err
    assert "sharpe" in answer.out.lower()
    assert (tmp_path / "out/r.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html")
    assert "wrote out/r.html" in answer.err
    assert any((tmp_path / "out/x").iterdir())


def test_a_report_on_paper_may_be_letter(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def printed(browser: str, folder: Path, path: Path, timeout: float) -> None:
        (folder / "report.pdf").write_bytes((folder / "report.html").read_bytes())

    monkeypatch.setattr(pdf, "_print", printed)
    monkeypatch.setattr(pdf, "find_chromium", lambda: "browser")
    assert cli("backtest", "sma-cross", *SMALL, "--report", "r.pdf", "--paper", "letter").code == 0
    assert "@page { size: letter }" in (tmp_path / "r.pdf").read_text(encoding="utf-8")
    assert "[NAME_PAPER]" in cli("backtest", "sma-cross", "--report", "r.pdf", "--paper", "legal").err
    assert "[CLI_EXCLUSIVE]" in cli("backtest", "sma-cross", "--report", "r.html", "--paper", "a4").err


def test_backtest_answers_in_json(cli: Cli) -> None:
    answer = cli("backtest", "donchian-breakout", *SMALL, "--interval", "--param", "length=15", "--json")
    assert answer.code == 0, answer.err
    document = answer.json
    assert document["data"]["symbols"] == ["AAPL", "MSFT"]
    assert "length=15" in document["strategy"]
    assert document["metrics"]["trades"] > 0
    assert sum(rule["signals"] for rule in document["verdicts"].values()) == document["metrics"]["signals"]
    assert document["interval"]
    assert 0 < document["cut"]["cut"] < document["cut"]["trades"] == document["metrics"]["trades"]
    assert len(document["fingerprint"]) >= 32


def test_the_same_command_gives_the_same_fingerprint(cli: Cli) -> None:
    one, two = (cli("backtest", "sma-cross", *SMALL, "--json").json for _ in range(2))
    assert one["fingerprint"] == two["fingerprint"]


def test_flags_go_before_the_file_and_the_file_before_defaults(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "twinstep.toml").write_text(
        "[account]\ncash = 5000\n[risk]\nmax_open_positions = 1\n", encoding="utf-8"
    )
    shown = cli("config", "show", "--json").json["values"]
    assert shown["account.cash"] == {"value": 5000.0, "origin": "twinstep.toml:2"}
    assert shown["risk.max_open_positions"]["value"] == 1
    assert shown["risk.leverage"] == {"value": 1.0, "origin": "default"}
    small = cli("backtest", "sma-cross", *SMALL, "--json").json
    assert small["config"] == "twinstep.toml"
    large = cli("backtest", "sma-cross", *SMALL, "--json", "--cash", "100000").json
    assert small["fingerprint"] != large["fingerprint"]


def test_costs_and_conventions_change_the_result(cli: Cli) -> None:
    runs = {
        cli("backtest", "donchian-breakout", *SMALL, "--json", *more).json["fingerprint"]
        for more in ((), ("--costs", "ibkr-fixed"), ("--conventions", "worst"), ("--set", "risk.leverage=2"))
    }
    assert len(runs) == 4


def test_the_benchmark_comes_from_the_file_and_a_flag_goes_before_it(cli: Cli, tmp_path: Path) -> None:
    close = load_bars("sample:stocks", symbols=["AAPL", "MSFT"], start=SMALL[3], end=SMALL[5]).close
    index = load_bars("sample:spx", start=SMALL[3], end=SMALL[5]).close[:, 0]
    (tmp_path / "twinstep.toml").write_text('[report]\nbenchmark = "MSFT"\n', encoding="utf-8")
    file, flag, source = (
        cli("backtest", "sma-cross", *SMALL, *more, "--json").json
        for more in ((), ("--benchmark", "AAPL"), ("--benchmark", "sample:spx"))
    )
    assert file["metrics"]["benchmark_return"] == pytest.approx(close[-1, 1] / close[0, 1] - 1.0)
    assert flag["metrics"]["benchmark_return"] == pytest.approx(close[-1, 0] / close[0, 0] - 1.0)
    assert source["metrics"]["benchmark_return"] == pytest.approx(index[-1] / index[0] - 1.0)
    assert len({run["metrics"]["beta"] for run in (file, flag, source)}) == 3
    assert len({run["fingerprint"] for run in (file, flag, source)}) == 1
    compared = cli("compare", "sma-cross", "donchian-breakout", *SMALL, "--json").json["runs"]
    assert compared["sma-cross"]["metrics"]["beta"] == file["metrics"]["beta"]


def test_sweep_ranks_every_combination_and_writes_them(cli: Cli, tmp_path: Path) -> None:
    grid = ("--param", "fast=5:15:5", "--param", "slow=40,60")
    answer = cli(
        "sweep", "sma-cross", *SMALL, *grid, "--metric", "total_return", "--csv", "grid.csv", "--json"
    )
    assert answer.code == 0, answer.err
    document = answer.json
    assert document["sets"] == 6
    returns = [row["total_return"] for row in document["rows"]]
    assert returns == sorted(returns, reverse=True)
    with (tmp_path / "grid.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["fast"], row["slow"]) for row in rows} == {
        (f, s) for f in ("5", "10", "15") for s in ("40", "60")
    }


def test_sweep_leaves_out_what_the_strategy_does_not_accept(cli: Cli) -> None:
    answer = cli("sweep", "sma-cross", *SMALL, "--param", "fast=10,30", "--param", "slow=20,40", "--json")
    assert answer.code == 0, answer.err
    assert [(row["fast"], row["slow"]) for row in answer.json["rows"]].count((30, 20)) == 0
    assert answer.json["sets"] == 3
    assert answer.err.startswith("1 of 4 combinations")


def test_sweep_shows_a_table_of_the_best(cli: Cli) -> None:
    answer = cli("sweep", "sma-cross", *SMALL, "--param", "fast=5:25:5", "--top", "2")
    assert answer.code == 0, answer.err
    assert "5 parameter sets" in answer.out
    assert "sharpe" in answer.out


def test_compare_puts_strategies_side_by_side(cli: Cli) -> None:
    answer = cli("compare", "sma-cross", "donchian-breakout", *SMALL)
    assert answer.code == 0, answer.err
    assert "sma-cross" in answer.out
    assert "donchian-breakout" in answer.out
    assert "Sharpe ratio" in answer.out


def test_compare_puts_conventions_side_by_side(cli: Cli) -> None:
    profiles = "realistic,vectorbt,worst,best"
    answer = cli("compare", "donchian-breakout", *SMALL, "--profiles", profiles, "--json")
    assert answer.code == 0, answer.err
    runs = answer.json["runs"]
    assert list(runs) == profiles.split(",")
    alone = cli("backtest", "donchian-breakout", *SMALL, "--conventions", "worst", "--json").json
    assert runs["worst"]["fingerprint"] == alone["fingerprint"]
    assert len({run["fingerprint"] for run in runs.values()}) == 4


def test_lookahead_proves_a_shipped_strategy(cli: Cli) -> None:
    answer = cli("lookahead", "sma-cross", "--symbols", "AAPL", "--last", "150", "--warmup", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["lookahead"]["passed"] is True
    assert answer.json["lookahead"]["prefixes"] == 150
    assert answer.json["warmup"]["rows"]


LEAK = '''
"""A strategy that knows tomorrow."""
import numpy as np
from simulator import Signals
class Leak:
    name = "leak"
    warmup = 0
    def signals(self, bars):
        close = bars.close
        tomorrow = np.vstack([close[1:], close[-1:]])
        row, symbol = np.nonzero(tomorrow > close)
        return Signals.from_arrays(bars, row, symbol, 1, stop_percent=5.0)
'''


def test_lookahead_catches_a_leak_and_says_so_with_its_exit_code(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "leak.py").write_text(LEAK, encoding="utf-8")
    answer = cli("lookahead", "leak.py:Leak", "--symbols", "AAPL", "--last", "50")
    assert answer.code == 3
    assert "looks ahead" in answer.out


def test_a_new_strategy_runs_at_once(cli: Cli, tmp_path: Path) -> None:
    written = cli("new-strategy", "my-idea", "--json")
    assert written.code == 0, written.err
    assert len(written.json["files"]) == 2
    assert all((tmp_path / file).is_file() for file in written.json["files"])
    run = cli("backtest", "my_idea.py:MyIdea", *SMALL, "--json")
    assert run.code == 0, run.err


def test_strategies_are_listed_with_their_parameters(cli: Cli) -> None:
    everything = cli("strategies", "--json").json
    assert {"sma-cross", "donchian-breakout", "rsi-pullback", "atr-channel", "gap-fade"} <= set(everything)
    assert {row["name"] for row in everything["sma-cross"]["parameters"]} >= {"fast", "slow"}
    one = cli("strategies", "sma-cross")
    assert "fast" in one.out
    assert "donchian" not in one.out


def test_data_show_lists_symbols_and_spans(cli: Cli) -> None:
    document = cli("data", "show", "sample:stocks", "--json").json
    assert {row["symbol"] for row in document["symbols"]} == {"AAPL", "FB", "GOOG", "IBM", "MSFT"}
    assert document["data"]["origin"] == "real"
    assert "AAPL" in cli("data", "show").out


def test_data_show_says_when_bars_are_synthetic(cli: Cli) -> None:
    assert "(synthetic)" in cli("data", "show", "synthetic:3x120?seed=1").out


def test_data_check_finds_a_planted_error(cli: Cli, tmp_path: Path) -> None:
    good = "date,open,high,low,close,volume\n2020-01-02,10,11,9,10.5,100\n2020-01-03,10,11,9,10.5,100\n"
    (tmp_path / "good.csv").write_text(good, encoding="utf-8")
    (tmp_path / "bad.csv").write_text(good + "2020-01-06,10,9,11,10,100\n", encoding="utf-8")
    assert cli("data", "check", "good.csv", "--json").json["passed"] is True
    answer = cli("data", "check", "bad.csv")
    assert answer.code == 3
    assert "2020-01-06" in answer.out


def test_prices_of_ones_own_say_that_no_sector_is_known(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "prices").mkdir()
    rows = "".join(f"2020-01-{day:02},10,12,9,11,100\n" for day in (2, 3, 6, 7, 8))
    for name in ("aapl", "XOM"):
        (tmp_path / "prices" / f"{name}.csv").write_text(f"date,open,high,low,close,volume\n{rows}")
    said = "no sector is known: all 2 symbols count as one (max 25 % of the equity)"
    assert said in cli("data", "check", "prices").out
    shown = cli("data", "show", "prices").out
    assert said in shown
    assert "aapl is not AAPL" in shown
    given = cli("data", "show", "prices", "--set", 'data.sectors=["AAPL=Technology", "XOM = Energy"]').out
    assert "no sector" not in given
    assert "Technology" in given
    assert "Energy" in given
    assert "no sector" not in cli("data", "show", "prices", "--set", "risk.max_sector_exposure_pct=none").out
    assert "[CONFIG_SECTOR]" in cli("data", "show", "prices", "--set", 'data.sectors=["XOM"]').err


def test_a_backtest_that_the_unknown_sector_cuts_warns(cli: Cli, tmp_path: Path) -> None:
    frame = load_bars("sample:stocks", symbols=["AAPL", "IBM"])
    for number, name in enumerate(frame.symbols):
        columns = [getattr(frame, part)[:900, number] for part in ("open", "high", "low", "close", "volume")]
        lines = ",".join(["date", "open", "high", "low", "close", "volume"])
        for row, day in enumerate(frame.index[:900]):
            lines += f"\n{day:%Y-%m-%d}," + ",".join(f"{column[row]:.4f}" for column in columns)
        (tmp_path / f"{name}.csv").write_text(lines)
    line = ("backtest", "donchian-breakout", "--data", ".", "--no-trials", "--no-keep")
    answer = cli(*line, "--interval")
    assert "warning: no sector is known: all 2 symbols" in answer.err
    assert answer.out.count("depend on the convention") == 1
    assert "Full runs" not in answer.out
    assert "no sector" not in cli(*line, "--set", 'data.sectors=["AAPL=A", "IBM=B"]').err


def test_data_fetch_reads_what_needs_no_network_too(cli: Cli) -> None:
    assert cli("data", "fetch", "sample:vix", "--json").json["data"]["bars"] > 1000


def test_doctor_finds_this_machine_fit(cli: Cli) -> None:
    answer = cli("doctor", "--json")
    assert answer.code == 0, answer.out
    findings = {finding["name"]: finding for finding in answer.json["findings"]}
    assert {"python", "numba", "sqlite", "kernel cache", "engine", "data cache", "disk"} <= set(findings)
    assert "first backtest in" in findings["engine"]["detail"]
    assert findings["data cache"]["state"] == "ok"
    assert "Fit to run." in cli("doctor", "--quick").out


@pytest.mark.parametrize(("version", "state"), [("3.51.2", "note"), ("3.40.1", "note"), ("3.51.3", "ok")])
def test_doctor_warns_of_the_wal_reset_bug(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, version: str, state: str
) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version", version)
    findings = {finding["name"]: finding for finding in cli("doctor", "--quick", "--json").json["findings"]}
    assert findings["sqlite"]["state"] == state
    assert ("WAL-reset" in findings["sqlite"]["detail"]) is (state == "note")


def test_doctor_says_what_does_not_work(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "twinstep.toml").write_text('[data]\ncache_dir = "file"\n', encoding="utf-8")
    answer = cli("doctor", "--quick")
    assert answer.code == 3
    assert "cannot be written" in answer.out
    (tmp_path / "twinstep.toml").write_text("[data]\ncache = 3\n", encoding="utf-8")
    answer = cli("doctor", "--quick")
    assert answer.code == 3
    assert "Did you mean 'cache_dir'?" in " ".join(answer.out.split())


def test_config_init_check_and_show(cli: Cli, tmp_path: Path) -> None:
    assert cli("config", "init").code == 0
    assert cli("config", "check", "--json").json["changed"] == {}
    text = (tmp_path / "twinstep.toml").read_text(encoding="utf-8")
    (tmp_path / "twinstep.toml").write_text(
        text.replace("leverage = 1.0", "leverage = 2.0"), encoding="utf-8"
    )
    assert cli("config", "check", "--json").json["changed"] == {"risk.leverage": 2.0}
    assert "risk.leverage" in cli("config", "show", "--changed").out
    assert cli("config", "init").code == 2
    assert cli("config", "init", "--force").code == 0


def test_nothing_changed_is_said(cli: Cli) -> None:
    assert cli("config", "show", "--changed").out == "without a file: nothing differs from the defaults\n"
    cli("config", "init")
    assert cli("config", "show", "--changed").out == "twinstep.toml: nothing differs from the defaults\n"


def test_the_version_is_printed(cli: Cli) -> None:
    answer = cli("--version")
    assert (answer.code, answer.out.split()[0]) == (0, "twinstep")


@pytest.mark.parametrize(
    "command",
    [
        (), ("backtest",), ("sweep",), ("compare",), ("lookahead",), ("strategies",), ("doctor",),
        ("new-strategy",), ("data",), ("data", "fetch"), ("data", "show"), ("data", "check"),
        ("config",), ("config", "init"), ("config", "show"), ("config", "check"),
    ],
)  # fmt: skip
def test_every_command_explains_itself(cli: Cli, command: tuple[str, ...]) -> None:
    answer = cli(*command, "--help")
    assert answer.code == 0
    assert "Usage: " + " ".join(("twinstep", *command)) in answer.out
    assert not answer.err


def test_a_warning_of_the_risk_limits_is_one_line_on_standard_error(cli: Cli) -> None:
    answer = cli("backtest", "sma-cross", *SMALL, "--set", "risk.risk_per_trade_pct=0.02", "--json")
    assert answer.code == 0
    warnings = [line for line in answer.err.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning [CONFIG_PERCENT_LOOKS_LIKE_FRACTION]: risk_per_trade_pct is 0.02")
    assert answer.json["metrics"] is not None
