"""Hosts for tests: network namespaces on one bridge, a PostgreSQL server on it, and processes on each.

The bridge is in the server's namespace, so nothing of the machine's own network is touched, addresses may
repeat from test to test, and a packet can go nowhere else. Each host has a host name of its own, so that
processes do not take each other for neighbours on one machine. The test itself reaches the server through
its socket in a folder. Programs that are missing skip the tests with that reason, and fail them under CI
(the variable `CI` is set), where they are installed; a machine that does not let anyone make namespaces
skips them everywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "10.77.0"
SECONDS_TO_START = 30.0


class Hosts:
    """A server and other hosts, each in a network namespace of its own, until the block ends."""

    def __init__(self, programs: Path, names: Sequence[str]) -> None:
        self._programs = programs
        self._names = names
        self._prefix = f"tw{os.getpid()}x{time.monotonic_ns() % 1_000_000}"
        self._folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's name has about 100 characters
        self._server: subprocess.Popen[bytes] | None = None
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        try:
            self._connect()
            self._make_server()
            self.start_server()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            _end(process)
        self.stop_server()
        for name in ("server", *self._names):
            subprocess.run(["ip", "netns", "del", self._namespace(name)], check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def address(self) -> str:
        """The server as the hosts see it."""
        return f"postgresql://twinstep@{NETWORK}.1:5432/postgres"

    @property
    def from_here(self) -> str:
        """The server as the test sees it."""
        return f"postgresql://twinstep@/postgres?host={self._folder}"

    def run(self, name: str, module: str) -> subprocess.Popen[str]:
        """Start `python -m MODULE` on a host, instead of what ran there, and wait until it is ready."""
        if name in self.processes:
            _end(self.processes[name])
        inside = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name]
        process = self.processes[name] = subprocess.Popen(
            ["ip", "netns", "exec", self._namespace(name), *inside, sys.executable, "-m", module],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert line_of(process) == {"ready": True}
        return process

    def start_server(self) -> None:
        """Start PostgreSQL and wait until it answers."""
        # tests need its rules, not its durability
        settings = {
            "listen_addresses": f"{NETWORK}.1", "unix_socket_directories": str(self._folder), "fsync": "off",
            "full_page_writes": "off", "shared_buffers": "16MB", "max_connections": "60",
        }  # fmt: skip
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data"), *options]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                ["ip", "netns", "exec", self._namespace("server"), *_as_postgres(), *command],
                stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        until = time.monotonic() + SECONDS_TO_START
        ask = [str(self._programs / "pg_isready"), "-q", "-h", str(self._folder)]
        while subprocess.run(ask, check=False).returncode:
            assert self._server.poll() is None, (self._folder / "log").read_text(errors="replace")
            assert time.monotonic() < until, "the server did not start in time"
            time.sleep(0.05)

    def stop_server(self) -> None:
        """Stop PostgreSQL at once, as a crash does."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(timeout=SECONDS_TO_START)
            self._server = None

    def _namespace(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _connect(self) -> None:
        server = self._namespace("server")
        _run("ip", "netns", "add", server)
        _run("ip", "-n", server, "link", "set", "lo", "up")
        _run("ip", "-n", server, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", server, "addr", "add", f"{NETWORK}.1/24", "dev", "bridge")
        _run("ip", "-n", server, "link", "set", "bridge", "up")
        for number, name in enumerate(self._names, start=2):
            host, port = self._namespace(name), f"port{number}"
            _run("ip", "netns", "add", host)
            _run("ip", "-n", host, "link", "set", "lo", "up")
            cable = ("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host)
            _run("ip", "-n", server, *cable)
            _run("ip", "-n", server, "link", "set", port, "master", "bridge", "up")
            _run("ip", "-n", host, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            _run("ip", "-n", host, "link", "set", "eth0", "up")

    def _make_server(self) -> None:
        shutil.chown(self._folder, "postgres", "postgres")
        data = self._folder / "data"
        made = ["--auth=trust", "--username=twinstep", "--no-sync", "--encoding=UTF8", "--locale=C"]
        _run(*_as_postgres(), str(self._programs / "initdb"), "-D", str(data), *made)
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {NETWORK}.0/24 trust\n")


@contextmanager
def hosts(programs: Path | None, *names: str) -> Iterator[Hosts]:
    """Give hosts of these names and a server, or skip the test; under CI fail where a program is missing."""
    lacking = [name for name in ("ip", "unshare", "setpriv") if shutil.which(name) is None]
    if programs is None or lacking:
        packages = "postgresql" if programs is None else "iproute2 util-linux"
        what = "PostgreSQL" if programs is None else ", ".join(lacking)
        reason = f"{what} is not installed (Debian: apt-get install {packages})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    if not _may_connect():
        pytest.skip("this machine lets nobody but its owner make network namespaces")
    with Hosts(programs, names) as made:
        yield made


def _may_connect() -> bool:
    """Whether this process may make a namespace with a bridge in it."""
    name = f"tw{os.getpid()}probe"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
    try:
        bridge = ["ip", "-n", name, "link", "add", "bridge", "type", "bridge"]
        return not (made.returncode or subprocess.run(bridge, check=False, capture_output=True).returncode)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def send(process: subprocess.Popen[str], given: dict[str, Any]) -> None:
    """Give a process a line of JSON."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(given) + "\n")
    process.stdin.flush()


def line_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next line that a process prints, which is JSON."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the process ended with {process.wait(timeout=10)}"
    found: dict[str, Any] = json.loads(line)
    return found


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _as_postgres() -> list[str]:
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
