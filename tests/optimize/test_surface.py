"""Plateau scores by hand and by brute force, and pictures that hold what the table holds."""

from __future__ import annotations

import math
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.surface import plateau_score, plot_surface, surface_page
from simulator.errors import ConfigError, MissingExtraError


def grid(values: list[list[float]]) -> pd.DataFrame:
    rows = [
        {"fast": 5 * (i + 1), "slow": 10 * (j + 1), "sharpe": value}
        for i, row in enumerate(values)
        for j, value in enumerate(row)
    ]
    return pd.DataFrame(rows)


def test_two_parameters_by_hand() -> None:
    table = grid([[0.1, 0.2, 0.3], [0.4, 1.0, 0.9], [0.8, 0.5, 0.0]])
    found = plateau_score(table, ["fast", "slow"])
    assert (found.peak, dict(found.parameters)) == (1.0, {"fast": 10, "slow": 20})
    assert found.neighbours == 8
    assert found.mean == pytest.approx(3.2 / 8)
    assert found.score == pytest.approx(0.4)
    assert found.share == pytest.approx(2 / 8)  # 0.9 and 0.8 are within 20 %
    assert plateau_score(table, ["fast", "slow"], tolerance=0.05).share == 0.0
    assert "8 neighbours" in str(found)


def test_a_spike_scores_low_and_a_hill_high() -> None:
    place = np.arange(11)
    hill = np.exp(-(((place[:, None] - 5) ** 2 + (place[None, :] - 5) ** 2) / 30))
    spike = np.full((11, 11), 0.05)
    spike[5, 5] = 1.0
    assert plateau_score(grid(hill.tolist()), ["fast", "slow"]).score > 0.9
    assert plateau_score(grid(spike.tolist()), ["fast", "slow"]).score == pytest.approx(0.05)


@settings(derandomize=True, database=None, deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 2), st.sampled_from([1, 2, 3]))
def test_neighbours_by_brute_force(seed: int, radius: int, dimensions: int) -> None:
    random = np.random.default_rng(seed)
    names = ["a", "b", "c"][:dimensions]
    levels = {name: sorted(random.choice(100, 4, replace=False).tolist()) for name in names}
    table = pd.DataFrame(
        [{name: random.choice(levels[name]) for name in names} | {"m": random.normal()} for _ in range(40)]
    ).drop_duplicates(names)
    found = plateau_score(table, names, "m", radius=radius)
    rows = table.to_dict("records")
    best = max(rows, key=lambda row: row["m"])
    present = {name: sorted(table[name].unique()) for name in names}
    near = [
        row["m"]
        for row in rows
        if row is not best
        and all(abs(present[n].index(row[n]) - present[n].index(best[n])) <= radius for n in names)
    ]
    assert found.neighbours == len(near)
    if near and best["m"] > 0:
        assert found.score == pytest.approx(np.mean(near) / best["m"])
        assert found.share == pytest.approx(np.mean([value >= 0.8 * best["m"] for value in near]))


def test_unknown_neighbours_earned_nothing() -> None:
    table = pd.DataFrame({"n": [1, 2, 3], "sharpe": [math.nan, 1.0, 0.9]})
    found = plateau_score(table, ["n"])
    assert (found.neighbours, found.unknown) == (2, 1)
    assert found.score == pytest.approx(0.45)
    assert found.share == 0.5


def test_an_infinite_figure_is_unknown() -> None:
    table = pd.DataFrame({"n": [1, 2, 3], "profit_factor": [math.inf, 2.0, 1.0]})
    assert plateau_score(table, ["n"], "profit_factor").peak == 2.0


def test_words_have_no_neighbours_but_themselves() -> None:
    table = pd.DataFrame(
        {"n": [1, 2, 3] * 2, "side": ["long"] * 3 + ["both"] * 3, "sharpe": [0.2, 1.0, 0.4, 9.0, 0.9, 0.9]}
    )
    found = plateau_score(table, ["n", "side"])
    assert dict(found.parameters) == {"n": 1, "side": "both"}
    assert found.neighbours == 1


