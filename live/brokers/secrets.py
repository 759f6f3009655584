"""What is secret stays so: values that do not show themselves, and a sieve for every text that leaves.

A `Secret` is a text that a library can use like any other, while its repr and its pickle say nothing. That is
not enough, because libraries put keys into headers, log what they send, and write addresses with tokens into
their errors. So every secret that is loaded is known here, and `scrub` takes it out of any text, in the forms
in which it may appear (as JSON, in an address, in base64). `guard_output`, which loading calls, puts that
sieve in front of every log record and every traceback that nobody caught.

Texts shorter than eight characters are not sought: they would tear holes into ordinary words.
"""

from __future__ import annotations

import base64
import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, quote_plus

__all__ = ["HIDDEN", "Secret", "forget", "guard_output", "remember", "scrub", "scrubbed"]

HIDDEN: Final = "***"

SHORTEST: Final = 8
"""Characters from which a secret is sought in texts."""

_forms: tuple[str, ...] = ()
_lock = threading.Lock()
_guarded: list[bool] = []


class Secret(str):
    """A text that shows stars where it is looked at, copied to disk or sent to another process."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{HIDDEN}'"

    def __reduce_ex__(self, protocol: Any) -> tuple[object, ...]:
        """Pickle as stars; whoever needs the value loads it again."""
        return (Secret, (HIDDEN,))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


def remember(values: Iterable[str]) -> None:
    """Seek these values in every text from now on, for as long as the process lives."""
    global _forms
    found = {form for value in values if len(value) >= SHORTEST for form in _shapes(str(value))}
    with _lock:
        # the longest first, so that a secret within a longer one does not leave the rest of it
        _forms = tuple(sorted({*_forms, *found}, key=len, reverse=True))


def forget() -> None:
    """Seek nothing any more: for a test that must leave others alone."""
    global _forms
    with _lock:
        _forms = ()


def scrub(text: str) -> str:
    """Return a text with stars in place of every secret that was loaded."""
    for form in _forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    return text


def scrubbed(value: Any) -> Any:
    """Return a value of dicts, lists and texts, as JSON has them, with every text in it scrubbed."""
    if not _forms:
        return value
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {name: scrubbed(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrubbed(one) for one in value]
    return value


def guard_output() -> None:
    """Scrub every log record, and every traceback that ends a thread or the process; once per process.

    What is there already is called as before, with a scrubbed text. A debugger and a core dump see all.
    """
    with _lock:
        if _guarded:
            return
        _guarded.append(True)
    make = logging.getLogRecordFactory()

    def record(*args: Any, **given: Any) -> logging.LogRecord:
        made = make(*args, **given)
        if _forms:
            _scrub_record(made)
        return made

    logging.setLogRecordFactory(record)
    _guard_hooks()


def _scrub_record(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except Exception:  # arguments that do not fit the message: logging itself reports that, on stderr
        message = f"{record.msg} {record.args}"
    clean = scrub(message)
    if clean != message:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[0] is not None:
        text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        clean = scrub(text)
        if clean != text:
            # formatters show this text in place of the error's own
            record.exc_text, record.exc_info = clean, None
    if record.stack_info:
        record.stack_info = scrub(record.stack_info)


def _guard_hooks() -> None:
    shown = sys.excepthook
    ended = threading.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        clean = scrub(text)
        if clean == text:
            shown(kind, error, trace)
        else:
            sys.stderr.write(clean)

    def end(args: threading.ExceptHookArgs) -> None:
        text = "".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback))
        clean = scrub(text)
        if clean == text:
            ended(args)
        else:
            sys.stderr.write(clean)

    sys.excepthook = show
    threading.excepthook = end


def _shapes(value: str) -> set[str]:
    """Return the forms in which a value may appear in a text."""
    coded = base64.b64encode(value.encode()).decode("ascii").rstrip("=")
    shown = {value, json.dumps(value)[1:-1], quote(value, safe=""), quote(value), quote_plus(value)}
    return {*shown, repr(str(value))[1:-1], coded}
