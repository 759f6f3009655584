"""`twinstep optimize walk-forward` and `journal`, the reports of all three, and commands made of bundles."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import typer

from journal import ParameterStore, TradeJournal
from tests.twinstep.conftest import Answer, Cli
from twinstep.bundles import Account, Market, bundled, settings_of
from twinstep.cli import run

DATA = ("--data", "synthetic:2x300?seed=3", "--no-trials")
WALK = ("optimize", "walk-forward", "sma-cross", *DATA, "--sampler", "qmc", "--trials", "4")


def good(answer: Answer) -> Answer:
    assert answer.code == 0, answer.err
    return answer


def refused(answer: Answer, code: str) -> None:
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"error [{code}]: ")
    assert answer.err.count("\n") == 1


def test_a_walk_forward_lists_its_folds_and_ends_with_the_verdict(cli: Cli, tmp_path: Path) -> None:
    answer = good(cli(*WALK, "--folds", "3", "--report", "out/walk.html"))
    lines = answer.out.splitlines()
    assert lines[0].startswith("sma-cross on synthetic:2x300?seed=3 (synthetic)")
    assert [line.split()[0] for line in lines if line[:5].strip().isdigit()] == ["1", "2", "3"]
    assert "evidence" in lines[-1]
    assert "tuned     Sharpe ratio" in answer.out
    assert answer.err == "wrote out/walk.html\n"
    page = (tmp_path / "out" / "walk.html").read_text(encoding="utf-8")
    assert lines[-1] in page.replace("\N{MINUS SIGN}", "-")


def test_a_walk_forward_as_json_is_the_same_walk(cli: Cli) -> None:
    from optimize.forward import walk_forward
    from simulator import load_bars
    from strategies import load_strategy

    found = good(cli(*WALK, "--search", "fast,slow", "--mode", "anchored", "--test", "60", "--json")).json
    walk = walk_forward(
        load_bars("synthetic:2x300?seed=3"), load_strategy("sma-cross"), space=["fast", "slow"],
        mode="anchored", test=60, trials=4, sampler="qmc",
    )  # fmt: skip
    assert found["sentence"] == walk.sentence()
    assert found["mode"] == "anchored"
    assert [fold["fast"] for fold in found["folds"]] == walk.folds["fast"].tolist()
    assert found["default_beats_tuned"] == walk.default_beats_tuned
    assert found["verdict"]["claims_evidence"] is False
    assert found["report"] is None


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("--mode", "roling"), "OPTIMIZE_SPLIT"),
        (("--train", "290", "--test", "60"), "OPTIMIZE_SPLIT"),
        (("--objective", "sharp"), "OPTIMIZE_OBJECTIVE_NAME"),
        (("--workers", "0"), "CLI_USAGE"),
        (("--search", ","), "CLI_PARAM"),
    ],
)
def test_what_is_wrong_with_a_walk_is_one_line(given: tuple[str, ...], code: str, cli: Cli) -> None:
    refused(cli(*WALK, *given), code)


def test_a_study_writes_its_report(cli: Cli, tmp_path: Path) -> None:
    answer = good(cli("optimize", "strategy", "sma-cross", *DATA, "--trials", "5", "--report", "study.html"))
    assert answer.err == "wrote study.html\n"
    page = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert answer.out.splitlines()[-1][:90] in page


@pytest.fixture
def planted(cli: Cli, tmp_path: Path) -> Cli:
    """A paper journal in which trades below an IV rank of 65 were made to lose."""
    draw = np.random.default_rng(7)
    when = datetime(2024, 1, 2, 20, tzinfo=UTC)
    with TradeJournal(tmp_path / "trade_journal.db", source="paper") as journal, journal.database.write():
        for _ in range(220):
            rank = float(draw.uniform(50.0, 100.0))
            won = draw.random() < (0.95 if rank >= 65.0 else 0.5)
            number = journal.log_trade_entry(
                symbol="SPY", strategy="short-put-spread", actual_contracts=1, entry_credit=1.90, width=5.0,
                iv_rank=round(rank, 1), dte=int(draw.integers(38, 53)), when=when,
            )  # fmt: skip
            journal.log_trade_exit(number, exit_debit=0.95 if won else 5.0, when=when + timedelta(days=12))
            when += timedelta(days=3)
    return cli


def test_a_journal_is_tuned_and_the_adopted_set_is_in_force(planted: Cli, tmp_path: Path) -> None:
    tune = ("optimize", "journal", "--source", "paper")
    looked = good(planted(*tune, "--look", "--json")).json
    assert looked["answer"] == "adopt"
    assert looked["stored"] is None
    assert good(planted("parameters", "show", "--json")).json == []

    waits = good(planted(*tune, "--wait", "--report", "out/tuning.html"))
    assert "waits for a person: set 1" in waits.out
    assert waits.err == "wrote out/tuning.html\n"
    assert "tuned from the journal" in (tmp_path / "out" / "tuning.html").read_text(encoding="utf-8")
    (one,) = good(planted("parameters", "show", "--json")).json
    assert one["status"] == "proposed"
    assert one["settings"]["min_iv_rank"] == looked["settings"]["min_iv_rank"]
    changes = good(planted("parameters", "diff", "1", "--json")).json["changes"]
    assert [change["setting"] for change in changes] == ["min_iv_rank"]

    adopted = good(planted(*tune)).out
    assert "Version 1 is in force; the next scan uses it." in adopted
    with TradeJournal(tmp_path / "trade_journal.db", source="paper", read_only=True) as journal:
        found = ParameterStore(journal).in_force("options_scanner")
    assert found is not None
    assert found.settings["min_iv_rank"] == looked["settings"]["min_iv_rank"]


def test_what_is_wrong_with_a_tuning_is_one_line(planted: Cli) -> None:
    refused(planted("optimize", "journal", "options_scaner"), "OPTIMIZE_COMPONENT")
    refused(planted("optimize", "journal", "--look", "--wait"), "CLI_EXCLUSIVE")
    refused(planted("optimize", "journal", "--source", "all"), "CLI_SOURCE")
    refused(planted("optimize", "journal", "--confidence", "1.5"), "OPTIMIZE_CONFIDENCE")
    refused(planted("optimize", "journal", "--journal", "other.db"), "JOURNAL_MISSING")
    few = good(planted("optimize", "journal", "--source", "live"))
    assert "Not enough evidence" in few.out


def test_a_sweep_goes_to_the_machines_that_it_is_told_of(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import optimize.machines
    from simulator import sweep

    asked: list[tuple[object, object]] = []

    def spread(*given: Any, workers: int, scheduler: str | None, **rules: Any) -> Any:
        asked.append((workers, scheduler))
        return sweep(*given, **rules)

    monkeypatch.setattr(optimize.machines, "sweep", spread)
    words = ("sweep", "sma-cross", *DATA, "--param", "fast=5,10", "--json")
    here = good(cli(*words)).json
    assert asked == []
    assert good(cli(*words, "--workers", "2")).json == here
    assert good(cli(*words, "--scheduler", "tcp://host:8786")).json == here
    assert asked == [(2, None), (1, "tcp://host:8786")]


def test_a_bundle_gives_a_command_its_options_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    @bundled
    def command(
        name: Annotated[str, typer.Argument()], market: Market, account: Account, top: int = 3
    ) -> None:
        """Do nothing."""
        seen.append((name, market, account, top))

    assert command.__doc__ == "Do nothing."
    assert {"data", "symbols", "cash", "changes", "top"} <= set(inspect.signature(command).parameters)
    app = typer.Typer()
    app.command()(command)
    app(["x", "--data", "sample:spx", "--cash", "5", "--no-risk", "--top", "4"], standalone_mode=False)
    ((name, market, account, top),) = seen
    assert (name, top) == ("x", 4)
    assert market == Market(data="sample:spx")
    assert account == Account(cash=5.0, no_risk=True)
    settings = settings_of(market, account)
    assert (settings.data.source, settings.account.cash, settings.risk) == ("sample:spx", 5.0, None)


def test_help_shows_the_options_of_bundles_in_their_panels(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["optimize", "walk-forward", "--help"]) == 0
    text = capsys.readouterr().out
    for panel in ("Search", "Data", "Account and rules", "Windows", "More processes and machines", "Output"):
        assert f"─ {panel} ─" in text


STUDY = ("optimize", "strategy", "sma-cross", *DATA, "--sampler", "qmc", "--trials", "3")


@pytest.mark.parametrize("words", [STUDY, WALK, ("optimize", "journal")])
def test_a_report_that_cannot_be_written_is_found_before_anything_runs(
    words: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    TradeJournal(tmp_path / "trade_journal.db").close()
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    refused(cli(*words, "--report", "file/study.html"), "CONFIG_OUTPUT")
    folder = cli(*words, "--report", ".")
    refused(folder, "CONFIG_OUTPUT")
    assert "is a folder; name a file in it, as report.html" in folder.err


def test_trying_a_report_leaves_nothing_behind(tmp_path: Path) -> None:
    from twinstep.search_options import check_report

    check_report(tmp_path / "a" / "b" / "report.html")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.html").write_text("old", encoding="utf-8")
    check_report(tmp_path / "old.html")
    assert (tmp_path / "old.html").read_text(encoding="utf-8") == "old"


def test_a_report_that_fails_at_the_end_does_not_take_the_answer_with_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optimize.studies.study import StrategyStudy
    from simulator.errors import ConfigError

    def full(*_: Any, **__: Any) -> Path:
        raise ConfigError("no space left", code="CONFIG_OUTPUT")

    monkeypatch.setattr(StrategyStudy, "report", full)
    answer = cli(*STUDY, "--report", "study.html")
    assert answer.code == 2
    assert "The best figure in sample is no evidence" in answer.out
    assert answer.err == "error [CONFIG_OUTPUT]: no space left\n"
    answer = cli(*STUDY, "--report", "study.html", "--json")
    assert answer.json["report"] is None
    assert answer.json["trials"] == 3


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (("--study", "mine"), "CLI_STORAGE", "--storage studies.db"),
        (("--workers", "2"), "OPTIMIZE_WORKERS_STORAGE", "--storage studies.db"),
        (("--scheduler", "tcp://x:1"), "OPTIMIZE_WORKERS_STORAGE", "postgresql://user@host/studies"),
        (("--scheduler", "tcp://x:1", "--workers", "2"), "CLI_EXCLUSIVE", "leave out --workers"),
        (("--hypothesis", " "), "CLI_USAGE", "empty name"),
        (("--objective", ","), "CLI_PARAM", "sharpe,calmar"),
    ],
)
def test_what_a_study_refuses_is_said_in_words_of_the_shell(
    given: tuple[str, ...], code: str, words: str, cli: Cli
) -> None:
    answer = cli(*STUDY, *given)
    refused(answer, code)
    assert words in answer.err
    assert "='" not in answer.err


def test_costs_are_said_and_objectives_may_have_commas(cli: Cli) -> None:
    assert ", no costs: 3 trials" in good(cli(*STUDY)).out.splitlines()[0]
    found = good(cli(*STUDY, "--objective", "sharpe,calmar", "--costs", "ibkr-tiered", "--json")).json
    assert found["objectives"] == ["sharpe", "calmar"]
    assert good(cli(*WALK, "--folds", "2")).out.splitlines()[0].endswith(", no costs")


def test_a_run_is_one_of_backtests(planted: Cli) -> None:
    answer = planted("optimize", "journal", "--run", "1")
    refused(answer, "CLI_SOURCE")
    assert "--source backtest" in answer.err


def test_trades_of_another_source_are_pointed_at(planted: Cli) -> None:
    answer = good(planted("optimize", "journal", "--look"))
    assert answer.err == "the journal has no closed live trades, but others: --source paper (220)\n"
    assert good(planted("optimize", "journal", "--look", "--source", "paper")).err == ""


def test_who_stops_a_search_is_told_what_is_kept(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import optimize.forward
    import optimize.strategy

    def stop(*_: Any, progress: Any, **__: Any) -> Any:
        progress(40, 100)
        raise KeyboardInterrupt

    def stop_with_best(*_: Any, progress: Any, **__: Any) -> Any:
        progress(40, 100, 0.75)
        raise KeyboardInterrupt

    monkeypatch.setattr(optimize.strategy, "tune_strategy", stop_with_best)
    monkeypatch.setattr(optimize.forward, "walk_forward", stop)
    answer = cli(*STUDY)
    assert (answer.code, answer.out) == (130, "")
    assert answer.err.startswith(
        "40 of 100 trials are done, the best sharpe so far is 0.75. The study is not"
    )
    assert answer.err.endswith("interrupted\n")
    assert "are kept in mine.db; the same command goes on" in cli(*STUDY, "--storage", "mine.db").err
    assert "40 of 100 folds are done. A walk-forward is not kept" in cli(*WALK).err
