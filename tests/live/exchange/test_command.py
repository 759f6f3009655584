"""`twinstep exchange` as its user has it: says where it is, serves, and ends with a summary."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

ROOT = Path(__file__).parents[3]


class Running:
    """A started command, and what it has said about itself."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.head = ""
        assert process.stdout is not None
        while "TradingClient(" not in self.head:
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            self.head += line
        self.url = self.said(r"exchange at (\S+),")
        self.key_id, self.secret = self.said(r"key id  (\S+)"), self.said(r"secret  (\S+)")
        self.client = TradingClient(self.key_id, self.secret, url_override=self.url)

    def said(self, pattern: str) -> str:
        found = re.search(pattern, self.head)
        assert found is not None, self.head
        return found[1]

    def end(self, number: int) -> str:
        """Send a signal, and return what else was written; the command has to end well."""
        self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, errors
        assert "Traceback" not in errors
        assert self.secret not in out + errors
        return out


@contextmanager
def command(folder: Path, *arguments: str, **environment: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "twinstep", "exchange", "--data", "synthetic:2x30?seed=1", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_it_serves_until_ctrl_c_and_goes_on_from_its_file(tmp_path: Path) -> None:
    state = ("--manual", "--cash", "50000", "--state", "paper.events", "--costs", "zero")
    with command(tmp_path, *state) as first:
        assert first.head.count(first.secret) == 1
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", first.url)
        first.client.post("/../twinstep/step", {"bars": 2})
        order = first.client.submit_order(
            MarketOrderRequest(symbol="TEC1", qty=10, side="buy", time_in_force="day")
        )
        first.client.post("/../twinstep/step", {"bars": 1})
        resting = first.client.submit_order(
            LimitOrderRequest(symbol="FIN1", qty=1, side="buy", limit_price=1, time_in_force="gtc")
        )
        account = first.client.get_account()
        out = first.end(signal.SIGINT)
        assert "3 bars to 2024-11-20" in out
        assert "orders 2, fills 1" in out
        assert "TEC1" in out
    with command(tmp_path, *state) as second:
        assert second.client.get_account() == account
        assert second.client.get_order_by_id(order.id).status.value == "filled"  # type: ignore[union-attr]
        assert [held.id for held in second.client.get_orders()] == [resting.id]  # type: ignore[union-attr]
        second.client.post("/../twinstep/step", {"bars": 1})
        assert second.client.get_clock().timestamp.date().isoformat() == "2024-11-21"  # type: ignore[union-attr]
        second.end(signal.SIGTERM)


def test_an_order_that_was_answered_outlives_the_process_and_keys_may_be_given(tmp_path: Path) -> None:
    state = ("--speed", "5", "--state", "paper.events")
    keys = {"TWINSTEP_EXCHANGE_KEY": "mine", "TWINSTEP_EXCHANGE_SECRET": "0123456789abcdef"}
    with command(tmp_path, *state, **keys) as first:
        assert (first.key_id, first.secret) == ("mine", "0123456789abcdef")
        assert "5 bars per second" in first.head
        assert first.client.get_account().cash == "100000"  # type: ignore[union-attr]
        order = first.client.submit_order(
            LimitOrderRequest(symbol="TEC1", qty=3, side="buy", limit_price=1, time_in_force="gtc")
        )
        first.process.kill()
        first.process.communicate()
    with command(tmp_path, *state, **keys) as second:
        assert second.client.get_order_by_id(order.id) == order  # type: ignore[union-attr]
        second.end(signal.SIGINT)


@pytest.mark.parametrize(
    ("words", "environment", "code"),
    [
        (("--state", "."), {}, "CLI_STATE"),
        (("--state", "nodir/x"), {}, "CLI_STATE"),
        (("--manual", "--speed", "3"), {}, "CLI_EXCLUSIVE"),
        (("--allow-host", ""), {}, "CLI_HOST"),
        (("--allow-host", "a b"), {}, "CLI_HOST"),
        (("--host", "0.0.0.0"), {}, "EXCHANGE_HOST"),  # noqa: S104 - that it is refused is the point
        ((), {"TWINSTEP_EXCHANGE_KEY": "mine"}, "EXCHANGE_KEYS"),
        (("--speed", "0"), {}, "LIVE_SPEED"),
    ],
)
def test_what_cannot_be_served_is_refused_at_once(
    words: tuple[str, ...],
    environment: dict[str, str],
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from twinstep.cli import run

    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run(["exchange", "--data", "synthetic:2x30?seed=1", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error [{code}]: ")
    assert len(told.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
