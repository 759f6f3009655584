"""The house itself: packages, exports, start-up, the README, and what must never appear."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.forked import COMMANDS, forked

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("simulator", "strategies", "journal", "optimize", "live", "twinstep")
HEAVY = ("numba", "pandas", "pyarrow", "exchange_calendars", "jinja2", "yfinance")


def run(code: str, folder: Path, *, python: Sequence[str] = (sys.executable,)) -> str:
    """Run Python in a process of its own in an empty folder, with this checkout importable."""
    done = subprocess.run(
        [*python, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_snippet_of_the_readme_runs(tmp_path: Path) -> None:
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) == 1
    lines = [line for line in snippets[0].splitlines() if line.strip()]
    assert len(lines) <= 12
    assert "total return" in run(snippets[0], tmp_path, python=forked()).lower()
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_the_readme_names_how_to_start() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for needed in ("make demo", "make test", "](docs/index.md)"):
        assert needed in text
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / link).is_file(), link


@pytest.mark.parametrize("name", ["quickstart", "trailing", "on_bar", "premium", "scan", "demo"])
def test_every_example_runs(name: str, tmp_path: Path) -> None:
    script = ROOT / "examples" / f"{name}.py"
    code = f"import runpy; sys.argv = [{name!r}]; runpy.run_path({str(script)!r}, run_name='__main__')"
    assert len(run(code, tmp_path, python=forked()).splitlines()) > 3


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed_and_says_what_lives_there(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    module = importlib.import_module(package)
    assert module.__doc__
    assert len(module.__doc__.split()) > 15


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_a_package_offers_can_be_imported(package: str) -> None:
    module = importlib.import_module(package)
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    space: dict[str, object] = {}
    exec(f"from {package} import *", space)  # noqa: S102 - the statement is the test
    assert set(names) <= set(space)


def test_no_module_hides_a_name_that_its_package_offers(tmp_path: Path) -> None:
    """Importing a submodule sets its name in the package, over the function of that name."""
    code = f"""
import importlib, pkgutil, types
for name in {PACKAGES!r}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    hidden = [one for one in package.__all__ if isinstance(getattr(package, one), types.ModuleType)]
    print(name, *hidden)
"""
    assert run(code, tmp_path, python=forked()).split() == list(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_nothing_heavy(package: str, tmp_path: Path) -> None:
    loaded = run(f"import {package}; print(*sys.modules)", tmp_path).split()
    assert not set(HEAVY) & set(loaded)


@pytest.mark.parametrize("line", ["--help", "backtest --help", "config init", "config check", "--version"])
def test_commands_without_a_kernel_import_nothing_heavy(line: str, tmp_path: Path) -> None:
    (tmp_path / "twinstep.toml").write_text("[account]\ncash = 5.0\n", encoding="utf-8")
    arguments = [*line.split(), *(["--force"] if "init" in line else [])]
    code = f"from twinstep.cli import run\nassert run({arguments!r}) == 0\nprint('::', *sys.modules)"
    # whoever forks has only what every command has, or this would find it too
    loaded = run(code, tmp_path, python=forked(COMMANDS)).rpartition("::")[2].split()
    assert "typer" in loaded
    assert not set(HEAVY) & set(loaded)


def test_help_comes_quickly() -> None:
    took = [9.9]
    while min(took) >= 1.0 and len(took) < 6:
        began = os.times()
        command = [sys.executable, "-m", "twinstep", "--help"]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        ended = os.times()
        took.append(ended.children_user + ended.children_system - began.children_user - began.children_system)
    # half a second on an idle machine, nearly all of it computing, which other tests beside slow down least
    assert min(took) < 1.0, took


def test_the_kernel_uses_nothing_that_changes_numbers_or_defeats_the_cache() -> None:
    forbidden = re.compile(r"fastmath\s*=\s*(True|\{|\[|set)|jitclass|parallel\s*=\s*True")
    for file in (ROOT / "simulator" / "kernel").glob("*.py"):
        found = forbidden.search(file.read_text(encoding="utf-8"))
        assert found is None, f"{file.name}: {found.group(0) if found else ''}"


def test_nothing_belongs_to_one_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = re.compile(r"(?<![\w./])/(home|root|Users)/[a-z]")
    for name in listed.stdout.split("\n"):
        file = ROOT / name
        if (
            file.is_file()
            and file.suffix in (".py", ".md", ".toml", ".txt", "", ".yml")
            and file != Path(__file__)
        ):
            assert paths.search(file.read_text(encoding="utf-8", errors="replace")) is None, name


def test_constraints_pin_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", pin) for pin in pins)
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    names = {re.match(r"[A-Za-z0-9_.-]+", r).group(0).lower().replace("_", "-") for r in wanted}  # type: ignore[union-attr]  # every requirement starts with a name
    assert names - {"twinstep"} <= pinned


@pytest.mark.parametrize("target", ["demo", "test", "lint", "validate", "bench", "docs", "clean", "help"])
def test_make_knows_its_targets(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
