"""Makes the imports once, and forks a process for every command that a client brings.

Each request has a watcher, which tells the client the process's id and exit code, and ends the process where
the client is gone.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

Request = dict[str, Any]


def main() -> None:
    where, preload = sys.argv[1:]
    exec(preload, {"__name__": "preload"})  # noqa: S102 - the caller's own code
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where)
    listener.listen(16)
    gc.collect()
    gc.freeze()  # pages that no collection writes to stay shared
    print("ready", flush=True)
    request = _served(listener)
    if request is None:
        shutil.rmtree(Path(where).parent)
        return
    code = _ended(request["words"])
    threading._shutdown()  # type: ignore[attr-defined]  # waits for what a command has left running
    atexit._run_exitfuncs()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    os._exit(code)  # taking down all that was imported takes longer than most commands


def _served(listener: socket.socket) -> Request | None:
    """Return nothing when the tests have ended; in a process that was forked, return what it has to do."""
    while True:
        ready, _, _ = select.select([listener.fileno(), 0], [], [])
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, 0 if 0 in ready else os.WNOHANG)[0]:
                pass
        if 0 in ready:
            return None
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _watched(connection)
        connection.close()


def _watched(connection: socket.socket) -> Request:
    said, channels, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not said.endswith(b"\n"):
        said += connection.recv(1 << 16)
    request: Request = json.loads(said)
    alive, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(alive)
        connection.close()
        _take_over(request, channels)
        return request  # `held` is closed by the end of this process
    for channel in (*channels, held):
        os.close(channel)
    with contextlib.suppress(OSError):  # the client may be gone
        connection.sendall(f"{child}\n".encode())
    ended, _, _ = select.select([alive, connection.fileno()], [], [])
    if alive not in ended:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _take_over(request: Request, channels: list[int]) -> None:
    """Give this process the folder, environment and channels of the one that asked."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for number, channel in enumerate(channels):
        os.dup2(channel, number)
        os.close(channel)
    unbuffered = bool(request["env"].get("PYTHONUNBUFFERED"))
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        at_once = unbuffered or number == 2
        stream.reconfigure(line_buffering=at_once or stream.isatty(), write_through=at_once)
        setattr(sys, name, stream)


def _ended(words: list[str]) -> int:
    """Carry words out, and return the exit code that the interpreter would end with."""
    try:
        _carry_out(words)
    except SystemExit as wish:
        if wish.code is None or isinstance(wish.code, int):
            return wish.code or 0
        print(wish.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _carry_out(words: list[str]) -> None:
    """Do what an interpreter does with these words."""
    kind, *rest = words
    if kind == "-m":
        sys.argv = rest
        sys.path[0] = os.getcwd()
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path[0] = ""
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(rest[0], main.__dict__)  # noqa: S102 - the caller's own code
    else:
        sys.argv = words
        sys.path[0] = str(Path(kind).resolve().parent)
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    main()
