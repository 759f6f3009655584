"""alpaca-py reads positions, balances, activities, clock, calendar and assets, and closes positions."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.models import AccountConfiguration, NonTradeActivity, TradeActivity
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOptionContractsRequest,
    GetPortfolioHistoryRequest,
    LimitOrderRequest,
    MarketOrderRequest,
)

from live.exchange import Exchange


def trade(client: TradingClient, symbol: str, qty: float, side: str = "buy") -> Any:
    return client.submit_order(MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force="day"))


def positions(client: TradingClient) -> dict[str, Any]:
    return {position.symbol: position for position in client.get_all_positions()}  # type: ignore[union-attr]


def test_the_account_adds_up(exchange: Exchange, client: TradingClient) -> None:
    account: Any = client.get_account()
    assert (account.cash, account.equity, account.buying_power) == ("100000", "100000", "100000")
    trade(client, "AAPL", 100)
    exchange.market.tick({"AAPL": 110.0})
    account = client.get_account()
    assert (account.cash, account.equity, account.long_market_value) == ("90000", "101000", "11000")
    assert account.portfolio_value == account.equity
    assert account.id == client.get_account().id  # type: ignore[union-attr]


def test_positions_long_and_short(exchange: Exchange, client: TradingClient) -> None:
    trade(client, "AAPL", 100)
    trade(client, "MSFT", 200, "sell")
    exchange.market.tick({"AAPL": 110.0, "MSFT": 45.0})
    held = positions(client)
    assert {symbol: (position.qty, position.side.value) for symbol, position in held.items()} == {
        "AAPL": ("100", "long"),
        "MSFT": ("-200", "short"),
    }
    assert (held["AAPL"].unrealized_pl, held["AAPL"].unrealized_plpc) == ("1000", "0.1")
    assert (held["MSFT"].market_value, held["MSFT"].unrealized_pl) == ("-9000", "1000")
    assert held["AAPL"].current_price == "110"
    one: Any = client.get_open_position("AAPL")
    assert one == held["AAPL"]
    assert client.get_open_position(str(one.asset_id)).symbol == "AAPL"  # type: ignore[union-attr]


def test_a_position_that_is_not_held_is_not_found(client: TradingClient) -> None:
    for ask in (lambda: client.get_open_position("AAPL"), lambda: client.close_position("AAPL")):
        with pytest.raises(APIError, match="position does not exist") as caught:
            ask()
        assert (caught.value.status_code, caught.value.code) == (404, 40410000)


def test_closing_a_position_in_parts_and_whole(client: TradingClient) -> None:
    trade(client, "AAPL", 100)
    order: Any = client.close_position("AAPL", ClosePositionRequest(qty="30"))
    assert (order.side.value, order.qty, order.type.value) == ("sell", "30", "market")
    assert positions(client)["AAPL"].qty == "70"
    client.close_position("AAPL", ClosePositionRequest(percentage="50"))
    assert positions(client)["AAPL"].qty == "35"
    client.close_position("AAPL")
    assert positions(client) == {}


def test_closing_more_than_is_held_is_refused(client: TradingClient) -> None:
    trade(client, "AAPL", 10)
    with pytest.raises(APIError) as caught:
        client.close_position("AAPL", ClosePositionRequest(qty="30"))
    assert caught.value.status_code in (403, 422)
    assert positions(client)["AAPL"].qty == "10"


def test_closing_everything(client: TradingClient) -> None:
    trade(client, "AAPL", 10)
    trade(client, "MSFT", 10, "sell")
    client.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=10, side="sell", limit_price=150, time_in_force="gtc")
    )
    answers: Any = client.close_all_positions(cancel_orders=True)
    assert {(answer.symbol, answer.status) for answer in answers} == {("AAPL", 200), ("MSFT", 200)}
    assert {answer.body.id for answer in answers} == {answer.order_id for answer in answers}
    assert positions(client) == {}
    assert client.get_orders() == []
    assert client.close_all_positions() == []


def test_a_position_whose_shares_are_taken_is_closed_only_with_its_orders(client: TradingClient) -> None:
    trade(client, "AAPL", 10)
    client.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=10, side="sell", limit_price=150, time_in_force="gtc")
    )
    assert positions(client)["AAPL"].qty_available == "0"
    (answer,) = client.close_all_positions()
    assert answer.status == 403  # type: ignore[union-attr]
    assert answer.body.code == 40310000  # type: ignore[union-attr]
    assert positions(client)["AAPL"].qty == "10"


def test_activities_tell_every_fill_once(exchange: Exchange, client: TradingClient) -> None:
    first = trade(client, "AAPL", 100)
    trade(client, "AAPL", 40, "sell")
    done: Any = client.get("/account/activities")
    assert [entry["activity_type"] for entry in done] == ["FILL", "FILL"]
    newest, oldest = (TradeActivity(**entry) for entry in done)
    assert (oldest.qty, oldest.price, oldest.side.value, oldest.symbol) == (100.0, 100.0, "buy", "AAPL")
    assert (newest.qty, newest.side.value, newest.leaves_qty) == (40.0, "sell", 0.0)
    assert oldest.order_id == first.id
    assert client.get("/account/activities/FILL") == done
    assert client.get("/account/activities", {"activity_types": "DIV,CSW"}) == []
    assert client.get("/account/activities", {"direction": "asc"}) == done[::-1]
    assert client.get("/account/activities", {"page_size": "1"}) == done[:1]
    assert client.get("/account/activities", {"page_size": "1", "page_token": done[0]["id"]}) == done[1:]
    assert client.get("/account/activities", {"date": "2024-01-02"}) == done
    assert client.get("/account/activities", {"date": "2024-01-03"}) == []
    assert client.get("/account/activities", {"category": "non_trade_activity"}) == []
    assert client.get("/account/activities", {"after": done[1]["transaction_time"]}) == done[:1]


def test_other_activities_are_read_by_the_client(exchange: Exchange, client: TradingClient) -> None:
    trade(client, "AAPL", 100)
    exchange.venue.action(exchange.market.clock(), "dividend", "AAPL", 0.25)
    (paid,) = client.get("/account/activities/DIV")
    assert isinstance(paid, dict)
    read = NonTradeActivity(**paid)
    assert (read.net_amount, read.symbol, read.per_share_amount) == (25.0, "AAPL", 0.25)


def test_clock_and_calendar(exchange: Exchange, client: TradingClient) -> None:
    clock: Any = client.get_clock()
    assert clock.timestamp.date() == date(2024, 1, 2)
    assert clock.is_open
    assert clock.next_close.date() == date(2024, 1, 3)
    exchange.market.step()
    assert client.get_clock().timestamp.date() == date(2024, 1, 3)  # type: ignore[union-attr]
    days: Any = client.get_calendar(GetCalendarRequest(start=date(2024, 11, 27), end=date(2024, 11, 30)))
    assert [(day.date.isoformat(), f"{day.close:%H:%M}") for day in days] == [
        ("2024-11-27", "16:00"),
        ("2024-11-29", "13:00"),
    ]
    assert client.get_calendar()


def test_assets(client: TradingClient) -> None:
    assets: Any = client.get_all_assets()
    assert [asset.symbol for asset in assets] == ["AAPL", "MSFT"]
    assert all(asset.tradable and asset.status.value == "active" for asset in assets)
    assert client.get_all_assets(GetAssetsRequest(asset_class="crypto")) == []  # type: ignore[arg-type]
    assert client.get_asset(str(assets[1].id)) == client.get_asset("MSFT") == assets[1]
    with pytest.raises(APIError) as caught:
        client.get_asset("NOPE")
    assert (caught.value.status_code, caught.value.code) == (404, 40410000)


def test_option_contracts_come_in_pages(client: TradingClient) -> None:
    query: dict[str, Any] = {"underlying_symbols": ["AAPL"], "type": "call", "strike_price_gte": "100"}
    every: Any = client.get_option_contracts(GetOptionContractsRequest(**query, limit=1000))
    assert every.next_page_token is None
    symbols = [contract.symbol for contract in every.option_contracts]
    assert symbols == sorted(set(symbols))
    assert all(contract.strike_price >= 100 for contract in every.option_contracts)
    paged: list[str] = []
    token = None
    while True:
        page: Any = client.get_option_contracts(GetOptionContractsRequest(**query, limit=7, page_token=token))
        paged += [contract.symbol for contract in page.option_contracts]
        token = page.next_page_token
        if token is None:
            break
    assert paged == symbols
    one: Any = client.get_option_contract(symbols[0])
    assert (one.symbol, one.underlying_symbol, one.type.value) == (symbols[0], "AAPL", "call")
    assert client.get_option_contract(one.id) == one
    with pytest.raises(APIError) as caught:
        client.get_option_contract("AAPL240119C00000000X")
    assert caught.value.code == 40410000


def test_the_accounts_switches_are_kept_and_obeyed(client: TradingClient) -> None:
    now: Any = client.get_account_configurations()
    assert not now.suspend_trade
    changed: Any = client.set_account_configurations(
        AccountConfiguration(**{**now.model_dump(), "suspend_trade": True, "no_shorting": True})
    )
    assert changed.suspend_trade
    with pytest.raises(APIError) as caught:
        trade(client, "AAPL", 1)
    assert (caught.value.status_code, caught.value.code) == (403, 40310000)
    assert client.get_account().trade_suspended_by_user  # type: ignore[union-attr]
    client.set_account_configurations(
        AccountConfiguration(**{**now.model_dump(), "suspend_trade": False, "no_shorting": True})
    )
    trade(client, "AAPL", 5)
    with pytest.raises(APIError, match="short"):
        trade(client, "AAPL", 6, "sell")
    trade(client, "AAPL", 5, "sell")


def test_the_portfolio_history_has_a_value_for_each_session(
    exchange: Exchange, client: TradingClient
) -> None:
    trade(client, "AAPL", 100)
    exchange.market.step(3)
    history: Any = client.get_portfolio_history(GetPortfolioHistoryRequest(period="1M", timeframe="1D"))
    assert len(history.timestamp) == len(history.equity) == 4
    assert history.equity == [100_000.0] * 4
    assert history.base_value == 100_000.0
    assert history.timestamp == sorted(history.timestamp)
    with pytest.raises(APIError) as caught:
        client.get_portfolio_history(GetPortfolioHistoryRequest(timeframe="2H"))
    assert caught.value.code == 40010001


def test_wrong_keys_and_unknown_paths(exchange: Exchange, client: TradingClient) -> None:
    stranger = TradingClient(exchange.keys.key_id, "wrong" * 8, url_override=exchange.url)
    with pytest.raises(APIError) as caught:
        stranger.get_account()
    assert (caught.value.status_code, caught.value.code) == (401, 40110000)
    with pytest.raises(APIError) as caught:
        client.get_watchlists()
    assert (caught.value.status_code, caught.value.code) == (404, 40410000)
    with pytest.raises(APIError) as caught:
        client.put("/orders", {})
    assert caught.value.status_code == 405
