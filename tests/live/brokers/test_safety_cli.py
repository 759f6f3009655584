"""One command line, unchanged, at every broker by configuration alone; its locks; and what doctor says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from journal.database import Database
from live.brokers import secrets
from live.brokers.examining import Check, examine_broker
from live.brokers.settings import BrokerSettings
from live.brokers.told import Standing
from live.exchange import Exchange
from live.intents import IntentLog
from live.kill_switch import KillSwitch
from live.slippage import samples, standing
from tests.fakes.tws.server import TwsServer
from tests.live.exchange.conftest import exchange
from tests.twinstep.conftest import Answer, Cli, cli

__all__ = ["cli", "exchange"]  # fixtures

CANARY = "canary-0123456789-secret"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("keyring.get_password", lambda service, name: None)
    yield
    secrets.forget()


@pytest.fixture(params=["alpaca", "interactive_brokers"])
def configured(
    request: pytest.FixtureRequest, cli: Cli, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Write the configuration of a broker; everything else is the same for all."""
    if request.param == "alpaca":
        monkeypatch.setenv("TWINSTEP_ALPACA_KEY", exchange.keys.key_id)
        monkeypatch.setenv("TWINSTEP_ALPACA_SECRET", exchange.keys.secret)
        text = f'name = "alpaca"\nurl = "{exchange.url}"\ndata_url = "{exchange.url}"\ntimeout = 5.0\n'
        Path("twinstep.toml").write_text(f"[broker]\n{text}", encoding="utf-8")
        yield "alpaca"
        return
    with TwsServer() as tws:
        tws.move({"AAPL": 100.0})
        text = f'name = "interactive_brokers"\nport = {tws.port}\ntimeout = 5.0\n'
        Path("twinstep.toml").write_text(f"[broker]\n{text}", encoding="utf-8")
        yield "interactive_brokers"


def said(answer: Answer, code: int = 0) -> Any:
    assert answer.code == code, answer.err
    return json.loads(answer.out)


def test_one_session_of_orders_runs_unchanged_at_each_broker(cli: Cli, configured: str) -> None:
    before = said(cli("broker", "status", "--json"))
    assert (before["broker"], before["paper"], before["switch"]) == (configured, True, "ACTIVE")
    assert before["positions"] == before["orders"] == []

    bought = said(cli("broker", "order", "aapl", "10", "--id", "first", "--yes", "--json"))
    assert (bought["outcome"], bought["id"]) == ("confirmed", "first")
    resting = said(cli("broker", "order", "AAPL", "5", "--limit", "50", "--yes", "--json"))
    assert resting["outcome"] == "confirmed"

    after = said(cli("broker", "status", "--json"))
    assert [(one["symbol"], one["quantity"]) for one in after["positions"]] == [("AAPL", 10.0)]
    assert [one["id"] for one in after["orders"]] == [resting["id"]]

    # nothing guards it without this program, and then a stop at the broker does
    (naked,) = after["if_it_died_now"]
    assert (naked["naked"], naked["open_loss"]) == (10.0, pytest.approx(1000.0, rel=0.05))
    assert naked["naked_since"] is not None
    (guarded,) = said(cli("broker", "protect", "--yes", "--json"))["if_it_died_now"]
    assert (guarded["naked"], guarded["loss_at_stops"]) == (0.0, pytest.approx(50.0, rel=0.2))
    assert "10 of 10" in cli("broker", "status").out

    # typed again with its id it is the same order
    again = said(cli("broker", "order", "AAPL", "10", "--id", "first", "--yes", "--json"))
    assert again["outcome"] == "confirmed"
    assert said(cli("broker", "status", "--json"))["positions"] == after["positions"]

    assert said(cli("broker", "cancel", resting["id"], "--json"))["state"] == "cancelled"
    out = said(cli("broker", "order", "AAPL", "-10", "--purpose", "exit", "--yes", "--json"))
    assert out["outcome"] == "confirmed"
    end = said(cli("broker", "status", "--json"))
    assert end["positions"] == []
    assert cli("broker", "protect", "--yes").code == 0
    end = said(cli("broker", "status", "--json"))
    assert end["orders"] == []

    with Database("trade_journal.db") as database:
        log = IntentLog(database, f"{configured}:paper")
        assert {event.order for event in log.events("intent")} >= {"first", resting["id"], out["id"]}
        assert len(list(log.events("fill"))) >= 2


def test_a_halt_keeps_entries_out_and_lets_one_look_and_cancel(cli: Cli, configured: str) -> None:
    resting = said(cli("broker", "order", "AAPL", "5", "--limit", "50", "--yes", "--json"))
    assert cli("kill", "--journal", "trade_journal.db", "--reason", "a test").code == 0
    answer = said(cli("broker", "order", "AAPL", "5", "--yes", "--json"), 3)
    assert (answer["outcome"], answer["code"]) == ("denied", "LIVE_HALTED")
    assert said(cli("broker", "status", "--json"))["switch"] == "HALTED"
    assert said(cli("broker", "cancel", resting["id"], "--json"))["state"] == "cancelled"


