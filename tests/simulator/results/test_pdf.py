"""Printing to PDF, with browsers that are scripts: what they are told, and what becomes of their failures."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from simulator.errors import ConfigError, UnknownNameError
from simulator.results import pdf
from simulator.results.pdf import CHROMIUM_VARIABLE, check_report_path, find_chromium, write_pdf

PAGE = "<!DOCTYPE html><html><head><title>a</title></head><body>b</body></html>"
WRITES = """
for one in "$@"; do
  case "$one" in --print-to-pdf=*) target="${one#--print-to-pdf=}";; esac
done
printf '%s\\n' "$@" > "$LOG"
cat "$(dirname "$target")/report.html" >> "$LOG"
{ printf '%%PDF-1.4\\n'; head -c 4000 /dev/zero; } > "$target"
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the browsers here are shell scripts")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def browser(where: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """Make a program of these lines the browser."""
    program = where / "browser"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(CHROMIUM_VARIABLE, str(program))
    return program


def refused(path: Path, *, timeout: float = 20.0) -> str:
    with pytest.raises(ConfigError) as caught:
        write_pdf(PAGE, path, timeout=timeout)
    assert caught.value.code == "CONFIG_PDF"
    # nothing stays behind
    assert [one.name for one in path.parent.iterdir() if "pdf" in one.name and one != path] == []
    return str(caught.value)


def test_the_browser_gets_the_page_its_paper_and_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    browser(tmp_path, monkeypatch, WRITES)
    target = tmp_path / "deep" / "r.pdf"
    assert write_pdf(PAGE, target, paper="letter") == target
    assert target.read_bytes().startswith(b"%PDF-")
    assert [one.name for one in target.parent.iterdir()] == ["r.pdf"]
    told = log.read_text()
    assert "<style>@page { size: letter }</style>\n</head>" in told
    for flag in ("--headless", "--no-pdf-header-footer", "--host-resolver-rules=MAP * ~NOTFOUND"):
        assert flag in told.splitlines()
    profile = next(line for line in told.splitlines() if line.startswith("--user-data-dir="))
    assert str(target.parent) in profile


@pytest.mark.parametrize("root", [True, False])
def test_only_root_gives_up_the_sandbox(
    root: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    browser(tmp_path, monkeypatch, WRITES)
    monkeypatch.setattr(pdf, "_is_root", lambda: root)
    write_pdf(PAGE, tmp_path / "r.pdf")
    assert ("--no-sandbox" in log.read_text().splitlines()) is root


def test_without_a_browser_one_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHROMIUM_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(pdf, "_usual_places", lambda: ())
    for attempt in (
        find_chromium,
        lambda: write_pdf(PAGE, tmp_path / "new" / "r.pdf"),
        lambda: check_report_path("out/r.PDF"),
    ):
        with pytest.raises(ConfigError, match=r"Install Chromium.*\.html") as caught:
            attempt()
        assert caught.value.code == "CONFIG_NO_CHROMIUM"
    assert not (tmp_path / "new").exists()
    check_report_path("out/r.html")
    check_report_path(None)


def test_a_variable_that_names_nothing_is_no_reason_to_take_another_browser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CHROMIUM_VARIABLE, "/no/such/browser")
    with pytest.raises(ConfigError, match="/no/such/browser") as caught:
        find_chromium()
    assert caught.value.code == "CONFIG_NO_CHROMIUM"


def test_a_browser_that_hangs_is_ended_with_its_helpers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    # a helper that holds the output open, as those of a browser do
    browser(tmp_path, monkeypatch, 'sleep 60 &\necho $! > "$LOG"\nwait')
    began = time.monotonic()
    assert "after 0.5 seconds" in refused(tmp_path / "r.pdf", timeout=0.5)
    assert time.monotonic() - began < 20.0
    helper = int(log.read_text())
    for _ in range(100):
        state = Path(f"/proc/{helper}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the helper lives")


@pytest.fixture
def leaves(log: Path) -> Iterator[str]:
    """Lines that start a helper in a session of its own, as a wrapper or a crash handler may."""
    pids = Path(f"{log}.helpers")
    pids.touch()
    yield (
        f"before=$(wc -l < '{pids}')\n"
        f"setsid sh -c 'echo $$ >> \"{pids}\"; exec sleep 30' &\n"
        f"while [ $(wc -l < '{pids}') = $before ]; do sleep 0.02; done"
    )
    for pid in pids.read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


@pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid is not installed")
def test_a_helper_that_has_left_neither_lengthens_the_wait_nor_spoils_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: str
) -> None:
    began = time.monotonic()
    browser(tmp_path, monkeypatch, f"{leaves}\nsleep 60")
    assert "after 0.5 seconds" in refused(tmp_path / "r.pdf", timeout=0.5)
    browser(tmp_path, monkeypatch, f"{leaves}\n{WRITES}")
    assert write_pdf(PAGE, tmp_path / "r.pdf", timeout=10.0).read_bytes().startswith(b"%PDF-")
    assert time.monotonic() - began < 9.0


def test_what_a_browser_says_without_end_is_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser(tmp_path, monkeypatch, "head -c 3000000 /dev/zero; printf '\\nno font\\n'; exit 1")
    assert "exit code 1; it said: no font" in refused(tmp_path / "r.pdf")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo 'disk is full' >&2; echo 'dbus: no bus' >&2; exit 3", "exit code 3; it said: disk is full"),
        ("echo 'No usable sandbox! Update your kernel' >&2; exit 1", "its sandbox cannot start here"),
        ("exit 0", "did not print"),
        (f"{WRITES}\necho no > \"$target\"", "did not print"),
    ],
)  # fmt: skip
def test_a_failure_says_why_and_leaves_the_old_file(
    body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    browser(tmp_path, monkeypatch, body)
    (tmp_path / "r.pdf").write_text("before")
    assert words in refused(tmp_path / "r.pdf")
    assert (tmp_path / "r.pdf").read_text() == "before"


def test_what_cannot_be_run_or_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = browser(tmp_path, monkeypatch, "exit 0")
    program.write_bytes(b"\x7fnot a program")
    assert "cannot be started" in refused(tmp_path / "r.pdf")
    (tmp_path / "folder.pdf").mkdir()
    for target in (tmp_path / "browser" / "r.pdf", tmp_path / "folder.pdf"):
        with pytest.raises(ConfigError) as caught:
            write_pdf(PAGE, target)
        assert caught.value.code == "CONFIG_OUTPUT"


def test_an_unknown_paper_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'letter'") as caught:
        write_pdf(PAGE, tmp_path / "r.pdf", paper="leter")
    assert caught.value.code == "NAME_PAPER"
