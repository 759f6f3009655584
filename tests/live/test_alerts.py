"""Sending alerts: at once for whoever sends, some an hour, again where nobody answers, and never shown."""

from __future__ import annotations

import http.server
import json
import logging
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from live.alerting.addresses import addresses, targets
from live.alerts import KINDS, Alerts, Target
from live.feeds.backoff import Backoff
from simulator.errors import ConfigError, MissingExtraError, TwinstepWarning

CANARY = "canary7q2x"


def quick() -> Backoff:
    return Backoff(first=0.001, longest=0.001)


class Pager:
    """A target that keeps what it gets."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.got: list[tuple[str, str]] = []
        self.tried = 0
        self.answers = list(answers)

    def __call__(self, title: str, body: str) -> bool:
        self.tried += 1
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        if answer:
            self.got.append((title, body))
        return answer


def sender(*pagers: Any, **more: Any) -> Alerts:
    return Alerts(
        targets=[Target(f"pager #{n}", one) for n, one in enumerate(pagers, 1)], backoff=quick, **more
    )


def test_alerts_arrive_in_order_at_every_target() -> None:
    one, two = Pager(), Pager()
    with sender(one, two, per_hour=99) as alerts:
        for number in range(5):
            assert alerts.send("stop_hit", f"stop {number}", "body")
    assert one.got == two.got == [(f"stop {number}", "body") for number in range(5)]
    assert alerts.status()["sent"] == 5
    assert not alerts.send("stop_hit", "after the end")


def test_a_target_that_hangs_blocks_nobody() -> None:
    free = threading.Event()

    def hang(title: str, body: str) -> bool:
        return free.wait(30)

    alerts = sender(hang, size=4, per_hour=1000)
    begin = time.perf_counter()
    answers = [alerts.send("kill_switch", f"{number}") for number in range(200)]
    took = time.perf_counter() - begin
    assert took < 1.0  # milliseconds, on a machine with nothing else to do
    assert sum(answers) <= 6
    assert alerts.status()["dropped"] == 200 - sum(answers)
    begin = time.perf_counter()
    alerts.close(0.1)
    assert time.perf_counter() - begin < 1.0
    free.set()


def test_what_fails_is_tried_again_and_only_where_it_failed() -> None:
    good, bad = Pager(), Pager(False, RuntimeError("no route"), True)
    with sender(good, bad) as alerts:
        alerts.send("feed_stale", "frozen")
    assert good.tried == 1
    assert bad.tried == 3
    assert bad.got == [("frozen", "")]
    assert alerts.status() | {"targets": ()} == {
        "sent": 1, "held": 0, "dropped": 0, "failed": 0, "retried": 2, "waiting": 0, "targets": (),
    }  # fmt: skip


def test_a_failure_is_counted_and_said_once_until_something_arrives() -> None:
    pager = Pager(*[False] * 8, True, *[False] * 4)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with sender(pager, per_hour=99) as alerts:
            for number in range(4):
                alerts.send("stop_hit", str(number))
                assert alerts.flush()
    codes = [str(one.message) for one in said if issubclass(one.category, TwinstepWarning)]
    assert len(codes) == 2
    assert all(text.startswith("[ALERT_FAILED]") and "pager #1" in text for text in codes)
    assert alerts.status()["failed"] == 3
    assert pager.tried == 13


def test_a_storm_of_one_kind_is_held_back_and_told_together() -> None:
    now = 0.0
    pager = Pager()
    alerts = sender(pager, per_hour=3, monotonic=lambda: now)
    for number in range(50):
        alerts.send("stop_hit", f"stop {number}")
    alerts.send("kill_switch", "halted")  # another kind is not held back
    assert alerts.flush()
    assert [title for title, _ in pager.got] == ["stop 0", "stop 1", "stop 2", "halted"]
    now = 3601.0
    alerts.send("kill_switch", "armed")
    assert alerts.flush()
    assert [title for title, _ in pager.got[4:]] == ["armed", "47 more of stop_hit"]
    assert pager.got[-1][1] == "held back. The first: stop 3. The last: stop 49."
    for number in range(50, 60):
        alerts.send("stop_hit", f"stop {number}")
    assert alerts.flush()
    # the summary counts as one of the three
    assert [title for title, _ in pager.got[6:]] == ["stop 50", "stop 51"]
    now = 8000.0
    # what comes while others are held back does not overtake them
    alerts.send("stop_hit", "stop 60")
    assert alerts.flush()
    assert pager.got[-1] == ("9 more of stop_hit", "held back. The first: stop 52. The last: stop 60.")
    alerts.close()
    assert alerts.status()["held"] == 56


def test_the_summary_comes_by_itself_and_at_the_end() -> None:
    pager = Pager()
    alerts = sender(pager, per_hour=1, window=1.0)
    for number in range(3):
        alerts.send("stop_hit", f"stop {number}")
    end = time.monotonic() + 5
    while len(pager.got) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert [title for title, _ in pager.got] == ["stop 0", "2 more of stop_hit"]
    for number in range(3, 6):
        alerts.send("stop_hit", f"stop {number}")
    alerts.close()
    assert pager.got[-1][0].endswith("more of stop_hit")


def test_kinds_that_nobody_wants_stay_silent() -> None:
    pager = Pager()
    with sender(pager, kinds=["kill_switch"]) as alerts:
        assert not alerts.send("stop_hit", "no")
        assert alerts.send("kill_switch", "yes")
        assert alerts.send("test", "always")
    assert [title for title, _ in pager.got] == ["yes", "always"]
    with Alerts() as nowhere:
        assert not nowhere.send("kill_switch", "to nobody")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"kinds": ["stop_hits"]}, "ALERT_KIND"),
        ({"per_hour": 0}, "ALERT_SETTING"),
        ({"size": 0}, "ALERT_SETTING"),
        ({"attempts": 0}, "ALERT_SETTING"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Alerts(**given)
    assert caught.value.code == code
    with Alerts() as alerts, pytest.raises(ConfigError):
        alerts.send("stop_hits", "a")  # type: ignore[arg-type]


def test_the_configuration_knows_the_same_kinds() -> None:
    from twinstep.schema import ALERT_KINDS

    assert {*ALERT_KINDS, "test"} == set(KINDS)


# With apprise, over HTTP


class Server:
    """Takes posts and keeps them; answers with `status`."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str, bytes]] = []
        self.status = [200]
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.posts.append((self.path, self.headers["Content-Type"], body))
                self.send_response(server.status.pop(0) if len(server.status) > 1 else server.status[0])
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.at = f"127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    pytest.importorskip("apprise")
    made = Server()
    yield made
    made.stop()


