"""Honesty, measured: what the learning report calls significant where there is nothing, and where there is.

Journals are drawn as columns and looked at again and again, as a trader does. Without any edge, at most 5 %
of journals may *ever* show something significant, over all questions and all looks, plus sampling error. Run
as a program, this file prints the full tables: `python -m tests.journal.test_calibration [journals [looks]]`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import delete, insert

from journal.learning.analysis import examine
from journal.learning.data import ClosedTrades, Labels, read_closed
from journal.learning.evidence import LEVEL
from journal.schema import trades
from tests.budget import many_or_few
from tests.journal.generate import generate, memory

WEEK = 7 * 86_400 * 1_000_000_000
START = 2_600 * WEEK + 4 * 86_400 * 1_000_000_000
SYMBOLS = ("SPY", "QQQ", "NVDA", "IWM", "AAPL", "TLT", "GLD", "XLE")
STRATEGIES = ("short-put-spread", "iron-condor", "breakout")

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], ClosedTrades]


def journal(
    random: np.random.Generator,
    trades: int,
    outcome: Callable[[dict[str, Any]], Floats],
    *,
    per_week: float = 3.0,
    option_share: float = 0.8,
    worst: float = 500.0,
    best: float = 125.0,
    weeks_held: tuple[int, int] = (0, 0),
) -> ClosedTrades:
    """Draw a journal; `outcome` turns what is known at entry into profits in currency.

    Winners and losers are held for so many weeks each; trades stand in the order in which they close, so the
    first ones are what a look in between sees.
    """
    entry_ts = np.sort(START + random.integers(0, max(1, round(trades / per_week)) * WEEK, trades))
    option = random.random(trades) < option_share
    size = random.uniform(0.5, 2.0, trades)
    known: dict[str, Any] = {
        "random": random,
        "trades": trades,
        "week": (entry_ts - START) // WEEK,
        "option": option,
        "iv_rank": random.uniform(5, 95, trades),
        "dte": random.integers(20, 60, trades).astype(float),
        "delta": random.uniform(5, 40, trades),
        "score": random.uniform(50, 100, trades),
        "symbol": random.integers(0, len(SYMBOLS), trades),
        "worst": np.where(option, worst * size, 5 * 200.0 * size),
        "best": np.where(option, best * size, 10 * 200.0 * size),
    }
    pnl = outcome(known)
    strategy = np.where(option, random.integers(0, 2, trades), 2)
    exit_ts = entry_ts + np.where(pnl > 0, *weeks_held) * WEEK
    order = np.argsort(exit_ts, kind="stable")
    return ClosedTrades(
        exit_ts=exit_ts[order],
        option=option[order],
        symbols=labelled(SYMBOLS, known["symbol"][order]),
        strategies=labelled(STRATEGIES, strategy[order]),
        reasons=labelled(("profit", "stop"), (pnl < 0).astype(np.intp)[order]),
        pnl=pnl[order],
        iv_rank=known["iv_rank"][order],
        dte=known["dte"][order],
        delta=np.where(option, known["delta"], np.nan)[order],
        score=np.where(option, np.nan, known["score"])[order],
        worst=known["worst"][order],
        best=known["best"][order],
    )


def labelled(names: tuple[str, ...], codes: NDArray[Any]) -> Labels:
    """Number names by their first trade, as reading does."""
    seen = list(dict.fromkeys(codes.tolist()))
    place = {code: at for at, code in enumerate(seen)}
    return Labels(
        tuple(names[code] for code in seen), np.array([place[code] for code in codes.tolist()], dtype=np.intp)
    )


def head(closed: ClosedTrades, count: int) -> ClosedTrades:
    """What the journal held after its first `count` closed trades."""
    found: dict[str, Any] = {}
    for spec in fields(ClosedTrades):
        values = getattr(closed, spec.name)
        if isinstance(values, Labels):
            codes = values.codes[:count]
            found[spec.name] = Labels(values.names[: int(codes.max()) + 1], codes)
        else:
            found[spec.name] = values[:count]
    return ClosedTrades(**found)


def bets(known: dict[str, Any], chance: Floats | float, *, skill: Floats | float = 0.0) -> Floats:
    """Options win the best or lose so that nothing is expected at `chance`; shares win or lose about 1 R.

    `skill` is added to the chance to win of options without changing the sizes.
    """
    random, count = known["random"], known["trades"]
    odds = np.broadcast_to(np.asarray(chance, dtype=float), (count,))
    win = known["best"] * np.minimum(1.0, (1 - odds) / odds * known["worst"] / known["best"])
    loss = win * odds / (1 - odds)
    option = np.where(random.random(count) < odds + skill, win, -loss)
    share = 200.0 * known["worst"] / 1000.0 * np.where(random.random(count) < 0.4, 1.5, -1.0)
    profit: Floats = np.where(known["option"], option, share)
    return profit


def shared_weeks(known: dict[str, Any]) -> Floats:
    """Half of every outcome is what the market did in the week; nothing is expected."""
    random = known["random"]
    market = random.choice((-1.0, 1.0), size=int(known["week"].max()) + 1)[known["week"]]
    own = random.choice((-1.0, 1.0), size=known["trades"])
    move: Floats = np.where(random.random(known["trades"]) < 0.5, market, own)
    profit: Floats = move * np.minimum(known["best"], known["worst"])
    return profit


def more_at_high_ranks(known: dict[str, Any]) -> Floats:
    """A high IV rank wins and loses three times as much, and more often, and still earns nothing."""
    chance = 0.80 + 0.15 * (known["iv_rank"] - 50) / 50
    profit: Floats = bets(known, chance) * (0.33 + 0.67 * (known["iv_rank"] > 50))
    return profit


WITHOUT_EDGE: dict[str, Draw] = {
    "even odds": lambda random, n: journal(random, n, lambda k: bets(k, 0.5), best=500.0),
    "premium: 80 % win, nothing earned": lambda random, n: journal(random, n, lambda k: bets(k, 0.8)),
    "premium: 95 % win, nothing earned": lambda random, n: journal(
        random, n, lambda k: bets(k, 0.95), best=500.0 / 19
    ),
    "high IV rank: larger and more often, nothing earned": lambda random, n: journal(
        random, n, more_at_high_ranks, best=600.0
    ),
    "winners are closed after a week, losers after five": lambda random, n: journal(
        random, n, lambda k: bets(k, 0.8), weeks_held=(1, 5)
    ),
    "trades of a week move together": lambda random, n: journal(random, n, shared_weeks, per_week=6.0),
}

RICHER_BUT_BLIND = "an edge everywhere, the same at every IV rank, DTE and delta"


def ever_significant(closed: ClosedTrades, looks: int, *, of: Callable[[str], bool] = bool) -> bool:
    """Whether any look, evenly spread over the journal's life, finds something significant."""
    total = len(closed)
    for look in range(1, looks + 1):
        found = examine(head(closed, max(4, total * look // looks)))
        if any(one.significant and of(one.question) for one in found.evidence):
            return True
    return False


def rate(draw: Draw, *, journals: int, trades: int, looks: int, of: Callable[[str], bool] = bool) -> float:
    """Share of journals in which something is ever significant."""
    hits = 0
    for seed in range(journals):
        random = np.random.default_rng([20_200_102, seed])
        hits += ever_significant(draw(random, trades), looks, of=of)
    return hits / journals


def allowed(journals: int) -> float:
    """The level plus sampling error: 99.9 % of experiments at exactly 5 % stay below."""
    return LEVEL + 3.1 * math.sqrt(LEVEL * (1 - LEVEL) / journals)


@pytest.mark.thorough
@pytest.mark.parametrize("name", WITHOUT_EDGE)
def test_without_an_edge_hardly_any_journal_ever_shows_something_significant(name: str) -> None:
    journals = many_or_few(200, 25)
    assert rate(WITHOUT_EDGE[name], journals=journals, trades=240, looks=12) <= allowed(journals)


@pytest.mark.thorough
def test_journals_without_an_edge_stay_within_the_level() -> None:
    draw = WITHOUT_EDGE["premium: 80 % win, nothing earned"]
    journals = many_or_few(1000, 100)
    assert rate(draw, journals=journals, trades=150, looks=6) <= allowed(journals)


@pytest.mark.thorough
def test_reports_on_stored_journals_without_an_edge_stay_within_the_level() -> None:
    """The same through the tables: stocks and packages, long and short, fields left unknown."""
    hits, journals = 0, many_or_few(150, 30)
    engine = memory()
    with engine.begin() as connection:
        for seed in range(journals):
            drawn = generate(seed, trades=120, sources=("live",), fees=False, unknown=0.1)
            connection.execute(delete(trades))
            connection.execute(insert(trades), drawn.trades)
            found = examine(read_closed(connection, ("live",)))
            hits += any(one.significant for one in found.evidence)
    engine.dispose()
    assert hits / journals <= allowed(journals)


def richer(random: np.random.Generator, trades: int) -> ClosedTrades:
    return journal(random, trades, lambda k: bets(k, 0.7, skill=0.2), best=500 * 3 / 7)


@pytest.mark.thorough
def test_an_overall_edge_is_no_evidence_about_iv_rank_days_or_delta() -> None:
    def about_entry(question: str) -> bool:
        return question.startswith(("iv_rank", "dte", "delta"))

    def losing(question: str) -> bool:
        return question.startswith(("profit:option", "symbol", "strategy:short", "strategy:iron")) and (
            question.endswith("-")
        )

    many, some = many_or_few(200, 25), many_or_few(100, 25)
    assert rate(richer, journals=many, trades=240, looks=8, of=about_entry) <= allowed(many)
    assert rate(richer, journals=some, trades=240, looks=8, of=losing) <= allowed(some)


def test_a_fixed_sample_test_looked_at_weekly_would_not_be_honest() -> None:
    """The reason for all this: the usual t-test of the mean at 5 %, looked at every week of two years."""
    hits = 0
    for seed in range(200):
        random = np.random.default_rng([7, seed])
        profits = random.choice((-1.0, 1.0), size=312)
        sizes = np.arange(1, 313)
        mean = np.cumsum(profits) / sizes
        spread = np.sqrt(np.maximum(np.cumsum(profits**2) / sizes - mean**2, 1e-12))
        t = mean / spread * np.sqrt(sizes)
        hits += bool((np.abs(t[11::3]) > 1.96).any())
    assert hits / 200 > 0.2


# Planted edges: what is added to the chance to win, and which question should find it.


def iv_edge(slope: float) -> Draw:
    def draw(random: np.random.Generator, trades: int) -> ClosedTrades:
        return journal(
            random, trades, lambda k: bets(k, 0.7, skill=slope * (k["iv_rank"] - 50) / 90), best=500 * 3 / 7
        )

    return draw


def symbol_edge(points: float) -> Draw:
    def outcome(known: dict[str, Any]) -> Floats:
        return bets(known, 0.7, skill=np.where(known["symbol"] == 0, points, 0.0))

    return lambda random, trades: journal(random, trades, outcome, best=500 * 3 / 7)


def overall_edge(points: float) -> Draw:
    return lambda random, trades: journal(
        random, trades, lambda k: bets(k, 0.7, skill=points), best=500 * 3 / 7
    )


EDGES: dict[str, tuple[Callable[[float], Draw], tuple[float, ...], str]] = {
    "chance to win rises by x from IV rank 5 to 95": (iv_edge, (0.3, 0.45, 0.55), "iv_rank:+"),
    "chance to win of one symbol in eight is higher by x": (symbol_edge, (0.1, 0.2, 0.28), "symbol:SPY:+"),
    "chance to win of one symbol in eight is lower by x": (symbol_edge, (-0.1, -0.2, -0.3), "symbol:SPY:-"),
    "chance to win is higher by x everywhere": (overall_edge, (0.05, 0.1, 0.15), "profit:option:+"),
    "chance to win is lower by x everywhere": (overall_edge, (-0.05, -0.1, -0.15), "profit:option:-"),
}


def power(draw: Draw, question: str, *, journals: int, trades: int) -> float:
    """Share of journals whose last report calls the question significant."""
    hits = 0
    for seed in range(journals):
        closed = draw(np.random.default_rng([11, seed]), trades)
        hits += any(one.significant for one in examine(closed).evidence if one.question == question)
    return hits / journals


@pytest.mark.thorough
def test_planted_edges_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for name, (edge, sizes, question) in EDGES.items():
        found[name] = power(edge(sizes[-1]), question, journals=many_or_few(40, 12), trades=600)
        with capsys.disabled():
            print(f"\npower at 600 trades, x = {sizes[-1]:+.2f}: {found[name]:.0%}  {name}", end="")
    assert min(found.values()) > 0.5, found


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_EDGE)
def test_every_weekly_look_of_two_years_on_a_thousand_journals(name: str) -> None:
    assert rate(WITHOUT_EDGE[name], journals=1000, trades=312, looks=104) <= allowed(1000)


def main(journals: int = 1000, looks: int = 104) -> None:
    """Print the full tables."""
    print(f"Journals without an edge, {journals} each, 312 trades, {looks} looks in 104 weeks:")
    for name, draw in WITHOUT_EDGE.items():
        share = rate(draw, journals=journals, trades=312, looks=looks)
        print(f"  {share:6.1%} ever show something significant: {name}", flush=True)
    print("Power: share of journals whose last report finds the planted edge")
    for name, (edge, sizes, question) in EDGES.items():
        print(f"  {name}")
        for size in sizes:
            shares = [power(edge(size), question, journals=200, trades=n) for n in (100, 300, 600, 1200)]
            print(f"    x = {size:+.2f}: " + ", ".join(f"{s:.0%}" for s in shares), flush=True)
    print("  after 100, 300, 600 and 1200 trades")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
