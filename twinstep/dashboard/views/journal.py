"""The journal: a year of days, a search, one trade, and what a person writes down about it.

What is written goes through the journal's own commands, as from the command line: it is stored where nobody
else holds the journal, else left in its inbox for whoever does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, HTTPException, Query
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import Field

from journal.performance.mistakes import MistakeCategory
from simulator.errors import JournalError, TwinstepError
from twinstep.dashboard.charts.trade import NARROW, WIDTH, trade_chart
from twinstep.dashboard.doing.acting import Acting
from twinstep.dashboard.doing.forms import Form, Said, Text, Words, said
from twinstep.dashboard.drawn import Draw
from twinstep.dashboard.reading import journal as reading
from twinstep.dashboard.reading.journal import OUTCOMES, Filters, Key
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.reading.trade import is_there, trade_view
from twinstep.dashboard.words import stamp
from twinstep.journals import Place, leave, writing

__all__ = ["pages"]

_LARGEST: Final = 2**63 - 1
_FIRST_YEAR: Final = 1678
_LAST_YEAR: Final = 2261
"""Years that UTC nanoseconds can hold whole."""
_UNREADABLE: Final = (sqlite3.Error, OSError, TwinstepError)
_MAIN: Final = {"page": "/journal"}

Number = Annotated[int, InPath(ge=1, le=_LARGEST)]
# SQLite ends a text at its first NUL
Sought = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
Short = Annotated[str, Query(max_length=80, pattern=r"^[^\x00]*$")]
DayText = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
YearText = Annotated[str, Query(pattern=r"^(\d{4})?$")]
KeyText = Annotated[str, Query(pattern=r"^(o\.\d{1,19}|c\.-?\d{1,19}\.\d{1,19})?$")]
Source = Literal["", "live", "paper", "backtest", "all"]
Outcome = Literal["", "open", "closed", "win", "loss", "even"]


class LessonForm(Form):
    """What a trade taught."""

    lesson: Words


class NoteForm(Form):
    """What is to be remembered of a trade."""

    note: Words


class TagForm(Form):
    """A word to find a trade by."""

    tag: Annotated[str, Field(max_length=80, pattern=r"\S")]


class MistakeForm(Form):
    """A mistake that was made in a trade."""

    category: MistakeCategory
    description: Text = ""


def pages(reader: Reader, draw: Draw) -> APIRouter:
    """Return the pages "journal" and "trade", the trade's fragment, and the forms about a trade."""
    found = APIRouter(default_response_class=HTMLResponse)

    @found.get("/journal")
    def journal(
        q: Sought = "", symbol: Short = "", strategy: Short = "", tag: Short = "", outcome: Outcome = "",
        since: DayText = "", until: DayText = "", source: Source = "", year: YearText = "",
        after: KeyText = "",
    ) -> Any:  # fmt: skip
        chosen = Filters(
            source=source, words=q.strip(), symbol=symbol.strip().upper(), strategy=strategy.strip(),
            tag=tag.strip(), outcome=outcome, first=_day("since", since), last=_day("until", until),
        )  # fmt: skip
        values = _listed(reader, chosen, _year(year), _key(after))
        return draw("journal.html.j2", {**_MAIN, **values, "now": reader.now(), "outcomes": OUTCOMES})

    def shown(template: str, number: int, more: Callable[[], Mapping[str, Any]]) -> Any:
        try:
            view, problem = trade_view(reader, number), ""
        except _UNREADABLE as error:
            view, problem = None, _why(reader, error)
        values = {"view": view, "problem": problem, "number": number, "categories": list(MistakeCategory)}
        charts = () if view is None else tuple(trade_chart(view, width) for width in (WIDTH, NARROW))
        text = draw(template, {**values, "charts": tuple(filter(None, charts)), **more()})
        return HTMLResponse(text, 404 if view is None and not problem else 200)

    @found.get("/trades/{number}")
    def trade(number: Number) -> Any:
        return shown("trade.html.j2", number, lambda: {**_MAIN, "now": reader.now()})

    @found.get("/trades/{number}/live")
    def trade_fragment(number: Number) -> Any:
        return shown("trade_live.html.j2", number, dict)

    found.include_router(_forms(reader))
    return found


