"""Runs configurations in a process of its own, with `NUMBA_DISABLE_JIT=1`.

Arguments: a file of shapes, a file for the answers of every driver, and the same two for a kernel in which
one rule is replaced by a wrong one, so that a test can show that the comparison notices.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.kernel._jit import jit_disabled
from tests.simulator.kernel.drivers import DRIVERS, Answer
from tests.simulator.kernel.generate import Shape, build

__all__ = ["load", "write_shapes"]


def write_shapes(path: Path, shapes: Sequence[Shape]) -> None:
    """Store shapes for another process."""
    path.write_text(json.dumps([dataclasses.asdict(shape) for shape in shapes]))


def load(path: Path) -> list[dict[str, Answer]]:
    """Return the stored answers by configuration and driver."""
    answers: list[dict[str, Answer]] = []
    with np.load(path) as archive:
        for key in archive.files:
            index, driver, name = key.split("|")
            while len(answers) <= int(index):
                answers.append({})
            stored = archive[key]
            value = stored.tobytes() if stored.dtype == np.uint8 else stored
            answers[int(index)].setdefault(driver, {})[name] = value
    return answers


def _mutate() -> None:
    # A trail that follows its peak at nine tenths of the distance, wherever the kernel asks for it.
    from simulator.kernel import positions, stops

    right: Callable[..., float] = stops.trail_from

    def wrong(position: Any, peak: float) -> float:
        return peak - 0.9 * (peak - right(position, peak))

    for module in (positions, stops):
        module.trail_from = wrong  # type: ignore[attr-defined]


def _answer(shapes: str, answers: str) -> None:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for index, given in enumerate(json.loads(Path(shapes).read_text())):
        configuration = build(Shape(**given))
        for driver, run in DRIVERS.items():
            for name, value in run(configuration).items():
                array = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value
                arrays[f"{index}|{driver}|{name}"] = array
    np.savez(answers, **arrays)  # type: ignore[arg-type]


def main(shapes: str, right: str, trailing: str, wrong: str) -> None:
    assert jit_disabled()
    _answer(shapes, right)
    _mutate()
    _answer(trailing, wrong)


if __name__ == "__main__":
    main(*sys.argv[1:])
