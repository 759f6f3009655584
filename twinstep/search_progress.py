"""How far a search is: a bar on a terminal, and what a person is told who stops it with Ctrl-C."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from twinstep.console import note, progress_bar

__all__ = ["Far", "stoppable"]


class Tell(Protocol):
    """Takes what is finished, how many there are in all, and the best figure so far."""

    def __call__(self, done: int, total: int, best: float = math.nan) -> None:
        """Remember and draw it."""
        ...


@dataclass
class Far:
    """What was told last: what is finished, how many there are in all, and the best figure, NaN without."""

    done: int = 0
    total: int = 0
    best: float = math.nan


@contextmanager
def stoppable(text: str, remark: Callable[[Far], str]) -> Iterator[Tell]:
    """Give a function to tell how far it is.

    Parameters
    ----------
    text
        What is counted, as "trials".
    remark
        What is said when the search is stopped: what is kept, and how to go on.
    """
    far = Far()
    try:
        with progress_bar(text) as draw:

            def tell(done: int, total: int, best: float = math.nan) -> None:
                far.done, far.total, far.best = done, total, best
                if draw is not None:
                    draw(done, total, best)

            yield tell
    except KeyboardInterrupt:
        # here the bar is gone from the terminal
        note(remark(far))
        raise