def test_nobody_orders_without_saying_so(cli: Cli, configured: str) -> None:
    answer = cli("broker", "order", "AAPL", "5")
    assert answer.code == 2
    assert "CLI_CONFIRM" in answer.err
    assert said(cli("broker", "status", "--json"))["orders"] == []


def test_real_money_needs_key_flag_and_token(cli: Cli) -> None:
    ordered = ("broker", "order", "AAPL", "1", "--yes", "--live", "--json")
    with TwsServer("U7654321") as tws:
        tws.move({"AAPL": 100.0})
        text = f'[broker]\nname = "interactive_brokers"\nport = {tws.port}\ntimeout = 5.0\n'
        Path("twinstep.toml").write_text(text, encoding="utf-8")
        for command in (("broker", "status", "--live"), ordered, ("broker", "cancel", "x", "--live")):
            answer = cli(*command)
            assert (answer.code, "LIVE_NOT_ENABLED" in answer.err) == (2, True)
            assert "[live] key = true" in answer.err
        Path("twinstep.toml").write_text(f"{text}[live]\nkey = true\n", encoding="utf-8")
        answer = cli(*ordered)
        assert (answer.code, "LIVE_HALTED" in answer.err) == (2, True)
        assert not Path("trade_journal.db").exists()
        assert tws.placed == []
        # without the flag it is paper that is wanted, and this gateway is logged in to real money
        assert "LIVE_NOT_PAPER" in cli("broker", "order", "AAPL", "1", "--yes", "--journal", "other.db").err
        assert tws.placed == []

        assert cli("arm", "--by", "ada", "--reason", "first day", "--scope", "live", "--journal",
                   "trade_journal.db", "--confirm").code == 0  # fmt: skip
        assert said(cli(*ordered))["outcome"] == "confirmed"
        assert len(tws.placed) == 1
        assert not said(cli("broker", "status", "--live", "--json"))["paper"]
        assert cli("kill", "--journal", "trade_journal.db").code == 0
        assert "LIVE_HALTED" in cli(*ordered).err
        assert said(cli("broker", "status", "--live", "--json"))["switch"] == "HALTED"
        assert len(tws.placed) == 1


