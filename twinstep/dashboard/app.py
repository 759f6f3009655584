"""Which address answers what: pages to read, fragments to refresh, a stream of news, and what a person does.

Reading is GET and changes nothing but the link of a login, which is used up. Everything that does something
is POST, as JSON, with a key by which it happens once. Pages are whole without a script; the script swaps the
fragments of a page when the stream says that something has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from twinstep.dashboard.acting import Acting
from twinstep.dashboard.drawn import Draw, drawing
from twinstep.dashboard.guard import STREAM_PATH
from twinstep.dashboard.login import Doorman
from twinstep.dashboard.reading import Reader
from twinstep.dashboard.views import VIEWS

__all__ = ["make_app"]

LOOK_SECONDS: Final = 0.5
"""How often the files are looked at for news."""
ALIVE_SECONDS: Final = 15.0
"""How often an idle stream says that it lives."""

_HERE: Final = Path(__file__).parent

Key = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Name = Annotated[str, Field(max_length=80)]
Text = Annotated[str, Field(max_length=2000)]


class Form(BaseModel):
    """What every form sends: its key, and in whose name."""

    model_config = ConfigDict(extra="forbid")

    key: Key
    by: Name = ""


class Kill(Form):
    """Halt."""

    reason: Text = ""


class Arm(Form):
    """End a halt."""

    reason: Annotated[str, Field(min_length=3, max_length=2000)]
    typed: Name


class Approve(Form):
    """Say yes to an order; its symbol is typed."""

    typed: Name


class Reject(Form):
    """Say no to an order."""

    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class Close(Form):
    """Close a position; its symbol is typed."""

    session: Name
    symbol: Name
    typed: Name


RequestId = Annotated[str, Field(pattern=r"^R-[0-9a-f]{16}$")]


class Said(BaseModel):
    """What became of a form."""

    done: bool
    says: str
    code: str = ""


def make_app(reader: Reader, doorman: Doorman, *, cookie: Callable[[], str]) -> FastAPI:
    """Return the application, without its guard.

    Parameters
    ----------
    reader
        Looks.
    doorman
        Knows who is in.
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
    app.include_router(_news(reader))
    app.add_exception_handler(404, _unknown(reader, draw))
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
        return _said(acting.once(form.key, lambda: acting.kill(form.reason, form.by)))

    @actions.post("/arm")
    def arm(form: Arm) -> Said:
        return _said(acting.once(form.key, lambda: acting.arm(form.reason, form.by, form.typed)))

    @actions.post("/requests/{request_id}/approve")
    def approve(request_id: RequestId, form: Approve) -> Said:
        return _said(acting.once(form.key, lambda: acting.approve(request_id, form.by, form.typed)))

    @actions.post("/requests/{request_id}/reject")
    def reject(request_id: RequestId, form: Reject) -> Said:
        return _said(acting.once(form.key, lambda: acting.reject(request_id, form.reason, form.by)))

    @actions.post("/close")
    def close(form: Close) -> Said:
        return _said(acting.once(form.key, lambda: acting.close(form.session, form.symbol, form.typed)))

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


def _news(reader: Reader) -> APIRouter:
    news = APIRouter()

    @news.get(STREAM_PATH, include_in_schema=False)
    async def events(request: Request) -> StreamingResponse:
        return StreamingResponse(_stream(reader, request), media_type="text/event-stream")

    @news.get("/health")
    def health() -> JSONResponse:
        return JSONResponse({"ok": True})

    return news


async def _stream(reader: Reader, request: Request) -> AsyncIterator[bytes]:
    """Say "changed" whenever a page would look different."""
    loop = asyncio.get_running_loop()
    yield b"retry: 2000\n\n"
    last, said = await run_in_threadpool(reader.version), loop.time()
    while not await request.is_disconnected():
        await asyncio.sleep(LOOK_SECONDS)
        version = await run_in_threadpool(reader.version)
        if version != last:
            last, said = version, loop.time()
            yield b"event: changed\ndata: {}\n\n"
        elif loop.time() - said > ALIVE_SECONDS:
            said = loop.time()
            yield b": alive\n\n"


def _unknown(reader: Reader, draw: Draw) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return what answers for a path that is none: a page for people, JSON for programs."""

    async def answer(request: Request, error: Exception) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"detail": getattr(error, "detail", "Not Found")}, 404)
        now = await run_in_threadpool(reader.now)
        return HTMLResponse(draw("unknown.html.j2", {"page": "", "now": now, "path": request.url.path}), 404)

    return answer


def _said(answer: dict[str, Any]) -> Said:
    return Said(**answer)
