"""The paper exchange under load: orders over HTTP, every one accounted for, and how long each took.

The server is `twinstep exchange` in a process of its own. Several keep-alive connections send market, limit
and stop orders, replace and cancel some, while bars go by and one connection listens to the stream. Nothing
may be lost: each submit is exactly one order, or none where it was refused; the fills of the orders, of the
activities and of the stream are the same and add up to the positions; every update that was sent has arrived.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np

from benchmarks.measure import ROOT
from benchmarks.report import Check, Section

ORDERS = 100_000
QUICK = 5_000
CONNECTIONS = 4
SYMBOLS = 10
BARS = 400
"""Bars that go by during the run."""
SETTLE_SECONDS = 60.0
"""Longest wait for the last updates."""
START_SECONDS = 120.0
P99_MS = 50.0
"""Most of 99 submits in 100; all of it is on this machine."""

KEY, SECRET = "soak", "soak-" + "0123456789abcdef" * 2
HEADERS = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}


def exchange_section(*, quick: bool, orders: int | None = None) -> Section:
    """Send the orders, check that none is lost, and report latencies in milliseconds."""
    count = orders or (QUICK if quick else ORDERS)
    section = Section("exchange", f"paper exchange: {count:,} orders over {CONNECTIONS} connections")
    with served() as port:
        found = soak(port, count)
    for what in sorted(found.latencies):
        values = 1e3 * np.array(found.latencies[what])
        row: dict[str, Any] = {"what": what, "requests": len(values)}
        row |= {f"p{share:g} ms": float(np.percentile(values, share)) for share in (50, 90, 99, 99.9)}
        section.rows.append({**row, "max ms": float(values.max())})
    submits = 1e3 * np.array(found.latencies["submit"])
    section.checks += [
        Check("submit, p99 ms", float(np.percentile(submits, 99)), P99_MS, at_least=False),
    ]
    section.notes += [
        f"{found.orders:,} orders, {found.replaced:,} of them replacements, {found.refused:,} submits "
        f"refused because they would turn a position around, {found.fills:,} fills, "
        f"{found.updates:,} updates received of {found.updates:,} sent",
        f"{found.orders / found.seconds:,.0f} orders per second; every submit is one order or was refused; "
        f"fills of orders, activities and stream are equal and add up to {found.positions} positions",
    ]
    return section


@dataclass
class Soak:
    """What a run found; there is none where anything was lost, because then it raises."""

    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    orders: int = 0
    replaced: int = 0
    refused: int = 0
    fills: int = 0
    updates: int = 0
    positions: int = 0
    seconds: float = 0.0


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send one request; returns the status and the JSON of the answer."""
        payload = None if body is None else json.dumps(body)
        headers = HEADERS if body is None else {**HEADERS, "Content-Type": "application/json"}
        self._connection.request(method, path, payload, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def get(self, path: str) -> Any:
        """Read, and return the JSON; raises where the answer is not 200."""
        status, found = self("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {found}")
        return found


@contextmanager
def served() -> Iterator[int]:
    """Run an exchange in a process of its own; gives its port."""
    environment = {**os.environ, "TWINSTEP_EXCHANGE_KEY": KEY, "TWINSTEP_EXCHANGE_SECRET": SECRET}
    process = subprocess.Popen(
        [
            sys.executable, "-m", "twinstep", "exchange", "--data", f"synthetic:{SYMBOLS}x{BARS + 50}?seed=1",
            "--manual", "--cash", "1000000000", "--costs", "zero",
        ],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield _port(process)
    finally:
        process.terminate()
        process.wait(30)


def soak(port: int, count: int, *, connections: int = CONNECTIONS, seed: int = 1) -> Soak:
    """Send `count` orders to a fresh exchange that is stepped by hand, and check that nothing is lost.

    Raises `RuntimeError` that says what is lost, doubled or different.
    """
    found = Soak()
    client = Client(port)
    client("POST", "/twinstep/step", {"bars": 1})
    symbols = [asset["symbol"] for asset in client.get("/v2/assets")]
    listener = Listener(port)
    workers = [
        Worker(
            port,
            symbols,
            number,
            count // connections + (number < count % connections),
            seed,
            BARS // connections,
        )
        for number in range(connections)
    ]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found.seconds = time.perf_counter() - begin
    sent: list[str] = []
    for worker in workers:
        if worker.error is not None:
            raise worker.error
        sent += worker.sent
        found.replaced += worker.replaced
        found.refused += worker.refused
        for what, seconds in worker.latencies.items():
            found.latencies[what] += seconds
    client = Client(port)  # the first connection has been idle for too long
    client("POST", "/twinstep/step", {"bars": 2})
    found.orders = len(sent)
    orders = list(_all_orders(client))
    _same("client order ids", Counter(sent), Counter(order["client_order_id"] for order in orders))
    bought = _of_orders(orders)
    _same("fills of the activities", bought, _of_activities(client, found))
    positions = {held["symbol"]: round(float(held["qty"]), 6) for held in client.get("/v2/positions")}
    _same("positions", {symbol: qty for symbol, qty in bought.items() if qty}, positions)
    found.positions = len(positions)
    listener.wait(client)
    _same("fills of the stream", bought, {symbol: round(qty, 6) for symbol, qty in listener.filled.items()})
    _same("new orders of the stream", Counter(order["id"] for order in orders), listener.new)
    found.updates = listener.updates
    listener.close()
    return found


class Worker(threading.Thread):
    """Sends its share of the orders, one after another, and lets bars go by in between."""

    def __init__(self, port: int, symbols: list[str], number: int, count: int, seed: int, bars: int) -> None:
        super().__init__(daemon=True)
        self._client = Client(port)
        self._symbols, self._number, self._count = symbols, number, count
        self._random = random.Random(f"{seed}/{number}")  # noqa: S311 - a repeatable mixture, not a secret
        self._every = max(1, count // max(1, bars))
        self._prices: dict[str, float] = {}
        self.latencies: dict[str, list[float]] = defaultdict(list)
        self.sent: list[str] = []
        self.replaced = 0
        self.refused = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        """Send all of them."""
        try:
            self._prices = self._client.get("/twinstep/market")["prices"]
            for index in range(self._count):
                self._one(f"soak-{self._number}-{index}")
                if index % self._every == self._every - 1:
                    self._prices = self._timed("step", "POST", "/twinstep/step", {"bars": 1}, 200)["prices"]
        except BaseException as error:
            self.error = error

    def _one(self, name: str) -> None:
        draw = self._random
        symbol, side = draw.choice(self._symbols), draw.choice(("buy", "sell"))
        price, away = self._prices[symbol], 1.0 if side == "sell" else -1.0
        order: dict[str, Any] = {
            "symbol": symbol, "qty": str(draw.randint(1, 20)), "side": side, "time_in_force": "day",
            "client_order_id": name, "type": "market",
        }  # fmt: skip
        kind = draw.random()
        if kind < 0.35:
            order |= {
                "type": "limit",
                "limit_price": str(round(price * (1 + away * draw.uniform(0.001, 0.03)), 2)),
            }
        elif kind < 0.45:
            order |= {
                "type": "stop",
                "stop_price": str(round(price * (1 - away * draw.uniform(0.001, 0.03)), 2)),
            }
        elif kind < 0.6:
            # good till cancelled: a bar of another connection must not end it before its own cancel or change
            order |= {"type": "limit", "time_in_force": "gtc"}
            order["limit_price"] = str(round(price * (1 + away * 0.5), 2))
        made = self._timed("submit", "POST", "/v2/orders", order, 200, refusal=40310000)
        if made is None:
            self.refused += 1
            return
        self.sent.append(name)
        if 0.45 <= kind < 0.55:
            self._timed("cancel", "DELETE", f"/v2/orders/{made['id']}", None, 204)
        elif 0.55 <= kind < 0.6:
            changes = {
                "limit_price": str(round(price * (1 + away * 0.4), 2)), "time_in_force": "day",
                "client_order_id": f"{name}-r",
            }  # fmt: skip
            path = f"/v2/orders/{made['id']}"
            if self._timed("replace", "PATCH", path, changes, 200, refusal=40310000) is not None:
                self.sent.append(f"{name}-r")
                self.replaced += 1
        elif kind < 0.05:
            self._timed("read", "GET", f"/v2/orders/{made['id']}", None, 200)

    def _timed(self, what: str, method: str, path: str, body: Any, expected: int, *, refusal: int = 0) -> Any:
        """Return the answer, None where it is a refusal that may come."""
        begin = time.perf_counter()
        status, answer = self._client(method, path, body)
        self.latencies[what].append(time.perf_counter() - begin)
        if refusal and status != expected and answer["code"] == refusal:
            return None
        if status != expected:
            raise RuntimeError(f"{method} {path} {body}: {status} {answer}")
        return answer


class Listener(threading.Thread):
    """Listens to the stream, and adds up what it says."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        from websockets.sync.client import connect

        self._kept = ExitStack()
        self._socket = self._kept.enter_context(connect(f"ws://127.0.0.1:{port}/stream", max_queue=None))
        self._socket.send(json.dumps({"action": "auth", "key": KEY, "secret": SECRET}))
        self._socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        for _ in range(2):
            self._socket.recv(timeout=10)
        self.updates = 0
        self.filled: dict[str, float] = defaultdict(float)
        self.new: Counter[str] = Counter()
        self._open = True
        self.start()

    def run(self) -> None:
        """Read until the connection is closed."""
        from websockets.exceptions import ConnectionClosed

        try:
            for message in self._socket:
                self.heard(json.loads(message)["data"])
                self.updates += 1
        except ConnectionClosed:
            self._open = False

    def heard(self, data: dict[str, Any]) -> None:
        """Add up what one update says."""
        order = data["order"]
        if data["event"] in ("fill", "partial_fill"):
            self.filled[order["symbol"]] += float(data["qty"]) * (1 if order["side"] == "buy" else -1)
        elif data["event"] == "new":
            self.new[order["id"]] += 1

    def wait(self, client: Client) -> None:
        """Wait until as many updates have come as were sent; raises where they do not."""
        end = time.monotonic() + SETTLE_SECONDS
        while (sent := client.get("/twinstep/market")["updates"]) != self.updates:
            if time.monotonic() > end or not self._open:
                raise RuntimeError(f"{sent:,} updates were sent, and {self.updates:,} received")
            time.sleep(0.05)

    def close(self) -> None:
        """End the connection."""
        self._kept.close()


def _port(process: subprocess.Popen[str]) -> int:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.stdout is not None:
        line = process.stdout.readline()
        if line.startswith("paper exchange at "):
            return int(line.split("http://127.0.0.1:")[1].split(",")[0])
        if not line:
            break
    raise RuntimeError("the exchange did not start")


def _all_orders(client: Client) -> Iterator[dict[str, Any]]:
    after = ""
    while True:
        page = client.get(f"/v2/orders?status=all&direction=asc&limit=500&after={quote(after)}")
        yield from page
        if len(page) < 500:
            return
        after = page[-1]["submitted_at"]


def _of_orders(orders: list[dict[str, Any]]) -> dict[str, float]:
    filled: dict[str, float] = defaultdict(float)
    for order in orders:
        if qty := float(order["filled_qty"]):
            filled[order["symbol"]] += qty * (1 if order["side"] == "buy" else -1)
    return {symbol: round(qty, 6) for symbol, qty in filled.items()}


def _of_activities(client: Client, found: Soak) -> dict[str, float]:
    filled: dict[str, float] = defaultdict(float)
    token = ""
    while True:
        page = client.get(
            f"/v2/account/activities/FILL?direction=asc&page_size=100&page_token={quote(token)}"
        )
        for fill in page:
            filled[fill["symbol"]] += float(fill["qty"]) * (1 if fill["side"] == "buy" else -1)
        found.fills += len(page)
        if len(page) < 100:
            return {symbol: round(qty, 6) for symbol, qty in filled.items()}
        token = page[-1]["id"]


def _same(what: str, expected: dict[str, Any], found: dict[str, Any]) -> None:
    if expected == found:
        return
    names = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
    first = names[0]
    raise RuntimeError(
        f"{what}: {len(names)} differ, first {first}: "
        f"expected {expected.get(first)}, found {found.get(first)}"
    )
