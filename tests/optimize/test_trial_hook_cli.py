"""The command line counts what it runs, and `twinstep trials` shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optimize.counting.summary import usual_sessions
from optimize.ledger import TrialLedger
from optimize.trials import Trial
from twinstep.cli import run

DATA = ("--data", "synthetic:2x250?seed=4")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TWINSTEP_NO_TRIALS", raising=False)
    return tmp_path


@pytest.fixture
def call(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def of(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(arguments)
        return code, *capsys.readouterr()

    return of


def test_what_commands_run_is_counted_once_beside_the_journal(call: Any, folder: Path) -> None:
    code, out, err = call("backtest", "sma-cross", *DATA)
    assert code == 0
    assert "trials" not in out
    assert f"counted 1 new trial in {folder / 'trials.db'}, which knows 1 of sma-cross on" in err
    call("sweep", "sma-cross", "--param", "fast=10,20,30", *DATA)
    _, _, err = call("compare", "sma-cross", "donchian-breakout", *DATA)
    assert "counted 1 new trial" in err  # 20 is the default, and has been swept
    ledger = TrialLedger(folder / "trials.db")
    assert ledger.count() == 4
    assert sorted(name.partition(" on ")[0] for name in ledger.hypotheses()) == [
        "donchian-breakout", "sma-cross",
    ]  # fmt: skip
    assert ledger.frame()["source"].value_counts().to_dict() == {"backtest": 2, "sweep": 2}


def test_the_ledger_lies_beside_the_journal_that_is_named(call: Any, folder: Path) -> None:
    (folder / "desk").mkdir()
    code, out, _ = call("backtest", "sma-cross", "--journal", "desk/mine.db", "--json", *DATA)
    assert code == 0
    assert json.loads(out)["journal"]["path"] == str(folder / "desk" / "mine.db")
    assert TrialLedger(folder / "desk" / "trials.db").count() == 1
    (folder / "twinstep.toml").write_text('[journal]\npath = "desk/other.db"\n', encoding="utf-8")
    call("sweep", "sma-cross", "--param", "fast=5", *DATA)
    assert TrialLedger(folder / "desk" / "trials.db").count() == 2
    assert not (folder / "trials.db").exists()


@pytest.mark.parametrize("how", ["option", "environment", "configuration"])
def test_nothing_is_counted_where_somebody_says_so(
    call: Any, folder: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "environment":
        monkeypatch.setenv("TWINSTEP_NO_TRIALS", "1")
    elif how == "configuration":
        (folder / "twinstep.toml").write_text("[journal]\ntrials = false\n", encoding="utf-8")
    given = ("--no-trials",) if how == "option" else ()
    for command in (
        ("backtest", "sma-cross"), ("sweep", "sma-cross", "--param", "fast=5"),
        ("compare", "sma-cross", "donchian-breakout"), ("optimize", "strategy", "sma-cross", "--trials", "2"),
    ):  # fmt: skip
        code, _, err = call(*command, *given, *DATA)
        assert code == 0
        assert "counted" not in err
    assert not (folder / "trials.db").exists()


def test_a_study_is_counted_and_one_name_gathers_what_belongs_together(call: Any, folder: Path) -> None:
    named = ("--hypothesis", "crossing averages")
    call("backtest", "sma-cross", *named, "--data", "synthetic:2x250?seed=5")
    call("sweep", "sma-cross", "--param", "fast=5,10", *named, *DATA)
    study = ("optimize", "strategy", "sma-cross", "--search", "fast", "--trials", "4", "--sampler", "qmc")
    code, _, err = call(*study, *named, *DATA)
    assert code == 0
    assert "of crossing averages" in err
    ledger = TrialLedger(folder / "trials.db")
    assert ledger.hypotheses() == ["crossing averages"]
    assert {*ledger.frame()["source"]} == {"backtest", "sweep", "study"}


def test_a_ledger_that_cannot_be_written_costs_a_warning_and_no_result(call: Any, folder: Path) -> None:
    (folder / "trials.db").write_text("no database " * 100, encoding="utf-8")
    code, out, err = call("backtest", "sma-cross", "--json", *DATA)
    assert code == 0
    assert json.loads(out)["metrics"]["sessions"] == 250
    assert "OPTIMIZE_NOT_COUNTED" in err
    assert "counted 1" not in err


def test_on_a_server_journal_and_ledger_lie_together(call: Any, folder: Path, postgres_url: str) -> None:
    (folder / "twinstep.toml").write_text(f'[journal]\npath = "{postgres_url}"\n', encoding="utf-8")
    code, _, err = call("backtest", "sma-cross", *DATA)
    assert code == 0
    assert "counted 1 new trial" in err
    assert call("backtest", "sma-cross", "--journal", postgres_url, *DATA)[0] == 0
    assert TrialLedger.beside(postgres_url).count() == 1
    assert call("trials")[1].splitlines()[-1].endswith(": 1; Sharpe ratios are annual")
    assert call("journal", "show", "--source", "backtest")[0] == 0


# Showing


@pytest.fixture
def ledger(folder: Path) -> TrialLedger:
    ledger = TrialLedger(folder / "trials.db")
    fasts = {5: 0.02, 10: 0.1, 20: float("nan")}
    ledger.record(
        [
            Trial(
                strategy="sma-cross", data="ab12", parameters={"fast": fast, "slow": 50}, source="sweep",
                sharpe=sharpe, sessions=1000, metrics={"trades": fast, "total_return": sharpe},
            )
            for fast, sharpe in fasts.items()
        ]
    )  # fmt: skip
    ledger.record([Trial(strategy="gap-fade", data="ab12", parameters={}, source="backtest", sharpe=0.01)])
    return ledger


def test_hypotheses_are_listed_with_what_their_best_is_worth(call: Any, ledger: TrialLedger) -> None:
    code, out, err = call("trials")
    assert (code, err) == (0, "")
    (line,) = (line for line in out.splitlines() if "sma-cross on ab12" in line)
    known = ledger.summary("sma-cross on ab12")
    assert line.split()[3:] == [
        "3", "0", "2.0", "1.59", f"{known.expected_max * 252**0.5:.2f}", f"{known.deflated:.3f}",
    ]  # fmt: skip
    assert out.splitlines()[-1].endswith(": 4; Sharpe ratios are annual")
    document = json.loads(call("trials", "--json")[1])
    assert document["trials"] == 4
    by_name = {one["hypothesis"]: one for one in document["hypotheses"]}
    assert by_name["sma-cross on ab12"]["deflated"] == known.deflated
    assert by_name["gap-fade on ab12"]["deflated"] is None


def test_trials_within_walk_forwards_are_told_apart(call: Any, ledger: TrialLedger) -> None:
    within = [
        Trial(
            strategy="sma-cross", data="ab12", parameters={"fast": fast}, source="walk_forward", sharpe=0.01,
            sessions=300,
        )
        for fast in range(2)
    ]  # fmt: skip
    ledger.record(within)
    out = call("trials")[1]
    (line,) = (line for line in out.splitlines() if "sma-cross on ab12" in line)
    assert line.split()[3:5] == ["5", "2"]
    assert out.splitlines()[-1].endswith(": 6, of which 2 in walk-forward windows; Sharpe ratios are annual")
    assert "sma-cross on ab12: 5 trials, of which 2 in walk-forward windows" in call("trials", "sma")[1]


@pytest.mark.parametrize(
    ("days", "sessions", "per_year"),
    [(4748, 3270, 252.0), (730, 730, 365.0), (91, 60, 252.0), (1461, 972, 243.0), (0, 10, 252.0)],
)
def test_a_year_has_as_many_sessions_as_its_market(days: int, sessions: int, per_year: float) -> None:
    assert usual_sessions(0, days * 86_400_000_000_000, sessions) == pytest.approx(per_year, abs=0.01)


def test_one_is_shown_with_its_trials_best_first(call: Any, ledger: TrialLedger) -> None:
    code, out, _ = call("trials", "sma", "--top", "0")
    assert code == 0
    assert out.splitlines()[0] == str(ledger.summary("sma-cross on ab12"))
    assert "run 3 by sweep; of the best the shape" in out
    header = next(line for line in out.splitlines() if "fast" in line)
    assert "slow" not in header  # all had the same
    rows = [line.split() for line in out.splitlines() if line.strip().endswith("1,000")]
    assert [row[1] for row in rows] == ["10.00%", "2.00%", "-"]
    assert [row[0] for row in rows] == ["1.59", "0.32", "-"]
    document = json.loads(call("trials", "sma-cross on ab12", "--json", "--top", "1")[1])
    assert document["best_parameters"] == {"fast": 10, "slow": 50}
    assert [row["parameters"]["fast"] for row in document["rows"]] == [10]
    assert document["sources"] == {"sweep": 3}


def test_names_that_are_none_or_several(call: Any, ledger: TrialLedger) -> None:
    hints = {"on ab12": "2 hold it", "gap-fode on ab12": "gap-fade on ab12", "x": "Known: "}
    for given, hint in hints.items():
        code, out, err = call("trials", given)
        assert (code, out) == (2, "")
        assert err.startswith("error [NAME_HYPOTHESIS]: ")
        assert hint in err


def test_an_empty_ledger_is_no_error(call: Any, folder: Path) -> None:
    code, out, _ = call("trials")
    assert (code, out) == (0, f"no trials are counted in {folder / 'trials.db'} yet\n")
    assert not (folder / "trials.db").exists()
