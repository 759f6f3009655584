"""Credentials: where they come from, who may read the file, and that a canary is found nowhere else."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import keyring.backend
import pytest

from journal.database import Database
from live.brokers import secrets
from live.brokers.credentials import Credentials, load_credentials
from live.brokers.interface import Leg, OrderRequest, Outcome, Submitted
from live.brokers.secrets import Secret, scrub
from live.intents import IntentLog, Sent
from simulator.errors import ConfigError

NOTHING: dict[str, str] = {}
CANARY = 'canary"77/Zz+5e5c71d0=ä'
"""With every character that JSON, addresses and representations write differently."""
AT = datetime(2024, 5, 6, 14, 30, tzinfo=UTC)


class Keyring(keyring.backend.KeyringBackend):
    """A keyring in memory."""

    priority = 1.0

    def __init__(self, kept: dict[tuple[str, str], str] | None = None) -> None:
        self.kept = dict(kept or {})
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.asked += 1
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Let no other test have its texts scrubbed of what is secret here."""
    yield
    secrets.forget()


@pytest.fixture(autouse=True)
def ring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    """Keep the machine's own keyring out of it."""
    there = Keyring()
    monkeypatch.setattr("keyring.get_password", there.get_password)
    return there


@pytest.fixture
def loaded() -> Credentials:
    environment = {"TWINSTEP_ALPACA_KEY": "AKIA-CANARY-0001", "TWINSTEP_ALPACA_SECRET": CANARY}
    return load_credentials("alpaca", ("key", "secret"), environment=environment)


def write_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "credentials.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def traces(text: str) -> list[str]:
    """Return the forms of the canary that a text contains."""
    forms = {CANARY, json.dumps(CANARY)[1:-1], quote(CANARY, safe=""), quote(CANARY), repr(CANARY)[1:-1]}
    return [form for form in forms if form in text]


def test_the_environment_goes_before_the_keyring_and_that_before_the_file(
    tmp_path: Path, ring: Keyring
) -> None:
    write_file(tmp_path, '[alpaca]\nkey = "file-key"\nsecret = "file-secret"\n')
    config = tmp_path / "twinstep.toml"
    names = ("key", "secret")
    environment = {"TWINSTEP_ALPACA_KEY": "env-key", "TWINSTEP_ALPACA_SECRET": "env-secret"}

    found = load_credentials("alpaca", names, config=config, environment=NOTHING)
    assert (found["key"], found["secret"], found.source) == (
        "file-key", "file-secret", str(tmp_path / "credentials.toml"),
    )  # fmt: skip
    ring.kept = {("twinstep", "alpaca.key"): "ring-key", ("twinstep", "alpaca.secret"): "ring-secret"}
    found = load_credentials("alpaca", names, config=config, environment=NOTHING)
    assert (dict(found), found.source) == ({"key": "ring-key", "secret": "ring-secret"}, "keyring")
    ring.asked = 0
    found = load_credentials("alpaca", names, config=config, environment=environment)
    assert (dict(found), found.source) == ({"key": "env-key", "secret": "env-secret"}, "environment")
    assert ring.asked == 0


def test_a_key_never_meets_the_secret_of_another_place(tmp_path: Path) -> None:
    write_file(tmp_path, '[alpaca]\nsecret = "file-secret-0001"\n')
    with pytest.raises(ConfigError, match=r"environment has key of alpaca and lacks secret") as caught:
        load_credentials(
            "alpaca", ("key", "secret"), config=tmp_path / "twinstep.toml",
            environment={"TWINSTEP_ALPACA_KEY": "env-key-00001"},
        )  # fmt: skip
    assert caught.value.code == "LIVE_CREDENTIALS"
    assert "env-key-00001" not in str(caught.value)


def test_those_of_paper_never_stand_in_for_real_money_nor_the_other_way(tmp_path: Path) -> None:
    config = tmp_path / "twinstep.toml"
    write_file(tmp_path, '[alpaca]\nkey = "paper-key"\n')
    with pytest.raises(ConfigError, match="TWINSTEP_ALPACA_LIVE_KEY"):
        load_credentials("alpaca", ("key",), paper=False, config=config, environment=NOTHING)
    write_file(tmp_path, '[alpaca.live]\nkey = "real-key"\n')
    with pytest.raises(ConfigError, match="TWINSTEP_ALPACA_KEY"):
        load_credentials("alpaca", ("key",), config=config, environment=NOTHING)
    found = load_credentials("alpaca", ("key",), paper=False, config=config, environment=NOTHING)
    assert found["key"] == "real-key"


def test_missing_ones_are_named_with_every_place_to_put_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_credentials("tastytrade", ("secret", "refresh"), config=tmp_path / "x.toml", environment=NOTHING)
    text = str(caught.value)
    assert caught.value.code == "LIVE_CREDENTIALS"
    for part in (
        "TWINSTEP_TASTYTRADE_SECRET", "TWINSTEP_TASTYTRADE_REFRESH", "keyring set twinstep tastytrade.secret",
        f"[tastytrade] into {tmp_path / 'credentials.toml'}", "chmod 600",
    ):  # fmt: skip
        assert part in text


