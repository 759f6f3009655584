"""No call to a broker without an end: what a library does not limit itself is limited here.

Some libraries wait for ever where a broker accepts a connection and says nothing. `within` makes any call on
a thread of its own and stops waiting for it; `limited` gives a session of `requests` a limit for every
request that brings none.

A call that is given up cannot be taken back: it may still do what it was to do, so an order whose submit runs
into this is UNRESOLVED, never refused. What it answers later is thrown away.

>>> within(1.0, lambda: 2 + 2, what="adding")
4
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from simulator.errors import ConfigError, TwinstepError

__all__ = ["CALL_SECONDS", "CallTimeout", "limited", "within"]

CALL_SECONDS: Final = 10.0
"""How long a call may take where nothing else is said."""

_Answer = TypeVar("_Answer")


class CallTimeout(TwinstepError, TimeoutError):
    """A call that did not return in time; whether it did what it was to do is not known."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="LIVE_TIMEOUT")

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling."""
        return (CallTimeout, (self.args[0],))


def within(seconds: float, call: Callable[[], _Answer], *, what: str = "a call to the broker") -> _Answer:
    """Return what `call` returns, or raise what it raises, if it does so within `seconds`.

    Parameters
    ----------
    seconds
        Above 0, finite.
    call
        Runs on a thread of its own, so it must not need the thread of the caller.
    what
        Named in the error.

    Raises
    ------
    CallTimeout
        LIVE_TIMEOUT: it has not returned. The thread is left behind, and ends with the process at the latest.
    ConfigError
        LIVE_TIMEOUT_RANGE for a limit that is none.
    """
    limit = _checked(seconds)
    answers: list[_Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # raised again, where somebody waits for it
            errors.append(error)

    thread = threading.Thread(target=run, name=f"within: {what}", daemon=True)
    thread.start()
    thread.join(limit)
    if errors:
        raise errors[0]
    if answers:
        return answers[0]
    raise CallTimeout(
        f"{what} has not returned within {limit:g} s; whether it was done is not known. The likely cause is "
        "a network that drops packets, or a gateway that hangs"
    )


def limited(session: Any, seconds: float = CALL_SECONDS) -> Any:
    """Give every request of a `requests.Session` a limit where it brings none; returns the session.

    The limit is for connecting and for each silence, not for the whole answer; `within` limits the whole.

    Raises
    ------
    ConfigError
        LIVE_TIMEOUT_RANGE for a limit that is none.
    """
    limit = _checked(seconds)
    inner = session.request

    def request(*args: Any, **given: Any) -> Any:
        if given.get("timeout") is None:
            given["timeout"] = limit
        return inner(*args, **given)

    session.request = request
    return session


def _checked(seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds > 0.0):
        raise ConfigError(
            f"a call may take {seconds!r} seconds; it must be a finite number above 0",
            code="LIVE_TIMEOUT_RANGE",
        )
    return float(seconds)