def test_the_keys_of_paper_are_not_those_of_real_money(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINSTEP_ALPACA_KEY", CANARY)
    monkeypatch.setenv("TWINSTEP_ALPACA_SECRET", CANARY)
    Path("twinstep.toml").write_text('[broker]\nname = "alpaca"\n[live]\nkey = true\n', encoding="utf-8")
    KillSwitch("trade_journal.db.switch", scope="live").arm("ada", "a test")
    answer = cli("broker", "status", "--live")
    assert "TWINSTEP_ALPACA_LIVE_KEY" in answer.err
    assert CANARY not in answer.err + answer.out


def test_a_canary_that_the_broker_refuses_is_shown_nowhere(
    cli: Cli, exchange: Exchange, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TWINSTEP_ALPACA_KEY", CANARY)
    monkeypatch.setenv("TWINSTEP_ALPACA_SECRET", CANARY)
    Path("twinstep.toml").write_text(
        f'[broker]\nname = "alpaca"\nurl = "{exchange.url}"\ntimeout = 5.0\n', encoding="utf-8"
    )
    for command in (("broker", "status"), ("doctor", "--broker", "alpaca"), ("config", "show")):
        answer = cli(*command)
        assert CANARY not in answer.out + answer.err
    assert cli("broker", "order", "AAPL", "1", "--yes").code != 0
    for path in sorted(tmp_path.rglob("*")):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path


def checks_of(answer: Answer) -> dict[str, dict[str, str]]:
    return {one["name"]: one for one in json.loads(answer.out)["findings"]}


def test_doctor_finds_nothing_in_the_way(cli: Cli, configured: str) -> None:
    answer = cli("doctor", "--broker", configured, "--json")
    found = checks_of(answer)
    assert {name: one["detail"] for name, one in found.items() if one["state"] == "problem"} in (
        {},
        # this exchange serves no market data
        {"data": found["data"]["detail"]},
        {"data": found["data"]["detail"], "clock": found["clock"]["detail"]},
        {"clock": found["clock"]["detail"]},
    )
    assert list(found) == [
        "library", "credentials", "connection", "positions", "orders", "executions", "permissions", "clock",
        "data", "options",
    ]  # fmt: skip
    assert "paper account" in found["connection"]["detail"]


def test_doctor_says_what_to_do_for_each_broker(cli: Cli) -> None:
    answer = cli("doctor", "--broker", "alpaca", "--json")
    assert answer.code == 3
    assert "TWINSTEP_ALPACA_KEY" in checks_of(answer)["credentials"]["detail"]
    Path("twinstep.toml").write_text("[broker]\nport = 1\ntimeout = 0.5\n", encoding="utf-8")
    answer = cli("doctor", "--broker", "interactive_brokers", "--json")
    assert answer.code == 3
    assert "start TWS or IB Gateway" in checks_of(answer)["connection"]["detail"]
    assert "NAME_BROKER" in cli("doctor", "--broker", "alpacca").err
    assert "CLI_USAGE" in cli("doctor", "--live").err
    assert cli("doctor", "--broker", "paper").code == 0


def test_doctor_looks_at_the_locks_of_real_money_first(cli: Cli) -> None:
    answer = cli("doctor", "--broker", "interactive_brokers", "--live", "--json")
    assert answer.code == 3
    assert "LIVE_NOT_ENABLED" in checks_of(answer)["real money"]["detail"]


class Told:
    """An adapter that tells what a test wants."""

    broker, account, is_paper = "alpaca", "PA1", True

    def __init__(self, **standing: Any) -> None:
        self.time = standing.pop("time", datetime.now(UTC))
        self.told = Standing(**{"may_trade": True, "option_level": 3, **standing})

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def get_account(self) -> Any:
        from live.brokers.interface import Account

        return Account(cash=1.0, equity=1.0, buying_power=1.0)

    def get_positions(self) -> list[Any]:
        return []

    def get_orders(self) -> list[Any]:
        return []

    def executions(self) -> list[Any]:
        raise ConnectionError(f"GET /?token={CANARY}")

    def standing(self) -> Standing:
        return self.told

    def server_time(self) -> Any:
        return self.time


def examined(monkeypatch: pytest.MonkeyPatch, broker: Told) -> dict[str, Check]:
    monkeypatch.setattr("live.brokers.examining.open_broker", lambda *_, **__: broker)
    environment = {"TWINSTEP_ALPACA_KEY": "k", "TWINSTEP_ALPACA_SECRET": CANARY}
    found = examine_broker(BrokerSettings(name="alpaca"), environment=environment)
    return {check.name: check for check in found}


def test_permissions_level_and_data_have_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(monkeypatch, Told(may_trade=False, status="ACCOUNT_CLOSED"))
    assert found["permissions"].state == "problem"
    assert "ACCOUNT_CLOSED" in found["permissions"].detail
    found = examined(monkeypatch, Told(may_short=False, option_level=1))
    assert (found["permissions"].state, found["options"].state) == ("note", "note")
    assert "spreads need level 3" in found["options"].detail
    assert found["data"].state == "note"
    assert found["executions"].state == "problem"
    assert CANARY not in " ".join(check.detail for check in found.values())


@pytest.mark.parametrize(
    ("off", "state"), [(0.0, "ok"), (-10.0, "note"), (10.0, "note"), (-40.0, "problem"), (40.0, "problem")]
)
def test_a_clock_that_is_off_is_found(monkeypatch: pytest.MonkeyPatch, off: float, state: str) -> None:
    broker = Told(time=datetime.now(UTC) + timedelta(seconds=off))
    check = examined(monkeypatch, broker)["clock"]
    assert check.state == state
    if off:
        assert ("behind" if off > 0 else "ahead of") in check.detail


def test_what_fills_cost_is_shown_and_written_as_costs(cli: Cli, configured: str, tmp_path: Path) -> None:
    for number in range(2):
        assert cli("broker", "order", "AAPL", "1", "--id", f"o-{number}", "--yes").code == 0
    with Database("trade_journal.db") as database:
        measured = len(samples(IntentLog(database, f"{configured}:paper")))
    answer = cli(
        "broker", "slippage", "--min-count", "2", "--costs", "ibkr-fixed", "--out", "costs.toml", "--json"
    )
    found = said(answer)
    assert found["orders"] == measured == (2 if configured == "interactive_brokers" else 0)
    assert "commission_per_share = 0.005" in Path("costs.toml").read_text(encoding="utf-8")
    assert cli("config", "check", "costs.toml").code == 0
    assert "[costs]" in cli("broker", "slippage").out


def test_figures_are_kept_and_means_taken_and_only_a_person_promotes(cli: Cli) -> None:
    Path("twinstep.toml").write_text('[broker]\nname = "alpaca"\n', encoding="utf-8")
    with Database("trade_journal.db") as database:
        IntentLog(database, "alpaca:paper")
    said(cli("broker", "slippage", "--quantile", "mean", "--save", "usual.json", "--json"))
    assert json.loads(Path("usual.json").read_text(encoding="utf-8"))["cells"] == []
    assert "CLI_USAGE" in cli("broker", "slippage", "--quantile", "most").err

    with Database("trade_journal.db") as database:
        log = IntentLog(database, "alpaca:paper")
        Path("trade_journal.db.switch").mkdir()
        log.note("demoted", datetime.now(UTC), key="demoted:1", why="fills have become dear")
        assert standing(log, "trade_journal.db.switch") is not None
    answer = said(cli("broker", "promote", "--by", "ada", "--reason", "back to usual", "--json"))
    assert (answer["account"], answer["promoted"]) == ("alpaca:paper", True)
    with Database("trade_journal.db") as database:
        assert standing(IntentLog(database, "alpaca:paper"), "trade_journal.db.switch") is None
    assert "LIVE_REVIEW_NAME" in cli("broker", "promote", "--by", " ", "--reason", "x").err