def test_optional_ones_may_be_missing_and_a_broker_may_need_none() -> None:
    assert (
        len(load_credentials("interactive_brokers", (), optional=("flex_token",), environment=NOTHING)) == 0
    )
    found = load_credentials(
        "interactive_brokers", (), optional=("flex_token",),
        environment={"TWINSTEP_INTERACTIVE_BROKERS_FLEX_TOKEN": "token-0001"},
    )  # fmt: skip
    assert dict(found) == {"flex_token": "token-0001"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601, 0o620])
def test_a_file_that_others_may_touch_is_refused_whatever_is_in_it(tmp_path: Path, mode: int) -> None:
    write_file(tmp_path, f"[alpaca]\nkey = {json.dumps(CANARY)}\n", mode)
    with pytest.raises(ConfigError) as caught:
        load_credentials("alpaca", ("key",), config=tmp_path / "twinstep.toml", environment=NOTHING)
    assert caught.value.code == "LIVE_CREDENTIALS_MODE"
    assert f"{mode:04o}" in str(caught.value)
    assert not traces("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_ones_own_is_read(tmp_path: Path, mode: int) -> None:
    write_file(tmp_path, '[alpaca]\nkey = "file-key"\n', mode)
    found = load_credentials("alpaca", ("key",), config=tmp_path / "twinstep.toml", environment=NOTHING)
    assert found["key"] == "file-key"


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path, '[alpaca]\nkey = "file-key"\n')
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with pytest.raises(ConfigError) as caught:
        load_credentials("alpaca", ("key",), config=tmp_path / "twinstep.toml", environment=NOTHING)
    assert caught.value.code == "LIVE_CREDENTIALS_MODE"


def test_a_link_or_a_pipe_is_no_file_of_credentials(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    real = write_file(tmp_path, '[alpaca]\nkey = "file-key"\n')
    (tmp_path / "a" / "credentials.toml").symlink_to(real)
    os.mkfifo(tmp_path / "b" / "credentials.toml", 0o600)
    for folder in ("a", "b"):
        with pytest.raises(ConfigError) as caught:
            load_credentials(
                "alpaca", ("key",), config=tmp_path / folder / "twinstep.toml", environment=NOTHING
            )
        assert caught.value.code == "LIVE_CREDENTIALS_FILE"


@pytest.mark.parametrize(
    "text",
    [
        f"[alpaca]\nkey = {CANARY}\n",
        f"[alpaca\nkey = {json.dumps(CANARY)}\n",
        "[alpaca]\nkey = 77\n",
        "#" * 70_000,
    ],
)
def test_a_damaged_file_is_refused_without_a_word_of_it(tmp_path: Path, text: str) -> None:
    write_file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_credentials("alpaca", ("key",), config=tmp_path / "twinstep.toml", environment=NOTHING)
    assert caught.value.code == "LIVE_CREDENTIALS_FILE"
    assert not traces("".join(traceback.format_exception(caught.value)))


def test_a_keyring_that_fails_or_hangs_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path, '[alpaca]\nkey = "file-key"\n')
    free = threading.Event()

    def fail(service: str, name: str) -> str:
        raise RuntimeError("no backend")

    def hang(service: str, name: str) -> str:
        free.wait()
        return "late"

    monkeypatch.setattr("live.brokers.credentials.KEYRING_SECONDS", 0.05)
    for broken in (fail, hang):
        monkeypatch.setattr("keyring.get_password", broken)
        found = load_credentials("alpaca", ("key",), config=tmp_path / "twinstep.toml", environment=NOTHING)
        assert found["key"] == "file-key"
    free.set()


def test_a_machine_without_keyring_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path, '[alpaca]\nkey = "file-key"\n')
    monkeypatch.setitem(sys.modules, "keyring", None)
    found = load_credentials("alpaca", ("key",), config=tmp_path / "twinstep.toml", environment=NOTHING)
    assert found["key"] == "file-key"


@pytest.mark.parametrize("name", ["../alpaca", "Alpaca", "", "a b", "9lives"])
def test_names_that_could_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_credentials(name, ("key",), environment=NOTHING)
    assert caught.value.code == "LIVE_CREDENTIALS_NAME"


def test_a_secret_is_a_text_that_libraries_can_use(loaded: Credentials) -> None:
    assert loaded["secret"] == CANARY
    assert isinstance(loaded["secret"], str)
    assert f"Bearer {loaded['secret']}" == f"Bearer {CANARY}"
    assert loaded["secret"].encode() == CANARY.encode()


