"""`twinstep backtest` keeps its run, and `twinstep runs` finds it again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from simulator import Result, backtest, load_bars
from simulator.results import kept_runs
from simulator.results.keeping import keep_result
from strategies import load_strategy
from tests.twinstep.conftest import Cli

BARS = "synthetic:2x300?seed=2"
RUN = ("backtest", "sma-cross", "--data", BARS)


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWINSTEP_NO_KEEP", raising=False)


@pytest.fixture(scope="module")
def results() -> list[tuple[Result, Any]]:
    bars = load_bars(BARS)
    strategies = [load_strategy("sma-cross", fast=fast, slow=40) for fast in (5, 10, 20)]
    return [(backtest(bars, strategy), strategy) for strategy in strategies]


@pytest.fixture
def runs(tmp_path: Path, results: list[tuple[Result, Any]]) -> Path:
    """Return a folder of three runs, kept 1, 20 and 300 days ago."""
    folder = tmp_path / "runs"
    for (result, strategy), days in zip(results, (300, 20, 1), strict=True):
        keep_result(
            result, folder, strategy=strategy, report=False, now=datetime.now(UTC) - timedelta(days=days)
        )
    return folder


@pytest.mark.usefixtures("keeping")
def test_a_backtest_is_kept_beside_the_journal_once(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "desk").mkdir()
    (tmp_path / "twinstep.toml").write_text('[journal]\npath = "desk/trades.db"\n')
    first = cli(*RUN, "--note", "with a note")
    assert first.code == 0, first.err
    (run,) = kept_runs(tmp_path / "desk" / "runs").runs
    assert f"kept run {run.id} in desk/runs" in first.err
    assert (run.strategy, run.note, run.parameters["fast"]) == ("sma-cross", "with a note", 20)
    assert run.scripts
    assert "again; it was first kept" in cli(*RUN).err
    (entry,) = kept_runs(tmp_path / "desk" / "runs").runs
    assert (entry.created, entry.note) == (run.created, "with a note")
    longer = cli(*RUN, "--param", "fast=7", "--json").json
    (last, _) = kept_runs(tmp_path / "desk" / "runs").runs
    assert longer["kept"] == {"id": last.id, "folder": "desk/runs"}
    assert longer["fingerprint"] == last.fingerprint


@pytest.mark.parametrize("how", ["flag", "file", "environment"])
@pytest.mark.usefixtures("keeping")
def test_who_does_not_want_it_keeps_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "file":
        (tmp_path / "twinstep.toml").write_text("[report]\nkeep = false\n")
    if how == "environment":
        monkeypatch.setenv("TWINSTEP_NO_KEEP", "1")
    answer = cli(*RUN, "--json", *(["--no-keep"] if how == "flag" else []))
    assert answer.code == 0
    assert answer.json["kept"] is None
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("keeping")
def test_a_run_that_cannot_be_kept_is_shown_all_the_same(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    answer = cli(*RUN, "--json")
    assert answer.code == 0
    assert answer.json["kept"] is None
    assert "warning [CLI_NOT_KEPT]" in answer.err
    assert answer.json["metrics"]["trades"] > 0


def test_the_list_is_sorted_cut_and_filtered(cli: Cli, runs: Path) -> None:
    found = cli("runs", "list", "--json").json
    assert found["of"] == 3
    assert [one["parameters"]["fast"] for one in found["runs"]] == [20, 10, 5]
    by_return = cli("runs", "list", "--sort", "return", "--json").json["runs"]
    values = [one["metrics"]["total_return"] for one in by_return]
    assert values == sorted(values, reverse=True)
    assert len(cli("runs", "list", "--top", "1", "--json").json["runs"]) == 1
    assert cli("runs", "list", "--strategy", "donchian", "--json").json["runs"] == []
    text = cli("runs", "list", "--top", "2").out
    assert "2 of 3 runs" in text
    assert "sma-cross" in text
    assert cli("runs", "list", "--sort", "luck").code == 2


def test_a_file_that_is_no_run_is_named_and_the_others_are_listed(cli: Cli, runs: Path) -> None:
    (runs / "0123456789abcdef.zip").write_text("x")
    answer = cli("runs", "list", "--json")
    assert len(answer.json["runs"]) == 3
    assert "skipped: 0123456789abcdef.zip" in answer.err


def test_an_empty_folder_says_so(cli: Cli) -> None:
    assert "no run is kept" in cli("runs", "list").out
    assert cli("runs", "show", "last").code == 2


def test_one_run_is_shown(cli: Cli, runs: Path) -> None:
    (last, *_) = kept_runs(runs).runs
    document = cli("runs", "show", last.id[:8], "--json").json
    assert document["metrics"]["sharpe"] == last.metric("sharpe")
    assert document["settings"]["Strategy"]["fast"] == 20
    text = cli("runs", "show", "last").out
    assert last.id in text
    assert "Sharpe ratio at 95 %" in text


def test_two_runs_are_compared(cli: Cli, runs: Path) -> None:
    document = cli("runs", "compare", "previous", "last", "--json").json
    assert {one["name"]: (one["a"], one["b"]) for one in document["settings"]} == {"fast": ("10", "20")}
    a, b = (document[name]["metrics"]["total_return"] for name in "ab")
    assert document["metrics"]["total_return"]["difference"] == pytest.approx(b - a)
    trades = document["trades"]
    counts = {name: len(trades[name]) for name in ("changed", "only_a", "only_b")}
    assert trades["same"] + counts["changed"] + counts["only_a"] == document["a"]["metrics"]["trades"]
    assert trades["same"] + counts["changed"] + counts["only_b"] == document["b"]["metrics"]["trades"]
    text = cli("runs", "compare", "previous", "last").out
    assert "Strategy: fast" in text
    assert f"{counts['only_b']} only in B" in text
    for one in trades["only_a"][:20]:
        figures = [f"{one['entry_price']:,.2f}", f"{one['exit_price']:,.2f}", f"{one['pnl']:+,.2f}"]
        assert any(
            [*line[3:4], *line[5:6], *line[-1:]] == figures for line in map(str.split, text.splitlines())
        )
    assert "All settings are the same" in cli("runs", "compare", "last", "last").out


def test_the_report_is_written_as_it_was_made(cli: Cli, runs: Path, tmp_path: Path) -> None:
    answer = cli("runs", "report", "last", "out/r.html")
    assert (answer.code, "DATA_RUN_REPORT" in answer.err) == (2, True)
    result = backtest(load_bars(BARS), load_strategy("donchian-breakout"))
    result.keep(runs)
    assert cli("runs", "report", "last", "out/r.html").code == 0
    written = (tmp_path / "out" / "r.html").read_text(encoding="utf-8")
    assert written == result.report(tmp_path / "made.html").read_text(encoding="utf-8")
    assert "CLI_EXISTS" in cli("runs", "report", "last", "out/r.html").err
    assert cli("runs", "report", "last", "out/r.html", "--force").code == 0


def test_runs_are_deleted_all_or_none(cli: Cli, runs: Path) -> None:
    assert cli("runs", "delete", "last", "ffff").code == 2
    assert len(kept_runs(runs).runs) == 3
    assert "deleted 2 runs" in cli("runs", "delete", "last", "previous", "last").out
    assert len(kept_runs(runs).runs) == 1


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--newest", "2"), 2), (("--older-than", "10"), 1), (("--older-than", "10", "--newest", "2"), 2),
        (("--older-than", "1000"), 3), (("--newest", "0"), 0),
    ],
)  # fmt: skip
def test_pruning_says_what_it_would_do_and_does_it_when_told_to(
    cli: Cli, runs: Path, options: tuple[str, ...], left: int
) -> None:
    words = cli("runs", "prune", *options).out
    assert len(kept_runs(runs).runs) == 3
    assert ("add --yes" in words) == (left < 3)
    assert cli("runs", "prune", *options, "--yes").code == 0
    assert len(kept_runs(runs).runs) == left


def test_pruning_wants_to_know_what(cli: Cli, runs: Path) -> None:
    assert "CLI_PRUNE" in cli("runs", "prune", "--yes").err
    assert json.loads(cli("runs", "list", "--json").out)["of"] == 3


@pytest.mark.parametrize("days", ["36501", "999999", "99999999999"])
def test_pruning_by_an_age_beyond_all_time_is_refused_in_words(cli: Cli, runs: Path, days: str) -> None:
    said = cli("runs", "prune", "--older-than", days)
    assert said.code == 2
    assert "CLI_USAGE" in said.err
    assert "36500" in said.err
    assert cli("runs", "prune", "--older-than", "36500").code == 0
