"""The trial ledger: each trial once, from many processes, and what the best of all is worth."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from optimize.ledger import TrialLedger
from optimize.statistics.returns import effective_trials
from optimize.statistics.sharpe import deflated_sharpe
from optimize.trials import Trial
from simulator.errors import ConfigError, JournalError

ROOT = Path(__file__).resolve().parents[2]


def trial(number: int, sharpe: float = 0.02, **changes: Any) -> Trial:
    given: dict[str, Any] = {
        "strategy": "sma-cross", "data": "ab12", "parameters": {"fast": number}, "source": "sweep",
        "sharpe": sharpe, "sessions": 1000, "hypothesis": "h", **changes,
    }  # fmt: skip
    return Trial(**given)


@pytest.fixture
def ledger(tmp_path: Path) -> TrialLedger:
    return TrialLedger(tmp_path / "trials.db")


def test_a_trial_delivered_twice_counts_once(ledger: TrialLedger) -> None:
    assert ledger.count() == 0
    assert ledger.record([trial(1), trial(2), trial(1)]) == 2
    assert ledger.record([trial(2, source="study", run="again"), trial(3)]) == 1
    assert ledger.record([]) == 0
    assert (ledger.count(), ledger.count("h"), ledger.count("other")) == (3, 3, 0)
    table = ledger.frame("h")
    assert sorted(row["fast"] for row in table["parameters"]) == [1, 2, 3]
    assert set(table["source"]) == {"sweep"}  # what was stored first stays


def test_what_was_stored_comes_back(ledger: TrialLedger) -> None:
    one = trial(
        1, 0.05, skewness=-0.5, kurtosis=5.0, metrics={"trades": 12, "sqn": math.nan}, rules="r", version="v",
        run="abc", first_ts=10, last_ts=20, parameters={"fast": np.int64(5), "mode": "x", "on": True},
    )  # fmt: skip
    ledger.record([one, trial(2, math.nan)])
    table = ledger.frame().set_index("id")
    row = table.loc[one.id]
    assert row["parameters"] == {"fast": 5, "mode": "x", "on": True}
    assert row["metrics"] == {"trades": 12, "sqn": None}
    assert (row["sharpe"], row["skewness"], row["kurtosis"], row["sessions"]) == (0.05, -0.5, 5.0, 1000)
    assert (row["first_ts"], row["last_ts"], row["rules"], row["version"], row["run"]) == (
        10,
        20,
        "r",
        "v",
        "abc",
    )
    assert math.isnan(table["sharpe"].loc[trial(2).id])
    assert ledger.hypotheses() == ["h"]


def test_the_file_is_what_it_promises(ledger: TrialLedger) -> None:
    ledger.record([trial(1)])
    assert ledger.path is not None
    with sqlite3.connect(ledger.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert (
            "STRICT"
            in connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'trials'").fetchone()[0]
        )
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE trials SET source = 'guess'")
    connection.close()


# Several processes


def _writes(where: str, worker: int, begin: Any) -> None:
    begin.wait()
    ledger = TrialLedger(where)
    for first in range(0, 60, 5):
        # half of the trials are those of all workers
        ledger.record([trial(n) for n in range(first, first + 5)])
        ledger.record([trial(1000 * (worker + 1) + n) for n in range(first, first + 5)])


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_four_processes_write_at_once_and_nothing_is_lost_or_counted_twice(
    tmp_path: Path, method: str
) -> None:
    where = str(tmp_path / "trials.db")
    context: Any = multiprocessing.get_context(method)
    begin = context.Barrier(4)
    workers = [context.Process(target=_writes, args=(where, number, begin)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    ledger = TrialLedger(where)
    assert ledger.count() == 60 + 4 * 60
    with sqlite3.connect(where) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()


def test_a_writer_that_is_killed_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    where = tmp_path / "trials.db"
    code = (
        f"import sys, itertools; sys.path.insert(0, {str(ROOT)!r})\n"
        "from optimize.ledger import TrialLedger; from optimize.trials import Trial\n"
        f"ledger = TrialLedger({str(where)!r})\n"
        "for n in itertools.count():\n"
        "    ledger.record([Trial(strategy='s', data='d', parameters={'n': n}, source='study')])\n"
        "    print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(20)][-1]
        process.kill()
    ledger = TrialLedger(where)
    assert ledger.count() >= acknowledged + 1
    again = [
        Trial(strategy="s", data="d", parameters={"n": n}, source="study") for n in range(acknowledged + 1)
    ]
    assert ledger.record(again) == 0


def test_a_ledger_can_be_sent_to_workers_and_forked(ledger: TrialLedger) -> None:
    ledger.record([trial(1)])
    other = pickle.loads(pickle.dumps(ledger))  # noqa: S301 - its own
    assert other.record([trial(1), trial(2)]) == 1
    child = os.fork()
    if not child:
        os._exit(0 if ledger.record([trial(3)]) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert ledger.count() == 3


def test_who_waits_too_long_is_told(ledger: TrialLedger) -> None:
    from journal.storage.lock import Lock

    assert ledger.path is not None
    with Lock(ledger.path):
        with pytest.raises(JournalError) as caught:
            TrialLedger(ledger.path, busy_seconds=0.1).record([trial(1)])
        assert caught.value.code == "OPTIMIZE_LEDGER_BUSY"
    assert ledger.record([trial(1)]) == 1


# What the best is worth


def at_fixed_variance(count: int, best: float, variance: float) -> list[float]:
    """Sharpe ratios with this highest value and this sample variance, exactly."""
    others = np.linspace(-1.0, 1.0, count - 1)

    def spread(scale: float) -> float:
        return float(np.append(others * scale, best).var(ddof=1)) - variance

    from scipy.optimize import brentq

    scale = float(brentq(spread, 0.0, best * 0.999))
    return [*(others * scale), best]


def test_the_deflated_sharpe_falls_as_trials_are_added_at_fixed_variance(tmp_path: Path) -> None:
    shown = []
    for count in (5, 10, 20, 50, 200):
        ledger = TrialLedger(tmp_path / f"{count}.db")
        sharpes = at_fixed_variance(count, 0.08, 0.0016)
        ledger.record([trial(n, sharpe) for n, sharpe in enumerate(sharpes)])
        found = ledger.summary("h")
        assert found.variance == pytest.approx(0.0016)
        assert (found.trials, found.effective, found.best_sharpe) == (count, float(count), 0.08)
        assert found.deflated == pytest.approx(
            deflated_sharpe(0.08, 1000, trials=count, variance=found.variance), rel=1e-12
        )
        shown.append(found.deflated)
    assert all(left > right for left, right in pairwise(shown))


def test_trials_that_are_alike_count_as_few(ledger: TrialLedger) -> None:
    random = np.random.default_rng(1)
    returns = random.normal(size=(500, 1)) + 0.3 * random.normal(size=(500, 20))
    ledger.record([trial(n, float(column.mean()), returns=column) for n, column in enumerate(returns.T)])
    together = ledger.summary("h").effective
    assert together == pytest.approx(effective_trials(returns), rel=1e-5)
    assert together < 4
    # over other sessions, or without returns, they count in full
    ledger.record([trial(100, 0.0, returns=returns[:, 0], last_ts=5), trial(101, 0.0)])
    assert ledger.summary("h").effective == pytest.approx(together + 2)


def test_the_returns_of_another_hypothesis_do_not_count(ledger: TrialLedger) -> None:
    returns = np.random.default_rng(1).normal(size=(100, 1)).repeat(3, axis=1)
    ledger.record([trial(n, 0.01 * n, returns=column) for n, column in enumerate(returns.T)])
    alike = ledger.summary("h").effective
    ledger.record([trial(9, 0.0, hypothesis="other", returns=returns[:, 0])])
    assert ledger.summary("h").effective == alike == pytest.approx(1.0, abs=1e-6)


def test_a_write_holds_the_lock_until_its_connection_is_closed(ledger: TrialLedger) -> None:
    # SQLite before 3.51.3 can damage a log that two connections fold in at once
    from journal.storage.lock import holder

    assert ledger.path is not None
    with ledger._writing():
        assert holder(ledger.path) is not None
    assert holder(ledger.path) is None


def test_one_trial_no_trades_constant_outcomes(ledger: TrialLedger) -> None:
    nothing = ledger.summary("h")
    assert (nothing.trials, nothing.measured, nothing.effective) == (0, 0, 0.0)
    assert math.isnan(nothing.deflated)
    ledger.record([trial(0, math.nan)])
    idle = ledger.summary("h")
    assert (idle.trials, idle.measured) == (1, 0)
    assert "none with a Sharpe ratio" in str(idle)
    ledger.record([trial(1, 0.05, skewness=-1.0, kurtosis=9.0)])
    alone = ledger.summary("h")
    assert (alone.trials, alone.measured, alone.effective, alone.expected_max) == (2, 1, 1.0, 0.0)
    assert alone.deflated == deflated_sharpe(0.05, 1000, trials=1, skewness=-1.0, kurtosis=9.0)
    assert not alone.assumed_normal
    assert "real with probability" in str(alone)
    ledger.record([trial(2, 0.05)])
    assert ledger.summary("h").variance == 0.0
    ledger.record([trial(3, 0.09, sessions=1, returns=np.ones(1), hypothesis="short")])
    short = ledger.summary("short")
    assert math.isnan(short.deflated)
    assert "not known" in str(short)


def test_hypotheses_are_judged_apart(ledger: TrialLedger) -> None:
    ledger.record([trial(1, 0.1), trial(2, -0.1), trial(1, 0.3, hypothesis="other")])
    assert ledger.summary("other").deflated > ledger.summary("h").deflated
    assert sorted(ledger.hypotheses()) == ["h", "other"]


# Files of others


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE things (n)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="OPTIMIZE_LEDGER"):
        TrialLedger(path).record([trial(1)])
    with pytest.raises(JournalError, match="OPTIMIZE_LEDGER"):
        TrialLedger(path).count()
    with sqlite3.connect(path) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_schema")] == ["things"]
    connection.close()
    assert len(path.read_bytes()) == len(before)
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(JournalError, match="JOURNAL_DAMAGED"):
        TrialLedger(tmp_path / "text.db").record([trial(1)])


def test_a_ledger_of_a_newer_release_is_left_alone(ledger: TrialLedger) -> None:
    ledger.record([trial(1)])
    assert ledger.path is not None
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("UPDATE trial_schema SET version = 99")
    connection.close()
    with pytest.raises(JournalError, match="version 99"):
        ledger.record([trial(2)])
    with pytest.raises(JournalError, match="version 99"):
        ledger.count()


def test_places_that_are_none(tmp_path: Path) -> None:
    for wrong in (":memory:", "", tmp_path, "mysql://h/d"):
        with pytest.raises(ConfigError, match="JOURNAL_WHERE"):
            TrialLedger(wrong)
    with pytest.raises(JournalError, match=r"JOURNAL_ACCESS|JOURNAL_READ_ONLY"):
        TrialLedger(tmp_path / "no" / "folder" / "trials.db").record([trial(1)])
    assert TrialLedger.beside(tmp_path / "trade_journal.db").path == tmp_path / "trials.db"
    assert "trials.db" in repr(TrialLedger(tmp_path / "trials.db"))


# A server


def test_a_server_counts_as_a_file_does(postgres_url: str) -> None:
    ledger = TrialLedger(postgres_url)
    assert ledger.count() == 0
    assert ledger.hypotheses() == []
    assert ledger.record([trial(1), trial(2, 0.1, returns=np.arange(5.0))]) == 2
    assert ledger.record([trial(2), trial(3, math.nan)]) == 1
    found = ledger.summary("h")
    assert (found.trials, found.measured, found.best_sharpe) == (3, 2, 0.1)
    assert len(ledger.frame()) == 3
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE trial_schema SET version = 99"))
    engine.dispose()
    with pytest.raises(JournalError, match="version 99"):
        ledger.record([trial(4)])


def test_four_processes_share_a_server(postgres_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(4)
    workers = [context.Process(target=_writes, args=(postgres_url, number, begin)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert TrialLedger(postgres_url).count() == 60 + 4 * 60
