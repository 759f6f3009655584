"""Someone at a machine: `python -m tests.optimize.machine_worker` tunes as each line of its input says.

A line is JSON, arguments of `tune_strategy` and what this file adds: `ledger` (path), `pause` (seconds after
each batch), `heartbeat` and `grace` (seconds), `stop_at` (a batch: when it has run and before it is told,
{"stopped": [trial numbers]} is printed, and the process waits to be killed). What was found is printed as
JSON. It begins with {"ready": true}.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from optimize.ledger import TrialLedger
from optimize.strategy import tune_strategy
from optimize.studies import run, storage
from simulator import load_bars
from strategies import strategy_class

BARS = "synthetic:1x200?seed=3"
STRATEGY = "donchian-breakout"

SCORE = run._score


def tune(given: dict[str, Any]) -> None:
    """Tune once."""
    storage.HEARTBEAT_SECONDS = given.pop("heartbeat", storage.HEARTBEAT_SECONDS)  # type: ignore[misc]
    storage.GRACE_SECONDS = given.pop("grace", storage.GRACE_SECONDS)  # type: ignore[misc]
    stop_at, pause = given.pop("stop_at", 0), given.pop("pause", 0.0)
    ledger = given.pop("ledger", None)
    batches = 0

    def scored(asked: Any, *others: Any) -> None:
        nonlocal batches
        SCORE(asked, *others)
        batches += bool(asked)
        if batches == stop_at:
            say({"stopped": [one.trial.number for one in asked]})
            time.sleep(600)
        time.sleep(pause)

    run._score = scored  # type: ignore[assignment]
    found = tune_strategy(
        load_bars(BARS), strategy_class(STRATEGY)(), progress=False,
        sink=None if ledger is None else TrialLedger(ledger), **given,
    )  # fmt: skip
    rows = found.table[[*found.space, "state", "sharpe"]].astype(object)
    say({"rows": rows.to_numpy().tolist(), "batches": batches, "name": found.name})


def say(what: dict[str, Any]) -> None:
    """Print a line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    say({"ready": True})
    for line in sys.stdin:
        tune(json.loads(line))
