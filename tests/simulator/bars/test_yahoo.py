"""Yahoo through a canned transport: the cache, and every way in which it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import numpy as np
import pandas as pd
import pytest
import requests
from requests.adapters import BaseAdapter

from simulator.bars import Bars, load_bars
from simulator.bars.arrays import HOUR
from simulator.bars.yahoo import Yahoo
from simulator.errors import FetchError, MissingExtraError, TwinstepError
from simulator.kernel import codes

yfinance = pytest.importorskip("yfinance")

SESSIONS = pd.bdate_range("2024-01-02", "2024-03-08").drop(pd.to_datetime(["2024-01-15", "2024-02-19"]))


@dataclass
class FakeYahoo(BaseAdapter):
    """Answers as Yahoo's chart service does, with split-adjusted prices as of `today`."""

    today: str = "2024-02-01"
    closes: np.ndarray[Any, Any] = field(default_factory=lambda: 100.0 + np.arange(len(SESSIONS)))
    splits: dict[str, tuple[int, int]] = field(default_factory=dict)
    dividends: dict[str, float] = field(default_factory=dict)
    mode: str = "well"
    refusals: int = 0
    asked: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def close(self) -> None:
        """Nothing is open."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        url = urlparse(str(request.url))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.mode == "offline":
            raise requests.exceptions.ConnectionError("no route to host")
        if "/chart/" not in url.path:
            return _response(request, 200, "crumb")
        since = float(query.get("period1", 0))
        if "period1" in query:
            self.asked.append((url.path.rsplit("/", 1)[1], since))
        if self.mode == "limited" and "period1" in query and self.refusals:
            self.refusals -= 1
            return _response(request, 429, "Too Many Requests")
        if self.mode == "garbage":
            return _response(request, 200, "<html>maintenance</html>")
        if self.mode == "unknown":
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return _response(request, 404, json.dumps({"chart": {"result": None, "error": error}}))
        return _response(request, 200, json.dumps(self._chart(since)))

    def _chart(self, since: float) -> dict[str, Any]:
        days = SESSIONS[SESSIONS <= pd.Timestamp(self.today)]
        prices = self.closes[: len(days)].copy()
        volume = np.full(len(days), 1000.0)
        events: dict[str, Any] = {"splits": {}, "dividends": {}}
        scale = np.ones(len(days))
        for day, (new, old) in self.splits.items():
            if day <= self.today:
                scale[days < pd.Timestamp(day)] *= new / old
        for day, (new, old) in self.splits.items():
            at = _stamp(day)
            if since <= at and day <= self.today:
                events["splits"][str(at)] = {
                    "date": at,
                    "numerator": new,
                    "denominator": old,
                    "splitRatio": "",
                }
        for day, amount in self.dividends.items():
            at = _stamp(day)
            if since <= at and day <= self.today:
                events["dividends"][str(at)] = {"date": at, "amount": amount / scale[days.get_loc(day)]}
        stamps = np.array([_stamp(str(day.date())) for day in days])
        kept = stamps >= since
        prices = (prices / scale)[kept]
        quote = {
            "open": prices.tolist(), "high": (prices * 1.01).tolist(), "low": (prices * 0.99).tolist(),
            "close": prices.tolist(), "volume": (volume * scale)[kept].tolist(),
        }  # fmt: skip
        if self.mode == "empty":
            kept, quote = kept & False, {name: [] for name in quote}
        zone = {"exchangeTimezoneName": "America/New_York", "gmtoffset": -18000, "timezone": "EST"}
        meta = {
            **zone, "currency": "USD", "instrumentType": "EQUITY", "validRanges": ["1d", "max"],
            "symbol": "X", "dataGranularity": "1d", "range": "", "priceHint": 2,
            "regularMarketTime": _stamp(self.today),
        }  # fmt: skip
        result: dict[str, Any] = {
            "meta": meta,
            "indicators": {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]},
            "events": {name: entries for name, entries in events.items() if entries},
            "timestamp": stamps[kept].tolist(),
        }
        return {"chart": {"result": [result], "error": None}}


def _stamp(day: str) -> int:
    return int(pd.Timestamp(day).tz_localize("America/New_York").value // 10**9 + 9.5 * 3600)


def _response(request: requests.PreparedRequest, status: int, text: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = text.encode()
    response.url = str(request.url)
    response.request = request
    return response


@pytest.fixture
def fake() -> Iterator[FakeYahoo]:
    yfinance.data.YfData.cache_get.cache_clear()
    yield FakeYahoo()
    yfinance.data.YfData.cache_get.cache_clear()


@dataclass
class Desk:
    """One user's cache and network."""

    fake: FakeYahoo
    cache: Path
    pauses: list[float] = field(default_factory=list)

    def load(self, symbols: str = "XYZ", **keywords: Any) -> Bars:
        session = requests.Session()
        session.mount("https://", self.fake)
        session.mount("http://", self.fake)
        now = int(pd.Timestamp(self.fake.today).value) + keywords.pop("hour", 23) * HOUR
        client = Yahoo(session=session, sleep=self.pauses.append, now=lambda: now, retries=3)
        return load_bars(f"yfinance:{symbols}", cache_dir=self.cache, yahoo=client, **keywords)