def test_canary_representations(loaded: Credentials) -> None:
    @dataclasses.dataclass
    class Holder:
        credentials: Credentials
        value: str

    held = Holder(loaded, loaded["secret"])
    for seen in (
        repr(loaded), str(loaded), f"{loaded}", repr(held), repr(dict(loaded)), repr(list(loaded.values())),
        repr([loaded["secret"]]), f"{loaded['secret']!r}", repr(types.SimpleNamespace(**loaded)),
        repr(dataclasses.asdict(held)), repr(copy.deepcopy(held)), repr(copy.copy(loaded)),
    ):  # fmt: skip
        assert not traces(seen)
    assert "secret" in repr(loaded)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_canary_pickles(loaded: Credentials, protocol: int) -> None:
    for thing in (loaded, loaded["secret"], dict(loaded), {"held": [loaded]}):
        content = pickle.dumps(thing, protocol=protocol)
        assert CANARY.encode() not in content
        assert b"canary" not in content
    back = pickle.loads(pickle.dumps(loaded, protocol=protocol))  # noqa: S301 - our own bytes
    assert isinstance(back, Credentials)
    assert len(back) == 0
    with pytest.raises(KeyError):
        back["secret"]


def logged(act: Callable[[logging.Logger], None]) -> str:
    """Return what a library that logs everything writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    logger = logging.getLogger("some.library")
    logger.addHandler(handler)
    before, logger.level = logger.level, logging.DEBUG
    try:
        act(logger)
    finally:
        logger.removeHandler(handler)
        logger.level = before
    return stream.getvalue()


def test_canary_logs(loaded: Credentials) -> None:
    secret = str(loaded["secret"])
    for act in (
        lambda log: log.debug("sent %s", {"headers": secret}),
        lambda log: log.debug("GET https://broker.example/x?token=%s", quote(secret, safe="")),
        lambda log: log.info("> TEXT " + json.dumps({"action": "auth", "secret": secret})),
        lambda log: log.warning(secret),
        lambda log: log.error("%(key)s failed", {"key": secret}),
    ):
        text = logged(act)
        assert not traces(text)
        assert "***" in text
    assert logged(lambda log: log.info("%s of %d", "three", 5)) == "some.library INFO three of 5\n"


def test_canary_errors_that_are_logged(loaded: Credentials) -> None:
    secret = str(loaded["secret"])

    def fail(log: logging.Logger) -> None:
        try:
            raise ConnectionError(f"GET /oauth?refresh={secret}")
        except ConnectionError:
            log.exception("the broker cannot be reached")
            log.error("with its stack", stack_info=True)

    text = logged(fail)
    assert "ConnectionError" in text
    assert "the broker cannot be reached" in text
    assert not traces(text)


def test_canary_tracebacks_of_a_process_and_of_its_threads(tmp_path: Path) -> None:
    script = (
        "import threading\n"
        "from live.brokers.credentials import load_credentials\n"
        "c = load_credentials('alpaca', ('secret',))\n"
        "def fail():\n"
        "    raise ConnectionError('GET https://x.example/?token=' + c['secret'])\n"
        "t = threading.Thread(target=fail); t.start(); t.join()\n"
        "fail()\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(root), "TWINSTEP_ALPACA_SECRET": CANARY},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("ConnectionError: GET https://x.example/?token=***") == 2
    assert not traces(done.stdout + done.stderr)


def test_canary_journal(tmp_path: Path, loaded: Credentials) -> None:
    secret = str(loaded["secret"])
    request = OrderRequest(client_order_id="tw-1", legs=(Leg("AAPL", 1.0),))
    answer = Submitted(
        outcome=Outcome.UNRESOLVED, client_order_id="tw-1", code="LIVE_NO_ANSWER",
        message=f"ConnectionError: https://x.example/?token={quote(secret, safe='')}",
    )  # fmt: skip
    path = tmp_path / "journal.db"
    with Database(path) as database:
        log = IntentLog(database)
        sent = Sent(request=request, broker="alpaca", at=AT, submitted=answer)
        log.begin(sent)
        log.store(sent, "outcome", AT, message=answer.message, deep=[{"headers": secret}])
        log.note("kill", AT, why=f"the broker said {secret}")
        assert log.find("tw-1") is not None
        kept = [event.data for event in log.events()]
        assert any("***" in str(data) for data in kept)
    content = b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))
    text = content.decode("utf-8", errors="replace")
    assert "token=***" in text
    assert not traces(text)


def test_the_sieve_leaves_short_and_foreign_texts_alone(loaded: Credentials) -> None:
    secrets.remember(["the", "1"])
    assert scrub("the 1st of the month") == "the 1st of the month"
    assert scrub("") == ""


def test_a_secret_within_a_longer_one_leaves_nothing_of_it() -> None:
    secrets.remember(["abcdefgh-inner", "abcdefgh-inner-and-the-rest"])
    assert scrub("x abcdefgh-inner-and-the-rest y") == "x *** y"


def test_the_sieve_is_fast_enough_for_every_log_line(loaded: Credentials) -> None:
    line = "x" * 400
    began = time.perf_counter()
    for _ in range(2_000):
        scrub(line)
    assert time.perf_counter() - began < 1.0


def test_a_secret_survives_what_copies_it() -> None:
    secret = Secret("canary-12345678")
    assert copy.deepcopy({"a": [secret]})["a"][0] == "canary-12345678"
    assert pickle.loads(pickle.dumps(secret)) == "***"  # noqa: S301 - our own bytes
