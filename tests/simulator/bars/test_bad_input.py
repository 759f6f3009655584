"""Everything that cannot be bars gives one error with a stable code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from simulator.bars import Bars, load_bars
from simulator.bars.arrays import DAY, HOUR
from simulator.errors import TwinstepError

if TYPE_CHECKING:
    from .conftest import MakeFrame


def _set(frame: pd.DataFrame, row: int, column: str, value: Any) -> pd.DataFrame:
    frame = frame.astype(object) if isinstance(value, str) else frame
    frame.loc[frame.index[row], column] = value
    return frame


def _naive_intraday(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis(pd.date_range("2020-01-02 09:30", periods=len(frame), freq="h"), axis=0)


FRAME_CASES: list[tuple[str, str, Callable[[pd.DataFrame], Any]]] = [
    ("DATA_COLUMNS", "missing column(s) close", lambda f: f.drop(columns="close")),
    ("DATA_COLUMNS", "Did you mean", lambda f: f.rename(columns={"close": "closing"})),
    ("DATA_EMPTY", "no rows", lambda f: f.iloc[:0]),
    ("DATA_NAN", "open absent", lambda f: _set(f, 3, "open", np.nan)),
    ("DATA_NAN", "volume absent", lambda f: _set(f, 3, "volume", np.nan)),
    ("DATA_PRICE", "low -1.0", lambda f: _set(f, 3, "low", -1.0)),
    ("DATA_PRICE", "open 0.0", lambda f: _set(f, 3, "open", 0.0)),
    ("DATA_PRICE", "high inf", lambda f: _set(f, 3, "high", np.inf)),
    ("DATA_OHLC", "high 1.0 is below", lambda f: _set(f, 3, "high", 1.0)),
    ("DATA_OHLC", "500.0", lambda f: _set(f, 3, "low", 500.0)),
    ("DATA_VOLUME", "-5.0", lambda f: _set(f, 3, "volume", -5.0)),
    ("DATA_TYPE", "'n/k' is not a number", lambda f: _set(f, 3, "close", "n/k")),
    ("DATA_UNSORTED", "later", lambda f: f.iloc[::-1]),
    ("DATA_DUPLICATE", "more than once", lambda f: pd.concat([f.iloc[:4], f.iloc[3:]])),
    ("DATA_NAIVE", "without a time zone", _naive_intraday),
    ("DATA_TIME", "no times", lambda f: f.reset_index(drop=True)),
    ("DATA_TIME", "cannot be read", lambda f: f.set_axis([f"day {n}" for n in range(len(f))], axis=0)),
    ("DATA_TIME", "row 2 has no time", lambda f: f.set_axis(f.index.where(np.arange(len(f)) != 2), axis=0)),
    ("DATA_SPREAD", "bid is above ask", lambda f: f.assign(bid=10.0, ask=9.0)),
    ("DATA_TYPE", "expected a DataFrame", lambda f: f.to_numpy()),
]


@pytest.mark.parametrize(("code", "text", "spoil"), FRAME_CASES, ids=[f"{c}-{t}" for c, t, _ in FRAME_CASES])
def test_a_bad_frame_names_the_symbol_and_the_rule(
    make_frame: MakeFrame, code: str, text: str, spoil: Callable[[pd.DataFrame], Any]
) -> None:
    with pytest.raises(TwinstepError) as caught:
        Bars.from_frames({"ABC": spoil(make_frame())})
    assert caught.value.code == code
    assert text in str(caught.value)
    assert "ABC" in str(caught.value)
    assert "\n" not in str(caught.value)


def _arrays(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"symbols": ["A"], "ts": np.arange(3) * DAY, "panel": np.ones((3, 1, 5))}
    return {**made, **changes}


ARRAY_CASES: list[tuple[str, dict[str, Any]]] = [
    ("DATA_EMPTY", {"symbols": []}),
    ("DATA_EMPTY", {"ts": np.zeros(0, np.int64), "panel": np.ones((0, 1, 5))}),
    ("DATA_SYMBOLS", {"symbols": ["A", "A"], "panel": np.ones((3, 2, 5))}),
    ("DATA_SYMBOLS", {"symbols": [" "]}),
    ("DATA_SHAPE", {"panel": np.ones((3, 5))}),
    ("DATA_SHAPE", {"panel": np.ones((2, 1, 5))}),
    ("DATA_TYPE", {"panel": np.full((3, 1, 5), "x")}),
    ("DATA_TIME", {"ts": np.array([0.5, 1.5, 2.5])}),
    ("DATA_TIME", {"ts": np.zeros((3, 1), np.int64)}),
    ("DATA_UNSORTED", {"ts": np.array([2, 1, 0]) * DAY}),
    ("DATA_DUPLICATE", {"ts": np.array([0, 1, 1]) * DAY}),
    ("DATA_PRICE", {"panel": -np.ones((3, 1, 5))}),
    ("DATA_CALENDAR", {"calendar": "XNYZ"}),
    ("DATA_ORIGIN", {"origin": "invented"}),
    ("DATA_SHAPE", {"sectors": ["Energy", "Energy"]}),
    ("DATA_SHAPE", {"spread": np.ones((2, 2))}),
    ("DATA_SPREAD", {"spread": -np.ones((3, 1))}),
    ("DATA_TIME", {"close_ts": np.zeros(3)}),
    ("CONFIG_GUARD", {"guard": "rais"}),
    ("NAME_SYMBOL", {"instruments": {"B": {"tick": 0.1}}}),
    ("NAME_SYMBOL", {"actions": [("B", "1970-01-02", "split", 2)]}),
    ("DATA_ACTION", {"actions": [("A", "1970-01-02", "spilt", 2)]}),
    ("DATA_ACTION", {"actions": [("A", "1970-01-02", "split", -2)]}),
    ("DATA_ACTION", {"actions": [("A", "1970-01-02", "dividend", "much")]}),
    ("DATA_ACTION", {"actions": [("A", "some day", "split", 2)]}),
    ("DATA_ACTION", {"actions": [("A", "split")]}),
    ("DATA_ACTION", {"actions": [{"symbol": "A", "day": "1970-01-02"}]}),
    ("DATA_ACTION", {"actions": 3}),
    ("DATA_ACTION", {"actions": pd.DataFrame({"symbol": ["A"]})}),
]


@pytest.mark.parametrize(
    ("code", "changes"), ARRAY_CASES, ids=[f"{c}-{next(iter(k))}" for c, k in ARRAY_CASES]
)
def test_bad_arrays_are_refused(code: str, changes: dict[str, Any]) -> None:
    with pytest.raises(TwinstepError) as caught:
        Bars.from_arrays(**_arrays(**changes))
    assert caught.value.code == code


def test_daily_and_intraday_frames_do_not_mix(make_frame: MakeFrame) -> None:
    intraday = _naive_intraday(make_frame()).tz_localize("UTC")
    with pytest.raises(TwinstepError) as caught:
        Bars.from_frames({"A": make_frame(), "B": intraday})
    assert caught.value.code == "DATA_MIXED"


@pytest.mark.parametrize("frames", [{}, [1, 2]])
def test_frames_must_be_a_mapping_of_something(frames: Any) -> None:
    with pytest.raises(TwinstepError) as caught:
        Bars.from_frames(frames)
    assert caught.value.code in ("DATA_EMPTY", "DATA_TYPE")


LOAD_CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("NAME_SAMPLE", "Did you mean 'stocks'", {"source": "sample:stoks"}),
    ("NAME_SOURCE", "Did you mean 'sample'", {"source": "smaple:stocks"}),
    ("NAME_SOURCE", "sample:stocks", {"source": ""}),
    ("NAME_SOURCE", "sample:stocks", {"source": "stocks"}),
    ("DATA_FILE", "no file or folder", {"source": "nowhere/prices.csv"}),
    ("NAME_SYMBOL", "Did you mean 'AAPL'", {"source": "sample:stocks", "symbols": ["APPL"]}),
    ("DATA_EMPTY", "symbols is empty", {"source": "sample:stocks", "symbols": []}),
    ("DATA_RANGE", "after end", {"source": "sample:spx", "start": "2010-01-01", "end": "2009-01-01"}),
    ("DATA_RANGE", "no bars between", {"source": "sample:spx", "start": "2030-01-01"}),
    ("DATA_RANGE", "not a date", {"source": "sample:spx", "start": "soon"}),
    ("CONFIG_GUARD", "unknown", {"source": "sample:spx", "guard": "ignore"}),
    ("CONFIG_ADJUST", "Did you mean 'splits'", {"source": "sample:spx", "adjust": "split"}),
    ("DATA_SYNTHETIC", "SYMBOLSxBARS", {"source": "synthetic:lots"}),
    ("DATA_SYNTHETIC", "Did you mean 'seed'", {"source": "synthetic:2x10?sed=1"}),
    ("DATA_SYNTHETIC", "number of symbols", {"source": "synthetic:0x10"}),
    ("DATA_SYNTHETIC", "interval", {"source": "synthetic:1x10000000"}),
    ("DATA_EMPTY", "names no symbol", {"source": "yfinance:"}),
    ("FETCH_INTERVAL", "Known: 15m", {"source": "yfinance:AAPL", "interval": "d1"}),
    ("DATA_CALENDAR", "Did you mean 'XNYS'", {"source": "synthetic:1x10", "calendar": "XNYSE"}),
]


@pytest.mark.parametrize(("code", "text", "keywords"), LOAD_CASES, ids=[f"{c}-{t}" for c, t, _ in LOAD_CASES])
def test_bad_sources_are_refused_with_a_hint(code: str, text: str, keywords: dict[str, Any]) -> None:
    with pytest.raises(TwinstepError) as caught:
        load_bars(**keywords)
    assert caught.value.code == code
    assert text in str(caught.value)


HEADER = b"date,open,high,low,close\n"
NAMED = b"symbol,date,open,high,low,close\n"
FILE_CASES: list[tuple[str, str, str, bytes]] = [
    ("DATA_EMPTY", "is empty", "A.csv", b""),
    ("DATA_EMPTY", "no rows", "A.csv", b"date,open,high,low,close\n"),
    ("DATA_COLUMNS", "missing", "A.csv", b"date,price\n2020-01-02,1\n"),
    ("DATA_FILE", "cannot be read", "A.csv", b"date,open,high,low,close\n\xff\xfe\xfa,1,1,1,1\n"),
    ("DATA_FILE", "cannot be read", "A.csv.gz", b"not compressed"),
    ("DATA_FILE", "cannot be read", "A.parquet", b"not parquet"),
    ("DATA_FILE", "must end in", "A.xlsx", b"PK"),
    ("DATA_FILE", "cannot be read", "A.csv", HEADER + b'2020-01-02,"1,1,1,1\n1,2,3,4,5,6\n'),
    ("DATA_SYMBOLS", "row 1 has no symbol", "A.csv", NAMED + b"A,2020-01-02,1,1,1,1\n,2020-01-02,1,1,1,1\n"),
    ("DATA_TIME", "cannot be read", "A.csv", b"date,open,high,low,close\nsoon,1,1,1,1\n"),
    ("DATA_TIME", "2020-13-45", "A.csv", HEADER + b"2020-01-02,1,1,1,1\n2020-13-45,1,1,1,1\n"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "text", "name", "content"), FILE_CASES, ids=[f"{c}-{n}-{t}" for c, t, n, _ in FILE_CASES]
)
def test_bad_files_are_refused(tmp_path: Path, code: str, text: str, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TwinstepError) as caught:
        load_bars(path)
    assert caught.value.code == code
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


MIXED_TIMES: list[tuple[list[str], int]] = [
    (["2020-01-02", "2020-01-03", "2020-01-06 00:00:00"], 2),
    (["2020-01-02", "2020-01-03 15:30"], 1),
    (["2020-01-02", "3 Jan 2020"], 1),
    (["2020-01-02 15:30", "2020-01-03 15:30Z"], 1),
    (["2020-01-02", "", "6.1.2020"], 2),
]


@pytest.mark.parametrize(("times", "at"), MIXED_TIMES, ids=[times[at] for times, at in MIXED_TIMES])
@pytest.mark.parametrize("long", [False, True], ids=["one-symbol", "long"])
def test_times_in_two_forms_name_the_file_and_the_first_row_that_differs(
    tmp_path: Path, times: list[str], at: int, long: bool
) -> None:
    path = tmp_path / "prices.csv"
    rows = [("B," if long else "") + f"{time},1,1,1,1" for time in times]
    head = (NAMED + b"A,2020-01-02,1,1,1,1\n" if long else HEADER).decode()
    path.write_text(head + "\n".join(rows), encoding="utf-8")
    with pytest.raises(TwinstepError) as caught:
        load_bars(path)
    assert caught.value.code == "DATA_TIME"
    start = (
        f"{path}, {'B' if long else 'prices'}: times cannot be read: row 0 has {times[0]!r} and row {at} has"
    )
    assert caught.value.args[0].startswith(f"{start} {times[at]!r};")


def test_a_missing_file_gets_a_near_miss(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("x")
    with pytest.raises(TwinstepError, match=r"Did you mean 'prices\.csv'"):
        load_bars(tmp_path / "price.csv")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TwinstepError, match="DATA_EMPTY"):
        load_bars(tmp_path)


@pytest.mark.parametrize(
    ("rule", "code"), [("3D", "DATA_RESAMPLE"), ("soon", "DATA_RESAMPLE"), ("1h", "DATA_RESAMPLE")]
)
def test_bad_resample_rules_are_refused(rule: str, code: str) -> None:
    bars = Bars.from_arrays(**_arrays())
    with pytest.raises(TwinstepError) as caught:
        bars.resample(rule)
    assert caught.value.code == code


def test_resampling_to_shorter_bars_is_refused() -> None:
    bars = Bars.from_arrays(**_arrays(ts=18_000 * DAY + np.arange(3) * HOUR + 15 * HOUR))
    with pytest.raises(TwinstepError, match="DATA_RESAMPLE"):
        bars.resample("5min")
