"""`twinstep scan`, and premium strategies in `twinstep backtest`: what is modelled says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.options.chain import Chain
from tests.twinstep.conftest import Cli
from tests.twinstep.test_cli_options import quotes


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A file of real quotes of one underlying."""
    chain: Chain = quotes()
    target = tmp_path / "chain.parquet"
    chain.to_parquet(target)
    return target


def test_a_premium_strategy_trades_options_modelled_from_an_index(cli: Cli) -> None:
    answer = cli(
        "backtest", "short-put-spread", "--underlying", "sample:spx", "--iv", "sample:vix", "--start",
        "2014-01-01", "--end", "2016-12-31", "--cash", "1000000", "--json",
    )  # fmt: skip
    assert answer.code == 0
    found = answer.json
    assert found["data"]["options"] == "modelled"
    assert found["metrics"]["trades"] > 10
    words = cli(
        "backtest", "iron-condor", "--underlying", "sample:spx", "--iv", "sample:vix", "--start", "2016-01-01"
    )
    assert "OPTIONS MODELLED" in words.out


def test_sweep_lookahead_and_compare_take_the_same_volatility(cli: Cli) -> None:
    market = (
        "--underlying",
        "sample:spx",
        "--iv",
        "sample:vix",
        "--start",
        "2017-01-01",
        "--end",
        "2018-06-30",
    )
    swept = cli("sweep", "short-put-spread", "--param", "exit_dte=7,21", *market, "--json")
    assert swept.code == 0, swept.err
    proved = cli("lookahead", "short-put-spread", *market)
    assert proved.code == 0, proved.out + proved.err
    beside = cli("compare", "short-put-spread", "iron-condor", *market)
    assert beside.code == 0, beside.err


def test_without_volatility_a_premium_strategy_says_what_is_missing(cli: Cli) -> None:
    answer = cli("backtest", "short-put-spread", "--underlying", "sample:spx")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error [STRATEGY_NO_OPTIONS]")
    assert len(answer.err.strip().splitlines()) == 1


def test_one_volatility_belongs_to_one_underlying(cli: Cli) -> None:
    answer = cli("backtest", "short-put-spread", "--iv", "sample:vix")
    assert answer.code == 2
    assert answer.err.startswith("error [CLI_IV]")
    assert "--symbols" in answer.err


def test_a_scan_without_a_source_is_of_the_sample_and_labelled(cli: Cli) -> None:
    answer = cli("scan", "--json")
    assert answer.code == 0
    found = answer.json
    assert found["grade"] == "modelled"
    assert found["opportunities"]
    first = found["opportunities"][0]
    assert {"legs", "credit", "max_loss", "buying_power", "sizing"} <= first.keys()
    words = cli("scan", "--min-iv-rank", "50", "--account-size", "20000")
    assert "modelled" in words.out
    assert "of " in words.out.splitlines()[-1]


def test_a_scan_of_quotes_lists_what_was_rejected_and_why(cli: Cli, stored: Path) -> None:
    unknown = cli("scan", str(stored), "--rejected")
    assert unknown.code == 0
    assert "0 opportunities" in unknown.out
    known = cli("scan", str(stored), "--iv-rank", "60", "--target-dte", "40", "--json")
    assert known.json["grade"] == "quoted"


def test_a_scan_of_nothing_is_one_line(cli: Cli) -> None:
    answer = cli("scan", "nowhere.parquet")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error [")
    assert len(answer.err.strip().splitlines()) == 1