@pytest.fixture
def desk(fake: FakeYahoo, tmp_path: Path) -> Desk:
    return Desk(fake, tmp_path / "cache")


def test_first_load_fetches_everything_and_labels_sessions(desk: Desk) -> None:
    bars = desk.load()
    days = SESSIONS[SESSIONS <= pd.Timestamp("2024-02-01")]
    np.testing.assert_array_equal(bars.ts, days.as_unit("ns").asi8)
    np.testing.assert_allclose(bars.close[:, 0], desk.fake.closes[: len(days)])
    assert bars.origin == "real"
    assert bars.name == "yfinance:XYZ"
    assert len(desk.fake.asked) == 1


def test_second_load_on_the_same_day_asks_nobody(desk: Desk) -> None:
    first = desk.load()
    desk.fake.mode = "offline"
    assert desk.load().fingerprint == first.fingerprint
    assert desk.load(end="2024-01-10").session[-1] == 19_732


def test_later_load_fetches_only_the_tail(desk: Desk) -> None:
    desk.load()
    desk.fake.today = "2024-02-14"
    bars = desk.load()
    assert len(desk.fake.asked) == 2
    assert desk.fake.asked[1][1] >= _stamp("2024-01-24")
    np.testing.assert_allclose(bars.close[:, 0], desk.fake.closes[: len(bars)])
    assert bars.notes == ()


def test_an_unfinished_bar_is_neither_returned_nor_stored(desk: Desk) -> None:
    before = desk.load(hour=18)
    assert str(before.index[-1].date()) == "2024-01-31"
    after = desk.load(hour=22)
    assert str(after.index[-1].date()) == "2024-02-01"


def test_the_past_stays_as_quoted_through_a_split(desk: Desk) -> None:
    desk.fake.closes[SESSIONS >= pd.Timestamp("2024-02-12")] /= 2
    desk.fake.splits["2024-02-12"] = (2, 1)
    desk.fake.dividends = {"2024-01-22": 0.8, "2024-02-14": 0.4}
    early = desk.load(adjust="none")
    desk.fake.today = "2024-02-20"
    late = desk.load(adjust="none")
    assert late.notes == ()
    np.testing.assert_allclose(late.close[:, 0], desk.fake.closes[: len(late)])
    np.testing.assert_array_equal(late.panel[: len(early)], early.panel)
    kinds = [(int(a["kind"]), float(a["value"])) for a in late.actions]
    assert kinds == [(codes.ACTION_DIVIDEND, 0.8), (codes.ACTION_SPLIT, 2.0), (codes.ACTION_DIVIDEND, 0.4)]
    assert late.raw
    fresh = Desk(desk.fake, desk.cache.parent / "other").load(adjust="none")
    assert fresh.fingerprint == late.fingerprint
    adjusted = desk.load()
    assert not adjusted.raw
    np.testing.assert_allclose(adjusted.close[-1, 0], late.close[-1, 0])
    moves = np.diff(np.log(adjusted.close[:, 0]))
    assert abs(moves).max() < 0.03


