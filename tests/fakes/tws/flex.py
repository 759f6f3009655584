"""The Flex web service over a `TwsMarket`: a request for a statement, a while of waiting, the statement."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

from tests.fakes.tws.market import Done, TwsMarket

NEW_YORK = ZoneInfo("US/Eastern")
_NOTES = {"assignment": "A", "exercise": "Ex", "expiry": "Ep", "trade": ""}


class FlexServer:
    """One service with one query.

    Attributes
    ----------
    busy
        Answers of "in progress" before the statement comes.
    broken
        An HTTP status instead of an answer, 0 for none.
    extra
        Further rows of the statement, as XML.
    """

    def __init__(self, market: TwsMarket, *, query: str = "99") -> None:
        self.market, self.query = market, query
        self.token = "flex-token"  # noqa: S105 - of a fake
        self.busy = 0
        self.broken = 0
        self.extra = ""
        self.asked = 0
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = outer.answer(self.path)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"{outer.address}elsewhere{self.path}")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=lambda: self._server.serve_forever(0.02), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, str]:
        self.asked += 1
        self.paths.append(urlparse(path).path)
        if self.broken:
            return self.broken, "not here"
        address = urlparse(path)
        fields = parse_qs(address.query)
        if fields["t"] != [self.token]:
            return 200, _failed(1012, "Token has expired.")
        if address.path == "/SendRequest":
            if fields["q"] != [self.query]:
                return 200, _failed(1014, "Query is invalid.")
            return 200, (
                "<FlexStatementResponse><Status>Success</Status><ReferenceCode>12345</ReferenceCode>"
                "<Url>http://127.0.0.1:9/GetStatement</Url></FlexStatementResponse>"
            )
        if self.busy > 0:
            self.busy -= 1
            return 200, _failed(1019, "Statement generation in progress. Please try again shortly.")
        return 200, self.statement()

    def statement(self) -> str:
        rows = [
            self._trade(done) for done in [*self.market.done_before, *self.market.done] if done.instrument
        ]
        return (
            '<FlexQueryResponse queryName="all" type="AF"><FlexStatements count="1"><FlexStatement accountId='
            f"{quoteattr(self.market.account)}><Trades>{''.join(rows)}</Trades>{self.extra}</FlexStatement>"
            "</FlexStatements></FlexQueryResponse>"
        )

    def _trade(self, done: Done) -> str:
        one = done.instrument
        assert one is not None
        booked = done.kind != "trade"
        order = done.order
        number = done.exec_id.split(".")[1]
        fields = {
            "accountId": self.market.account, "currency": "USD", "assetCategory": one.kind,
            "symbol": one.local,
            "underlyingSymbol": one.root, "multiplier": f"{one.multiplier:g}",
            "strike": f"{one.strike:g}" if one.strike else "", "expiry": one.expiry, "putCall": one.right,
            "tradeID": f"9{int(number, 16):08d}",
            "dateTime": done.time.astimezone(NEW_YORK).strftime("%Y%m%d;%H%M%S"),
            "transactionType": "BookTrade" if booked else "ExchTrade",
            "quantity": f"{done.side * done.quantity:g}",
            "tradePrice": f"{done.price:g}", "ibCommission": f"{-done.fees:g}", "openCloseIndicator": "",
            "notes": _NOTES[done.kind], "buySell": "BUY" if done.side > 0 else "SELL",
            "ibOrderID": "" if order is None else "7" + str(order.perm_id)[-8:],
            "orderReference": "" if order is None else order.ref, "transactionID": f"8{int(number, 16):08d}",
            "ibExecID": "" if booked else done.exec_id, "origTradeID": "", "levelOfDetail": "EXECUTION",
        }  # fmt: skip
        return "<Trade " + " ".join(f"{name}={quoteattr(value)}" for name, value in fields.items()) + " />"


def _failed(code: int, text: str) -> str:
    return (
        f"<FlexStatementResponse><Status>Fail</Status><ErrorCode>{code}</ErrorCode>"
        f"<ErrorMessage>{text}</ErrorMessage></FlexStatementResponse>"
    )
