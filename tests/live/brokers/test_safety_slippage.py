"""Slippage: samples from the journal, quantiles with a least count, costs for the simulator, and drift."""

from __future__ import annotations

import json
import math
import random
import statistics
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.database import Database
from live.brokers.interface import Leg, OrderKind, OrderRequest, Submitted, unresolved
from live.intents import IntentLog, Sent
from live.reconciling.fill_ledger import FillLedger
from live.slippage import Calibration, Expectation, Sample, calibrate, find_drift, samples
from live.slippage.calibrating import QUANTILES, SLIPPING, SPREADS_BPS, costs_section, spread_bucket
from simulator.brokerage import Execution
from simulator.costs import Costs
from simulator.errors import ConfigError
from tests.budget import cases
from twinstep.config import load_settings

AT = datetime(2024, 5, 6, 14, 30, tzinfo=UTC)  # 10:30 in New York
CALL, PUT = "SPY261218C00600000", "SPY261218P00500000"


def request(
    number: int,
    *legs: tuple[str, float],
    kind: OrderKind = "market",
    limit: float | None = None,
    stop: float | None = None,
) -> OrderRequest:
    return OrderRequest(
        client_order_id=f"tw-{number}", legs=tuple(Leg(*leg) for leg in legs), kind=kind, limit_price=limit,
        stop_price=stop, order_class="multi_leg" if len(legs) > 1 else "simple",
    )  # fmt: skip


def book(
    log: IntentLog,
    order: OrderRequest,
    fills: Sequence[tuple[str, float, float]],
    quotes: dict[str, tuple[float, float]] | None = None,
    at: datetime = AT,
) -> None:
    """Send an order and fill it, as manager and reconciler write it down."""
    given = {} if quotes is None else {"expected": Expectation(quotes=quotes).plain}
    log.begin(Sent(request=order, broker="alpaca", at=at, submitted=_unknown(order)), **given)
    ledger = FillLedger(log, "alpaca", "PA1")
    ledger.own(f"b-{order.client_order_id}", order.client_order_id, order.purpose)
    ledger.take(
        [
            Execution(
                execution_id=f"{order.client_order_id}-{number}", order_id=f"b-{order.client_order_id}",
                time=at + timedelta(seconds=number), symbol=symbol, side=1 if quantity > 0 else -1,
                quantity=abs(quantity), price=price,
            )
            for number, (symbol, quantity, price) in enumerate(fills)
        ],
        at,
    )  # fmt: skip


def _unknown(order: OrderRequest) -> Submitted:
    return unresolved(order, code="LIVE_NO_ANSWER", message="")


def sample(value: float, number: int = 0, *, kind: str = "market", spread: float | None = 3.0) -> Sample:
    package = kind.startswith("package")
    return Sample(
        order=f"tw-{number}", time=AT + timedelta(minutes=number), broker="alpaca",
        asset="option" if package else "stock", kind=kind, symbol="AAPL",
        slippage_bps=math.nan if package else value, spread_share=value if package else None,
        spread_bps=spread,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "side", "limit", "stop", "paid", "bps"),
    [
        ("market", 1, None, None, 100.05, 5.0),  # the mid of 99.98 and 100.02
        ("market", -1, None, None, 99.95, 5.0),
        ("market", 1, None, None, 99.99, -1.0),
        ("limit", 1, 100.0, None, 99.99, -1.0),
        ("limit", -1, 100.0, None, 100.0, 0.0),
        ("stop", -1, None, 100.0, 99.80, 20.0),
        ("stop_limit", 1, 100.5, 100.0, 100.10, 10.0),
    ],
)
def test_an_order_is_measured_against_what_the_simulator_would_fill_at(
    kind: OrderKind, side: int, limit: float | None, stop: float | None, paid: float, bps: float
) -> None:
    log = IntentLog.in_memory()
    order = request(1, ("AAPL", 10.0 * side), kind=kind, limit=limit, stop=stop)
    book(log, order, [("AAPL", 10.0 * side, paid)], {"AAPL": (99.98, 100.02)})
    (one,) = samples(log)
    assert one.slippage_bps == pytest.approx(bps)
    assert one.spread_bps == pytest.approx(4.0)
    assert (one.kind, one.asset, one.broker) == (kind, "stock", "alpaca")


def test_parts_count_by_their_quantity_and_repetitions_once(tmp_path: Path) -> None:
    with Database(tmp_path / "journal.db") as database:
        log = IntentLog(database)
        order = request(1, ("AAPL", 10.0))
        fills = [("AAPL", 9.0, 100.0), ("AAPL", 1.0, 101.0)]
        book(log, order, fills, {"AAPL": (100.0, 100.0)})
        FillLedger(log, "alpaca", "PA1").take([], AT)
        (one,) = samples(log)
        assert one.slippage_bps == pytest.approx(10.0)
        assert one.time == AT
        assert samples(log, after=AT) == []


