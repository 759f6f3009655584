"""`twinstep optimize strategy`: a table with the default beside the best sets, JSON, and the sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twinstep.cli import run

DATA = ("--data", "synthetic:2x300?seed=3")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["optimize", "strategy", *arguments, *DATA])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_table_has_the_default_and_the_best_and_ends_with_the_sentence(capsys: Any) -> None:
    code, out, _ = call(capsys, "donchian-breakout", "--trials", "20", "--sampler", "random", "--top", "3")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("donchian-breakout on synthetic:2x300?seed=3 (synthetic)")
    assert lines[0].endswith("20 trials")
    rows = [line.split()[0] for line in lines if line[:2].strip()]
    assert any(line.strip().startswith("as given") for line in lines)
    assert [row for row in rows if row.isdigit()][-3:] == ["1", "2", "3"] or " 3 " in out
    assert "what the Sharpe ratio depends on" in out
    assert "The best figure in sample is no evidence" in lines[-1]


def test_json_and_going_on_in_a_storage(capsys: Any, tmp_path: Path) -> None:
    given = (
        *("sma-cross", "--search", "fast,slow", "--param", "stop-atr=3", "--sampler", "qmc", "--json"),
        *("--storage", str(tmp_path / "trials.db"), "--min-trades", "2", "--objective", "calmar"),
    )
    code, out, _ = call(capsys, *given, "--trials", "8")
    assert code == 0
    first = json.loads(out)
    assert first["trials"] == 8
    assert first["objectives"] == ["calmar"]
    assert first["constraints"] == {"min_trades": 2.0}
    assert first["as_given"]["parameters"]["stop_atr"] == 3.0
    assert set(first["best"]) == {"fast", "slow"}
    assert first["best_value"] == first["rows"][0]["calmar"]
    code, out, _ = call(capsys, *given, "--trials", "12")
    assert json.loads(out)["trials"] == 12
    assert json.loads(out)["study"] == first["study"]


def test_several_objectives_show_the_front(capsys: Any) -> None:
    code, out, _ = call(
        capsys, *("gap-fade", "--trials", "20", "--sampler", "nsga2"),
        *("--objective", "sharpe", "--objective", "tail_penalised"),
    )  # fmt: skip
    assert code == 0
    assert "front" in out
    assert "tail_penalised" in out


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("sma-cross", "--objective", "sharp"), "OPTIMIZE_OBJECTIVE_NAME"),
        (("sma-cross", "--sampler", "tp"), "OPTIMIZE_SAMPLER"),
        (("sma-cross", "--search", "fats"), "OPTIMIZE_SPACE"),
        (("sma-cross", "--search", ","), "CLI_PARAM"),
        (("sma-crss",), "NAME_STRATEGY"),
    ],
)
def test_what_is_wrong_is_one_line(given: tuple[str, ...], code: str, capsys: Any) -> None:
    status, out, err = call(capsys, *given)
    assert status == 2
    assert out == ""
    assert err.startswith(f"error [{code}]: ")
    assert err.count("\n") == 1


def test_sets_with_the_same_trades_are_shown_once(capsys: Any) -> None:
    code, out, _ = call(capsys, "sma-cross", "--search", "stop_atr", "--trials", "12", "--sampler", "random")
    assert code == 0
    rows = [line.split() for line in out.splitlines() if line.split()[:1] and line.split()[0].isdigit()]
    figures = [tuple(row[2:]) for row in rows if len(row) > 4]
    assert len(figures) == len(set(figures)) > 0
    document = json.loads(
        call(capsys, "sma-cross", "--search", "stop_atr", "--trials", "12", "--sampler", "random", "--json")[
            1
        ]
    )
    everything = [tuple(row[name] for name in ("sharpe", "trades")) for row in document["rows"]]
    if len(set(everything)) < len(everything):
        assert "the figures of one above: same trades" in out
    assert "which shows next to nothing; --min-trades 30" in out
