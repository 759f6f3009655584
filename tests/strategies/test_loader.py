"""Loading strategies from names, files, modules and entry points; the template."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from simulator.errors import StrategyError, TwinstepError, UnknownNameError
from strategies import SmaCross, load_class, load_strategy, loader, new_strategy, strategy_names
from tests.forked import forked

ROOT = Path(__file__).resolve().parents[2]

GOOD = """
from dataclasses import dataclass
from strategies import Strategy, param
from helper_beside import FACTOR

class Mine(Strategy):
    @dataclass(frozen=True)
    class Params:
        length: int = param(FACTOR)
    def signals(self, bars):
        return self.emit(bars, bars.close > 0, 1, stop_percent=5.0)

class Free:
    name = "free"
    warmup = 0
    def __init__(self, level=1.0):
        self.level = level
    def signals(self, bars):
        return None

class Nameless:
    def signals(self, bars):
        return None

class Unrelated:
    pass
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "helper_beside.py").write_text("FACTOR = 7\n")
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    return path


def test_by_name() -> None:
    assert load_strategy("sma-cross", fast=5) == SmaCross(fast=5)
    assert strategy_names()[:2] == ["sma-cross", "donchian-breakout"]


def test_by_module() -> None:
    assert load_strategy("strategies.equity.sma_cross:SmaCross", slow=99) == SmaCross(slow=99)


def test_by_file(mine: Path) -> None:
    strategy = load_strategy(f"{mine}:Mine")
    assert strategy.name == "mine"
    assert repr(load_strategy(f"{mine}:Mine", length=9)) == "Mine(length=9)"
    assert str(mine.parent) not in sys.path
    assert load_class(f"{mine}:Free").__name__ == "Free"
    assert load_strategy(f"{mine}:Free", level=2.0).level == 2.0  # type: ignore[union-attr]


def test_each_file_has_what_lies_beside_it_now(tmp_path: Path) -> None:
    def factor(folder: str, value: int) -> int:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "helper_beside.py").write_text(f"FACTOR = {value}\n")
        (tmp_path / folder / "mine.py").write_text(GOOD)
        kind = load_class(f"{tmp_path / folder / 'mine.py'}:Mine")
        return int(vars(sys.modules[kind.__module__])["FACTOR"])

    assert [factor("one", 1), factor("two", 2), factor("one", 3), factor("two", 2)] == [1, 2, 3, 2]


def test_a_second_try_sees_what_was_mended_beside_it(tmp_path: Path) -> None:
    path, helper = tmp_path / "mine.py", tmp_path / "helper_beside.py"
    path.write_text(GOOD)
    helper.write_text("OTHER = 1\n")
    with pytest.raises(StrategyError, match="FACTOR"):
        load_class(f"{path}:Mine")
    helper.write_text("FACTOR = 5\n")
    assert vars(sys.modules[load_class(f"{path}:Mine").__module__])["FACTOR"] == 5


def test_a_file_may_declare_its_encoding(mine: Path) -> None:
    mine.write_bytes(b"# -*- coding: latin-1 -*-\n# a caf\xe9\n" + GOOD.encode())
    assert load_class(f"{mine}:Mine").__name__ == "Mine"


def test_a_file_with_one_strategy_needs_no_class_name(tmp_path: Path) -> None:
    source, _ = new_strategy("only-one", tmp_path)
    assert load_strategy(str(source)).name == "only-one"


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    source, _ = new_strategy("edited", tmp_path)
    assert load_strategy(str(source)).warmup == 45
    source.write_text(source.read_text().replace(", 45)", ", 4567)"))
    assert load_strategy(str(source)).warmup == 4567


def test_a_file_that_breaks_leaves_what_was_loaded_before(tmp_path: Path) -> None:
    source, _ = new_strategy("fragile", tmp_path)
    before = load_class(str(source))
    source.write_text("1 / 0\n")
    with pytest.raises(StrategyError):
        load_class(str(source))
    assert sys.modules[before.__module__].Fragile is before


