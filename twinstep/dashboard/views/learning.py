"""What was learned, what of it is in force, and what refusing was worth; a person decides about sets here."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse

from twinstep.dashboard.charts.figures import span
from twinstep.dashboard.doing.deciding import ApproveSet, Deciding, RejectSet, RollBack, SetNumber
from twinstep.dashboard.doing.forms import Said, said
from twinstep.dashboard.drawn import Draw
from twinstep.dashboard.reading.learning import read_ledger, read_parameters
from twinstep.dashboard.reading.reader import Reader

__all__ = ["pages"]

Source = Literal["live", "paper", "backtest"]


def pages(reader: Reader, draw: Draw) -> APIRouter:
    """Return the page "learning", its fragment that changes by itself, and what decides about sets."""
    found = APIRouter(default_response_class=HTMLResponse)

    @found.get("/learning")
    def learning(source: Source | None = None) -> Any:
        now = reader.now()
        values = {
            "page": "/learning",
            "now": now,
            "learning": read_parameters(reader),
            "ledger": read_ledger(reader, real=now.real, source=source),
        }
        return draw("learning.html.j2", {**values, "span": span, "journal": reader.journal.name})

    @found.get("/learning/parameters")
    def parameters() -> Any:
        return draw("learning_live.html.j2", {"learning": read_parameters(reader)})

    found.include_router(_decisions(Deciding(reader)))
    return found


def _decisions(deciding: Deciding) -> APIRouter:
    decisions = APIRouter(prefix="/do/parameters", default_response_class=JSONResponse)

    @decisions.post("/roll-back")
    def roll_back(form: RollBack) -> Said:
        return said(deciding.roll_back(form))

    @decisions.post("/{number}/approve")
    def approve_set(number: SetNumber, form: ApproveSet) -> Said:
        return said(deciding.approve(number, form))

    @decisions.post("/{number}/reject")
    def reject_set(number: SetNumber, form: RejectSet) -> Said:
        return said(deciding.reject(number, form))

    return decisions
