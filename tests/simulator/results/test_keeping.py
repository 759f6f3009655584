"""A run that is kept says what the run said, once, whatever else lies in the folder."""

from __future__ import annotations

import json
import math
import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optimize.statistics.sharpe import sharpe_sample
from simulator import Result, Signals, backtest, load_bars
from simulator.commands import Command
from simulator.errors import ConfigError, DataError, UnknownNameError
from simulator.results import KeptRun, RunFolder, keeping, kept_runs
from simulator.results.keeping import keep_result, sharpe_interval
from simulator.results.kept_folder import FORMAT, HEAD, LIMITS, REPORT, RUN
from simulator.results.kept_pair import in_words
from strategies import load_strategy

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def kept(daily: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one run, which tests copy and break."""
    folder = tmp_path_factory.mktemp("kept") / "runs"
    daily.keep(folder, note="a first try")
    return folder


def only(folder: Path) -> Path:
    (found,) = folder.glob("*.zip")
    return found


def rewritten(source: Path, target: Path, **parts: Any) -> Path:
    """Write a kept run anew with other documents; None leaves one out."""
    target.mkdir(exist_ok=True)
    path = target / source.name
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in (HEAD, RUN, REPORT):
            change = parts.get(name.partition(".")[0], "same")
            if change is not None:
                new.writestr(name, old.read(name) if change == "same" else change)
    return path


def document(source: Path, name: str) -> dict[str, Any]:
    with zipfile.ZipFile(source) as archive:
        return dict(json.loads(archive.read(name)))


# What is kept


def test_it_says_what_the_run_said(daily: Result, kept: Path) -> None:
    (head,) = kept_runs(kept).runs
    whole = RunFolder(kept).open(head.id)
    assert head.fingerprint == daily.fingerprint
    assert head.fingerprint.startswith(head.id)
    assert set(head.metrics) == set(daily.metrics)
    for name, value in daily.metrics.items():
        assert head.metric(name) == pytest.approx(value, rel=1e-9, nan_ok=True), name
    np.testing.assert_allclose(whole.returns, daily.returns.to_numpy(), atol=1e-9)
    assert whole.growth[-1] == pytest.approx(daily.metrics["total_return"], rel=1e-6)
    assert whole.drawdown.min() == pytest.approx(daily.metrics["max_drawdown"], rel=1e-6)  # daily bars
    assert len(whole.trades) == len(daily.trades)
    for one, (_, row) in zip(whole.trades, daily.trades.iterrows(), strict=True):
        assert (one.symbol, one.side, one.exit_reason, one.tag) == (
            row["symbol"], row["side"], row["exit_reason"], row["tag"],
        )  # fmt: skip
        assert (one.entry_ts, one.exit_ts) == (row["entry_time"].value, row["exit_time"].value)
        assert one.pnl == pytest.approx(row["pnl"], rel=1e-9)
        assert one.r == pytest.approx(row["r_multiple"], rel=1e-9, nan_ok=True)
    assert whole.settings["Limits"]["max_open_positions"] == 4
    assert whole.settings["Costs"]["name"] == head.costs == "ibkr-fixed"
    assert (head.text("name"), head.text("label")) == (daily.raw.bars.name, "SYNTHETIC")
    assert whole.left_out == 0


def test_the_report_is_the_report_and_its_scripts_are_known(
    daily: Result, kept: Path, tmp_path: Path
) -> None:
    import base64
    import hashlib
    import re

    (head,) = kept_runs(kept).runs
    page = RunFolder(kept).report(head.id)
    assert page == daily.report(tmp_path / "r.html").read_text(encoding="utf-8")
    found = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in found]
    assert hashes
    assert set(hashes) <= set(head.scripts)


def test_the_parameters_of_the_strategy_are_kept(tmp_path: Path) -> None:
    strategy = load_strategy("sma-cross", fast=7, slow=30)
    result = backtest(load_bars("synthetic:2x300?seed=2"), strategy)
    head = result.keep(tmp_path, strategy=strategy)
    assert (head.strategy, head.parameters["fast"], head.parameters["slow"]) == ("sma-cross", 7, 30)
    several: Any = [load_strategy("sma-cross"), load_strategy("donchian-breakout")]
    both = backtest(load_bars("synthetic:2x300?seed=2"), several).keep(tmp_path, strategy=several)
    assert both.strategy == "sma-cross + donchian-breakout"
    assert both.parameters["1: sma-cross.fast"] == 20


def test_the_same_run_again_is_one_entry_that_keeps_its_begin_and_its_note(
    daily: Result, tmp_path: Path
) -> None:
    first = keep_result(daily, tmp_path, note="why", now=NOON)
    again = keep_result(daily, tmp_path, now=NOON + timedelta(days=3))
    (entry,) = kept_runs(tmp_path).runs
    assert entry == again
    assert (entry.created, entry.updated, entry.note) == (NOON, NOON + timedelta(days=3), "why")
    assert keep_result(daily, tmp_path, note="better").note == "better"
    assert first.fingerprint == entry.fingerprint


def test_another_run_is_another_entry_and_the_last_stands_first(
    daily: Result, intraday: Result, tmp_path: Path
) -> None:
    keep_result(daily, tmp_path, now=NOON)
    keep_result(intraday, tmp_path, now=NOON + timedelta(seconds=1))
    runs = kept_runs(tmp_path).runs
    assert [run.fingerprint for run in runs] == [intraday.fingerprint, daily.fingerprint]
    whole = RunFolder(tmp_path).open(runs[0].id)
    np.testing.assert_allclose(whole.returns, intraday.returns.to_numpy(), atol=1e-9)


def test_money_that_is_paid_in_is_no_growth(tmp_path: Path) -> None:
    bars = load_bars("synthetic:2x300?seed=2")
    days = [f"{bars.index[row]:%Y-%m-%d}" for row in (100, 200)]
    paid = [Command(days[0], "deposit", value=50_000.0), Command(days[1], "deposit", value=-20_000.0)]
    result = backtest(bars, load_strategy("sma-cross"), commands=paid)
    whole = RunFolder(tmp_path).open(result.keep(tmp_path).id)
    assert whole.paid.sum() == 30_000.0
    np.testing.assert_allclose(whole.returns, result.returns.to_numpy(), atol=1e-9)
    assert whole.drawdown.min() == pytest.approx(result.metrics["max_drawdown"], rel=1e-6)


def test_a_run_without_log_keeps_its_figures(tmp_path: Path) -> None:
    result = backtest(load_bars("synthetic:2x300?seed=2"), load_strategy("sma-cross"), log=False)
    head = result.keep(tmp_path)
    whole = RunFolder(tmp_path).open(head.id)
    assert head.metric("trades") == result.metrics["trades"] > 0
    assert (head.scripts, head.sharpe_interval, len(whole.ts), whole.trades) == ((), None, 0, ())
    assert len(whole.growth) == len(whole.drawdown) == 0
    assert RunFolder(tmp_path).report(head.id) is None


def test_what_is_infinite_stays_so(tmp_path: Path) -> None:
    bars = load_bars("synthetic:1x60?seed=1")
    close = bars.close[:, 0]
    row = int(np.argmax(close[2:40] > close[1:39])) + 1
    signals = Signals.from_arrays(bars, [row], 0, 1, max_bars=1, entry="close", qty=1.0)
    result = backtest(bars, signals, risk=None)
    if math.isinf(result.metrics["profit_factor"]):
        assert math.isinf(result.keep(tmp_path).metric("profit_factor"))
    else:
        pytest.fail("the trade was to win")


def test_a_run_that_is_too_long_keeps_a_part_and_says_so(
    daily: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MOST_SESSIONS", 100)
    monkeypatch.setattr(keeping, "MOST_TRADES", 10)
    whole = RunFolder(tmp_path).open(daily.keep(tmp_path).id)
    assert (whole.every, len(whole.ts)) == (5, 100)
    assert whole.ts[-1] == daily.returns.index[-1].value
    assert whole.growth[-1] == pytest.approx(daily.metrics["total_return"], rel=1e-6)
    assert (len(whole.trades), whole.left_out) == (10, len(daily.trades) - 10)
    assert whole.trades[-1].exit_ts == daily.trades["exit_time"].iloc[-1].value


# The file


def test_a_failure_leaves_what_was_there_and_no_draft(
    daily: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daily.keep(tmp_path, note="before")
    before = only(tmp_path).read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left") as caught:
        daily.keep(tmp_path, note="after")
    assert caught.value.code == "CONFIG_OUTPUT"
    assert [one.name for one in tmp_path.iterdir()] == [only(tmp_path).name]
    assert only(tmp_path).read_bytes() == before


def test_a_file_in_place_of_the_folder_is_named(daily: Result, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("mine")
    with pytest.raises(ConfigError, match="runs"):
        daily.keep(tmp_path / "runs")
    assert len(kept_runs(tmp_path / "runs").problems) == 1


BROKEN: dict[str, Any] = {
    "a newer format": {"format": FORMAT + 1},
    "no format": {"format": "new"},
    "another fingerprint": {"fingerprint": "0" * 64},
    "no fingerprint": {"fingerprint": "../../x"},
    "a time without zone": {"updated": "2026-01-05T12:00:00"},
    "the year 1": {"created": "0001-01-01T00:00:00+14:00"},
    "a script that is a policy": {"scripts": ["x'; script-src * 'unsafe-inline"]},
    "a strategy that is a list": {"strategy": ["x"]},
    "a note without end": {"note": "x" * 10_000},
    "metrics that are words": {"metrics": {"sharpe": "high"}},
    "metrics that are a list": {"metrics": [1]},
    "nested data": {"data": {"name": {"a": 1}}},
    "half an interval": {"sharpe_interval": [1.0]},
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_head_that_is_none_is_named_and_the_others_are_listed(
    kept: Path, tmp_path: Path, intraday: Result, what: str
) -> None:
    head = document(only(kept), HEAD) | BROKEN[what]
    path = rewritten(only(kept), tmp_path, head=json.dumps(head))
    intraday.keep(tmp_path, report=False)
    found = kept_runs(tmp_path)
    assert [run.fingerprint for run in found.runs] == [intraday.fingerprint]
    (problem,) = found.problems
    assert problem.startswith(path.name)
    assert ("newer version" in problem) == (what == "a newer format")
    with pytest.raises(DataError) as caught:
        RunFolder(tmp_path).open(path.stem)
    assert caught.value.code == "DATA_RUN"


BODIES: dict[str, Any] = {
    "no curve": {"curve": None},
    "a curve of two lengths": {"curve": {"day": [1, 2], "equity": [1.0], "paid": [], "every": 1}},
    "days that go back": {"curve": {"day": [2, 1], "equity": [1.0, 1.0], "paid": [], "every": 1}},
    "days beyond time": {"curve": {"day": [10**7], "equity": [1.0], "paid": [], "every": 1}},
    "money paid nowhere": {"curve": {"day": [1], "equity": [1.0], "paid": [[7, 1.0]], "every": 1}},
    "equity that explodes": {
        "curve": {"day": [1, 2, 3], "equity": [1e-300, 1e300, 1.0], "paid": [], "every": 1}
    },
    "settings that are a list": {"settings": []},
    "no trades": {"trades": {}},
    "an interval of words": {"interval": {"worst": {"sharpe": "x"}}},
    "cash that is none": {"cash": True},
}


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_is_none_is_an_error_of_ours(kept: Path, tmp_path: Path, what: str) -> None:
    body = document(only(kept), RUN) | BODIES[what]
    path = rewritten(only(kept), tmp_path, run=json.dumps(body))
    assert len(kept_runs(tmp_path).runs) == 1
    with pytest.raises(DataError) as caught:
        RunFolder(tmp_path).open(path.stem)
    assert caught.value.code == "DATA_RUN"


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity"])
def test_numbers_that_are_none_are_refused(kept: Path, tmp_path: Path, number: str) -> None:
    body = json.dumps(document(only(kept), RUN) | {"cash": "CASH"}).replace('"CASH"', number)
    path = rewritten(only(kept), tmp_path, run=body)
    with pytest.raises(DataError):
        RunFolder(tmp_path).open(path.stem)


def test_a_part_that_unpacks_without_end_is_not_unpacked(kept: Path, tmp_path: Path) -> None:
    path = rewritten(only(kept), tmp_path, head=b" " * 300_000)
    assert path.stat().st_size < only(kept).stat().st_size
    (problem,) = kept_runs(tmp_path).problems
    assert "more than 262,144 bytes" in problem


def test_a_run_that_unpacks_to_hundreds_of_times_its_size_is_not_unpacked(kept: Path, tmp_path: Path) -> None:
    body = json.dumps(document(only(kept), RUN) | {"more": "MORE"})
    body = body.replace('"MORE"', f"[{'{},' * 2_000_000}{{}}]")
    path = rewritten(only(kept), tmp_path, run=body)
    assert path.stat().st_size < 2 * only(kept).stat().st_size
    with pytest.raises(DataError, match="200 times its size"):
        RunFolder(tmp_path).open(path.stem)
    path = rewritten(only(kept), tmp_path, run=os.urandom(LIMITS[RUN] + 1))
    with pytest.raises(DataError, match="more than 8,388,608 bytes"):
        RunFolder(tmp_path).open(path.stem)


def test_a_run_is_written_so_that_it_can_be_read(
    daily: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = len(only_part(daily, tmp_path / "full"))
    monkeypatch.setitem(LIMITS, RUN, full - 1000)
    monkeypatch.setitem(LIMITS, REPORT, 1000)
    store = RunFolder(tmp_path / "short")
    whole = store.open(daily.keep(store.folder).id)
    # 20,000, 10,000, ... 78 trades
    assert 0 < len(whole.trades) < len(daily.trades)
    assert len(whole.trades) + whole.left_out == len(daily.trades)
    assert whole.trades[-1].exit_ts == daily.trades["exit_time"].iloc[-1].value
    assert store.report(whole.head.id) is None


def only_part(result: Result, folder: Path) -> bytes:
    """Keep a run, and return its body."""
    result.keep(folder, report=False)
    with zipfile.ZipFile(only(folder)) as archive:
        return archive.read(RUN)


def directory_of(entries: int, *, large: bool = False) -> bytes:
    """Return an archive that is nothing but a directory of empty files called "a"."""
    entry = b"PK\x01\x02" + struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    body = entry * entries
    said = 0 if large else len(body)
    record = b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, entries, entries, len(body), 0)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, len(body), 1)
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, min(entries, 65535), min(entries, 65535), said, 0, 0)
    return body + (record + locator if large else b"") + end


@pytest.mark.parametrize("large", [False, True])
def test_a_directory_without_end_is_not_read(kept: Path, tmp_path: Path, large: bool) -> None:
    path = tmp_path / only(kept).name
    path.write_bytes(directory_of(2000, large=large))
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 2000  # it is an archive, to others
    (problem,) = kept_runs(tmp_path).problems
    assert "an archive of something else" in problem


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("damaged", [False, True])
def test_what_is_packed_in_another_way_is_not_unpacked(
    kept: Path, tmp_path: Path, intraday: Result, kind: int, damaged: bool
) -> None:
    path = tmp_path / only(kept).name
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr(HEAD, json.dumps(document(only(kept), HEAD)))
    if damaged:
        content = bytearray(path.read_bytes())
        content[80:160] = bytes(one ^ 0x5A for one in content[80:160])
        path.write_bytes(content)
    intraday.keep(tmp_path, report=False)
    found = kept_runs(tmp_path)
    assert [run.fingerprint for run in found.runs] == [intraday.fingerprint]
    (problem,) = found.problems
    assert problem.startswith(path.name)


@pytest.mark.parametrize("side", [0, 2, 10**30, "long", [1], None])
def test_a_side_that_is_none_is_refused(kept: Path, tmp_path: Path, side: Any) -> None:
    body = document(only(kept), RUN)
    body["trades"]["side"][0] = side
    path = rewritten(only(kept), tmp_path, run=json.dumps(body))
    with pytest.raises(DataError):
        RunFolder(tmp_path).open(path.stem)


def test_names_that_a_terminal_obeys_or_no_page_takes_are_mended(kept: Path, tmp_path: Path) -> None:
    hostile = "\x1b[2J\ud800"
    body = document(only(kept), RUN)
    body |= {"settings": {hostile: {hostile: hostile}}, "interval": {hostile: {hostile: 1.0}}}
    head = document(only(kept), HEAD) | {"metrics": {hostile: 1.0}, "parameters": {hostile: hostile}}
    path = rewritten(only(kept), tmp_path, head=json.dumps(head), run=json.dumps(body))
    whole = RunFolder(tmp_path).open(path.stem)
    for words in (whole.settings, whole.interval, whole.head.metrics, whole.head.parameters):
        assert all(name.isprintable() and name.encode() for name in words)


def test_signs_that_a_terminal_obeys_are_taken_out(kept: Path, tmp_path: Path) -> None:
    head = document(only(kept), HEAD) | {"strategy": "\x1b]0;mine\x07 \u202egnol", "note": "a\x1b[2J"}
    rewritten(only(kept), tmp_path, head=json.dumps(head))
    (run,) = kept_runs(tmp_path).runs
    assert run.strategy.isprintable()
    assert run.note.isprintable()


def test_what_is_no_file_of_a_run_is_left_alone(kept: Path, tmp_path: Path) -> None:
    rewritten(only(kept), tmp_path)
    for name in ("readme.txt", "0123.zip", ".0123456789abcdef.zip.1.tmp", "0123456789ABCDEF.zip"):
        (tmp_path / name).write_text("x")
    (tmp_path / "fedcba9876543210.zip").mkdir()
    os.mkfifo(tmp_path / "fedcba9876543211.zip")
    found = kept_runs(tmp_path)
    assert (len(found.runs), found.problems) == (1, ())


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(data=st.data())
def test_whatever_bytes_a_file_holds_it_is_read_or_named(
    kept: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(only(kept).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # most of a file is its report: hit what is read first as often
        near = data.draw(st.booleans())
        place = data.draw(st.integers(0, 4000 if near else len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    folder = tmp_path_factory.mktemp("bytes")
    path = folder / only(kept).name
    path.write_bytes(content[:cut] if data.draw(st.integers(0, 9)) == 0 else content)
    found = kept_runs(folder)
    assert len(found.runs) + len(found.problems) == 1
    store = RunFolder(folder)
    for read in (store.open, store.report):
        with suppress(DataError):  # nothing else is raised
            read(path.stem)


# Looking


def test_a_run_that_goes_while_the_folder_is_listed_hides_no_other(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewritten(only(kept), tmp_path)
    early, late = (tmp_path / f"{digit * 16}.zip" for digit in "01")
    real = os.scandir

    @contextmanager
    def deleting(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
        with real(folder) as entries:
            found = list(entries)
        early.unlink()
        yield found

    for path in (early, late):
        path.write_bytes(b"x")
    store = RunFolder(tmp_path)
    head = store.head

    def deleted(run_id: str) -> KeptRun:
        late.unlink(missing_ok=True)
        return head(run_id)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", deleting)
        patched.setattr(store, "head", deleted)
        found = store.look()
    assert len(found.runs) == 1
    assert [one for one in found.problems if one.startswith(early.name)] == []
    assert [one for one in found.problems if "no kept run" in one] == []


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"{'a' * 16}.zip")
    with pytest.raises(DataError, match="no plain file"):
        RunFolder(tmp_path).open("a" * 16)


def test_a_file_is_opened_once_until_it_changes(
    daily: Result, intraday: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in (daily, intraday):
        one.keep(tmp_path, report=False)
    store, opened = RunFolder(tmp_path), list[str]()
    real = zipfile.ZipFile

    def noting(path: Any, *others: Any, **more: Any) -> Any:
        opened.extend([path.name] if path.mode == "rb" else [])  # writing goes through it too
        return real(path, *others, **more)

    monkeypatch.setattr(zipfile, "ZipFile", noting)
    assert len(store.look().runs) == len(opened) == 2
    assert len(store.look().runs) == len(opened) == 2
    daily.keep(tmp_path, report=False, note="changed")
    opened.clear()
    assert {run.note for run in store.look().runs} == {"changed", ""}
    assert len(opened) == 1
    store.delete([store.find(daily.fingerprint).id])
    assert [run.fingerprint for run in store.look().runs] == [intraday.fingerprint]


def test_a_run_is_found_by_the_begin_of_its_name(daily: Result, intraday: Result, tmp_path: Path) -> None:
    for one in (daily, intraday):
        one.keep(tmp_path, report=False)
    store = RunFolder(tmp_path)
    assert store.find(daily.fingerprint[:6].upper()).fingerprint == daily.fingerprint
    for wrong in ("", "zz", "../x", daily.fingerprint[:6] + "zz"):
        with pytest.raises(UnknownNameError) as caught:
            store.find(wrong)
        assert caught.value.code == "NAME_RUN"
    for wrong in ("../../etc/passwd", "", "A" * 16):
        with pytest.raises(UnknownNameError):
            store.open(wrong)
    assert store.delete(["0" * 16]) == 0


def test_a_name_that_several_have_is_refused(kept: Path, tmp_path: Path) -> None:
    head = document(only(kept), HEAD)
    for end in "ab":
        name = "f" * 15 + end
        again = head | {"fingerprint": name + "0" * 48}
        rewritten(only(kept), tmp_path, head=json.dumps(again)).rename(tmp_path / f"{name}.zip")
    with pytest.raises(UnknownNameError, match="2 kept runs begin"):
        RunFolder(tmp_path).find("ff")


# The interval


@settings(max_examples=80, derandomize=True, database=None, deadline=None)
@given(
    returns=arrays(np.float64, st.integers(20, 400), elements=st.floats(-0.2, 0.2)),
    periods=st.sampled_from([252.0, 365.0]),
)
def test_the_ends_of_the_interval_are_those_that_the_sample_leaves_a_chance_of_one_in_forty(
    returns: Any, periods: float
) -> None:
    found = sharpe_interval(returns, periods)
    sample = sharpe_sample(returns)
    if found is None:
        assert math.isnan(sample.sharpe) or np.ptp(returns) < 1e-6
        return
    for end, chance in zip(found, (0.975, 0.025), strict=True):
        assert sample.probabilistic(end / math.sqrt(periods)) == pytest.approx(chance, abs=1e-6)
    assert sum(found) / 2 == pytest.approx(sample.sharpe * math.sqrt(periods), rel=1e-9, abs=1e-9)


def test_few_returns_have_no_interval() -> None:
    assert sharpe_interval(np.linspace(-0.01, 0.02, 19), 252.0) is None
    assert sharpe_interval(np.full(100, 0.01), 252.0) is None
    assert sharpe_interval(np.zeros(100), 252.0) is None


def test_settings_are_written_as_people_write_them() -> None:
    written = {
        None: "none", "": "none", True: "yes", 100_000.0: "100,000", 0.00206: "0.00206", 7: "7", "x": "x",
    }  # fmt: skip
    assert {value: in_words(value) for value in written} == written