def test_apprise_delivers_json_and_forms(server: Server) -> None:
    urls = [f"json://user:{CANARY}@{server.at}/{CANARY}", f"form://{server.at}/form"]
    with Alerts(urls, backoff=quick) as alerts:
        assert repr(alerts) == "Alerts(json #1, form #2)"
        alerts.send("stop_hit", "AAPL: stop hit", "200 at 189.5")
    assert alerts.status()["sent"] == 1
    by_kind = {kind.partition(";")[0]: (path, body) for path, kind, body in server.posts}
    said = json.loads(by_kind["application/json"][1])
    assert by_kind["application/json"][0] == f"/{CANARY}"
    assert (said["title"], said["message"]) == ("AAPL: stop hit", "200 at 189.5")
    form = parse_qs(by_kind["application/x-www-form-urlencoded"][1].decode())
    assert (form["title"], form["message"]) == (["AAPL: stop hit"], ["200 at 189.5"])


def test_a_server_that_refuses_is_tried_again(server: Server) -> None:
    server.status = [500, 503, 200]
    with Alerts([f"json://{server.at}"], backoff=quick) as alerts:
        alerts.send("kill_switch", "halted")
    assert len(server.posts) == 3
    assert alerts.status()["sent"] == 1
    assert alerts.status()["retried"] == 2


