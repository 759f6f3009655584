"""Symbols that join, rehearsals, notes, watchers, and accounts that are fed ticks."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live import FakeClock, Session, verify_parity
from live.sessions.account import identity
from live.sessions.intake import Gap
from live.sessions.outcome import StepOutcome
from live.sessions.ticks import tick_bar, tick_frame
from simulator import Bars, Command, RiskLimits, Run, Signals, load_bars
from simulator.engine import signals_of
from simulator.errors import DataError, JournalError, TwinstepWarning
from strategies.registry import strategy_class
from tests.live.sessions import answer_of, backtest_of, few, push_all, scratch, signals_at
from tests.live.test_session_parity import first_difference
from tests.simulator.kernel.generate import Configuration, configurations
from tests.simulator.kernel.test_package_drivers import with_packages


def first_symbols(bars: Bars, count: int, *, own_sectors: bool = True) -> Bars:
    """The first symbols of bars; `own_sectors` leaves out sectors that none of them is in."""
    from live.sessions.frames import decode_frame, encode_frame

    known = 1 + int(bars.instruments["sector"][:count].max(initial=0))
    names = bars.sector_names[:known] if own_sectors else bars.sector_names
    parts: dict[str, Any] = {}
    if bars.options is not None:
        options = bars.options
        quotes = options.quotes[options.quotes["sym"] < count]
        parts["options"] = dataclasses.replace(
            options,
            volatility=options.volatility[:, :count],
            yields=options.yields[:count],
            surfaces=options.surfaces[:count],
            quotes=quotes,
            start=np.searchsorted(quotes["row"], np.arange(len(bars) + 1)).astype(np.int64),
        )
    if bars.detail is not None:
        parts["detail"] = first_symbols(bars.detail, count, own_sectors=own_sectors)
    made = bars.replaced(
        symbols=bars.symbols[:count],
        panel=np.ascontiguousarray(bars.panel[:, :count]),
        spread=np.ascontiguousarray(bars.spread[:, :count]),
        instruments=bars.instruments[:count].copy(),
        sectors=bars.sectors[:count],
        sector_names=names,
        actions=bars.actions[bars.actions["sym"] < count],
        **parts,
    )
    assert decode_frame(encode_frame(made)).symbols == made.symbols
    return made


def joining(c: Configuration, joins: dict[int, int]) -> Configuration:
    """The configuration in which symbols have no bar, signal, action or command before they join.

    `joins` gives how many symbols there are from a row on.
    """
    panel, spread = c.bars.panel.copy(), c.bars.spread.copy()
    since = np.zeros(len(c.bars.symbols), np.int64)
    for row, count in sorted(joins.items(), reverse=True):
        earlier = max((joins[other] for other in joins if other < row), default=0)
        since[earlier:count] = row
    for column, row in enumerate(since.tolist()):
        panel[:row, column] = np.nan
        if spread.size:
            spread[:row, column] = np.nan
    actions = c.bars.actions[c.bars.actions["row"] >= since[c.bars.actions["sym"]]]
    parts: dict[str, Any] = {}
    if c.bars.detail is not None:
        finer = c.bars.detail.panel.copy()
        for column, row in enumerate(since.tolist()):
            finer[: c.bars.detail_start[row], column] = np.nan
        parts["detail"] = c.bars.detail.replaced(panel=finer)
    if c.bars.options is not None:
        options = c.bars.options
        volatility = options.volatility.copy()
        for column, row in enumerate(since.tolist()):
            if volatility.size:
                volatility[:row, column] = np.nan
        quotes = options.quotes[options.quotes["row"] >= since[options.quotes["sym"]]]
        parts["options"] = dataclasses.replace(
            options,
            volatility=volatility,
            quotes=quotes,
            start=np.searchsorted(quotes["row"], np.arange(len(c.bars) + 1)).astype(np.int64),
        )
    bars = c.bars.replaced(panel=panel, spread=spread, actions=actions, **parts)
    rows = np.searchsorted(bars.ts, c.signals.records["ts"])
    kept = c.signals.records[rows >= since[c.signals.records["sym"]]]
    signals = Signals(
        kept, c.signals.symbols, tags=c.signals.tags, strategies=c.signals.strategies,
        sectors=c.signals.sectors, packages=c.signals.packages, legs=c.signals.legs,
    )  # fmt: skip
    commands = [
        one
        for one in c.commands
        if one.symbol is None
        or np.searchsorted(bars.ts, int(one.time.value)) >= since[bars.symbols.index(one.symbol)]  # type: ignore[union-attr]
    ]
    return dataclasses.replace(c, bars=bars, signals=signals, commands=commands)


def grown(c: Configuration, joins: dict[int, int], restarts: set[int], group: int) -> dict[str, Any]:
    """Play a configuration in which symbols join; restarts before some rows."""
    with scratch() as folder:
        path = Path(folder) / "journal.db"
        rows = sorted({0, len(c.bars), *joins, *restarts})
        session: Session | None = None
        for first, last in itertools.pairwise(rows):
            count = joins[max(row for row in joins if row <= first)]
            # signals name sectors, so all of them are known from the start
            seen = first_symbols(c.bars, count, own_sectors=False)
            if session is None:
                session = Session(path, like=seen, **c.rules, group=group)
            elif first in restarts:
                session.close()
                session = Session(path, **c.rules, group=group)
            session.grow(seen)
            assert session.symbols == seen.symbols
            mine = dataclasses.replace(c, bars=seen)
            edges = list(range(first, last + 1)) if group == 1 else [first, last]
            push_all(session, mine, edges)
        assert session is not None
        answer = answer_of(session)
        session.close()
        receipt = verify_parity(path)
        assert receipt.ok, str(receipt)
        assert receipt.bars == len(c.bars)
        return answer


@few(10)
@given(configurations(), st.integers(0, 2**32 - 1))
def test_symbols_that_join_are_as_if_known_from_the_start(c: Configuration, seed: int) -> None:
    random = np.random.default_rng(seed)
    if seed % 3 == 0:
        if c.bars.detail is not None:
            c = dataclasses.replace(c, bars=c.bars.replaced(detail=None, detail_start=None))
        c = with_packages(c, seed, 12)
    symbols = len(c.bars.symbols)
    rows = np.sort(random.integers(0, len(c.bars), 2)).tolist()
    counts = np.sort(random.integers(1, symbols + 1, 2)).tolist()
    joins = {0: 1, rows[0]: counts[0], rows[1]: counts[1], len(c.bars) - 1: symbols}
    c = joining(c, joins)
    restarts = set(random.integers(1, len(c.bars), 3).tolist())
    found, expected = grown(c, joins, restarts, int(random.choice([1, 1, 9]))), backtest_of(c)
    # before all are there, a state has fewer of them
    complete = min(row for row, count in joins.items() if count == symbols)
    for answer in (found, expected):
        answer["states"] = answer["states"][complete:]
    assert first_difference(expected, found) == ""


@pytest.fixture(scope="module")
def bars() -> Bars:
    return load_bars("synthetic:4x120?seed=11")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_what_is_no_growth_is_refused(bars: Bars, path: Path) -> None:
    two = first_symbols(bars, 2)
    with Session(path, like=two) as session:
        session.push(two[:5])
        before = answer_of(session)
        wrong = [
            bars.select(bars.symbols[1:]),
            bars.replaced(daily=False),
            bars.replaced(raw=True),
            bars.replaced(instruments=np.roll(bars.instruments, 1)),
            first_symbols(bars, 1),
        ]
        for like in wrong:
            with pytest.raises(DataError) as caught:
                session.grow(like)
            assert caught.value.code == "LIVE_FRAME"
        session.grow(two)  # nothing happens
        assert answer_of(session) == before
        with pytest.raises(DataError):
            session.push(bars[5:6])
        session.grow(bars)
        with pytest.raises(DataError):
            session.push(two[5:6])
        assert session.seen().symbols == bars.symbols
        assert np.isnan(session.seen().panel[:, 2:]).all()
        session.push(bars[5:9])
    # by the bars it began with, by those it has now, and without any
    for known in (two, bars, None):
        with Session(path, like=known) as session:
            assert session.symbols == bars.symbols
    receipt = verify_parity(path)
    assert receipt.ok
    assert receipt.notes == ("from bar 5 on with 4 symbols",)


def test_growth_that_cannot_be_stored_has_not_happened(bars: Bars, path: Path) -> None:
    two = first_symbols(bars, 2)
    with Session(path, like=two) as session:
        session.push(two[:5])
        with session.database.write() as connection:
            pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        wide = load_bars("synthetic:400x10?seed=11")
        many = wide.replaced(
            symbols=(*two.symbols, *(f"N{n}" for n in range(398))),
            instruments=np.concatenate([two.instruments, wide.instruments[2:]]),
        )
        with pytest.raises((JournalError, DataError)):
            session.grow(many)
        assert session.symbols == two.symbols
        with session.database.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        session.push(two[5:9])
    assert verify_parity(path).ok


def test_strategies_see_symbols_that_joined(bars: Bars, path: Path) -> None:
    two, breakout = first_symbols(bars, 2), strategy_class("donchian-breakout")()
    panel = bars.panel.copy()
    panel[:40, 2:] = np.nan
    late = bars.replaced(panel=panel)
    run = Run(late, signals_of(breakout, late))
    run.advance()
    with Session(path, like=two, strategies=breakout) as session:
        session.push(two[:40])
        session.grow(late)
        for row in range(40, 80):
            session.push(late[row : row + 1])
    with Session(path, strategies=breakout) as session:
        session.push(late[80:])
        assert identity(session.state) == identity(run.state)
    assert verify_parity(path).ok


def test_other_limits_after_a_growth_and_a_growth_after_other_limits(bars: Bars, path: Path) -> None:
    two, three = first_symbols(bars, 2), first_symbols(bars, 3)
    signals = Signals.from_arrays(bars, [10, 45, 70, 90], [0, 1, 2, 3], 1, stop_percent=5.0)
    far = RiskLimits(correlation_window=90, correlation_min_observations=20, max_correlation=0.3)

    def known(seen: Bars) -> Signals:
        mine = signals.records[(signals.records["sym"] < len(seen.symbols))]
        mine = mine[np.isin(mine["ts"], seen.ts)]
        return Signals(mine, seen.symbols, sectors=seen.sector_names)

    with Session(path, like=two) as session:
        session.push(two[:40], known(two[:40]))
        session.grow(three)
        session.push(three[40:60], known(three[40:60]))
    with Session(path, risk=far, accept_change="look further back") as session:
        session.push(three[60:75], known(three[60:75]))
        session.grow(bars)
        session.push(bars[75:85], known(bars[75:85]))
    with Session(path, risk=far) as session:
        session.push(bars[85:], known(bars[85:]))
        assert len(answer_of(session)["verdicts"]) > 0
    receipt = verify_parity(path)
    assert receipt.ok, str(receipt)
    assert len(receipt.notes) == 3


@few(10)
@given(configurations(), st.integers(0, 2**32 - 1))
def test_a_rehearsal_is_the_push_that_follows(c: Configuration, seed: int) -> None:
    random = np.random.default_rng(seed)
    row = int(random.integers(1, len(c.bars)))
    with scratch() as folder:
        path = Path(folder) / "journal.db"
        with Session(path, like=c.bars, **c.rules) as session:
            push_all(session, c, list(range(row + 1)))
            before, seen = answer_of(session), session.seen().ts[-5:].tolist()
            commands = [one for one in c.commands if int(one.time.value) == int(c.bars.ts[row])]  # type: ignore[union-attr]
            given_signals = signals_at(c, row, row + 1)
            state = identity(session.state)
            for _ in range(3):
                rehearsal = session.rehearse(c.bars[row : row + 1], given_signals, commands)
            assert identity(session.state) == state
            assert answer_of(session) == before
            assert session.seen().ts[-5:].tolist() == seen
            outcome = session.push(c.bars[row : row + 1], given_signals, commands)
            assert identity(rehearsal.state) == outcome.state
            for name, rows in outcome.logs.items():
                assert rehearsal.logs[name].tobytes() == rows.tobytes(), name
            assert rehearsal.bars == 1
            push_all(session, c, list(range(row + 1, len(c.bars) + 1)))
            assert first_difference(backtest_of(c), answer_of(session)) == ""


def test_a_rehearsal_with_a_symbol_that_would_join(bars: Bars, path: Path) -> None:
    two = first_symbols(bars, 2)
    signals = Signals.from_arrays(bars[5:6], [0], [3], 1, stop_percent=5.0, tag="joining")
    with Session(path, like=two) as session:
        session.push(two[:5])
        rehearsal = session.rehearse(bars[5:6], signals)
        assert (session.symbols, rehearsal.symbols) == (two.symbols, bars.symbols)
        assert rehearsal.logs["verdicts"]["granted"][0] > 0
        session.grow(bars)
        assert session.push(bars[5:6], signals).state == identity(rehearsal.state)
        with pytest.raises(DataError):
            session.rehearse(two[6:7])
        twice = session.rehearse(bars[5:6])
        assert (twice.bars, identity(twice.state)) == (0, identity(session.state))
    assert verify_parity(path).ok


def test_notes_are_stored_with_their_bars(bars: Bars, path: Path) -> None:
    with Session(path, like=bars) as session:
        session.note({"opened": "for a test"})
        session.push(bars[:2], note=b"\x00bytes")
        session.push(bars[2:3], note={"signal": 7, "legs": [1.5, None]})
        session.push(bars[3:4])
        session.push(bars[2:3], note="a duplicate all the same")
        with pytest.raises(DataError) as caught:
            session.push(bars[4:5], note={"price": float("nan")})
        assert caught.value.code == "JOURNAL_VALUE"
        assert session.bars == 4
    with Session(path, like=bars, group=2) as session:
        session.push(bars[4:9], note="of five bars")
        found = session.notes()
        assert [(note.bar, note.value) for note in found] == [
            (-1, {"opened": "for a test"}),
            (1, b"\x00bytes"),
            (2, {"signal": 7, "legs": [1.5, None]}),
            (3, "a duplicate all the same"),
            (8, "of five bars"),
        ]
        assert [note.ts for note in found[1:]] == [int(bars.ts[row]) for row in (1, 2, 3, 8)]
        assert [note.bar for note in session.notes(2)] == [3, 8]
        with pytest.raises(ValueError, match="no idea"):
            session.push(bars[9:10], Signals.from_arrays(bars[9:10], [0], [0], 1, qty=_Broken()), note="lost")
    assert len(Session(path, like=bars).notes()) == 5
    assert verify_parity(path).notes == ("1 duplicate bar",)


class _Broken:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise ValueError("no idea")


def test_watchers_are_told_and_cannot_harm(bars: Bars, path: Path) -> None:
    told: list[tuple[int, int]] = []

    def breaks(session: Session, _: StepOutcome) -> None:
        raise RuntimeError(f"at bar {session.bars}")

    with Session(path, like=bars, group=2) as session:
        end = session.on_outcome(breaks)
        session.on_outcome(lambda session, outcome: told.append((session.bars, outcome.bars)))
        with pytest.warns(TwinstepWarning, match=r"LIVE_CALLBACK.*RuntimeError: at bar [23]"):
            session.push(bars[:3])
        assert (told, session.callback_failures) == ([(2, 2), (3, 1)], 2)
        end()
        end()
        session.push(bars[3:4])
        assert (told[-1], session.callback_failures) == ((4, 1), 2)


def test_an_account_of_ticks(path: Path) -> None:
    """Prices as they come, of some symbols, over days and outside of hours; others join with their first."""
    from datetime import UTC, datetime, timedelta

    clock = FakeClock(datetime(2024, 3, 1, 14, 30, tzinfo=UTC))
    random = np.random.default_rng(5)
    symbols: tuple[str, ...] = ("A",)
    price = {"A": 100.0}
    session = Session(path, like=tick_frame(symbols), clock=clock, history=50)
    gaps: list[Gap] = []
    rows: list[StepOutcome] = []
    for number in range(400):
        if number % 57 == 56:
            session.close()
            session = Session(path, clock=clock, history=50)
        clock.advance(timedelta(minutes=int(random.integers(1, 200))))
        ts = int(clock().timestamp() * 1e6) * 1_000
        if number in (40, 90, 200):
            name = "BCD"[len(symbols) - 1]
            symbols, price[name] = (*symbols, name), 50.0 * len(symbols)
            session.grow(tick_frame(symbols))
        named = {
            symbol: price[symbol] for symbol in symbols if random.random() < 0.7 or symbol == symbols[-1]
        }
        for symbol in named:
            price[symbol] = named[symbol] = round(price[symbol] * (1 + 0.01 * random.standard_normal()), 2)
        tick = tick_bar(session.like, ts, named)
        signals = None
        if number % 5 == 0:
            signals = Signals.from_arrays(
                tick, [0], [next(iter(named))], 1, stop_percent=3.0, target_percent=7.0, entry="close"
            )
        commands = [Command(clock(), "close_all")] if number == 333 else []
        outcome = session.push(tick, signals, commands)
        gaps += outcome.gaps
        rows.append(outcome)
    fills = sum(len(outcome.logs["fills"]) for outcome in rows)
    assert fills > 30
    assert not [gap for gap in gaps if not gap.sessions]  # between ticks nothing is missing
    session.close()
    receipt = verify_parity(path)
    assert receipt.ok, str(receipt)
    assert receipt.bars == 400
