"""Connecting to a gateway: once, with a timeout, and with the gateway's own words where it says no.

The library waits to the end of its timeout where the gateway refuses a client, or closes the connection; here
the first word ends the attempt. What fails is tried again after a pause that grows, and not before: a gateway
that restarts, or a client id that is taken, is not hammered.
"""

from __future__ import annotations

import asyncio
import time
from importlib import import_module
from typing import Any, Final

from live.brokers.errors import BrokerError
from simulator.errors import ConfigError, MissingExtraError

__all__ = ["FIRST_PAUSE", "TOO_FAST", "Door", "GatewayDown", "library"]

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds between attempts to connect, doubled after each that fails."""

PAPER_PREFIX: Final = "D"
"""How the numbers of paper accounts begin (DU, of advisors DF); those of real money begin with U, F or I."""

CLIENT_ID_TAKEN: Final = 326
TOO_FAST: Final = 100


class GatewayDown(BrokerError):
    """The gateway cannot be reached, or has lost its servers; nothing was sent."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, code=code)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling."""
        return (_down, (self.args[0], self.code))


def library() -> Any:
    """Return ib_async.

    Raises
    ------
    MissingExtraError
        LIVE_EXTRA_IB where it is not installed.
    """
    try:
        return import_module("ib_async")
    except ImportError as error:
        raise MissingExtraError(
            "Interactive Brokers needs ib_async: pip install 'twinstep[ib]'", code="LIVE_EXTRA_IB"
        ) from error


class Door:
    """The way to one gateway.

    Parameters
    ----------
    host, port, client_id, account, paper, timeout, first_pause
        As for `Gateway`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: int,
        *,
        account: str,
        paper: bool,
        timeout: float,
        first_pause: float,
    ) -> None:
        self.host, self.port, self.client_id = host, port, client_id
        self.account = account
        self.timeout = timeout
        self.problem = ""
        """Why there is no connection."""
        self._paper = paper
        self._first_pause = self._pause = first_pause
        self._next_try = 0.0
        self._code = "LIVE_GATEWAY"
        self._refusal: tuple[int, str] | None = None
        self._gone: asyncio.Event | None = None

    async def enter(self, ib: Any) -> None:
        """Connect.

        Raises
        ------
        GatewayDown
            LIVE_GATEWAY, LIVE_CLIENT_ID where that fails, or has failed a moment ago.
        ConfigError
            LIVE_ACCOUNT, LIVE_NOT_PAPER where the login is not the one that is wanted.
        """
        self._refusal = None
        try:
            await self._greeted(ib, library())
            self._check_account(list(ib.managedAccounts()))
        except ConfigError:
            ib.disconnect()
            raise
        except (OSError, TimeoutError) as error:
            ib.disconnect()
            raise self._failed(error) from error
        self._pause, self._next_try, self.problem = self._first_pause, 0.0, ""

    def knock(self) -> None:
        """Raise `GatewayDown` where it is too early to try again."""
        left = self._next_try - time.monotonic()
        if left > 0.0:
            raise GatewayDown(f"{self.problem}; tried again in {left:.1f} s", code=self._code)

    def hear(self, code: int, text: str) -> None:
        """Take in what the gateway says while somebody connects."""
        if code in (CLIENT_ID_TAKEN, TOO_FAST) or 501 <= code <= 509:
            self._refusal = (code, text)
            self._on_gone()

    async def _greeted(self, ib: Any, lib: Any) -> None:
        """Connect, or stop as soon as the gateway has said why not."""
        connecting = asyncio.ensure_future(
            ib.connectAsync(
                self.host, self.port, clientId=self.client_id, timeout=self.timeout, account=self.account,
                raiseSyncErrors=True, fetchFields=lib.StartupFetch.ACCOUNT_UPDATES,
            )
        )  # fmt: skip
        # the library goes on waiting where the gateway says no, or closes the connection
        self._gone = asyncio.Event()
        ib.client.conn.disconnected += self._on_gone
        refused = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({connecting, refused}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise ConnectionError("the gateway has closed the connection")
            await connecting
        finally:
            self._gone = None
            for task in (connecting, refused):
                task.cancel()
            await asyncio.gather(connecting, refused, return_exceptions=True)

    def _failed(self, error: BaseException) -> GatewayDown:
        self._next_try = time.monotonic() + self._pause
        self._pause = min(2.0 * self._pause, LONGEST_PAUSE)
        self._code = "LIVE_GATEWAY"
        where = f"{self.host}:{self.port}"
        if self._refusal is not None:
            code, text = self._refusal
            self.problem = f"the gateway at {where} refuses client {self.client_id}: {text} ({code})"
            if code == CLIENT_ID_TAKEN:
                down = GatewayDown(self.problem, code="LIVE_CLIENT_ID")
                self._code = down.code
                return down
            return GatewayDown(self.problem, code="LIVE_GATEWAY")
        words = str(error) or type(error).__name__
        self.problem = f"no gateway at {where}: {words}"
        return GatewayDown(self.problem, code="LIVE_GATEWAY")

    def _check_account(self, accounts: list[str]) -> None:
        if not self.account and len(accounts) == 1:
            self.account = accounts[0]
        if self.account not in accounts:
            wanted = (
                f"{self.account!r} is not" if self.account else "no account is named, and there are several"
            )
            raise ConfigError(
                f"Interactive Brokers: {wanted} among those of this login ({', '.join(accounts)}); "
                "give account=",
                code="LIVE_ACCOUNT",
            )
        is_paper = self.account.startswith(PAPER_PREFIX)
        if is_paper is not self._paper:
            raise ConfigError(
                f"Interactive Brokers: the gateway at {self.host}:{self.port} is logged in to account "
                f"{self.account}, which is one of {_money(paper=is_paper)}, and {_money(paper=self._paper)} "
                f"was asked for (paper={self._paper}); log the gateway in to the other account, or say which "
                "port the other gateway has",
                code="LIVE_NOT_PAPER",
            )

    def _on_gone(self, *_: Any) -> None:
        if self._gone is not None:
            self._gone.set()


def _money(*, paper: bool) -> str:
    return "paper (DU..., DF...)" if paper else "real money (U..., F...)"


def _down(message: str, code: str) -> GatewayDown:
    return GatewayDown(message, code=code)
