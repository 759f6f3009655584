"""The dashboard as a server: a thread that answers on this machine, between `start` and `stop`.

>>> from twinstep.dashboard import Dashboard
>>> with Dashboard("trade_journal.db") as dashboard:   # doctest: +SKIP
...     print(dashboard.link())
http://127.0.0.1:8417/login?token=...

It listens on 127.0.0.1. Any other address has to be asked for together with the names under which browsers
will call it: then something in front has to encrypt, for the cookie travels in every request.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from live.serving import ServerThread, is_loopback, listen, own_names, shown
from simulator.errors import ConfigError, EngineError, MissingExtraError

__all__ = ["TOKEN_FILE", "Dashboard"]

TOKEN_FILE: Final = "dashboard.token"  # noqa: S105 - a file's name
"""In the folder of the kill switch: the address, and what programs show as `Authorization: Bearer`."""


class Dashboard:
    """Serves the pages of one journal.

    Parameters
    ----------
    journal
        Path of the journal; it may not be there yet.
    folder
        Of kill switch and review queue; beside the journal by default.
    session
        Name of the session to show; by default the one that was stepped last.
    host, port
        Where to listen; port 0 takes a free one.
    allow_hosts
        Further names (or name:port) that the Host header may have. Needed, and the sign that it is meant,
        where `host` is not an address of this machine alone.

    Raises
    ------
    MissingExtraError
        DASHBOARD_EXTRA without fastapi, jinja2 and uvicorn.
    ConfigError
        DASHBOARD_HOST for another address without `allow_hosts`; DASHBOARD_PORT where nothing can listen.
    """

    def __init__(
        self,
        journal: str | os.PathLike[str],
        *,
        folder: str | os.PathLike[str] | None = None,
        session: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_hosts: Sequence[str] = (),
    ) -> None:
        _require_extra()
        from twinstep.dashboard.app import make_app
        from twinstep.dashboard.door.guard import Guard
        from twinstep.dashboard.door.login import Doorman
        from twinstep.dashboard.door.patience import ImpatientProtocol
        from twinstep.dashboard.kept import Kept
        from twinstep.dashboard.news import News
        from twinstep.dashboard.reading.reader import Reader

        if not is_loopback(host) and not allow_hosts:
            raise ConfigError(
                f"{host} is reachable from other machines, and whoever listens could log in: put TLS in "
                "front and name the host under which browsers call (--allow-host), or listen on 127.0.0.1",
                code="DASHBOARD_HOST",
            )
        self.host = host
        self._wanted_port, self._port, self._names = port, 0, tuple(allow_hosts)
        self._hosts: set[str] = set()
        self.reader = Reader(Path(journal), None if folder is None else Path(folder), session)
        self.doorman = Doorman()
        self.news = News(self.reader.version)
        self.app: Any = make_app(self.reader, self.doorman, self.news, cookie=self.cookie)
        self.fragments = Kept(self.app, self.reader, self.news)
        guard = Guard(self.fragments, self.doorman, hosts=self._hosts, cookie=self.cookie)
        self._served = ServerThread(
            guard, name="dashboard", code="DASHBOARD_STARTED", ws="none", http=ImpatientProtocol
        )

    @property
    def port(self) -> int:
        """Port that is listened on; 0 before the start."""
        return self._port

    @property
    def url(self) -> str:
        """Address of the first page."""
        return f"http://{shown(self.host)}:{self.port}"

    @property
    def serving(self) -> bool:
        """Whether the server's thread lives."""
        return self._served.alive

    def cookie(self) -> str:
        """Return the name of the cookie: browsers send cookies to every port of a host."""
        return f"twinstep_{self.port}"

    def link(self) -> str:
        """Return an address that logs in whoever follows it first."""
        return f"{self.url}/login?token={self.doorman.link()}"

    def start(self) -> Dashboard:
        """Listen and answer; returns when it does."""
        if self._port:
            raise EngineError("the dashboard has been started already", code="DASHBOARD_STARTED")
        listening = listen(self.host, self._wanted_port, code="DASHBOARD_PORT")
        self._port = int(listening.getsockname()[1])
        self._hosts.update(own_names(self.host, self.port, self._names))
        self.doorman.write_token(self.token_file, self.url)
        self._served.start(listening)
        # the first look imports what reads a journal; whoever follows the link need not wait for that
        threading.Thread(target=self._look, name="twinstep-dashboard-first-look", daemon=True).start()
        return self

    def _look(self) -> None:
        from twinstep.dashboard.reading.desk import desks_of

        desks_of(self.reader).read(self.reader.now())

    def stop(self) -> None:
        """End all connections, and wait until that is done."""
        self.news.end()
        self._served.stop()
        self.token_file.unlink(missing_ok=True)

    @property
    def token_file(self) -> Path:
        """Where the token for programs lies while the dashboard serves."""
        return self.reader.folder / TOKEN_FILE

    def __enter__(self) -> Dashboard:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Dashboard({self.url}, {self.reader.journal})"


def _require_extra() -> None:
    try:
        import fastapi  # noqa: F401
        import jinja2  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"the dashboard needs {error.name}, which is not installed: pip install 'twinstep[dashboard]'",
            code="DASHBOARD_EXTRA",
        ) from error
