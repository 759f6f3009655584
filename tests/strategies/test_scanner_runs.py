"""The scanner from its sample, from folders and chains; its settings, its page and its example."""

from __future__ import annotations

import dataclasses
import math
import os
import runpy
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from simulator import load_bars
from simulator.errors import ConfigError, DataError, TwinstepWarning, UnknownNameError
from simulator.options import (
    iv_rank,
    load_chain,
)
from simulator.options.snapshots import save_snapshot
from strategies import OptionsScanner
from strategies.scanner_market import ScanMarket
from strategies.scanner_settings import FILTERS, ScanSettings
from strategies.scanner_strategies import SCAN_STRATEGIES, LegRule, ScanStrategy, scan_strategy
from tests.strategies.scanned import ROOT, chain, sample, scanner


def test_without_arguments_it_scans_the_sample_offline_and_says_modelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the scanner reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    looking = sample()
    assert "modelled" in repr(looking)
    found = looking.scan_for_opportunities()
    assert found
    for opp in found:
        assert (opp.symbol, opp.grade, opp.probability_basis) == ("SPX", "modelled", "surface")
        assert str(opp).endswith("[modelled]")
        assert any("modelled" in note for note in opp.notes)
    assert any("modelled" in note for note in looking.notes)
    assert set(looking.candidates["grade"]) == {"modelled"}
    assert looking.candidates["accepted"].sum() == len(found)
    console = Console(width=200)
    with console.capture() as shown:
        console.print(looking.table())
    assert "modelled quotes" in shown.get()
    assert "iron-condor" in shown.get()
    assert [opp.score for opp in found] == sorted((opp.score for opp in found), reverse=True)


def test_the_calls_of_the_quick_start_work() -> None:
    with pytest.warns(TwinstepWarning):
        looking = OptionsScanner(min_iv_rank=60, target_dte=45)
    assert looking.scan_for_opportunities() == []  # IV rank was 57.8
    assert set(looking.candidates["filter"]) == {"iv_rank"}
    assert "57.8" in looking.candidates["reason"][0]


def test_a_scan_in_the_past_uses_nothing_later() -> None:
    spx, vix = load_bars("sample:spx"), load_bars("sample:vix")
    closes, index = pd.Series(spx.close[:, 0], spx.index), pd.Series(vix.close[:, 0], vix.index)
    day = "2018-10-11"
    whole, cut = (
        OptionsScanner(ScanMarket.modelled("SPX", c, i)).scan_for_opportunities(as_of=day)
        for c, i in ((closes, index), (closes.loc[:day], index.loc[:day]))
    )
    assert [str(opp) for opp in whole] == [str(opp) for opp in cut]
    assert whole
    rank = float(iv_rank(index.loc[:day].to_numpy())[-1])
    assert whole[0].iv_rank == pytest.approx(rank)
    early = pd.Timestamp("2018-10-11T15:00Z").to_pydatetime()
    with pytest.raises(DataError, match="has not closed") as error:
        sample().scan_for_opportunities(as_of=early)
    assert error.value.code == "DATA_QUOTES"


def test_a_stored_rank_needs_a_year_that_ends_on_the_session() -> None:
    days = pd.bdate_range(end="2020-01-02", periods=253, tz="UTC")
    history = pd.Series(np.linspace(0.1, 0.3, 253), days)
    for stored, known in (
        (history, 100.0),
        (history.iloc[1:], 100.0),
        (history.iloc[2:], None),
        (history.iloc[:-1], None),
    ):
        market = ScanMarket.from_chain(chain(), iv_history=stored)
        looking = OptionsScanner(market, strategies=("short-put",), unknown_iv_rank="allow")
        assert looking.scan_for_opportunities()[0].iv_rank == known


def test_snapshots_in_a_folder_are_scanned(tmp_path: Path) -> None:
    save_snapshot(chain(), tmp_path)
    save_snapshot(chain(symbol="BRK/B", origin="modelled"), tmp_path)
    looking = OptionsScanner(tmp_path, unknown_iv_rank="allow", strategies=("short-put",))
    found = looking.scan_for_opportunities()
    assert {(opp.symbol, opp.grade) for opp in found} == {("XYZ", "quoted"), ("BRK/B", "modelled")}
    assert [opp.symbol for opp in looking.scan_for_opportunities("XYZ", as_of="2020-01-02")] == ["XYZ"]
    with pytest.raises(DataError) as error:
        looking.scan_for_opportunities(as_of="2020-01-03")
    assert error.value.code == "DATA_QUOTES"
    with pytest.raises(UnknownNameError, match="XYZ"):
        looking.scan_for_opportunities("XYY")


