"""What was learned, what of it is in force, and what refusing was worth; a person decides about sets here."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel

from twinstep.dashboard.charts import span
from twinstep.dashboard.deciding import ApproveSet, Deciding, RejectSet, RollBack, SetNumber
from twinstep.dashboard.drawn import Draw
from twinstep.dashboard.reading import Reader
from twinstep.dashboard.reading_learning import read_ledger, read_parameters

__all__ = ["pages"]

Source = Literal["live", "paper", "backtest"]


class Decided(BaseModel):
    """What became of a form."""

    done: bool
    says: str
    code: str = ""


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
        return draw("learning.html.j2", {**values, "span": span})

    @found.get("/learning/parameters")
    def parameters() -> Any:
        return draw("learning_live.html.j2", {"learning": read_parameters(reader)})

    found.include_router(_decisions(Deciding(reader)))
    return found


def _decisions(deciding: Deciding) -> APIRouter:
    decisions = APIRouter(prefix="/do/parameters", default_response_class=JSONResponse)

    @decisions.post("/roll-back")
    def roll_back(form: RollBack) -> Decided:
        return Decided(**deciding.roll_back(form))

    @decisions.post("/{number}/approve")
    def approve_set(number: SetNumber, form: ApproveSet) -> Decided:
        return Decided(**deciding.approve(number, form))

    @decisions.post("/{number}/reject")
    def reject_set(number: SetNumber, form: RejectSet) -> Decided:
        return Decided(**deciding.reject(number, form))

    return decisions