def test_a_package_is_measured_by_its_share_of_the_quoted_spread() -> None:
    log = IntentLog.in_memory()
    order = request(1, (PUT, -2.0), (CALL, 2.0), kind="limit", limit=0.5)
    quotes = {PUT: (2.00, 2.20), CALL: (1.00, 1.10)}
    # mid 2.10 - 1.05 = 1.05 received; got 2.05 - 1.07 = 0.98: 0.07 of 0.30 given up
    book(log, order, [(PUT, -2.0, 2.05), (CALL, 2.0, 1.07)], quotes)
    (one,) = samples(log)
    assert one.spread_share == pytest.approx(0.07 / 0.30)
    assert (one.kind, one.asset) == ("package_2", "option")


@pytest.mark.parametrize("quotes", [None, {}, {"MSFT": (99.0, 101.0)}])
def test_without_a_usable_quote_a_market_order_makes_no_sample(
    quotes: dict[str, tuple[float, float]] | None,
) -> None:
    log = IntentLog.in_memory()
    book(log, request(1, ("AAPL", 1.0)), [("AAPL", 1.0, 100.0)], quotes)
    assert samples(log) == []


def test_what_a_child_of_a_bracket_filled_is_not_its_parents() -> None:
    log = IntentLog.in_memory()
    book(log, request(1, ("AAPL", 1.0)), [("AAPL", 1.0, 100.0)], {"AAPL": (100.0, 100.0)})
    log.note("alias", AT, order="tw-1", symbol="AAPL", broker="alpaca", broker_order="kid", role="child")
    ledger = FillLedger(log, "alpaca", "PA1")
    ledger.take(
        [
            Execution(
                execution_id="k", order_id="kid", time=AT, symbol="AAPL", side=-1, quantity=1.0, price=90.0
            )
        ],
        AT,
    )
    (one,) = samples(log)
    assert one.slippage_bps == 0.0


def test_a_cell_is_known_from_its_least_count_on_and_coarser_ones_answer_before() -> None:
    many = [sample(2.0, number, spread=3.0) for number in range(20)]
    few = [sample(9.0, number, spread=30.0) for number in range(20, 29)]
    found = calibrate([*many, *few], min_count=10)
    fine = found.cell("alpaca", "market", hour=10, spread_bps=3.0)
    assert fine is not None
    assert (fine.count, fine.hour, fine.spread) == (20, 10, "2-5")
    coarse = found.cell("alpaca", "market", hour=10, spread_bps=30.0)
    assert coarse is not None
    assert (coarse.count, coarse.hour, coarse.spread) == (29, None, "")
    other_hour = found.cell("alpaca", "market", hour=15, spread_bps=3.0)
    assert other_hour is not None
    assert (other_hour.count, other_hour.hour, other_hour.spread) == (20, None, "2-5")
    assert found.cell("alpaca", "limit") is None
    assert found.cell("interactive_brokers", "market") is None
    assert calibrate([*many, *few], min_count=30).cells == {}


def test_hours_are_those_of_the_exchange_in_winter_too() -> None:
    winter = datetime(2024, 1, 8, 14, 30, tzinfo=UTC)  # 09:30
    ones = [
        Sample(
            order=f"{number}", time=winter, broker="a", asset="stock", kind="market", symbol="X",
            slippage_bps=1.0, spread_share=None, spread_bps=None,
        )
        for number in range(2)
    ]  # fmt: skip
    assert {key[3] for key in calibrate(ones, min_count=2).cells} == {9, None}


@cases(many=40, few=8)
@given(st.lists(st.floats(-50.0, 50.0), min_size=2, max_size=60))
def test_quantiles_rise_stay_in_range_and_have_the_median(values: list[float]) -> None:
    found = calibrate([sample(value, number) for number, value in enumerate(values)], min_count=2)
    cell = found.cell("alpaca", "market")
    assert cell is not None
    assert list(cell.quantiles) == sorted(cell.quantiles)
    assert min(values) <= cell.quantiles[0]
    assert cell.quantiles[-1] <= max(values)
    assert cell.quantiles[QUANTILES.index(0.5)] == pytest.approx(statistics.median(values))
    assert cell.mean == pytest.approx(statistics.fmean(values))


def test_buckets_cover_every_spread_once() -> None:
    assert [spread_bucket(value) for value in (0.0, 0.99, 1.0, 99.0, 100.0, 1e6)] == [
        "0-1", "0-1", "1-2", "25-100", "100+", "100+",
    ]  # fmt: skip
    assert spread_bucket(None) == spread_bucket(math.nan) == ""
    assert list(SPREADS_BPS) == sorted(SPREADS_BPS)