def _forms(reader: Reader) -> APIRouter:
    forms, acting = APIRouter(prefix="/do/trades", default_response_class=JSONResponse), Acting(reader)

    def send(number: int, form: Form, name: str, values: Mapping[str, Any], stored: str) -> Said:
        try:
            there = is_there(reader, number)
        except _UNREADABLE as error:
            return Said(done=False, says=_why(reader, error))
        if not there:
            raise HTTPException(404, f"no trade {number} in this journal")
        arguments = {"trade_id": number, **values}
        return said(acting.once(form, lambda: _write(reader, name, arguments, stored), number))

    @forms.post("/{number}/lesson", response_model=Said)
    def lesson(number: Number, form: LessonForm) -> Said:
        return send(number, form, "add_lesson", {"lesson": form.lesson}, "The lesson is stored.")

    @forms.post("/{number}/note", response_model=Said)
    def note(number: Number, form: NoteForm) -> Said:
        dated = f"{stamp(datetime.now(UTC).replace(microsecond=0))}: {form.note}"
        return send(number, form, "add_note", {"note": dated}, "The note is stored.")

    @forms.post("/{number}/tag", response_model=Said)
    def tag(number: Number, form: TagForm) -> Said:
        return send(number, form, "add_tag", {"tag": form.tag}, "The tag is stored.")

    @forms.post("/{number}/mistake", response_model=Said)
    def mistake(number: Number, form: MistakeForm) -> Said:
        values = {"mistake_category": form.category.value, "description": form.description}
        return send(number, form, "add_mistake", values, "The mistake is stored.")

    return forms


def _write(reader: Reader, name: str, arguments: Mapping[str, Any], stored: str) -> str:
    """Call a command of the journal, or leave it for the process that holds the journal."""
    with writing(Place(str(reader.journal), "live")) as journal:
        try:
            journal.apply(name, arguments)
        except JournalError as error:
            if error.code != "JOURNAL_LOCKED":
                raise
            leave(journal, name, arguments)
            return "Another process writes to the journal: left in its inbox, stored when that takes it."
    return stored


def _listed(reader: Reader, chosen: Filters, year: int | None, after: Key | None) -> dict[str, Any]:
    """Return what the journal page shows; what cannot be read is a problem in words, and nothing else."""
    values: dict[str, Any] = {
        "filters": chosen, "known": None, "year": None, "trades": [], "next": None, "problem": "",
        "first_page": after is None,
    }  # fmt: skip
    try:
        known = values["known"] = reading.known(reader)
        if not chosen.source:
            # sources are never mixed unasked
            source = next((one for one in ("live", "paper", "backtest") if one in known.sources), "live")
            chosen = values["filters"] = replace(chosen, source=source)
        values["year"] = reading.year(reader, chosen, year)
        values["trades"], values["next"] = reading.page(reader, chosen, after)
    except _UNREADABLE as error:
        values["problem"] = _why(reader, error)
    return values


def _why(reader: Reader, error: Exception) -> str:
    if not reader.journal.exists():
        name = reader.journal.name
        return f"The journal {name} is not there yet; the first session or logged trade begins it."
    if "interrupted" in str(error):
        return "The journal took too long to answer; ask for less, a symbol or some days for instance."
    return f"The journal {reader.journal.name} cannot be read: {error}"


def _day(name: str, text: str) -> date | None:
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise HTTPException(422, f"{name} is no day of the calendar") from None
    _check_year(found.year)
    return found


def _year(text: str) -> int | None:
    return _check_year(int(text)) if text else None


def _check_year(year: int) -> int:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise HTTPException(422, f"years are {_FIRST_YEAR} to {_LAST_YEAR}")
    return year


def _key(text: str) -> Key | None:
    if not text:
        return None
    numbers = [int(part) for part in text.split(".")[1:]]
    if any(abs(number) > _LARGEST for number in numbers):
        raise HTTPException(422, "after is the key of no trade")
    return Key(None if text[0] == "o" else numbers[0], numbers[-1])