def test_an_end_date_gives_the_same_bars_for_ever(desk: Desk) -> None:
    desk.fake.closes[SESSIONS >= pd.Timestamp("2024-02-12")] /= 2
    desk.fake.splits["2024-02-12"] = (2, 1)
    desk.fake.dividends = {"2024-01-22": 0.8, "2024-02-14": 0.4}
    early = desk.load(end="2024-01-31")
    desk.fake.today = "2024-02-20"
    desk.load()
    assert desk.load(end="2024-01-31").fingerprint == early.fingerprint
    with pytest.raises(TwinstepError, match="DATA_RANGE"):
        desk.load(end="2023-01-31")


def test_a_restated_past_is_fetched_anew_with_a_note(desk: Desk) -> None:
    desk.load()
    desk.fake.closes = desk.fake.closes * 1.1
    desk.fake.today = "2024-02-14"
    bars = desk.load()
    np.testing.assert_allclose(bars.close[:, 0], desk.fake.closes[: len(bars)])
    assert any("restated" in note for note in bars.notes)
    assert len(desk.fake.asked) == 3


@pytest.mark.parametrize(
    ("mode", "code", "text"),
    [
        ("offline", "FETCH_OFFLINE", "offline"),
        ("empty", "FETCH_EMPTY", "XYZ"),
        ("unknown", "FETCH_EMPTY", "listed"),
        ("garbage", "FETCH_FAILED", "XYZ"),
    ],
)
def test_failures_are_told_apart(desk: Desk, mode: str, code: str, text: str) -> None:
    desk.fake.mode = mode
    with pytest.raises(FetchError) as caught:
        desk.load()
    assert caught.value.code == code
    assert text in str(caught.value)
    assert not list(desk.cache.glob("*.parquet"))


def test_rate_limits_are_waited_out(desk: Desk) -> None:
    desk.fake.mode, desk.fake.refusals = "limited", 4
    assert len(desk.load()) == 22
    assert desk.pauses == [2.0, 4.0]


def test_rate_limits_give_up_at_last(desk: Desk) -> None:
    desk.fake.mode, desk.fake.refusals = "limited", 10**6
    with pytest.raises(FetchError) as caught:
        desk.load()
    assert caught.value.code == "FETCH_RATE_LIMIT"
    assert desk.pauses == [2.0, 4.0, 8.0]


def test_offline_with_a_stale_cache_says_how_to_go_on(desk: Desk) -> None:
    desk.load()
    desk.fake.today, desk.fake.mode = "2024-02-14", "offline"
    with pytest.raises(FetchError, match=r"FETCH_OFFLINE.*end date"):
        desk.load()
    assert len(desk.load(end="2024-02-01")) == 22


def test_an_unwritable_cache_is_one_clear_error(desk: Desk) -> None:
    desk.cache.write_text("a file where a folder should be")
    with pytest.raises(FetchError, match=r"FETCH_CACHE.*cache_dir"):
        desk.load()
    assert desk.fake.asked == []


def test_a_broken_cache_file_is_named(desk: Desk) -> None:
    desk.load()
    next(iter(desk.cache.glob("*.parquet"))).write_bytes(b"broken")
    with pytest.raises(FetchError, match=r"FETCH_CACHE.*delete it"):
        desk.load()


def test_several_symbols_share_one_panel(desk: Desk) -> None:
    bars = desk.load("xyz, ABC", sectors={"ABC": "Energy"})
    assert bars.symbols == ("XYZ", "ABC")
    assert bars.sectors == ("Unknown", "Energy")


def test_without_yfinance_the_extra_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "yfinance", None)
    with pytest.raises(MissingExtraError, match=r"FETCH_EXTRA.*twinstep\[yahoo\]"):
        desk.load()


def test_errors_are_of_this_project(desk: Desk) -> None:
    desk.fake.mode = "offline"
    with pytest.raises(TwinstepError):
        desk.load("^VIX")