def test_the_simulator_loads_what_was_measured(tmp_path: Path) -> None:
    rng = random.Random(5)  # noqa: S311 - a seeded sample
    stops = [sample(4.0 + rng.random(), number, kind="stop") for number in range(40)]
    packages = [sample(0.3 + 0.01 * rng.random(), number, kind="package_2") for number in range(40)]
    found = calibrate([*stops, *packages])
    base = Costs.preset("ibkr-fixed").replace(slippage_spread=0.5, slippage_ticks=1.0)
    costs = found.costs("alpaca", base=base, quantile=0.75)
    pooled = found.cell("alpaca", SLIPPING)
    assert pooled is not None
    assert costs.slippage_bps == pooled.quantiles[QUANTILES.index(0.75)]
    assert 4.0 < costs.slippage_bps < 5.0
    assert (costs.slippage_spread, costs.slippage_ticks) == (0.0, 0.0)
    assert 0.30 < costs.spread_share_2_legs < 0.31
    assert costs.spread_share_4_legs == base.spread_share_4_legs
    assert costs.commission_per_share == base.commission_per_share

    path = tmp_path / "twinstep.toml"
    path.write_text(costs_section(costs), encoding="utf-8")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["costs"]["slippage_bps"] == costs.slippage_bps
    assert load_settings(path).costs.replace(name="x") == costs.replace(name="x")


def test_what_filled_better_than_expected_costs_nothing_and_what_is_unknown_stays() -> None:
    found = calibrate([sample(-3.0, number) for number in range(30)])
    assert found.costs("alpaca").slippage_bps == 0.0
    assert found.costs("tastytrade", base="tastytrade") == Costs.preset("tastytrade")
    limits = calibrate([sample(-3.0, number, kind="limit") for number in range(30)])
    assert limits.costs("alpaca", base="alpaca") == Costs.preset("alpaca")
    with pytest.raises(ConfigError) as caught:
        found.costs("alpaca", quantile=0.6)
    assert caught.value.code == "LIVE_SLIPPAGE_QUANTILE"


def test_a_calibration_survives_its_file(tmp_path: Path) -> None:
    found = calibrate([sample(float(number % 7), number) for number in range(60)])
    path = tmp_path / "slippage.json"
    found.save(path)
    assert Calibration.load(path) == found
    for damaged in ("", "[]", "{}", json.dumps({**json.loads(path.read_text()), "version": 99})):
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            Calibration.load(path)
        assert caught.value.code == "LIVE_SLIPPAGE_FILE"
    with pytest.raises(ConfigError):
        Calibration.load(tmp_path / "nowhere.json")


def test_a_count_that_says_nothing_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        calibrate([], min_count=1)
    assert caught.value.code == "LIVE_SLIPPAGE_COUNT"


def drawn(seed: int, n: int, shift: float = 0.0, start: int = 0) -> list[Sample]:
    rng = random.Random(seed)  # noqa: S311 - a seeded sample
    return [sample(rng.gauss(2.0 + shift, 1.5), start + number) for number in range(n)]


def test_worse_fills_are_a_drift_and_better_ones_are_not() -> None:
    old = drawn(1, 60)
    calibration = calibrate(old)
    worse = find_drift([*old, *drawn(2, 20, 4.0, 60)], calibration)
    assert [one.count for one in worse] == [20]
    assert worse[0].now - worse[0].usual > 2.0
    assert worse[0].p_value < 0.001
    assert "market orders (stock) at alpaca" in worse[0].message
    assert find_drift([*old, *drawn(2, 20, -4.0, 60)], calibration) == []


def test_without_a_full_block_or_enough_before_nothing_is_said() -> None:
    old = drawn(1, 60)
    assert find_drift([*old, *drawn(2, 19, 9.0, 60)], calibrate(old)) == []
    few = drawn(1, 29)
    assert find_drift([*few, *drawn(2, 40, 9.0, 60)], calibrate(few)) == []


def test_what_is_significant_and_costs_nothing_is_no_drift() -> None:
    # 37 steps around a ring of 60: every value once, in no order that hangs together
    old = [sample(1.0 + 0.001 * (37 * number % 60), number) for number in range(60)]
    new = [sample(1.5 + 0.001 * number, 60 + number) for number in range(20)]
    assert find_drift([*old, *new], calibrate(old)) == []
    assert find_drift([*old, *new], calibrate(old), least_bps=0.3) != []


def test_a_watch_without_drift_cries_as_rarely_as_it_says() -> None:
    # 400 blocks at 1 in 20 and no least: 20 expected, standard deviation about 4.4; correlated through `old`
    blocks = 0
    for seed in range(100):
        old = drawn(seed, 60)
        new = drawn(10_000 + seed, 80, 0.0, 60)
        blocks += len(find_drift([*old, *new], calibrate(old), alpha=0.05, least_bps=0.0))
    assert blocks <= 38


@pytest.mark.parametrize("wrong", [{"block": 7}, {"alpha": 0.0}, {"alpha": 1.0}])
def test_a_watch_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        find_drift([], calibrate([]), **wrong)  # type: ignore[arg-type]
    assert caught.value.code == "LIVE_SLIPPAGE_DRIFT"
