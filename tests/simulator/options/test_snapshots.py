"""Daily snapshots: one file per underlying and day, never lost, never half there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.errors import DataError, UnknownNameError
from simulator.options.chain import Chain
from simulator.options.pricing import price
from simulator.options.snapshots import iv_history, load_snapshots, save_snapshot, snapshot_days

DAYS = ("2020-01-02", "2020-01-03", "2020-01-06")


def snapshot(day: str, volatility: float = 0.2, *, symbol: str = "XYZ", origin: str = "real") -> Chain:
    """Return quotes at noon and at the close, of expiries 20 and 40 days ahead."""
    parts = []
    session = int(np.datetime64(day, "D").astype(np.int64))
    for hour in (12, 16):
        ts = int(pd.Timestamp(f"{day} {hour}:00", tz="America/New_York").value)
        for days in (20, 40):
            for kind, code in (("call", 1), ("put", -1)):
                strikes = np.arange(90.0, 111.0)
                level = volatility + (0.1 if hour == 12 else 0.0)
                years = (days + (16 - hour) / 24) / 365
                mid = price(kind, 100.0, strikes, years, 0.0, level)
                parts.append([np.full(21, ts), np.full(21, session + days), np.full(21, code), strikes, mid])
    ts_, expiry, kinds, strike, mid = (np.concatenate(column) for column in zip(*parts, strict=True))
    columns = {
        "ts": ts_,
        "expiry": expiry,
        "kind": kinds,
        "strike": strike,
        "bid": mid * 0.99,
        "ask": mid * 1.01,
    }
    return Chain.from_arrays(symbol, columns, origin=origin)


def test_days_come_back_as_one_chain(tmp_path: Path) -> None:
    for day in reversed(DAYS):
        path = save_snapshot(snapshot(day), tmp_path)
        assert path == tmp_path / "XYZ" / f"{day}.parquet"
    chain = load_snapshots(tmp_path, "XYZ")
    assert chain.times.size == 6
    np.testing.assert_array_equal(chain.bid, Chain.join([snapshot(day) for day in DAYS]).bid)
    assert load_snapshots(tmp_path, "XYZ", start=DAYS[1], end=DAYS[1]).times.size == 2
    assert len(snapshot_days(tmp_path, "XYZ")) == 3


def test_a_day_is_not_overwritten_unless_told(tmp_path: Path) -> None:
    path = save_snapshot(snapshot(DAYS[0], 0.2), tmp_path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="replace=True") as caught:
        save_snapshot(snapshot(DAYS[0], 0.5), tmp_path)
    assert caught.value.code == "DATA_SNAPSHOT"
    assert path.read_bytes() == before
    save_snapshot(snapshot(DAYS[0], 0.5), tmp_path, replace=True)
    assert path.read_bytes() != before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_crash_while_writing_leaves_no_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    def fail(table: object, path: Path, **others: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(DataError, match="disk full") as caught:
        save_snapshot(snapshot(DAYS[0]), tmp_path)
    assert caught.value.code == "DATA_FILE"
    assert list((tmp_path / "XYZ").iterdir()) == []


def test_a_file_system_without_hard_links_keeps_the_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: Path) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    path = save_snapshot(snapshot(DAYS[0]), tmp_path)
    with pytest.raises(DataError) as caught:
        save_snapshot(snapshot(DAYS[0], 0.5), tmp_path)
    assert caught.value.code == "DATA_SNAPSHOT"
    assert list(path.parent.iterdir()) == [path]


def test_what_another_process_has_begun_is_not_read(tmp_path: Path) -> None:
    path = save_snapshot(snapshot(DAYS[0]), tmp_path)
    (path.parent / f".{DAYS[1]}.parquet.{os.getpid()}.part").write_bytes(b"half")
    assert load_snapshots(tmp_path, "XYZ").times.size == 2


def test_any_symbol_has_its_own_folder(tmp_path: Path) -> None:
    names = ["^SPX", "BRK/B", "..", "A B", "ES=F"]
    for name in names:
        path = save_snapshot(snapshot(DAYS[0], symbol=name), tmp_path)
        assert path.parent.parent == tmp_path
        assert load_snapshots(tmp_path, name).symbol == name
    assert len(list(tmp_path.iterdir())) == len(names)


def test_a_snapshot_is_of_one_session(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="spans 2 sessions") as caught:
        save_snapshot(Chain.join([snapshot(day) for day in DAYS[:2]]), tmp_path)
    assert caught.value.code == "DATA_SNAPSHOT"
    with pytest.raises(DataError) as caught:
        save_snapshot(snapshot(DAYS[0]).select(strike=(1, 2)), tmp_path)
    assert caught.value.code == "DATA_EMPTY"


def test_what_is_not_stored(tmp_path: Path) -> None:
    save_snapshot(snapshot(DAYS[0]), tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean 'XYZ'") as caught:
        load_snapshots(tmp_path, "XYZZ")
    assert caught.value.code == "NAME_SYMBOL"
    with pytest.raises(DataError) as nothing:
        load_snapshots(tmp_path, "XYZ", start="2021-01-01")
    assert nothing.value.code == "DATA_EMPTY"


def test_the_history_is_one_value_per_day_of_its_last_snapshot(tmp_path: Path) -> None:
    for day, level in zip(DAYS, (0.2, 0.3, 0.25), strict=True):
        save_snapshot(snapshot(day, level), tmp_path)
    found = iv_history(tmp_path, "XYZ")
    np.testing.assert_allclose(found, [0.2, 0.3, 0.25], atol=1e-5)
    assert [str(day)[:10] for day in found.index] == list(DAYS)
    assert found.attrs["grade"] == "real"
    part = iv_history(tmp_path, "XYZ", start=DAYS[1], end=DAYS[1])
    assert part.tolist() == [found.iloc[1]]


def test_a_day_without_the_maturity_is_unknown_and_one_modelled_day_marks_all(tmp_path: Path) -> None:
    save_snapshot(snapshot(DAYS[0]).select(dte=(0, 25)), tmp_path)
    save_snapshot(snapshot(DAYS[1], origin="modelled"), tmp_path)
    save_snapshot(snapshot(DAYS[2]), tmp_path)
    found = iv_history(tmp_path, "XYZ")
    assert np.isnan(found.iloc[0])
    assert not found.iloc[1:].isna().any()
    assert found.attrs["grade"] == "modelled"