def test_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("theirs", "strategies.equity.gap_fade:GapFade", loader.ENTRY_POINTS),
        EntryPoint("broken", "no_such_module:Thing", loader.ENTRY_POINTS),
        EntryPoint("wrong", "strategies.registry:STRATEGIES", loader.ENTRY_POINTS),
    ]
    monkeypatch.setattr(loader, "entry_points", lambda group: points if group == loader.ENTRY_POINTS else [])
    assert load_strategy("theirs").name == "gap-fade"
    assert strategy_names()[-3:] == ["broken", "theirs", "wrong"]
    for name, code in (("broken", "STRATEGY_IMPORT"), ("wrong", "STRATEGY_CONTRACT")):
        with pytest.raises(StrategyError) as caught:
            load_strategy(name)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ("sma-crss", "NAME_STRATEGY", "Did you mean 'sma-cross'"),
        ("", "NAME_STRATEGY", "empty"),
        ("{folder}/mien.py:Mine", "STRATEGY_FILE_MISSING", "Did you mean 'mine.py'"),
        ("{folder}/mine.py:Mien", "STRATEGY_CLASS_MISSING", "Did you mean 'Mine'"),
        ("{folder}/mine.py", "STRATEGY_CLASS_AMBIGUOUS", "Free, Mine, Nameless"),
        ("{folder}/mine.py:Unrelated", "STRATEGY_CONTRACT", "signals"),
        ("{folder}/mine.py:FACTOR", "STRATEGY_CONTRACT", "signals"),
        ("{folder}/mine.py:Nameless", "STRATEGY_CONTRACT", "lacks name and warmup"),
        ("{folder}/helper_beside.py", "STRATEGY_CLASS_MISSING", "no strategy class"),
        ("{folder}/syntax.py:Mine", "STRATEGY_IMPORT", "line 2"),
        ("{folder}/raises.py:Mine", "STRATEGY_IMPORT", "ZeroDivisionError.*line 1"),
        ("no_such_package.mine:Mine", "STRATEGY_MODULE_MISSING", "no_such_package"),
        ("strategies.nothing:Mine", "STRATEGY_MODULE_MISSING", "strategies.nothing"),
        ("strategies.equity.sma_cross:SmaCros", "STRATEGY_CLASS_MISSING", "Did you mean 'SmaCross'"),
    ],
)
def test_what_cannot_be_loaded_says_why(mine: Path, spec: str, code: str, words: str) -> None:
    (mine.parent / "syntax.py").write_text("x = 1\nclass Mine(:\n")
    (mine.parent / "raises.py").write_text("x = 1 / 0\n")
    with pytest.raises(TwinstepError, match=words) as caught:
        load_strategy(spec.format(folder=mine.parent))
    assert caught.value.code == code


def test_a_module_that_fails_inside_is_not_called_missing(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine.parent / "broken_inside.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(str(mine.parent))
    with pytest.raises(StrategyError, match="not_installed_anywhere") as caught:
        load_strategy("broken_inside:Mine")
    assert caught.value.code == "STRATEGY_IMPORT"


def test_unknown_parameters(mine: Path) -> None:
    for spec in ("sma-cross", f"{mine}:Free"):
        with pytest.raises(StrategyError) as caught:
            load_strategy(spec, wrong=1)
        assert caught.value.code == "STRATEGY_PARAM_UNKNOWN"
    with pytest.raises(StrategyError, match="Did you mean 'level'"):
        load_strategy(f"{mine}:Free", levle=1)
    with pytest.raises(UnknownNameError):
        load_strategy("nothing", wrong=1)


@pytest.mark.parametrize("name", ["my-idea", "my_idea", "MyIdea", "My Idea"])
def test_template_names(name: str, tmp_path: Path) -> None:
    source, test = new_strategy(name, tmp_path / "new" / "folder")
    assert (source.name, test.name) == ("my_idea.py", "test_my_idea.py")
    assert "class MyIdea(Strategy)" in source.read_text()
    assert load_strategy(f"{source}:MyIdea").name == "my-idea"


def test_template_test_passes_and_is_clean(tmp_path: Path) -> None:
    paths = new_strategy("fresh-start", tmp_path)
    run = subprocess.run(
        [*forked(), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(paths[1])],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout
    lint = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--no-cache",
            "--config",
            str(ROOT / "pyproject.toml"),
            str(paths[0]),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout


@pytest.mark.parametrize("name", ["", "2fast", "class", "a.b", "../up", "-"])
def test_impossible_template_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StrategyError) as caught:
        new_strategy(name, tmp_path)
    assert caught.value.code == "STRATEGY_NAME"
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "test_my_idea.py").write_text("mine\n")
    with pytest.raises(StrategyError) as caught:
        new_strategy("my-idea", tmp_path)
    assert caught.value.code == "STRATEGY_EXISTS"
    assert [path.name for path in tmp_path.iterdir()] == ["test_my_idea.py"]


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StrategyError) as caught:
        new_strategy("my-idea", tmp_path / "file" / "below")
    assert caught.value.code == "STRATEGY_FOLDER"
