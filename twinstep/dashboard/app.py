"""Which address answers what: pages to read, fragments to refresh, a stream of news, and what a person does.

Reading is GET and changes nothing but the link of a login, which is used up. Everything that does something
is POST, as JSON, with a key by which it happens once. Pages are whole without a script; the script swaps the
fragments of a page when the stream says that something has changed.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from twinstep.dashboard.doing.acting import Acting
from twinstep.dashboard.doing.forms import Form, Name, Reason, Said, Text, said
from twinstep.dashboard.door.guard import STREAM_PATH
from twinstep.dashboard.door.login import Doorman
from twinstep.dashboard.drawn import Draw, drawing
from twinstep.dashboard.news import News
from twinstep.dashboard.reading.reader import Reader
from twinstep.dashboard.views import VIEWS

__all__ = ["make_app"]

_HERE: Final = Path(__file__).parent


class NamedForm(Form):
    """A form in somebody's name."""

    by: Name = ""


class Kill(NamedForm):
    """Halt."""

    reason: Text = ""


class Arm(NamedForm):
    """End a halt."""

    reason: Annotated[str, Field(min_length=3, max_length=2000)]
    typed: Name


class Approve(NamedForm):
    """Say yes to an order; its symbol is typed."""

    typed: Name


class Reject(NamedForm):
    """Say no to an order."""

    reason: Reason


class Close(NamedForm):
    """Close a position; its symbol is typed."""

    session: Name
    symbol: Name
    typed: Name


RequestId = Annotated[str, Field(pattern=r"^R-[0-9a-f]{16}$")]


def make_app(reader: Reader, doorman: Doorman, news: News, *, cookie: Callable[[], str]) -> FastAPI:
    """Return the application, without its guard and without what keeps its fragments.

    Parameters
    ----------
    reader
        Looks.
    doorman
        Knows who is in.
    news
        Tells the streams.
    cookie
        Gives the name of the session's cookie.
    """
    app = FastAPI(title="Twinstep", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    draw = drawing()
    app.include_router(_logging_in(doorman, cookie, draw))
    for view in VIEWS:
        app.include_router(view.pages(reader, draw))
    app.include_router(_actions(Acting(reader)))
    app.include_router(_links(doorman))
    app.include_router(_news(news))
    app.add_exception_handler(404, _unknown(reader, draw))
    app.add_exception_handler(RequestValidationError, _misspelt)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    return app


def _logging_in(doorman: Doorman, cookie: Callable[[], str], draw: Draw) -> APIRouter:
    pages = APIRouter(default_response_class=HTMLResponse)

    @pages.get("/login", include_in_schema=False)
    def login(token: str = "") -> Any:
        if not token:
            return draw("login.html.j2", {"wrong": False})
        secret = doorman.open(token)
        if secret is None:
            return HTMLResponse(draw("login.html.j2", {"wrong": True, "wait": round(doorman.locked)}), 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(cookie(), secret, httponly=True, samesite="strict", path="/")
        return answer

    return pages


def _actions(acting: Acting) -> APIRouter:
    """Return what does something; FastAPI runs each in a thread, so that a slow disk stops no page."""
    actions = APIRouter(prefix="/do")

    @actions.post("/kill")
    def kill(form: Kill) -> Said:
        return said(acting.told(lambda: acting.kill(form.reason, form.by)))

    @actions.post("/arm")
    def arm(form: Arm) -> Said:
        return said(acting.once(form, lambda: acting.arm(form.reason, form.by, form.typed)))

    @actions.post("/requests/{request_id}/approve")
    def approve(request_id: RequestId, form: Approve) -> Said:
        return said(acting.once(form, lambda: acting.approve(request_id, form.by, form.typed), request_id))

    @actions.post("/requests/{request_id}/reject")
    def reject(request_id: RequestId, form: Reject) -> Said:
        return said(acting.once(form, lambda: acting.reject(request_id, form.reason, form.by), request_id))

    @actions.post("/close")
    def close(form: Close) -> Said:
        return said(acting.once(form, lambda: acting.close(form.session, form.symbol, form.typed)))

    return actions


def _links(doorman: Doorman) -> APIRouter:
    links = APIRouter()

    @links.post("/do/link")
    def link(request: Request) -> dict[str, str]:
        """Return an address that logs in whoever follows it first; for programs, which have the token."""
        if getattr(request.state, "session", None) is not None:
            raise HTTPException(403, "links are for the terminal")
        return {"link": f"{str(request.base_url).rstrip('/')}/login?token={doorman.link()}"}

    return links


def _news(told: News) -> APIRouter:
    news = APIRouter()

    @news.get(STREAM_PATH, include_in_schema=False)
    async def events() -> StreamingResponse:
        return StreamingResponse(told.stream(), media_type="text/event-stream")

    @news.get("/health")
    def health() -> JSONResponse:
        return JSONResponse({"ok": True})

    return news


async def _misspelt(_: Request, error: Exception) -> Response:
    """Say what is wrong with a form, without what was sent: it need not be text that can be sent back."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    told = [{"loc": [*map(str, one["loc"])], "msg": one["msg"], "type": one["type"]} for one in found]
    return Response(json.dumps({"detail": told}), 422, media_type="application/json")


def _unknown(reader: Reader, draw: Draw) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return what answers for a path that is none: a page for people, JSON for programs."""

    async def answer(request: Request, error: Exception) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"detail": getattr(error, "detail", "Not Found")}, 404)
        now = await run_in_threadpool(reader.now)
        return HTMLResponse(draw("unknown.html.j2", {"page": "", "now": now, "path": request.url.path}), 404)

    return answer
