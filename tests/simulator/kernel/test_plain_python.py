"""Without the JIT the step answers with the same bytes; a wrong rule in one of the two is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given

import simulator
from simulator.kernel import codes
from simulator.kernel._jit import jit_disabled
from tests.budget import many_or_few
from tests.simulator.kernel.draws import drawn
from tests.simulator.kernel.drivers import DRIVERS, by_backtest, difference
from tests.simulator.kernel.generate import Shape, build, shapes
from tests.simulator.kernel.plain_python import load, write_shapes

EXAMPLES = many_or_few(60, 15)
ROOT = Path(simulator.__file__).parents[1]

pytestmark = pytest.mark.skipif(jit_disabled(), reason="compares the compiled kernel with the plain one")


@pytest.fixture(scope="module")
def small() -> list[Shape]:
    """Shapes with few bars, the same ones every time."""
    found: list[Shape] = []

    @drawn(EXAMPLES, EXAMPLES)
    @given(shapes(most_bars=50))
    def collect(shape: Shape) -> None:
        found.append(shape)

    collect()
    return found


@pytest.fixture(scope="module")
def elsewhere(small: list[Shape], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Answers of the plain kernel, and of one with a wrong trail to the shapes that trail."""
    folder = tmp_path_factory.mktemp("plain")
    files = [folder / name for name in ("shapes.json", "right.npz", "trailing.json", "wrong.npz")]
    write_shapes(files[0], small)
    write_shapes(files[2], [shape for shape in small if _trails(shape)])
    subprocess.run(
        [sys.executable, "-m", "tests.simulator.kernel.plain_python", *map(str, files)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=300,
    )
    return files[1], files[3]


@pytest.mark.thorough
def test_without_the_jit_every_driver_answers_with_the_bytes_of_the_compiled_one(
    small: list[Shape], elsewhere: tuple[Path, Path]
) -> None:
    fills = 0
    for shape, plain in zip(small, load(elsewhere[0]), strict=True):
        for name, driver in DRIVERS.items():
            compiled = driver(build(shape))
            found = difference(compiled, plain[name])
            assert not found, f"{name} of {shape}: {found}"
        fills += len(compiled["fills"])
    assert len(small) == EXAMPLES
    assert fills > many_or_few(200, 60)
    print(f"{len(small)} configurations, {fills} fills")


@pytest.mark.thorough
def test_a_wrong_trailing_rule_in_one_of_two_kernels_is_noticed(
    small: list[Shape], elsewhere: tuple[Path, Path]
) -> None:
    trailing = [shape for shape in small if _trails(shape)]
    assert len(trailing) >= many_or_few(5, 3)
    noticed = 0
    for shape, mutated in zip(trailing, load(elsewhere[1]), strict=True):
        found = {
            name: bool(difference(DRIVERS[name](build(shape)), answer)) for name, answer in mutated.items()
        }
        # a gap through both trails hides the difference, but then from every driver
        assert len(set(found.values())) == 1, f"{found} of {shape}"
        noticed += found["backtest"]
    assert noticed >= 0.8 * len(trailing)


def _trails(shape: Shape) -> bool:
    # whether a trail is what stopped a trade out, so that another trail must show
    fills = by_backtest(build(shape))["fills"]
    assert not isinstance(fills, bytes)
    return bool((fills["kind"] == codes.KIND_TRAIL).any())