def test_a_chain_alone_will_do_and_several_of_one_symbol_will_not() -> None:
    assert OptionsScanner(chain(), min_iv_rank=0, strategies="short-put").scan_for_opportunities()
    for wrong in ([chain(), chain()], [], 5):
        with pytest.raises(ConfigError) as error:
            OptionsScanner(wrong)  # type: ignore[arg-type]  # that is what is tested
        assert error.value.code == "CONFIG_SCANNER"
    with pytest.raises(DataError) as missing:
        OptionsScanner("nowhere")
    assert missing.value.code == "DATA_EMPTY"


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_iv_rank": 101}, {"min_iv_rank": "60"}, {"target_dte": 0}, {"target_dte": 45.5}, {"min_dte": 0},
        {"widths": (0.0,)}, {"widths": ()}, {"min_probability": 1.1}, {"unknown_iv_rank": "maybe"},
        {"min_iv_rnak": 5}, {"max_spread_share": math.nan},
    ],
)  # fmt: skip
def test_settings_outside_their_range_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=str(next(iter(wrong)))) as error:
        scanner(**wrong)
    assert error.value.code == "CONFIG_SCANNER"


def test_names_and_legs_of_strategies_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="iron-condor"):
        scanner(strategies=("iron-kondor",))
    assert scan_strategy("put_credit_spread") is SCAN_STRATEGIES["short-put-spread"]
    sold = LegRule(side=-1, kind="put", delta=(0.1, 0.2, 0.3))
    wrong = [
        LegRule(side=1, kind="shares"),
        LegRule(side=0, kind="put", delta=(0.1, 0.2, 0.3)),
        LegRule(side=-1, kind="put"),
        LegRule(side=1, kind="put", beyond=0),
        LegRule(side=-1, kind="put", delta=(0.3, 0.2, 0.4)),
        LegRule(side=-1, kind="bond", delta=(0.1, 0.2, 0.3)),
    ]
    other = LegRule(side=1, kind="call", beyond=0)
    for legs in ((), (sold,) * 5, (sold, other), *((rule,) for rule in wrong)):
        with pytest.raises(ConfigError) as error:
            ScanStrategy(name="mine", legs=legs)
        assert error.value.code == "CONFIG_SCAN_STRATEGY"


def test_a_rank_as_a_fraction_is_suspected() -> None:
    with pytest.warns(TwinstepWarning, match="0 to 100"):
        ScanSettings(min_iv_rank=0.5)
    with pytest.raises(DataError, match="multiply"):
        ScanMarket.from_chain(chain(), iv_rank=-0.5)


def table_below(heading: str) -> list[list[str]]:
    text = (ROOT / "docs" / "scanner.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1]
    lines = [line for line in text.split("\n## ")[0].splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_every_setting_with_its_default_and_every_filter_and_strategy() -> None:
    defaults = ScanSettings()
    told = {row[0].strip("`"): row[1] for row in table_below("Settings")}
    assert list(told) != []
    expected = {spec.name: str(getattr(defaults, spec.name)) for spec in dataclasses.fields(ScanSettings)}
    assert told == {**expected, "strategies": "all"}
    assert [row[0].strip("`") for row in table_below("Filters")] == list(FILTERS)
    rows = table_below("Strategies")
    assert [row[0].strip("`") for row in rows] == list(SCAN_STRATEGIES)
    for row, strategy in zip(rows, SCAN_STRATEGIES.values(), strict=True):
        assert ("naked" in row[2]) == strategy.naked
        delta = next(rule.delta for rule in strategy.legs if rule.delta)
        assert ", ".join(f"{value:.2f}" for value in delta) in row[1]


def test_the_example_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "scan.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "modelled quotes" in shown
    assert "bound by risk_per_trade" in shown
    assert "Rejected: " in shown


@pytest.mark.validation
def test_deltas_and_probabilities_on_real_quotes() -> None:
    folder = os.environ.get("TWINSTEP_VALIDATION_DATA", str(ROOT.parent / "shared" / "data"))
    file = Path(folder) / "ivolatility_spx_sample.csv.gz"
    if not file.exists():
        pytest.skip("the validation data is not there")
    market = ScanMarket.from_chain(load_chain(file), rate=0.003)
    snapshot = market.at()
    assert (snapshot.grade, math.isnan(snapshot.iv_rank)) == ("quoted", True)
    strip = next(strip for strip in snapshot.strips if strip.dte == 42)
    assert 0.15 < strip.atm_iv < 0.16
    vendor = load_chain(file).at(snapshot.ts).select(expiry=strip.expiry)
    same = (abs(vendor.delta) > 0.1) & (abs(vendor.delta) < 0.5) & vendor.tradeable
    assert same.sum() > 20
    assert np.abs(strip.delta[same] - vendor.delta[same]).max() < 0.01
    found = OptionsScanner(market, min_iv_rank=0).scan_for_opportunities()
    assert {opp.grade for opp in found} == {"quoted"}
    # free of any model: a put spread around a price, over its width, is the chance of ending below it
    puts = vendor.select(kind="put", tradeable=True)
    order = np.argsort(puts.strike)
    strikes, mids = puts.strike[order], puts.mid[order]
    for share, reach in ((0.92, 25.0), (0.96, 25.0), (1.0, 25.0)):
        middle = share * strip.spot
        low, high = (int(np.argmin(abs(strikes - middle - side * reach))) for side in (-1, 1))
        chance = (mids[high] - mids[low]) / (strikes[high] - strikes[low])
        # the spread's own average lies between its strikes, and puts are curved
        assert strip.below(np.array([middle]))[0] == pytest.approx(chance, abs=0.025)
