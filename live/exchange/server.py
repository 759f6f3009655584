"""The exchange as a server: a thread that answers, between `start` and `stop`.

>>> from live.exchange import Exchange
>>> from live.feeds import ReplayFeed
>>> with Exchange.open(ReplayFeed("synthetic:2x30?seed=1"), cash=50_000) as exchange:
...     exchange.url.startswith("http://127.0.0.1:")
True

It listens on 127.0.0.1. Any other address has to be asked for together with the names under which clients
will call it, because that is a decision: then something in front has to encrypt, for the keys travel in every
request.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from live.serving import ServerThread, is_loopback, listen, own_names, shown
from simulator.errors import ConfigError, EngineError, MissingExtraError

if TYPE_CHECKING:
    from live.exchange.guard import Keys
    from live.exchange.market import Market
    from live.exchange.stream import Hub
    from live.feeds import Feed
    from live.venue import Venue
    from simulator.conventions import Conventions
    from simulator.costs import Costs

__all__ = ["Exchange"]

_MESSAGE_LIMIT: Final = 64 * 1024  # of what a client says on the stream


class Exchange:
    """Serves one venue to Alpaca clients.

    Parameters
    ----------
    venue
        The account and its orders.
    market
        What moves the venue's prices; started and stopped with the server.
    keys
        Pair of keys that opens it; None takes those of the environment, else makes a pair.
    host, port
        Where to listen; port 0 takes a free one.
    allow_hosts
        Further names (or name:port) that the Host header may have. Needed, and the sign that it is meant,
        where `host` is not an address of this machine alone.
    requests_per_minute
        Answer 429 beyond so many; None never does.

    Raises
    ------
    MissingExtraError
        EXCHANGE_EXTRA without starlette, uvicorn and websockets.
    ConfigError
        EXCHANGE_HOST for another address without `allow_hosts`; EXCHANGE_KEYS; EXCHANGE_PORT where nothing
        can listen there.
    """

    def __init__(
        self,
        venue: Venue,
        market: Market,
        *,
        keys: Keys | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_hosts: Sequence[str] = (),
        requests_per_minute: int | None = None,
    ) -> None:
        _require_extra()
        from live.exchange.app import make_app
        from live.exchange.desk import Desk
        from live.exchange.guard import Allowance, Guard, Keys
        from live.exchange.stream import Hub

        if not is_loopback(host) and not allow_hosts:
            raise ConfigError(
                f"{host} is reachable from other machines, and keys travel in the clear: put TLS in front "
                "and name the host under which clients call (--allow-host), or listen on 127.0.0.1",
                code="EXCHANGE_HOST",
            )
        self.venue = venue
        self.market = market
        self.keys = keys or Keys.of_environment()
        self.host = host
        self.hub: Hub = Hub(self.keys)
        self._names = tuple(allow_hosts)
        self._hosts: set[str] = set()
        self.desk = Desk(venue, market, self.hub)
        self.guard = Guard(
            make_app(self.desk),
            keys=self.keys,
            hosts=self._hosts,
            allowance=None if requests_per_minute is None else Allowance(requests_per_minute),
        )
        self._wanted_port = port
        self._port = 0
        self._served = ServerThread(
            self.guard, name="exchange", code="EXCHANGE_STARTED", bind=self.hub.bind, ws="websockets-sansio",
            ws_max_size=_MESSAGE_LIMIT, ws_per_message_deflate=False, timeout_keep_alive=75,
        )  # fmt: skip

    @classmethod
    def open(
        cls,
        feed: Feed,
        *,
        cash: float = 100_000.0,
        costs: Costs | None = None,
        conventions: Conventions | str = "realistic",
        path: str | Path | None = None,
        manual: bool = False,
        **others: Any,
    ) -> Exchange:
        """Build venue, market and server for a feed; not started yet.

        Parameters
        ----------
        feed
            Where bars come from.
        path
            File that the venue keeps its orders in; what is in it goes on.
        manual
            Whether prices move only when `market.step` or `/twinstep/step` says so.
        others
            As of the class.
        """
        from live.exchange.market import Market

        market = Market.open(feed, cash=cash, costs=costs, conventions=conventions, path=path, manual=manual)
        return cls(market.venue, market, **others)

    @property
    def port(self) -> int:
        """Port that is listened on; 0 before the start."""
        return self._port

    @property
    def url(self) -> str:
        """Base address for a trading client: alpaca-py's `url_override`."""
        return f"http://{shown(self.host)}:{self.port}"

    @property
    def stream_url(self) -> str:
        """Address of the stream of trade updates."""
        return f"ws://{shown(self.host)}:{self.port}/stream"

    @property
    def serving(self) -> bool:
        """Whether the server's thread lives."""
        return self._served.alive

    @property
    def orders(self) -> int:
        """Orders that the venue has taken, from this start on; children and legs are not counted."""
        return self.desk.orders

    def start(self) -> Exchange:
        """Listen, answer, and let the market run; returns when it does."""
        if self._port:
            raise EngineError("the exchange has been started already", code="EXCHANGE_STARTED")
        listening = listen(self.host, self._wanted_port, code="EXCHANGE_PORT")
        self._port = int(listening.getsockname()[1])
        self._hosts.update(own_names(self.host, self.port, self._names))
        self._served.start(listening)
        self.market.start()
        return self

    def stop(self) -> None:
        """Let the market stand still, end all connections, and wait until that is done."""
        self.market.stop()
        self._served.stop()
        self.venue.close()

    def __enter__(self) -> Exchange:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Exchange({self.url}, {self.keys!r})"


def _require_extra() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"the paper exchange needs {error.name}, which is not installed: "
            "pip install 'twinstep[exchange]'",
            code="EXCHANGE_EXTRA",
        ) from error
