"""The paths of the account: positions, balances, switches, activities and history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from live.exchange import wire
from live.exchange.desk import CONFIGURATION, answer
from live.exchange.errors import Refusal, bad_field
from live.exchange.intake import flag_of, json_of, number_of, time_of, words_of
from live.venue.types import ActivityKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from live.exchange.desk import Desk

__all__ = ["AccountPaths"]

PAGE: Final = 100
NEW_YORK: Final = ZoneInfo("America/New_York")

_PERIODS: Final = {"D": 1, "W": 7, "M": 31, "A": 366}
_FRAMES: Final = {"1Min": 60, "5Min": 300, "15Min": 900, "1H": 3600, "1D": 86_400}


class AccountPaths:
    """The account of one desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def routes(self) -> list[Route]:
        """Return the paths."""
        return [
            Route("/v2/positions", self.positions, methods=["GET"]),
            Route("/v2/positions", self.close_all, methods=["DELETE"]),
            Route("/v2/positions/{symbol}", self.position, methods=["GET"]),
            Route("/v2/positions/{symbol}", self.close, methods=["DELETE"]),
            Route("/v2/positions/{symbol}/exercise", self.exercise, methods=["POST"]),
            Route("/v2/account", self.account, methods=["GET"]),
            Route("/v2/account/configurations", self.configuration, methods=["GET"]),
            Route("/v2/account/configurations", self.configure, methods=["PATCH"]),
            Route("/v2/account/activities", self.activities, methods=["GET"]),
            Route("/v2/account/activities/{kind}", self.activities, methods=["GET"]),
            Route("/v2/account/portfolio/history", self.history, methods=["GET"]),
        ]

    async def positions(self, request: Request) -> Response:
        """List what is held."""
        return answer([wire.position(held) for held in self.desk.venue.positions()])

    async def position(self, request: Request) -> Response:
        """Return what is held of one symbol."""
        symbol = self.desk.symbol(request.path_params["symbol"])
        with self.desk.asking("position does not exist"):
            return answer(wire.position(self.desk.venue.position(symbol)))

    async def close(self, request: Request) -> Response:
        """Close a position, a quantity of it or a percentage."""
        symbol = self.desk.symbol(request.path_params["symbol"])
        query = request.query_params
        qty = number_of(query.get("qty"), "qty")
        percentage = number_of(query.get("percentage"), "percentage")
        if qty is not None and percentage is not None:
            raise bad_field("only one of qty or percentage is accepted")
        if percentage is not None and percentage > 100:
            raise bad_field("percentage must be at most 100")
        with self.desk.asking("position does not exist", symbol=symbol):
            return answer(wire.order(self.desk.venue.close_position(symbol, qty=qty, pct=percentage)))

    async def close_all(self, request: Request) -> Response:
        """Close all positions, and say of each how that went."""
        venue = self.desk.venue
        if flag_of(request.query_params.get("cancel_orders")):
            working = [order.id for order in venue.orders("open")]
            with self.desk.announced("pending_cancel", *working), self.desk.asking():
                venue.cancel_all()
        # what was sold is bought back first: the other side may be what covers it
        held = sorted(venue.positions(), key=lambda position: position.qty > 0)
        return answer([self._closed(position.symbol) for position in held], 207)

    async def exercise(self, request: Request) -> Response:
        """Exercise a long option."""
        symbol = self.desk.symbol(request.path_params["symbol"])
        with self.desk.asking("position does not exist"):
            self.desk.venue.exercise(symbol)
        return Response(status_code=204)

    async def account(self, request: Request) -> Response:
        """Return balances."""
        shown = wire.account(self.desk.venue.account())
        shown["trade_suspended_by_user"] = self.desk.configuration["suspend_trade"]
        shown["shorting_enabled"] = not self.desk.configuration["no_shorting"]
        return answer(shown)

    async def configuration(self, request: Request) -> Response:
        """Return the account's switches."""
        return answer(self.desk.configuration)

    async def configure(self, request: Request) -> Response:
        """Set some of the account's switches."""
        body = json_of(await request.body())
        given = {name: value for name, value in body.items() if value is not None}
        for name, value in given.items():
            if name not in CONFIGURATION:
                raise bad_field(f"invalid configuration: {name[:40]}")
            if type(value) is not type(CONFIGURATION[name]):
                raise bad_field(f"{name} must be a {type(CONFIGURATION[name]).__name__}")
        self.desk.configuration.update(given)
        return answer(self.desk.configuration)

    async def activities(self, request: Request) -> Response:
        """List what changed cash or positions, the newest first, a page at a time."""
        query = request.query_params
        kinds = words_of(request.path_params.get("kind")) or words_of(query.get("activity_types"))
        category = query.get("category")
        if category and kinds:
            raise bad_field("only one of category or activity_types is accepted")
        after, until = _window(query)
        size = int(min(number_of(query.get("page_size"), "page_size") or PAGE, PAGE))
        direction: Literal["asc", "desc"] = "asc" if query.get("direction") == "asc" else "desc"
        if category:
            fills = category == "trade_activity"
            kinds = [kind for kind in get_args(ActivityKind) if (kind == "FILL") == fills]
        found = self.desk.venue.activities(
            kinds or None, after=after, until=until, limit=size, direction=direction,
            beyond=query.get("page_token") or "",
        )  # fmt: skip
        account = self.desk.venue.account().id
        return answer([wire.activity(done, account) for done in found])

    async def history(self, request: Request) -> Response:
        """Return the account's value over time, one point per window."""
        query = request.query_params
        frame = query.get("timeframe") or "1D"
        if frame not in _FRAMES:
            raise bad_field(f"invalid timeframe: {frame[:40]}")
        values = list(self.desk.market.values)
        end = time_of(query.get("end") or query.get("date_end"), "end")
        start = time_of(query.get("start"), "start")
        last = values[-1][0] // 1_000_000_000 if values else 0
        upto = int(end.timestamp()) if end is not None else last
        since = int(start.timestamp()) if start is not None else upto - _period(query.get("period") or "1M")
        points = _sampled(values, since, upto, _FRAMES[frame])
        base = points[0][1] if points else 0.0
        return answer(
            {
                "timestamp": [time for time, _ in points],
                "equity": [round(value, 2) for _, value in points],
                "profit_loss": [round(value - base, 2) for _, value in points],
                "profit_loss_pct": [value / base - 1.0 if base else None for _, value in points],
                "base_value": round(base, 2),
                "timeframe": frame,
            }
        )

    def _closed(self, symbol: str) -> dict[str, Any]:
        try:
            with self.desk.asking("position does not exist", symbol=symbol):
                order = self.desk.venue.close_position(symbol)
        except Refusal as refusal:
            return {"symbol": symbol, "status": refusal.status, "body": refusal.body()}
        return {"symbol": symbol, "status": 200, "order_id": order.id, "body": wire.order(order)}


def _window(query: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    """Return the times between which activities are wanted; `date` is one day in New York."""
    if not query.get("date"):
        return time_of(query.get("after"), "after"), time_of(query.get("until"), "until")
    if query.get("after") or query.get("until"):
        raise bad_field("date and after or until are not accepted together")
    day = time_of(query["date"], "date") or datetime.now(UTC)
    begin = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
    return begin - timedelta(microseconds=1), begin + timedelta(days=1) - timedelta(microseconds=1)


def _period(text: str) -> int:
    """Return the seconds of a period such as 1D, 2W, 3M or 1A."""
    unit, count = text[-1:], text[:-1]
    if unit not in _PERIODS or not count.isdigit() or not 0 < int(count) <= 1000:
        raise bad_field(f"invalid period: {text[:40]}")
    return int(count) * _PERIODS[unit] * 86_400


def _sampled(values: list[tuple[int, float]], since: int, upto: int, window: int) -> list[tuple[int, float]]:
    """Return the last value of each window between two times, under the time of that window's beginning."""
    points: dict[int, float] = {}
    for ts, value in values:
        second = ts // 1_000_000_000
        if since <= second <= upto:
            points[second - second % window] = value
    return list(points.items())
