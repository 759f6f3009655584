"""The line to a TWS or IB Gateway: one connection of ib_async on a thread of its own, and a timeout for all.

ib_async keeps one pending answer per kind of question, so questions go one after the other. A question that
is not answered in time ends the connection: its answer may still be on the way, and would be taken for that
of the next one, or for a part of it. Whoever asks next connects anew, with growing pauses where that fails.

A gateway that has lost its servers (error 1100) goes on answering, from memory. Its answers are not taken
until it says that the servers are back. And order ids start at a number that follows from the clock, and
above all that open orders and executions show: the gateway's own counter may go back when it restarts, and
ids of before would be issued again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final, TypeVar

from live.brokers.errors import BrokerError, RateLimited
from live.brokers.interactive_brokers.door import FIRST_PAUSE, TOO_FAST, Door, GatewayDown, library
from live.brokers.interactive_brokers.pace import Pace
from live.brokers.interactive_brokers.tape import Tape
from live.brokers.loops import LoopThread

__all__ = ["Gateway"]

T = TypeVar("T")

IDS_PER_SECOND: Final = 4
IDS_SINCE: Final = 1_704_067_200
"""Order ids start at this many per second since 2024-01-01: 32 bits last until 2041."""

LINK_LOST: Final = frozenset({1100, 2110})
LINK_BACK: Final = frozenset({1101, 1102})

# errors and notices are heard as events; without a handler the library's loggers would go to the terminal
logging.getLogger("ib_async").addHandler(logging.NullHandler())
logging.getLogger("eventkit").addHandler(logging.NullHandler())

Heard = Callable[[int, int, str], None]


class Gateway:
    """One client of a gateway.

    Parameters
    ----------
    host, port
        Where it listens.
    client_id
        Number of this client; an order can be changed and cancelled only by the client that placed it.
    account
        Number of the account, "" for the only one of the login.
    paper
        Whether it has to be an account without real money; False takes real money only.
    timeout
        Seconds that a call may take, and that connecting may take.
    per_second
        Messages per second, 0 for no limit; the gateway allows 50.
    first_pause
        Seconds until connecting is tried again.
    now
        Seconds since 1970, for order ids.
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
        per_second: int,
        first_pause: float = FIRST_PAUSE,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._door = Door(
            host, port, client_id, account=account, paper=paper, timeout=timeout, first_pause=first_pause
        )
        self.client_id = client_id
        self.timeout = timeout
        self.pace = Pace(per_second)
        self.listeners: list[Callable[[str, Any], None]] = []
        """Told on the thread of the line: ("connected" | "lost", words), and events of ib_async by name."""
        self.heard: list[Heard] = []
        """Told of errors and notices: request or order id, code, text."""
        self._now = now
        self.tape: Tape | None = None
        """What was told about orders on this connection."""
        self._ib: Any = None
        self._link_problem = ""
        self._stopping: set[asyncio.Future[BrokerError]] = set()
        self._highest = 0
        self._loop = LoopThread(
            f"ib-{client_id}", lambda: GatewayDown("this broker was closed", code="LIVE_GATEWAY")
        )
        self._one: asyncio.Lock | None = None

    def call(
        self,
        work: Callable[[Any], Coroutine[Any, Any, T]],
        what: str,
        *,
        urgent: bool = False,
        beside: float | None = None,
    ) -> T:
        """Run `work` with a connection that is ready, on the line's thread, and return what it returns.

        Parameters
        ----------
        urgent
            Whether it may use the messages that are kept for cancels.
        beside
            Seconds that it may take beside other questions; only for those with numbers of their own, whose
            answers cannot be mixed up. None waits for its turn.

        Raises
        ------
        GatewayDown
            LIVE_GATEWAY, LIVE_CLIENT_ID where there is no connection; nothing was sent.
        TimeoutError
            Where there is no answer in time; whether something was done is not known.
        ConnectionError
            Where the connection ended meanwhile; as for a timeout.
        RateLimited
            Where messages went out too fast.
        """
        loop = self._loop.for_question(what)
        future = asyncio.run_coroutine_threadsafe(self._asked(work, what, urgent, beside), loop)
        try:
            # connecting, waiting for the question before, and the question itself
            return future.result(4.0 * self.timeout + 1.0 + (beside or 0.0))
        except FutureCancelled as error:
            raise GatewayDown(f"{what}: this broker was closed", code="LIVE_GATEWAY") from error
        except FutureTimeout as error:
            future.cancel()
            if isinstance(error, TimeoutError) and error.args:
                raise
            raise TimeoutError(f"{what}: no answer") from error

    def close(self) -> None:
        """End connection and thread; what works at the broker goes on working."""

        def leave(loop: asyncio.AbstractEventLoop) -> None:
            loop.call_soon_threadsafe(self._hang_up, "closed")
            loop.call_soon_threadsafe(loop.stop)

        self._loop.close(self.timeout, leave)

    @property
    def account(self) -> str:
        """Number of the account; "" while it was neither given nor told."""
        return self._door.account

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection whose answers are taken; nothing is asked."""
        return self._ib is not None and self._ib.isConnected() and not self._link_problem

    @property
    def problem(self) -> str:
        """What is wrong with the line, "" for nothing."""
        return self._link_problem or ("" if self.is_connected else self._door.problem or "not connected")

    def order_id(self, ib: Any) -> int:
        """Return a number that no order of this client had before, whatever the gateway's counter says."""
        ib.client.updateReqId(max(self._highest, self._floor()))
        number = int(ib.client.getReqId())
        self._highest = number + 1
        return number

    def note_used(self, number: int) -> None:
        """Take in that an order of this client had this number."""
        self._highest = max(self._highest, number + 1)

    async def until(self, ib: Any, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until `done`, looking after every message; returns whether it is."""
        changed = asyncio.Event()

        def poke(*_: Any) -> None:
            changed.set()

        ends = asyncio.get_running_loop().time() + seconds
        ib.updateEvent += poke
        ib.disconnectedEvent += poke
        try:
            while not done():
                left = ends - asyncio.get_running_loop().time()
                if left <= 0.0 or not ib.isConnected():
                    return done()
                changed.clear()
                try:
                    await asyncio.wait_for(changed.wait(), left)
                except TimeoutError:
                    return done()
            return True
        finally:
            ib.updateEvent -= poke
            ib.disconnectedEvent -= poke

    async def _asked(
        self, work: Callable[[Any], Coroutine[Any, Any, T]], what: str, urgent: bool, beside: float | None
    ) -> T:
        # before the queue, so that what is urgent need not wait behind it
        wait = self.pace.take(urgent=urgent)
        if wait > 0.0:
            await asyncio.sleep(wait)
        if self._one is None:
            self._one = asyncio.Lock()
        async with self._one:
            ib = await self._ready()
            if beside is None:
                return await self._answered(ib, work, what, self.timeout, alone=True)
        return await self._answered(ib, work, what, beside, alone=False)

    async def _answered(
        self,
        ib: Any,
        work: Callable[[Any], Coroutine[Any, Any, T]],
        what: str,
        seconds: float,
        *,
        alone: bool,
    ) -> T:
        asking = asyncio.ensure_future(work(ib))
        stopped: asyncio.Future[BrokerError] = asyncio.get_running_loop().create_future()
        self._stopping.add(stopped)
        both: set[asyncio.Future[Any]] = {asking, stopped}
        problem = f"the gateway did not answer within {seconds:g} s"
        try:
            await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                problem = ""
                return self._answer(asking, what)
            if stopped.done():
                problem = str(stopped.result().args[0])
                raise stopped.result()
            raise TimeoutError(f"{what}: {problem}")
        finally:
            self._stopping.discard(stopped)
            if problem and alone:
                # a late answer would be taken for that of the next question
                self._hang_up(f"{what}: {problem}")
            if not asking.done():
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    def _answer(self, asking: asyncio.Future[T], what: str) -> T:
        error = asking.exception()
        lib = library()
        if isinstance(error, lib.RequestError):
            if error.code == TOO_FAST:
                raise RateLimited(f"{what}: {error.message}", retry_after=1.0) from error
            raise BrokerError(f"{what}: {error.message} ({error.code})", code="LIVE_ANSWER") from error
        return asking.result()

    async def _ready(self) -> Any:
        """Return a connection whose answers may be taken."""
        if self._ib is None or not self._ib.isConnected():
            await self._connect()
        if self._link_problem:
            raise GatewayDown(f"the gateway has lost its servers: {self._link_problem}", code="LIVE_GATEWAY")
        return self._ib

    async def _connect(self) -> None:
        self._door.knock()
        self._hang_up("")
        ib = library().IB()
        # an error to a question is otherwise an empty answer: no executions, no positions
        ib.RaiseRequestErrors = True
        ib.client.MaxRequests = self.pace.per_second
        self._link_problem = ""
        ib.errorEvent += self._on_error
        tape = Tape(ib)
        await self._door.enter(ib)
        self._ib, self.tape = ib, tape
        ib.client.updateReqId(max(self._highest, self._floor()))
        ib.disconnectedEvent += self._on_disconnected
        for name in ("orderStatusEvent", "execDetailsEvent", "positionEvent"):
            getattr(ib, name).connect(self._passing(name))
        self._tell("connected", f"{self._door.host}:{self._door.port} as client {self.client_id}")

    def _floor(self) -> int:
        return max(1, int((self._now() - IDS_SINCE) * IDS_PER_SECOND))

    def _hang_up(self, why: str) -> None:
        ib, self._ib = self._ib, None
        if ib is not None:
            self._door.problem = why or self._door.problem
            ib.disconnect()

    def _on_disconnected(self) -> None:
        self._door.problem = self._door.problem or "the gateway has closed the connection"
        self._tell("lost", self._door.problem)

    def _on_error(self, request: int, code: int, text: str, _contract: Any) -> None:
        if code in LINK_LOST:
            self._link_problem = text
            self._stop(GatewayDown(f"the gateway has lost its servers: {text}", code="LIVE_GATEWAY"))
            self._tell("lost", text)
        elif code in LINK_BACK:
            self._link_problem = ""
            self._tell("connected", text)
        elif code == TOO_FAST:
            self._stop(RateLimited(text, retry_after=1.0))
        self._door.hear(code, text)
        for heard in list(self.heard):
            heard(request, code, text)

    def _stop(self, why: BrokerError) -> None:
        """End the questions that are being asked: their answers will not come."""
        for stopped in self._stopping:
            if not stopped.done():
                stopped.set_result(why)

    def _passing(self, name: str) -> Callable[..., None]:
        def passed(*what: Any) -> None:
            self._tell(name, what)

        return passed

    def _tell(self, kind: str, what: Any) -> None:
        for listener in list(self.listeners):
            listener(kind, what)
