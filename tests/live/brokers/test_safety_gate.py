"""Real money: the key, the flag and the armed token, each of them needed; and brokers by configuration."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from live.brokers.interface import Leg, OrderPurpose, OrderRequest, Outcome
from live.brokers.live_gate import GuardedBroker, check_live
from live.brokers.opening import ADAPTERS, open_broker
from live.brokers.settings import BROKERS, BrokerSettings
from live.kill_switch import KillSwitch, KillSwitchError, Scope
from simulator.errors import ConfigError, TwinstepError, UnknownNameError
from tests.live.memory_broker import MemoryBroker

ROOT = Path(__file__).resolve().parents[3]
IB = BrokerSettings(name="interactive_brokers", port=1)


def switch_at(folder: Path, scope: Scope = "live", *, armed: bool = True) -> KillSwitch:
    switch = KillSwitch(folder / f"{scope}.switch", scope=scope)
    if armed and scope == "live":
        switch.arm("ada", "first day")
    return switch


def order(purpose: OrderPurpose = "entry", number: int = 1) -> OrderRequest:
    return OrderRequest(client_order_id=f"tw-{number}", legs=(Leg("AAPL", 1.0),), purpose=purpose)


@pytest.mark.parametrize(
    ("key", "flag", "token"),
    [locks for locks in itertools.product((False, True), repeat=3) if not all(locks)],
)
def test_every_lock_that_is_shut_keeps_real_money_out(
    tmp_path: Path, key: bool, flag: bool, token: bool
) -> None:
    switch = switch_at(tmp_path, armed=token)
    with pytest.raises(TwinstepError) as caught:
        check_live(key=key, flag=flag, switch=switch)
    assert caught.value.code == ("LIVE_NOT_ENABLED" if not (key and flag) else "LIVE_HALTED")
    if flag:
        with pytest.raises(TwinstepError) as opened:
            open_broker(IB, live=True, live_key=key, switch=switch, environment={})
        assert opened.value.code == caught.value.code
    else:
        # without the flag the account of paper is opened, whatever else is unlocked
        assert open_broker(IB, live_key=key, switch=switch, environment={}).is_paper


def test_all_three_open_it(tmp_path: Path) -> None:
    broker = open_broker(IB, live=True, live_key=True, switch=switch_at(tmp_path), environment={})
    assert not broker.is_paper
    assert isinstance(broker, GuardedBroker)


def test_the_error_names_what_is_missing() -> None:
    with pytest.raises(
        ConfigError, match=r"\[live\] key = true in the configuration and --live .* are missing"
    ):
        check_live(key=False, flag=False, switch=None)
    with pytest.raises(ConfigError, match=r"; --live where it is started is missing"):
        check_live(key=True, flag=False, switch=None)


def test_a_token_for_paper_is_none(tmp_path: Path) -> None:
    for switch in (None, switch_at(tmp_path, "paper")):
        with pytest.raises(ConfigError) as caught:
            check_live(key=True, flag=True, switch=switch)
        assert caught.value.code == "LIVE_SCOPE"
    # a folder that was begun for paper carries a token, which arms nothing that is real
    begun = switch_at(tmp_path, "paper")
    with pytest.raises(KillSwitchError) as halted:
        check_live(key=True, flag=True, switch=KillSwitch(begun.folder, scope="live"))
    assert halted.value.code == "LIVE_HALTED"


def test_nothing_given_is_paper() -> None:
    assert open_broker(BrokerSettings()).is_paper
    assert open_broker(IB, environment={}).is_paper
    assert not isinstance(open_broker(IB, environment={}), GuardedBroker)


def test_paper_has_no_real_money(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_broker(BrokerSettings(), live=True, live_key=True, switch=switch_at(tmp_path))
    assert caught.value.code == "LIVE_NOT_ENABLED"


def test_the_token_is_asked_before_every_order(tmp_path: Path) -> None:
    switch = switch_at(tmp_path)
    inner = MemoryBroker(paper=False)
    inner.move({"AAPL": 100.0})
    broker = GuardedBroker(inner, switch)
    assert broker.submit_order(order(number=1)).outcome is Outcome.CONFIRMED

    KillSwitch(switch.folder, scope="live").engage("crash", "ada")
    before = len(inner.get_orders(open_only=False))
    for number, purpose in ((2, "entry"), (3, "exit")):
        answer = broker.submit_order(order(purpose, number))  # type: ignore[arg-type]
        assert (answer.outcome, answer.code) == (Outcome.DENIED, "LIVE_HALTED")
        assert "crash" in answer.message
    assert len(inner.get_orders(open_only=False)) == before
    assert broker.submit_order(order("protect", 4)).outcome is Outcome.CONFIRMED

    switch.arm("ada", "sane again")
    switch.reduce("too much", "ada")
    assert broker.submit_order(order("entry", 5)).code == "LIVE_REDUCING"
    assert broker.submit_order(order("exit", 6)).outcome is Outcome.CONFIRMED


def test_a_removed_token_halts_too(tmp_path: Path) -> None:
    switch = switch_at(tmp_path)
    inner = MemoryBroker(paper=False)
    inner.move({"AAPL": 100.0})
    broker = GuardedBroker(inner, switch)
    (switch.folder / "ARMED").unlink()
    assert broker.submit_order(order()).outcome is Outcome.DENIED
    assert not inner.get_orders(open_only=False)


def test_what_else_an_adapter_has_is_passed_on(tmp_path: Path) -> None:
    inner = MemoryBroker(paper=False)
    broker = GuardedBroker(inner, switch_at(tmp_path))
    broker.move({"AAPL": 100.0})
    broker.submit_order(order())
    assert broker.get_positions() == inner.get_positions()
    assert [one.client_order_id for one in broker.get_orders(open_only=False)] == ["tw-1"]
    assert broker.find_order("tw-1") == inner.find_order("tw-1")
    assert (broker.broker, broker.account, broker.is_paper) == (inner.broker, inner.account, False)
    assert broker.get_account() == inner.get_account()
    assert broker.executions() == inner.executions()
    with pytest.raises(AttributeError):
        broker.no_such_thing  # noqa: B018 - reading it is the test


def test_a_guard_of_paper_guards_no_real_money(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        GuardedBroker(MemoryBroker(paper=False), switch_at(tmp_path, "paper"))
    assert caught.value.code == "LIVE_SCOPE"


def test_an_adapter_that_opens_the_other_account_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "live.brokers.interactive_brokers.broker.InteractiveBrokersBroker.is_paper", property(lambda _: False)
    )
    with pytest.raises(ConfigError) as caught:
        open_broker(IB, environment={})
    assert caught.value.code == "LIVE_NOT_PAPER"


@pytest.mark.parametrize("name", ["url", "data_url"])
def test_keys_go_to_the_broker_or_to_this_machine(name: str) -> None:
    def settings(url: str) -> BrokerSettings:
        return BrokerSettings(name="interactive_brokers", **{name: url})  # type: ignore[arg-type]

    for address in (
        "http://broker.example", "ftp://127.0.0.1", "127.0.0.1:80", "https://user:word@broker.example",
        "http://127.0.0.1.evil.example",
    ):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            open_broker(settings(address), environment={})
        assert caught.value.code == "LIVE_BROKER_URL"
        assert "word" not in str(caught.value).replace("password", "")
    for address in ("http://127.0.0.1:8080", "https://proxy.example", "http://localhost:1"):
        assert open_broker(settings(address), environment={}).is_paper


def test_real_money_takes_no_other_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_broker(
            BrokerSettings(name="alpaca", url="https://proxy.example"), live=True, live_key=True,
            switch=switch_at(tmp_path), environment={},
        )  # fmt: skip
    assert caught.value.code == "LIVE_BROKER_URL"


def test_an_unknown_broker_has_a_near_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'alpaca'") as caught:
        BrokerSettings(name="alpacca")
    assert caught.value.code == "NAME_BROKER"
    assert set(BROKERS) == {"paper", *ADAPTERS}


@pytest.mark.parametrize(
    "wrong", [{"timeout": 0.0}, {"timeout": float("nan")}, {"port": 0}, {"client_id": 0}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        BrokerSettings(**wrong)  # type: ignore[arg-type]
    assert caught.value.code == "LIVE_BROKER_CONFIG"


def test_no_library_of_a_broker_is_imported_before_it_is_opened(tmp_path: Path) -> None:
    code = (
        "import sys, live.brokers.opening as o\n"
        "o.open_broker(o.BrokerSettings())\n"
        "print(sorted({'alpaca', 'ib_async', 'tastytrade', 'keyring'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