def test_the_same_set_twice_is_averaged_and_bins_gather_random_values() -> None:
    table = pd.DataFrame({"n": [1, 1, 2], "sharpe": [3.0, 0.0, 1.0]})
    assert plateau_score(table, ["n"]).peak == 1.5
    random = np.random.default_rng(1)
    x = random.uniform(0, 1, 500)
    drawn = pd.DataFrame({"x": x, "sharpe": 1 - (x - 0.5) ** 2})
    found = plateau_score(drawn, ["x"], bins=10)
    assert found.neighbours == 2
    assert found.parameters["x"] == pytest.approx(0.5, abs=0.06)
    assert found.score > 0.95
    constant = pd.DataFrame({"x": [0.5, 0.5], "sharpe": [1.0, 2.0]})
    assert plateau_score(constant, ["x"], bins=3).neighbours == 0


def test_without_a_plateau_the_answer_is_unknown_and_says_why() -> None:
    alone = plateau_score(pd.DataFrame({"n": [1], "sharpe": [1.0]}), ["n"])
    assert math.isnan(alone.score)
    assert "has no neighbours" in str(alone)
    below = plateau_score(pd.DataFrame({"n": [1, 2], "sharpe": [-1.0, -2.0]}), ["n"])
    assert math.isnan(below.score)
    assert "is not above 0" in str(below)
    nothing = plateau_score(pd.DataFrame({"n": [1, 2], "sharpe": [math.nan] * 2}), ["n"])
    assert math.isnan(nothing.peak)
    assert str(nothing) == "No parameter set has a sharpe."


def test_mistakes_are_named() -> None:
    table = grid([[1.0, 2.0]])
    with pytest.raises(ConfigError, match="Did you mean 'sharpe'"):
        plateau_score(table, ["fast"], "sharp")
    with pytest.raises(ConfigError, match="OPTIMIZE_TABLE"):
        plateau_score(table, "fast")
    with pytest.raises(ConfigError, match="OPTIMIZE_TABLE"):
        plateau_score(table[:0], ["fast"])
    with pytest.raises(ConfigError, match="OPTIMIZE_TABLE"):
        plateau_score(table.assign(sharpe="high"), ["fast"])
    for wrong in ({"radius": 0}, {"tolerance": 1.0}, {"bins": 1}):
        with pytest.raises(ConfigError, match="OPTIMIZE_METHOD"):
            plateau_score(table, ["fast"], **wrong)
    with pytest.raises(ConfigError, match="21 pairs"):
        plot_surface(pd.DataFrame({name: [1] for name in "abcdefgm"}), list("abcdefg"), "m")


# Pictures


def test_one_parameter_is_a_line_in_order() -> None:
    figure = plot_surface(pd.DataFrame({"n": [3, 1, 2], "sharpe": [0.3, math.nan, 0.2]}), ["n"])
    assert list(figure.data[0].x) == [1, 2, 3]
    assert list(figure.data[0].y) == [None, 0.2, 0.3]


def test_two_parameters_are_a_map_with_the_peak() -> None:
    figure = plot_surface(grid([[0.1, 0.2], [0.3, math.nan]]), ["fast", "slow"])
    heat, peak = figure.data
    assert [list(row) for row in heat.z] == [[0.1, 0.3], [0.2, None]]
    assert (list(heat.x), list(heat.y)) == (["5", "10"], ["10", "20"])
    assert (list(peak.x), list(peak.y)) == (["10"], ["10"])


def test_three_parameters_are_pairs_of_means() -> None:
    table = pd.DataFrame(
        [{"a": a, "b": b, "c": c, "m": a + 10 * b + 100 * c} for a in (1, 2) for b in (1, 2) for c in (1, 2)]
    )
    figure = plot_surface(table, ["a", "b", "c"], "m")
    heats = [trace for trace in figure.data if trace.type == "heatmap"]
    assert len(heats) == 3
    assert heats[0].z[0][0] == pytest.approx(1 + 10 + 150)
    page = surface_page(table, ["a", "b", "c"], "m")
    assert page.startswith("<!doctype html>")
    assert "<script src=" not in page


def test_words_can_be_an_axis() -> None:
    table = pd.DataFrame(
        {"n": [1, 2, 1, 2], "side": ["long", "long", "both", "both"], "m": [1.0, 2.0, 3.0, 4.0]}
    )
    heat = plot_surface(table, ["n", "side"], "m").data[0]
    assert sorted(heat.y) == ["both", "long"]


def test_without_plotly_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(MissingExtraError, match=r"twinstep\[report\]"):
        plot_surface(grid([[1.0]]), ["fast"])