def test_no_address_is_ever_shown(
    server: Server, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    logging.getLogger("apprise").setLevel(1)
    with caplog.at_level(1), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        urls = [
            f"json://ada:{CANARY}@{server.at}/{CANARY}?+X-Token={CANARY}",
            f"tgram://123456789:{CANARY}abcdefghijklmnopqrstuvw/12315544/",
            f"json://127.0.0.1:1/{CANARY}",  # nobody listens
        ]
        server.status = [403]
        made = targets(urls)
        with Alerts([urls[0], urls[2]], backoff=quick, attempts=2) as alerts:
            alerts.send("stop_hit", "a", "b")
        seen += [repr(alerts), repr(made), str(made), str(alerts.status()), repr(vars(alerts)["targets"])]
        for bad in (f"nonsense{CANARY}", f"{CANARY}://x", f"tgram://{CANARY}", f"mailtos://{CANARY}"):
            with pytest.raises(ConfigError) as caught:
                targets([bad])
            assert caught.value.code == "ALERT_URL"
            seen += ["".join(traceback.format_exception(caught.value)), repr(caught.value)]
        seen += [str(one.message) for one in said]
    assert any("ALERT_FAILED" in text for text in seen)
    seen += [f"{record.getMessage()} {record.exc_text}" for record in caplog.records]
    out = capsys.readouterr()
    seen += [out.out, out.err]
    assert len(server.posts) == 2
    assert all(CANARY not in text for text in seen), [text for text in seen if CANARY in text]
    logging.getLogger("apprise").setLevel(logging.NOTSET)


def test_a_misspelt_scheme_has_a_near_miss(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"address 1 of 1 .*tgram"):
        targets(["tgramm://123/456"])


def test_addresses_come_from_three_places(tmp_path: Path) -> None:
    file = tmp_path / "addresses"
    file.write_text("# mine\njson://a\n\n  json://b  \n")
    found = addresses(["json://c"], file, environment={"TWINSTEP_ALERTS": "json://d\njson://a"})
    assert found == ("json://c", "json://d", "json://a", "json://b")
    assert addresses(environment={}) == ()
    with pytest.raises(ConfigError, match="missing") as caught:
        addresses(file=tmp_path / "missing")
    assert caught.value.code == "ALERT_FILE"


def test_without_apprise_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(MissingExtraError, match=r"twinstep\[alerts\]"):
        Alerts(["json://a"])


# From the command line


def run(*words: str) -> int:
    from twinstep.cli import run as command

    return command(["alerts", "test", *words])


def test_the_command_tries_every_address(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWINSTEP_ALERTS", f"form://{server.at}/{CANARY}")
    Path("twinstep.toml").write_text(f'[alerts]\nurls = ["json://{server.at}/{CANARY}"]\n')
    assert run("--text", "hello") == 0
    assert len(server.posts) == 2
    assert json.loads(server.posts[0][2])["message"] == "hello"
    server.status = [500]
    assert run("--json") == 3
    out = capsys.readouterr()
    assert '"json #1": false' in out.out
    assert CANARY not in out.out + out.err


def test_the_command_needs_somebody_to_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TWINSTEP_ALERTS", raising=False)
    assert run() == 2
    assert "[ALERT_NOBODY]" in capsys.readouterr().err


def test_the_configuration_shows_stars(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from twinstep.cli import run as command
    from twinstep.config import load_settings

    monkeypatch.chdir(tmp_path)
    file = Path("twinstep.toml")
    file.write_text(f'[alerts]\nurls = ["json://{CANARY}"]\n')
    for words in (["show"], ["show", "--json"], ["check"], ["show", "--changed"]):
        assert command(["config", *words]) == 0
    settings = load_settings(file)
    assert settings.alerts.urls == (f"json://{CANARY}",)
    file.write_text(f'[alerts]\nurls = "json://{CANARY}"\n')
    assert command(["config", "check"]) == 2
    out = capsys.readouterr()
    assert "***" in out.out
    assert CANARY not in out.out + out.err + repr(settings)
    for line, code in (('kinds = ["stops"]', "CONFIG_ALERT_KIND"), ("per_hour = 0", "CONFIG_ALERT_RATE")):
        file.write_text(f"[alerts]\n{line}\n")
        with pytest.raises(ConfigError) as caught:
            load_settings(file)
        assert caught.value.code == code
