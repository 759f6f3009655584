"""A folder of kept runs beside a journal that is not there: two of one strategy, one that is hostile."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from simulator import backtest, load_bars
from simulator.results import KeptRun, RunFolder
from simulator.results.keeping import keep_result
from simulator.results.kept_folder import HEAD, REPORT, RUN
from strategies import load_strategy

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def fill_runs(journal: Path) -> list[KeptRun]:
    """Keep three runs beside a journal, and return them in the order in which they were kept."""
    folder, bars = journal.with_name("runs"), load_bars("synthetic:2x300?seed=2")
    found = []
    for hours, (fast, costs) in enumerate(((5, "zero"), (10, "ibkr-fixed"))):
        strategy = load_strategy("sma-cross", fast=fast, slow=40)
        result = backtest(bars, strategy, costs=costs)
        moment = NOON + timedelta(hours=hours)
        found.append(keep_result(result, folder, strategy=strategy, note="a note", now=moment))
    found.append(_hostile(folder, found[0]))
    return found


def _hostile(folder: Path, like: KeptRun) -> KeptRun:
    """Write a file as somebody might send it: every text is a script, and so is the report's end."""
    store = RunFolder(folder)
    name = "e" * 64
    with zipfile.ZipFile(store.path(like.id)) as archive:
        head = json.loads(archive.read(HEAD))
        body = json.loads(archive.read(RUN))
        page = archive.read(REPORT).decode()
    later = (NOON + timedelta(hours=5)).isoformat()
    head |= {
        "fingerprint": name, "strategy": HOSTILE, "note": HOSTILE, "conventions": HOSTILE, "costs": HOSTILE,
        "version": HOSTILE, "engine": HOSTILE, "updated": later, "parameters": {HOSTILE: HOSTILE},
    }  # fmt: skip
    head["data"] = {key: HOSTILE for key in head["data"]}
    body["settings"] = {HOSTILE: {HOSTILE: HOSTILE}}
    body["trades"]["symbol"] = [HOSTILE] * len(body["trades"]["symbol"])
    body["trades"]["exit_reason"] = [HOSTILE] * len(body["trades"]["symbol"])
    with zipfile.ZipFile(store.path(name[:16]), "w") as archive:
        archive.writestr(HEAD, json.dumps(head))
        archive.writestr(RUN, json.dumps(body))
        archive.writestr(REPORT, page.replace("</body>", f"{HOSTILE}</body>"))
    return store.head(name[:16])
