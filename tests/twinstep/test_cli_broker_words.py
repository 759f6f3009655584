"""What `twinstep broker` says: prices and sides, what is not there, what does not answer, and what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from journal.database import Database
from journal.storage.files import write_whole
from live.brokers import secrets
from live.exchange import Exchange
from live.feeds.spec import feed_of
from live.following import BrokerSession
from live.intents import IntentLog
from simulator.errors import ConfigError, UnknownNameError
from strategies import load_strategy
from tests.live.exchange.conftest import exchange
from tests.twinstep.conftest import Cli
from twinstep.broker_desk import check_session, sessions_at_brokers, sessions_begun

__all__ = ["exchange"]  # a fixture

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("keyring.get_password", lambda service, name: None)
    yield
    secrets.forget()


def at_alpaca(url: str, monkeypatch: pytest.MonkeyPatch, key: str, secret: str, more: str = "") -> None:
    for stage in ("", "LIVE_"):
        monkeypatch.setenv(f"TWINSTEP_ALPACA_{stage}KEY", key)
        monkeypatch.setenv(f"TWINSTEP_ALPACA_{stage}SECRET", secret)
    text = f'[broker]\nname = "alpaca"\nurl = "{url}"\ndata_url = "{url}"\ntimeout = 5.0\n{more}'
    Path("twinstep.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def configured(cli: Cli, exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    at_alpaca(exchange.url, monkeypatch, exchange.keys.key_id, exchange.keys.secret)
    return exchange


def flat(text: str) -> str:
    return " ".join(text.split())


def test_orders_are_shown_with_side_and_prices(cli: Cli, configured: Exchange) -> None:
    assert cli("broker", "order", "AAPL", "5", "--limit", "50", "--yes").code == 0
    assert cli("broker", "order", "AAPL", "10", "--yes").code == 0
    assert cli("broker", "order", "AAPL", "-10", "--stop", "82.82", "--purpose", "protect", "--yes").code == 0
    out = flat(cli("broker", "status").out)
    assert "limit 50.00" in out
    assert "stop 82.82" in out
    assert "buy 5" in out
    assert "sell 10" in out


@pytest.mark.parametrize("words", [("broker", "status"), ("broker", "cancel", "x")])
def test_a_broker_that_is_out_of_reach_is_told_with_what_to_do(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    at_alpaca(NOWHERE, monkeypatch, "canary-key-1234567", "canary-secret-1234567")
    answer = cli(*words)
    assert answer.code == 2
    assert "no connection to 127.0.0.1" in answer.err
    assert "status.alpaca.markets" in answer.err
    assert "twinstep doctor --broker alpaca" in answer.err
    assert "object at 0x" not in answer.err


def test_an_order_says_that_it_was_not_sent(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    at_alpaca(NOWHERE, monkeypatch, "canary-key-1234567", "canary-secret-1234567")
    answer = cli("broker", "order", "AAPL", "1", "--yes")
    assert answer.code == 3
    assert "denied" in answer.out
    assert "nothing was sent" in answer.out
    assert "status.alpaca.markets" in answer.out
    row = cli("broker", "order", "AAPL", "1", "--yes", "--json").json
    assert (row["outcome"], row["sent"]) == ("denied", False)


def test_keys_that_are_refused_are_told_with_what_to_do(
    cli: Cli, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_alpaca(exchange.url, monkeypatch, "canary-key-1234567", "canary-secret-1234567")
    answer = cli("broker", "status")
    assert "LIVE_ACCESS" in answer.err
    assert "make a new pair of keys" in answer.err
    assert "canary" not in answer.err + answer.out


def test_an_order_without_a_broker_says_what_is_missing(cli: Cli) -> None:
    answer = cli("broker", "order", "AAPL", "1", "--limit", "150", "--yes")
    assert (answer.code, "CLI_NO_BROKER" in answer.err) == (2, True)
    assert "[broker]" in answer.err
    assert "no prices for orders by hand" in flat(cli("doctor", "--broker", "paper").out)


def test_only_an_account_that_is_demoted_is_promoted(cli: Cli) -> None:
    words = ("broker", "promote", "--by", "ada", "--reason", "back to usual")
    assert "JOURNAL_MISSING" in cli(*words).err
    with Database("trade_journal.db") as database:
        IntentLog(database, "paper:paper")
    answer = cli(*words)
    assert (answer.code, "is not demoted" in answer.out) == (3, True)
    assert "CLI_SESSION" in cli(*words, "--session", "nobody").err
    assert not Path("trade_journal.db.switch/promotions.jsonl").exists()


def test_looking_at_what_fills_cost_begins_no_journal(cli: Cli) -> None:
    before = sorted(os.listdir())
    answer = cli("broker", "slippage", "--journal", "nosuch.db")
    assert (answer.code, "JOURNAL_MISSING" in answer.err) == (2, True)
    assert sorted(os.listdir()) == before


def test_a_session_is_known_before_its_first_order(cli: Cli) -> None:
    feed = feed_of("sample:stocks", end="2000-03-03")
    strategy = load_strategy("sma-cross")
    with BrokerSession("trade_journal.db", feed=feed, strategies=strategy, name="sec"):
        pass
    assert sessions_at_brokers("trade_journal.db") == []
    assert sessions_begun("trade_journal.db") == ["sec"]
    check_session("trade_journal.db", "sec")
    check_session("trade_journal.db", None)
    with pytest.raises(ConfigError, match="there are 'sec'") as raised:
        check_session("trade_journal.db", "sex")
    assert raised.value.code == "CLI_SESSION"


def test_a_session_that_runs_is_named_with_its_commands(
    cli: Cli, configured: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    from simulator.errors import JournalError

    def held(*_: object, **__: object) -> None:
        raise JournalError("process 1 writes to the journal", code="JOURNAL_LOCKED")

    monkeypatch.setattr("live.opening.open_desk", held)
    monkeypatch.setattr("twinstep.broker_desk.sessions_begun", lambda journal: ["sec"])
    answer = cli("broker", "status", "--session", "sec")
    assert "JOURNAL_LOCKED" in answer.err
    assert "twinstep status --name sec" in answer.err


def test_arming_a_fresh_folder_says_the_whole_line_that_works(cli: Cli) -> None:
    import shlex

    words = ("arm", "--scope", "live", "--by", "ada", "--reason", "first day", "--confirm")
    answer = cli(*words)
    assert "LIVE_NO_SWITCH" in answer.err
    line = answer.err.strip().rpartition("name it: ")[2]
    assert line.startswith("twinstep arm --folder")
    assert cli(*shlex.split(line)[1:]).code == 0
    assert cli("status", "--json").json["scope"] == "live"


def test_the_locks_of_real_money_are_named_with_a_line_to_paste(
    cli: Cli, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINSTEP_ALPACA_LIVE_KEY", "canary-key-1234567")
    monkeypatch.setenv("TWINSTEP_ALPACA_LIVE_SECRET", "canary-secret-1234567")
    Path("twinstep.toml").write_text('[broker]\nname = "alpaca"\n[live]\nkey = true\n', encoding="utf-8")
    told = flat(
        cli("broker", "status", "--live").err + cli("broker", "order", "X", "1", "--live", "--yes").err
    )
    assert "--scope live --by NAME --reason TEXT --confirm" in told


def test_an_address_with_real_money_is_a_problem_for_doctor(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_alpaca(NOWHERE, monkeypatch, "canary-key-1234567", "canary-secret-1234567", "[live]\nkey = true\n")
    answer = cli("doctor", "--broker", "alpaca", "--live", "--json")
    found = {one["name"]: one for one in answer.json["findings"]}
    assert found["address"]["state"] == "problem"
    assert "LIVE_BROKER_URL" in found["address"]["detail"]


@pytest.mark.parametrize("words", [("broker", "status"), ("broker", "order"), ("broker", "accept")])
def test_no_help_loses_a_word_in_brackets(cli: Cli, words: tuple[str, ...]) -> None:
    out = flat(cli(*words, "--help").out)
    assert "needs and" not in out
    assert "of section of" not in out
    if words[1] != "accept":
        assert "section live of the" in flat(out.replace("│", " "))


def test_misspelt_feeds_and_brokers_are_guessed(cli: Cli) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'alpaca:AAPL'") as raised:
        feed_of("alpca:AAPL")
    assert raised.value.code == "NAME_SOURCE"
    assert "tastytrade" in str(raised.value)
    assert "Did you mean 'interactive_brokers'" in cli("doctor", "--broker", "ib").err


def test_credentials_are_asked_for_in_full(cli: Cli) -> None:
    Path("twinstep.toml").write_text('[broker]\nname = "alpaca"\n', encoding="utf-8")
    told = cli("broker", "status").err
    assert "keyring set twinstep alpaca.key" in told
    assert "keyring set twinstep alpaca.secret" in told
    write_whole(Path("credentials.toml"), b"key = \n")
    Path("credentials.toml").chmod(0o600)
    assert "write [alpaca] and under it a line key" in cli("broker", "status").err
