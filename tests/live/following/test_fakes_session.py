"""One session, unchanged at every broker: only the configuration file differs.

The same strategy over the same bars plays at the paper broker and at the fakes of Alpaca, Interactive Brokers
and tastytrade, through their own libraries. What is asked of each: the plan replays byte for byte and is the
backtest's, everything the plan did was done at the broker, no order went out twice, every trade's difference
from the plan has its cause in words, and at the end nothing is held and nothing works.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_settings
from pathlib import Path

import pytest

from journal.database import Database
from live.brokers import secrets
from live.brokers.guarded import protections
from live.brokers.opening import ADAPTERS
from live.brokers.settings import BrokerSettings
from live.feeds import replay
from live.following import BrokerSession, Followed, followed
from live.following.explain import explain
from live.following.standing import Standing
from live.intents import IntentLog
from live.parity import verify_parity
from simulator import backtest
from tests.live.following.markets import BROKERS, DrivenFeed, FakeMarket, market_of
from tests.live.following.scripted import SYMBOLS, Scripted, bars, write_bars
from tests.twinstep.conftest import Cli, cli
from twinstep.config import load_settings

__all__ = ["cli"]  # a fixture

NAME = "scripted"
PLANNED = (
    ("AAPL", 20.0, "trail"), ("NVDA", 10.0, "time"), ("MSFT", 20.0, "target"), ("SPY", 10.0, "signal"),
    ("AAPL", 15.0, "target"),
)  # fmt: skip
"""Symbol, quantity and end of every trade of the script, in the order of their ends."""

ENTERED = {("AAPL", 20.0): 0, ("MSFT", 20.0): 1, ("NVDA", 10.0): 2, ("SPY", 10.0): 3, ("AAPL", 15.0): 4}
DECIDED = [
    ("entry", "AAPL", 20.0, "entry"), ("entry", "MSFT", 20.0, "entry"), ("entry", "NVDA", 10.0, "entry"),
    ("entry", "SPY", 10.0, "entry"), ("close", "MSFT", 10.0, "part"), ("stop", "MSFT", 10.0, "stop"),
    ("close", "NVDA", 10.0, "time"), ("entry", "AAPL", 10.0, "entry"), ("close", "MSFT", 10.0, "target"),
    ("close", "SPY", 10.0, "signal"), ("entry", "AAPL", 15.0, "entry"),
]  # fmt: skip
"""What was decided to be sent, the same at every broker; stops and targets come with their entries."""

CASH = 100_000.0

SOME = [name if name == "alpaca" else pytest.param(name, marks=pytest.mark.slow) for name in BROKERS]


@pytest.fixture(scope="module", autouse=True)
def no_keyring() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("keyring.get_password", lambda service, name: None)
        yield
    secrets.forget()


@dataclass(frozen=True)
class Played:
    """What is left of a session that has ended."""

    journal: Path
    standing: Standing
    lowest_cover: dict[str, float]
    held: dict[str, float]
    working: list[str]
    received: list[str]
    sent: tuple[Followed, ...]


def play(broker: str, folder: Path, stops: Sequence[int | None] = (None,)) -> Played:
    """Play the script at a broker; at each of `stops` bars the process ends, and another goes on."""
    journal = folder / "trade_journal.db"
    with market_of(broker) as market:
        settings = load_settings(market.configure(folder))
        feed = DrivenFeed(bars(), market)
        cover: dict[str, float] = {}

        def look(live: BrokerSession, _: object) -> None:
            # asked anew: what was sent last is younger than the session's own questions
            for one in protections(live.broker.get_positions(), live.broker.get_orders()):
                share = one.guarded / abs(one.quantity)
                cover[one.symbol] = min(cover.get(one.symbol, 1.0), share)

        for until in stops:
            with BrokerSession(
                journal, settings.broker, feed=feed, strategies=[Scripted()], cash=settings.account.cash,
                risk=settings.risk, costs=settings.costs, conventions=settings.conventions, name=NAME,
                config=settings.path, drive=False,
            ) as session:  # fmt: skip
                market.opened(session.broker)
                session.run(until, tell=look)
                session.poll()
                standing = session.status()
        return Played(
            journal, standing, cover, market.held(), market.working(), market.received(),
            followed(journal, NAME),
        )  # fmt: skip


@pytest.fixture(scope="module", params=BROKERS)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(request.param, tmp_path_factory.mktemp(request.param))


def test_the_plan_is_the_backtest_byte_for_byte(played: Played) -> None:
    receipt = verify_parity(played.journal, NAME)
    assert receipt.ok, str(receipt)
    trades = backtest(bars(), Scripted()).trades
    expected = [(row.symbol, row.qty, row.exit_reason) for row in trades.itertuples()]
    assert tuple(expected) == PLANNED


def test_the_account_is_flat_and_nothing_works(played: Played) -> None:
    assert (played.held, played.working) == ({}, [])
    assert (played.standing.positions, played.standing.orders) == ((), ())
    assert played.standing.switch == "ACTIVE"
    assert (played.standing.differences, played.standing.problems) == ((), ())


def test_no_order_was_sent_twice_and_none_without_a_decision(played: Played) -> None:
    arrived = Counter(played.received)
    assert {name: count for name, count in arrived.items() if count > 1} == {}
    decided = [one.client_order_id for one in played.sent]
    assert len(set(decided)) == len(decided)
    # children of a bracket have their parent's id with an ending
    assert {name for name in arrived if not name.startswith(tuple(decided))} == set()
    assert [(one.role, one.symbol, one.quantity, one.reason) for one in played.sent] == DECIDED


def test_every_position_had_a_stop_at_the_broker_at_every_bar(played: Played) -> None:
    assert played.lowest_cover == dict.fromkeys(SYMBOLS, 1.0)


def test_every_fill_is_on_record_and_nets_to_nothing(played: Played) -> None:
    with Database(played.journal) as database:
        fills = [event.data["execution"] for event in IntentLog(database, NAME).events("fill")]
    bought = {symbol: 0.0 for symbol in SYMBOLS}
    net = dict(bought)
    for fill in fills:
        net[fill["symbol"]] += fill["side"] * fill["quantity"]
        bought[fill["symbol"]] += fill["quantity"] if fill["side"] > 0 else 0.0
    assert bought == {"AAPL": 35.0, "MSFT": 20.0, "NVDA": 10.0, "SPY": 10.0}
    assert net == dict.fromkeys(SYMBOLS, 0.0)


def test_every_difference_from_the_plan_has_its_cause(played: Played) -> None:
    told = explain(played.journal, NAME)
    assert told.ok, str(told)
    assert [(one.symbol, bool(one.differences)) for one in told.trades] == [
        (symbol, True) for symbol, _, _ in sorted(PLANNED, key=lambda one: ENTERED[one[:2]])
    ]
    # what both sides earned is what both accounts grew by, and the causes account for all between
    assert told.plan_profit == pytest.approx(played.standing.plan_equity - CASH)
    assert played.standing.equity is not None
    assert told.fact_profit == pytest.approx(played.standing.equity - CASH, abs=0.01)
    amounts = [each.amount for one in told.trades for each in one.differences]
    assert math.fsum(amounts) == pytest.approx(told.difference)
    # prices lead through the bars in steps of 0.25: nothing is filled further away than a bar later
    late = [one.symbol for one in told.trades for each in one.differences if each.cause == "a bar later"]
    assert late == ["MSFT", "MSFT"]


@pytest.mark.parametrize("broker", SOME)
def test_a_process_that_ends_thrice_changes_nothing(broker: str, tmp_path: Path) -> None:
    ended = play(broker, tmp_path, (3, 2, 4, None))
    assert (ended.held, ended.working) == ({}, [])
    assert (ended.standing.switch, ended.standing.differences) == ("ACTIVE", ())
    assert ended.lowest_cover == dict.fromkeys(SYMBOLS, 1.0)
    assert max(Counter(ended.received).values()) == 1
    assert verify_parity(ended.journal, NAME).ok
    told = explain(ended.journal, NAME)
    assert told.ok, str(told)
    assert len(told.trades) == len(PLANNED)


def look_between_two_sessions(cli: Cli, market: FakeMarket) -> None:
    """Ask the broker while nothing runs: what the session left is known, and nobody halts for it."""
    unnamed = cli("broker", "status")
    assert "[CLI_SESSION]" in unnamed.err
    found = cli("broker", "status", "--session", NAME, "--json")
    assert found.code == 0, found.err
    assert found.json["switch"] == "ACTIVE"
    assert {one["symbol"]: one["quantity"] for one in found.json["positions"]} == market.held()
    assert [one["naked"] for one in found.json["if_it_died_now"]] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("broker", SOME)
def test_the_command_line_plays_the_same(
    cli: Cli, broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = f"{Path(__file__).parent / 'scripted.py'}:Scripted"
    data = write_bars(tmp_path / "bars")
    with market_of(broker) as market:
        market.configure(tmp_path)
        if broker != "paper":  # which has the session's own bars
            monkeypatch.setattr(replay, "ReplayFeed", lambda source, **_: DrivenFeed(source, market))
        line = ("live", "--strategy", strategy, "--name", NAME, "--data", str(data))
        begun = cli(*line, "--bars", "6")
        assert begun.code == 0, begun.err
        assert "left open at" in begun.out
        if broker != "paper":
            look_between_two_sessions(cli, market)
        done = cli(*line, "--json")
        assert done.code == 0, done.err
        said = done.json
        assert (said["trades"], said["broker"]["kind"]) == (len(PLANNED) - 1, "PAPER")
        assert said["broker"]["positions"] == said["broker"]["orders"] == []
        if broker != "paper":
            assert (market.held(), market.working()) == ({}, [])
    told = cli("parity", NAME)
    assert told.code == 0, told.out + told.err
    assert "equal in every byte" in told.out
    for symbol, _, _ in PLANNED:
        assert symbol in told.out


@pytest.mark.parametrize(
    "broker",
    ["interactive_brokers", *(pytest.param(one, marks=pytest.mark.slow) for one in ("alpaca", "tastytrade"))],
)
def test_a_shadow_sends_nothing(
    cli: Cli, broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = f"{Path(__file__).parent / 'scripted.py'}:Scripted"
    data = write_bars(tmp_path / "bars")
    with market_of(broker) as market:
        market.configure(tmp_path)
        monkeypatch.setattr(replay, "ReplayFeed", lambda source, **_: DrivenFeed(source, market))
        done = cli("live", "--strategy", strategy, "--data", str(data), "--shadow", "--json")
        assert done.code == 0, done.err
        assert (done.json["broker"]["kind"], done.json["bars"]) == ("SHADOW", len(bars()))
        assert done.json["broker"]["sent"]["orders"] == 6
        assert (market.received(), market.held(), market.working()) == ([], {}, [])
    assert verify_parity(tmp_path / "trade_journal.db", "live").ok


def test_a_pace_in_the_configuration_reaches_every_adapter() -> None:
    """A budget that an adapter passed over in silence would be found out by the broker."""
    slow = BrokerSettings(name="interactive_brokers", per_minute=600.0)
    paces = [ADAPTERS[slow.name].options(one) for one in (slow, replace_settings(slow, per_minute=None))]
    assert [one.get("per_second") for one in paces] == [10, None]
    assert ADAPTERS["tastytrade"].options(slow)["per_minute"] == 600.0
    assert ADAPTERS["alpaca"].options(slow)["limiter"] is not None
