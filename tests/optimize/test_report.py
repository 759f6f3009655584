"""Reports of searches: complete, self-contained, escaped, and with the figures of what they report."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize import tune_strategy
from optimize.forward import WalkForward, walk_forward
from optimize.journal import Tuning
from optimize.report import render_report, write_report
from optimize.report.lines import curve_of, session_times
from optimize.report.surfaces import maps_of, plateau_of
from optimize.strategy import StrategyStudy
from optimize.tuning.adoption import propose
from optimize.tuning.cases import DAY, Cases
from optimize.tuning.reading import Reading
from simulator import load_bars
from simulator.errors import ConfigError
from strategies import strategy_class

HOSTILE = "</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Tags, words and scripts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._in: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._in:
            while self._in.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "script" in self._in:
            self.scripts.append(data)
        elif "style" not in self._in:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def charts(self) -> dict[str, Any]:
        return {one["name"]: one for one in json.loads(self.scripts[0])["charts"]}


@pytest.fixture(scope="module")
def study() -> StrategyStudy:
    bars = load_bars("synthetic:2x400?seed=1")
    return tune_strategy(
        bars, strategy_class("donchian-breakout")(), trials=40, sampler="random", min_trades=3, progress=False
    )


@pytest.fixture(scope="module")
def walk() -> WalkForward:
    bars = load_bars("synthetic:2x400?seed=1")
    return walk_forward(bars, strategy_class("donchian-breakout")(), trials=8, sampler="qmc", folds=4)


@pytest.fixture(scope="module")
def tuning() -> Tuning:
    return tuned(400)


def tuned(count: int) -> Tuning:
    """Return what a journal says in which a high IV rank pays; the first cases of it."""
    random = np.random.default_rng(1)
    rank = random.uniform(20.0, 100.0, 400)
    day = 1_600_000_000_000_000_000 + np.arange(400) * 2 * DAY
    cases = Cases(
        outcome=np.clip(random.normal(np.where(rank >= 60.0, 0.03, -0.03), 0.1), -0.3, 0.4),
        entry_ts=day,
        exit_ts=day + 20 * DAY,
        taken=random.random(400) > 0.3,
        symbol=np.array(["SPX", HOSTILE])[random.integers(0, 2, 400)],
        source=np.asarray("paper"),
        features={"iv_rank": rank, "dte": random.integers(25, 65, 400).astype(np.float64)},
    ).take(np.arange(count))
    used = {"min_iv_rank": 30.0, "target_dte": 45, "blacklist": ()}
    prior = used | {"min_iv_rank": 40.0}
    return Tuning(
        component="options_scanner",
        source="paper",
        proposal=propose(cases, in_force=used, prior=prior),
        reading=Reading(cases, ("3 left out",), {"closed": 280, "refused": 120}, 0.001, 20.0),
        before=None,
        learned={},
        used=used,
        prior=prior,
        stored=None,
        notes=("3 left out",),
    )


Found = StrategyStudy | WalkForward | Tuning


@pytest.fixture(params=["study", "walk", "tuning"])
def found(request: pytest.FixtureRequest) -> Found:
    made: Found = request.getfixturevalue(request.param)
    return made


def test_a_page_stands_alone(found: Found, tmp_path: Path) -> None:
    path = found.report(tmp_path / "deep" / "page.html")
    text = path.read_text(encoding="utf-8")
    assert 20_000 < path.stat().st_size < 1_000_000
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in {"link", "img", "iframe", "object"}
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        if "href" in attributes:
            assert str(attributes["href"]).startswith("#")
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"} <= set(ids)


def test_a_page_allows_its_own_script_and_no_other(found: Found) -> None:
    page = Page(render_report(found))
    policy = next(
        str(attributes["content"])
        for _, attributes in page.tags
        if "Policy" in str(attributes.get("http-equiv"))
    )
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_verdict_stands_on_top(found: Found) -> None:
    page = Page(render_report(found, title="My search"))
    words = page.text.replace("\N{MINUS SIGN}", "-")
    sentence = found.sentence()
    assert sentence in words
    last = "What was read" if isinstance(found, Tuning) else "Provenance"
    assert words.index("My search") < words.index(sentence) < words.rindex(last)
    origin = "PAPER TRADES" if isinstance(found, Tuning) else "SYNTHETIC DATA"
    assert words.index(origin) < words.index(sentence)


def test_whatever_it_holds_is_escaped(found: Found) -> None:
    text = render_report(found, title=HOSTILE)
    assert "<img" not in text
    assert HOSTILE in Page(text).text


def test_the_history_is_that_of_the_study(study: StrategyStudy) -> None:
    history = Page(render_report(study)).charts["history-chart"]
    values = study.table["sharpe"].to_numpy(np.float64)
    assert [one is None for one in history["value"]] == np.isnan(values).tolist()
    best = -np.inf
    for at, (value, kept) in enumerate(zip(values, study.table["feasible"], strict=True)):
        best = max(best, value) if kept else best
        shown = history["best"][at]
        assert (shown is None) == (best == -np.inf)
        assert shown is None or shown == pytest.approx(best, rel=1e-5)
    assert history["given"] == pytest.approx(study.default["sharpe"], rel=1e-5)


def test_in_sample_equity_says_so_and_ends_where_the_runs_end(study: StrategyStudy) -> None:
    page = Page(render_report(study))
    assert "IN SAMPLE" in page.text
    lines = page.charts["equity-chart"]["lines"]
    gained = [
        100_000.0 * (1.0 + float(one))
        for one in (study.top(1)["total_return"].iloc[0], study.default["total_return"])
    ]
    assert [line["name"] for line in lines] == ["best set", "as given"]
    assert [line["values"][-1] for line in lines] == pytest.approx(gained, rel=1e-5)


def test_a_map_holds_the_means_of_its_cells(study: StrategyStudy) -> None:
    done = study.table[study.table["state"] == "complete"]
    names = ["length", "direction"]
    (maps, *_) = maps_of(done, names, "sharpe", {"length": 0.9, "direction": 0.1})
    (drawn,) = maps.maps  # type: ignore[union-attr]
    assert (drawn.across, drawn.up) == ("length", "direction")
    known = done.dropna(subset=["sharpe"])
    filled = sum(tone != "none" for _, cells in drawn.rows for _, _, tone, _, _ in cells)
    shown = {
        (name, title.split(",")[0]): title
        for name, cells in drawn.rows
        for _, _, tone, title, _ in cells
        if tone != "none"
    }
    assert filled == len(shown)
    trials = sum(int(title.rsplit(" in ", 1)[1].split()[0]) for title in shown.values())
    assert trials == len(known)
    assert [name for name, _ in drawn.rows] == sorted(set(known["direction"]), reverse=True)
    assert sum(peak for _, cells in drawn.rows for *_, peak in cells) == 1


def test_cells_of_few_values_are_what_grouping_gives() -> None:
    import pandas as pd

    random = np.random.default_rng(4)
    table = pd.DataFrame(
        {"a": random.integers(1, 5, 80), "b": random.integers(1, 4, 80), "sharpe": random.normal(size=80)}
    )
    (maps,) = maps_of(table, ["a", "b"], "sharpe", {"a": 0.6, "b": 0.4})
    (drawn,) = maps.maps  # type: ignore[union-attr]
    wanted = table.groupby(["b", "a"])["sharpe"].mean()
    for name, cells in drawn.rows:
        for column, (text, _, tone, _, _) in zip(drawn.columns, cells, strict=True):
            value = wanted[int(name), int(column)]
            assert float(text.replace("\N{MINUS SIGN}", "-")) == pytest.approx(value, abs=0.0051)
            assert tone == ("up" if value >= 0 else "down")


def test_a_parameter_of_one_value_has_no_part_in_the_plateau(study: StrategyStudy) -> None:
    table = study.table.assign(fixed=7)
    with_it = plateau_of(table, [*study.space, "fixed"], "sharpe")
    assert with_it == plateau_of(table, list(study.space), "sharpe")
    assert with_it is not None
    assert plateau_of(table, ["fixed"], "sharpe") is None


def test_out_of_sample_curves_are_those_of_the_walk(walk: WalkForward) -> None:
    page = Page(render_report(walk))
    chart = page.charts["equity-chart"]
    for line, wanted in zip(chart["lines"], (walk.equity, walk.default_equity), strict=True):
        assert line["values"] == pytest.approx(wanted.tolist(), rel=1e-6)
    times = np.cumsum(chart["time"])
    assert times.tolist() == [int(label.timestamp()) for label in walk.returns.index]
    # a border where each test but the first begins
    starts = [walk.returns.index.get_loc(one.normalize()) for one in walk.folds["test_start"]]
    assert chart["folds"] == starts[1:]
    falls = page.charts["drawdown-chart"]["lines"][0]["values"]
    worth = (1.0 + walk.returns).cumprod()
    wanted_fall = worth / worth.cummax().clip(lower=1.0) - 1.0
    assert falls == pytest.approx(wanted_fall.tolist(), abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(3_001, 30_000))
@settings(max_examples=10, derandomize=True, database=None, deadline=None)
def test_long_curves_keep_their_ends_and_extremes(seed: int, length: int) -> None:
    random = np.random.default_rng(seed)
    curves = [np.cumsum(random.normal(size=length)) for _ in range(2)]
    curves[1][random.random(length) < 0.2] = np.nan
    rows = np.arange(length, dtype=np.int64)
    packed = curve_of(rows, rows * 86_400, [("a", curves[0]), ("b", curves[1])])
    kept = np.cumsum(packed["row"])
    assert len(kept) < 3_100
    assert (kept[0], kept[-1]) == (0, length - 1)
    assert np.cumsum(packed["time"]).tolist() == (kept * 86_400).tolist()
    for line, curve in zip(packed["lines"], curves, strict=True):
        shown = [value for value in line["values"] if value is not None]
        assert min(shown) == pytest.approx(np.nanmin(curve), rel=1e-6)
        assert max(shown) == pytest.approx(np.nanmax(curve), rel=1e-6)
        for row, value in zip(kept, line["values"], strict=True):
            assert (value is None) == bool(np.isnan(curve[row]))


def test_sessions_of_intraday_bars_end_with_their_last_bar() -> None:
    bars = load_bars("synthetic:1x200?seed=1&interval=1h")
    rows, times = session_times(bars, 13, 150)
    inside = np.arange(13, 150)
    wanted = [
        int(inside[bars.session_no[13:150] == number][-1]) for number in np.unique(bars.session_no[13:150])
    ]
    assert rows.tolist() == wanted
    assert times.tolist() == (bars.ts[wanted] // 1_000_000_000).tolist()


def test_a_fold_that_is_tested_in_several_places_shows_them_all() -> None:
    bars = load_bars("synthetic:1x400?seed=1")
    walk = walk_forward(
        bars, strategy_class("donchian-breakout")(), trials=2, sampler="qmc", mode="combinatorial", folds=4
    )
    assert len(walk.windows) == len(walk.folds) == 6  # two of four
    apart = [at for at, fold in enumerate(walk.windows) if fold.groups == (0, 2)]
    text = render_report(walk)
    for at in apart:
        first, second = walk.tested(at).split(", ")
        rows = [walk.bars.index[row] for row in (0, *(last - 1 for _, last in walk.windows[at].test))]
        assert first == f"{rows[0]:%Y-%m-%d} to {rows[1]:%Y-%m-%d}"
        assert second.endswith(f"{rows[2]:%Y-%m-%d}")
        assert f"tested on {first}" in text
        assert f"tested on {second}" in text
    assert len(apart) == 1
    together = [at for at, fold in enumerate(walk.windows) if fold.groups == (0, 1)]
    assert walk.tested(together[0]).count(" to ") == 1


def test_every_fold_is_listed_with_what_it_chose(walk: WalkForward) -> None:
    words = Page(render_report(walk)).text
    for row in walk.folds.to_dict("records"):
        assert f"{row['test_start']:%Y-%m-%d} to {row['test_end']:%Y-%m-%d}" in words
        assert walk.tested(int(row["fold"]) - 1) in words
        assert f"fold {row['fold']}" in words
    for name in ("length", "stop_atr", "OUT OF SAMPLE", "As given is better", "Windows"):
        assert name in words


def test_a_walk_of_many_paths_lists_them() -> None:
    bars = load_bars("synthetic:2x300?seed=2")
    walked = walk_forward(
        bars,
        strategy_class("sma-cross")(),
        space=["fast"],
        mode="combinatorial",
        folds=4,
        trials=3,
        sampler="qmc",
    )
    words = Page(render_report(walked)).text
    assert "Paths" in words
    assert "The mean of all paths." in words
    assert "nobody could have traded this" in words


def test_a_tuning_shows_what_it_rests_on(tuning: Tuning) -> None:
    page = Page(render_report(tuning))
    words = page.text.replace("\N{MINUS SIGN}", "-")
    proposal = tuning.proposal
    assert tuning.answer == "adopt"
    for needed in (
        "in force rules proposed", f"{proposal.lower:+.4f}", f"{proposal.estimate:+.4f}", "3 left out",
        f"400 worth {proposal.n_effective:,.0f} independent ones", "Around the best estimate",
    ):  # fmt: skip
        assert needed in words, needed
    rows = proposal.evidence["candidates"]
    assert page.charts["history-chart"]["value"] == pytest.approx([row["lower"] for row in rows], rel=1e-5)


def test_sums_of_a_tuning_are_those_of_the_cases_that_are_let_through(tuning: Tuning) -> None:
    chart = Page(render_report(tuning)).charts["grown-chart"]
    cases = tuning.cases
    for line, chosen in zip(chart["lines"], (tuning.proposal.settings, tuning.used), strict=True):
        inside = (cases.features["iv_rank"] >= chosen["min_iv_rank"]) & (
            np.abs(cases.features["dte"] - chosen["target_dte"]) <= 15
        )
        inside &= ~np.isin(cases.symbol, list(chosen["blacklist"]))
        assert line["values"][-1] == pytest.approx(float(cases.outcome[inside].sum()), rel=1e-5)
    assert [line["name"] for line in chart["lines"]] == ["proposed", "in force"]


def test_a_tuning_with_too_little_to_judge_by_says_so() -> None:
    few = tuned(20)
    assert few.answer == "not enough evidence"
    page = Page(render_report(few))
    assert few.sentence() in page.text
    assert "No other set could be judged." in page.text
    assert "grown-chart" not in page.charts


def test_pages_of_what_found_nothing() -> None:
    bars = load_bars("synthetic:2x300?seed=3")
    nothing = tune_strategy(
        bars, strategy_class("gap-fade")(), trials=3, sampler="qmc", min_trades=9999, progress=False
    )
    words = Page(render_report(nothing)).text
    assert "there is nothing to recommend" in words
    assert "No trial has a figure." in words
    walked = walk_forward(
        bars, strategy_class("gap-fade")(), trials=2, sampler="qmc", folds=2, min_trades=9999
    )
    assert "No fold found a set" in Page(render_report(walked)).text


def test_several_objectives_show_their_front() -> None:
    bars = load_bars("synthetic:2x300?seed=3")
    several = tune_strategy(
        bars,
        strategy_class("gap-fade")(),
        objective=["sharpe", "calmar"],
        sampler="nsga2",
        trials=40,
        progress=False,
    )
    points = Page(render_report(several)).charts["front-chart"]["points"]
    table = several.table[several.table["feasible"]].dropna(subset=["sharpe", "calmar"])
    assert len(points) == len(table)
    sets = {name for _, _, front, name in points if front}
    assert len(sets) == len(several.pareto)


def test_what_cannot_be_written_or_reported_says_so(study: StrategyStudy, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError) as error:
        study.report(tmp_path / "file" / "page.html")
    assert error.value.code == "CONFIG_OUTPUT"
    with pytest.raises(ConfigError) as error:
        write_report(dataclasses.make_dataclass("Other", [])(), tmp_path / "page.html")
    assert error.value.code == "OPTIMIZE_REPORT"


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
@pytest.mark.parametrize("name", ["study", "walk", "tuning"])
def test_a_browser_draws_every_chart(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path = request.getfixturevalue(name).report(tmp_path / "page.html")
    for _ in range(3):  # charts wait for a frame, and a page without a screen may end before one
        drawn = dom(path)
        if drawn.count("<path") >= 2:
            break
    for chart in Page(path.read_text(encoding="utf-8")).charts:
        inside = drawn.split(f'id="{chart}"', 1)[1].split("</svg>", 1)[0]
        assert "<path" in inside
        assert "NaN" not in inside


def dom(path: Path) -> str:
    """Return what a browser makes of a page."""
    profile = path.parent / "profile"
    done = subprocess.run(
        [
            str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000",
            f"--user-data-dir={profile}", "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout
