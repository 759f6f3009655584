"""A TWS on a local socket: the protocol that ib_async speaks, over a `TwsMarket`, with faults by script.

    with TwsServer() as tws:
        tws.move({"AAPL": 100.0})
        broker = InteractiveBrokersBroker(host=tws.host, port=tws.port)

`at(message, n, fault)` lets the n-th message of a kind from now on go wrong:

    "ignore"        it never arrived: nothing is done, nothing is answered
    "mute"          it is done, and the answer is lost
    "late"          it is done, and its answer comes only with the next message
    "cut"           it never arrived, and the connection breaks
    "cut_after"     it is done, and the connection breaks before the answer
    "sent"          of "place": the whole order is taken in, a bracket with its last part, and then the
                    connection breaks before any answer
    (code, text)    an error instead of an answer; nothing is done

Faults of state: `restart(next_id)` (a gateway that comes back with ids of before), `refuse` (nobody listens),
`link(False)` (error 1100: the gateway runs and has lost the servers), `half` (the connection breaks in the
middle of an answer), `presets` (error 10349 with every order), `repeat` (executions twice), `slow_fees`,
`refuses` (who asks what an order would do, and orders, is refused: by "BUY STK", "SELL OPT", "BUY BAG").
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from tests.fakes.tws import wire
from tests.fakes.tws.answers import DataAnswers, Session
from tests.fakes.tws.market import BAG_ID, Done, Instrument, TwsMarket, TwsOrder

T = TypeVar("T")
Fault = str | tuple[int, str]

NAMES: Final = {
    1: "quote", 2: "quote_end", 3: "place", 4: "cancel", 5: "open_orders", 6: "account_stream",
    7: "executions", 8: "ids", 9: "contract", 16: "all_open_orders", 20: "history", 49: "time",
    58: "cancel_all", 59: "data_type", 61: "positions", 62: "summary", 64: "positions_end", 71: "start",
    76: "account", 77: "account_end", 78: "option_chain", 99: "completed",
}  # fmt: skip
_SIDES: Final = {"MKT", "LMT", "STP", "STP LMT", "TRAIL"}


def off_tick(price: float | None) -> bool:
    """Whether a price is neither on the penny nor, below a dollar, on a hundredth of one."""
    steps = 0.0 if price is None else price * (100.0 if abs(price) >= 1.0 else 10_000.0)
    return abs(steps - round(steps)) > 1e-6


class TwsServer(DataAnswers):
    """One gateway with one account.

    Attributes
    ----------
    market
        What it knows.
    received
        Names of messages in their order.
    placed
        (client id, order id, reference) of every new order that arrived.
    refuse, presets, repeat, half, slow_fees, hidden, accounts
        See the module; `hidden` are symbols that the list of positions lacks.
    """

    def __init__(self, account: str = "DU1234567", *, next_id: int = 1) -> None:
        super().__init__()
        self.market = TwsMarket(account)
        self.market.listeners.append(self._happened)
        self.accounts = [account]
        self.host, self.port = "127.0.0.1", 0
        self.next_id = next_id
        self.received: list[str] = []
        self.placed: list[tuple[int, int, str]] = []
        self.refuse = self.presets = self.repeat = self.slow_fees = False
        self.half: set[str] = set()
        self.hidden: set[str] = set()
        self.hidden_orders: set[str] = set()
        self.refuses: dict[str, tuple[int, str]] = {}
        self._faults: dict[tuple[str, int], Fault] = {}
        self._always: dict[str, Fault] = {}
        self._counts: dict[str, int] = {}
        self._sessions: list[Session] = []
        self._up = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tws", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> TwsServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> TwsServer:
        """Listen on a free port."""
        self._thread.start()

        async def listen() -> None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

        asyncio.run_coroutine_threadsafe(listen(), self._loop).result(5)
        return self

    def stop(self) -> None:
        """Stop listening, and drop who is connected."""
        if self._loop.is_closed():
            return

        async def leave() -> None:
            if self._server is not None:
                self._server.close()
            self._drop_all()
            await asyncio.sleep(0)
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(leave(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    # What a test does

    def do(self, work: Callable[[], T]) -> T:
        """Run on the server's own thread, where nothing else happens meanwhile."""

        async def run() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)

    def move(self, prices: Mapping[str, float] = {}, *, minutes: float = 1.0) -> None:
        """Let the market trade."""
        self.do(lambda: self.market.move(prices, minutes=minutes))

    def at(self, message: str, n: int, fault: Fault) -> TwsServer:
        """Let the n-th message of a kind, from now on, go wrong."""
        if message not in NAMES.values():
            raise AssertionError(f"no message {message!r}")
        self._faults[message, self._counts.get(message, 0) + n] = fault
        return self

    def every(self, message: str, fault: Fault) -> TwsServer:
        """Let all messages of a kind go wrong."""
        self._always[message] = fault
        return self

    def pending(self) -> dict[tuple[str, int], Fault]:
        """Return the faults that nothing has met yet."""
        return dict(self._faults)

    def clear(self) -> None:
        """End all faults."""
        self._faults.clear()
        self._always.clear()
        self.half, self.hidden, self.hidden_orders = set(), set(), set()
        self.refuse = self.repeat = self.slow_fees = False
        self.refuses = {}
        if not self._up:
            self.link(True)

    def restart(self, next_id: int | None = None) -> None:
        """Let the gateway restart as it does every night; its ids may go back."""

        def work() -> None:
            self._drop_all()
            if next_id is not None:
                self.next_id = next_id

        self.do(work)

    def link(self, up: bool, *, lost: bool = False) -> None:
        """Lose, or get back, the servers behind the gateway; every client is told."""
        self._up = up
        code = 1100 if not up else 1101 if lost else 1102
        self.say(code, "connectivity between the servers and TWS " + ("is back" if up else "is lost"))

    def say(self, code: int, text: str, request: int = -1) -> None:
        """Tell every client an error or a notice."""

        def work() -> None:
            for one in self._sessions:
                one.send(wire.error(request, code, text))

        self.do(work)

    def connected(self) -> list[int]:
        """Return the client ids that are connected."""
        return self.do(lambda: [one.client_id for one in self._sessions if one.client_id >= 0])

    # Connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(writer)
        if self.refuse:
            writer.close()
            return
        self._sessions.append(session)
        try:
            await reader.readexactly(4)  # "API" and a zero byte
            hello = await self._read(reader)
            if not hello.startswith("v"):
                raise AssertionError(f"a client says {hello!r} where its versions belong")
            session.send(wire.frame(wire.VERSION, "20260302 10:00:00 EST"))
            while session in self._sessions:  # what still lies in the line of one that was cut off is lost
                words = (await self._read(reader)).split("\0")[:-1]
                await self._take(session, words)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._drop(session)

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> str:
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        return (await reader.readexactly(length)).decode()

    def _drop(self, session: Session) -> None:
        if session in self._sessions:
            self._sessions.remove(session)
            self.market.drop_untransmitted(session.client_id)
        with contextlib.suppress(RuntimeError):
            session.writer.close()

    def _drop_all(self) -> None:
        for session in list(self._sessions):
            self._drop(session)

    async def _take(self, session: Session, words: list[str]) -> None:
        name = NAMES.get(int(words[0]))
        if name is None:
            raise AssertionError(f"message {words[0]} is not spoken here: {words}")
        self.received.append(name)
        self._counts[name] = self._counts.get(name, 0) + 1
        fault = self._faults.pop((name, self._counts[name]), self._always.get(name))
        if fault == "ignore":
            return
        if fault == "cut":
            self._drop(session)
            return
        if isinstance(fault, tuple):
            session.send(wire.error(self._about(name, words), *fault))
            return
        if fault == "sent":
            session.silent = True
        session.keeping = fault == "late"
        if session.kept and not session.keeping:
            session.writer.write(b"".join(session.kept))
            session.kept.clear()
        session.muted = session.silent or fault in ("mute", "cut_after")
        await getattr(self, f"_on_{name}")(session, words)
        session.muted, session.keeping = session.silent, False
        if fault == "cut_after" or (session.silent and name == "place" and self.market.orders[-1].transmit):
            self._drop(session)
        if name in self.half:
            self._drop(session)

    @staticmethod
    def _about(name: str, words: list[str]) -> int:
        """Return the number of the request or order that a message is about, -1 for none."""
        place = {"place": 1, "cancel": 2, "executions": 2, "contract": 2, "account": 2, "option_chain": 1,
                 "quote": 2, "history": 1}.get(name)  # fmt: skip
        return int(words[place]) if place is not None else -1

    # Requests

    async def _on_start(self, session: Session, words: list[str]) -> None:
        wanted = int(words[2])
        if any(one.client_id == wanted for one in self._sessions):
            session.send(wire.error(-1, 326, "Unable to connect as the client id is already in use."))
            self._drop(session)
            return
        session.client_id = wanted
        session.send(wire.frame(15, 1, ",".join(self.accounts)))
        session.send(wire.frame(9, 1, self.next_id))
        session.send(wire.error(-1, 2104, "Market data farm connection is OK:usfarm"))
        if not self._up:
            session.send(wire.error(-1, 1100, "connectivity between the servers and TWS is lost"))

    async def _on_positions(self, session: Session, words: list[str]) -> None:
        session.positions = True
        listed = [one for one in self.market.positions() if one[0].symbol not in self.hidden]
        for number, (one, held, cost) in enumerate(listed):
            if "positions" in self.half and number == len(listed) // 2:
                return
            session.send(wire.position(self.market.account, one, held, cost))
        if "positions" not in self.half:
            session.send(wire.frame(62, 1))

    async def _on_positions_end(self, session: Session, words: list[str]) -> None:
        session.positions = False

    async def _on_all_open_orders(self, session: Session, words: list[str]) -> None:
        self._list_open(session, everybody=True)

    async def _on_open_orders(self, session: Session, words: list[str]) -> None:
        self._list_open(session, everybody=False)

    def _list_open(self, session: Session, *, everybody: bool) -> None:
        for order in self.market.orders:
            if order.works and order.ref not in self.hidden_orders and (
                everybody or order.client_id == session.client_id
            ):  # fmt: skip
                session.send(wire.open_order(order) + wire.order_status(order))
        if not {"all_open_orders", "open_orders"} & self.half:
            session.send(wire.frame(53, 1))

    async def _on_completed(self, session: Session, words: list[str]) -> None:
        for order in self.market.orders:
            hidden = order.perm_id in self.market.forgotten or order.ref in self.hidden_orders
            if not order.works and not hidden:
                session.send(wire.completed_order(order))
        if "completed" not in self.half:
            session.send(wire.frame(102))

    async def _on_executions(self, session: Session, words: list[str]) -> None:
        request = int(words[2])
        fees = b""
        for done in self.market.done * (2 if self.repeat else 1):
            if done.kind != "trade":
                continue  # an assignment is in statements only
            session.send(wire.execution(request, done, self.market.account))
            fees += b"" if done.instrument is None else wire.commission(done, done.fees)
        if not self.slow_fees:
            session.send(fees)
        if "executions" not in self.half:
            session.send(wire.frame(55, 1, request))

    async def _on_place(self, session: Session, words: list[str]) -> None:
        contract, asked = wire.read_order(words, self.market)
        number = asked["order_id"]
        legs, problem = self._legs_of(contract)
        if problem:
            session.send(wire.error(number, *problem))
            return
        refusal = self.refuses.get(f"{asked['action']} {contract['kind'] or 'STK'}")
        if refusal is not None:
            session.send(wire.error(number, *refusal))
            return
        if asked["what_if"]:
            self.next_id = max(self.next_id, number + 1)
            session.send(wire.what_if(number, legs, bag=contract["kind"] == "BAG", action=asked["action"]))
            return
        if any(off_tick(asked[name]) for name in ("limit", "aux", "trail_stop")):
            text = "The price does not conform to the minimum price variation for this contract."
            session.send(wire.error(number, 110, text))
            return
        there = self.market.find(session.client_id, number)
        if there is not None and there.works:
            self._change(session, there, asked)
            return
        if there is not None or number < self.next_id:
            session.send(wire.error(number, 103, "Duplicate order id"))
            return
        if asked["kind"] not in _SIDES:
            session.send(
                wire.error(number, 387, "Unsupported order type for this exchange and security type.")
            )
            return
        if asked["account"] not in ("", self.market.account):
            session.send(wire.error(number, 321, "Error validating request: account is not known"))
            return
        if asked["parent_id"] and self.market.find(session.client_id, asked["parent_id"]) is None:
            session.send(wire.error(number, 10006, "Missing parent order."))
            return
        self.next_id = number + 1
        self.placed.append((session.client_id, number, asked["ref"]))
        order = TwsOrder(
            number, session.client_id, self.market.new_perm_id(), legs, contract["kind"] == "BAG",
            asked["action"], asked["quantity"], asked["kind"], asked["limit"], asked["aux"], asked["percent"],
            asked["tif"], asked["ref"], asked["parent_id"], asked["oca_group"], asked["oca_type"],
            asked["transmit"], self.market.account,
        )  # fmt: skip
        if self.presets:
            session.send(wire.error(number, 10349, "Order TIF was set to DAY based on order preset."))
        self.market.accept(order)

    def _legs_of(
        self, contract: dict[str, Any]
    ) -> tuple[tuple[tuple[Instrument, int, str], ...], tuple[int, str] | None]:
        wanted = contract.get("legs") or [(contract["con_id"], 1, "BUY")]
        legs = []
        for con_id, ratio, action in wanted:
            one = self.market.by_id(con_id)
            if one is None and contract["kind"] != "BAG":
                found = self._contracts(contract)
                one = found[0] if len(found) == 1 else None
            if one is None or con_id == BAG_ID:
                return (), (200, "No security definition has been found for the request")
            legs.append((one, ratio, action))
        return tuple(legs), None

    def _change(self, session: Session, order: TwsOrder, asked: dict[str, Any]) -> None:
        if (asked["action"], asked["kind"]) != (order.action, order.kind):
            session.send(
                wire.error(order.order_id, 105, "Order being modified does not match original order")
            )
            return
        order.quantity, order.limit, order.aux = asked["quantity"], asked["limit"], asked["aux"]
        if asked["trail_stop"] is not None:
            order.stop = asked["trail_stop"]
        self.market.changed(order)

    async def _on_cancel(self, session: Session, words: list[str]) -> None:
        number = int(words[2])
        order = self.market.find(session.client_id, number)
        if order is None:
            session.send(
                wire.error(number, 10147, f"OrderId {number} that needs to be cancelled is not found.")
            )
        elif not order.works:
            text = f"OrderId {number} that needs to be cancelled cannot be cancelled, state: {order.status}."
            session.send(wire.error(number, 10148, text))
        else:
            self.market.cancel(order)
            session.send(wire.error(number, 202, "Order Canceled - reason:"))

    async def _on_cancel_all(self, session: Session, words: list[str]) -> None:
        for order in list(self.market.orders):
            if order.works:
                self.market.cancel(order)

    # What happens by itself

    def _happened(self, kind: str, what: object) -> None:
        for session in self._sessions:
            if kind == "order" and isinstance(what, TwsOrder) and what.client_id == session.client_id:
                session.send(wire.open_order(what) + wire.order_status(what))
            elif kind == "execution" and isinstance(what, Done):
                self._send_execution(session, what)
            elif kind == "position" and isinstance(what, Instrument) and session.positions:
                for one, held, cost in self.market.positions():
                    if one is what:
                        session.send(wire.position(self.market.account, one, held, cost))

    def _send_execution(self, session: Session, done: Done) -> None:
        if done.order is None or done.order.client_id != session.client_id or done.kind != "trade":
            return
        for _ in range(2 if self.repeat else 1):
            session.send(wire.execution(-1, done, self.market.account))
            if done.instrument is not None and not self.slow_fees:
                session.send(wire.commission(done, done.fees))
