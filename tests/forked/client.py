"""Stands where a command was started: hands its channels to the server, its signals and exit code on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys


def main() -> int:
    where, *words = sys.argv[1:]
    handed_on = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, handed_on)  # until it is known to whom
    server = socket.socket(socket.AF_UNIX)
    server.connect(where)
    request = {"words": words, "cwd": os.getcwd(), "env": dict(os.environ)}
    socket.send_fds(server, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
    for channel in (0, 1, 2):  # a reader at the other end waits for the command alone
        os.dup2(os.open(os.devnull, os.O_RDWR), channel)
    answers = server.makefile()
    pid = int(answers.readline())

    def hand_on(given: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, given)

    for number in handed_on:
        signal.signal(number, hand_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handed_on)
    code = int(answers.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


sys.exit(main())
