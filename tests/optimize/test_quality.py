"""The model of trade quality: what it answers, what it finds where there is something, and what it keeps."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.quality import TradeQuality, judged_history
from optimize.quality_model.fitting import Cases, Fitted, fit
from optimize.quality_model.folds import folds_of
from optimize.quality_model.judging import LEAST_CASES, Judged, judge
from optimize.quality_model.reading import History
from optimize.quality_model.wording import told_in_one
from simulator.errors import ConfigError, MissingExtraError
from tests.journal.making import put_spread
from tests.optimize.quality_journals import DAY, NAMES, PREMIUM, Floats, draw, planted


def judged(history: History, **options: Any) -> TradeQuality:
    return judged_history(history, **{"cache": False, **options})


def changed(history: History, **columns: Any) -> History:
    return replace(history, **columns)


@pytest.fixture(scope="module")
def with_edge() -> History:
    return draw(np.random.default_rng(1), 500, held=(2, 8), edge=lambda known: 2 * planted(known))


@pytest.fixture(scope="module")
def without_edge() -> History:
    return draw(np.random.default_rng(2), 300, held=(2, 8), payoff=PREMIUM)


# What it finds


def test_it_speaks_where_snapshots_say_something(with_edge: History) -> None:
    found = judged(with_edge)
    assert found.probability.answer == found.expected_r.answer == "use"
    assert found.probability.lower > 0
    assert found.expected_r.lower > 0
    assert found.probability.score < found.probability.base_score
    assert found.probability.base == pytest.approx(with_edge.won.mean())
    assert found.expected_r.base == pytest.approx(with_edge.r.mean())
    assert "beats the base rate" in found.sentence()
    assert "calibration" in str(found)
    json.dumps(found.as_dict(), allow_nan=False)


def test_it_refuses_where_they_say_nothing_and_gives_the_figures(without_edge: History) -> None:
    found = judged(without_edge)
    assert (found.probability.answer, found.expected_r.answer) == ("refuse", "refuse")
    assert not found.speaks
    assert found.models == {}
    sentence = found.sentence()
    assert "none is shown" in sentence
    assert f"{found.probability.score:.4f} against {found.probability.base_score:.4f}" in sentence
    assert "does not beat the mean" in sentence


def test_of_many_journals_without_an_edge_hardly_any_is_shown() -> None:
    shown = [
        judged(
            draw(np.random.default_rng([3, seed]), 80 + 12 * seed, payoff=PREMIUM, market=0.3, held=(2, 12))
        ).speaks
        for seed in range(16)
    ]
    assert sum(shown) <= 3  # at 5 %, more than 3 of 16 has a chance of 1 %


def ruled(monkeypatch: pytest.MonkeyPatch, told: Floats, won: Floats) -> Judged:
    """What is made of these forecasts of independent trades, against a base rate of one half."""
    places = np.arange(len(won))
    cases = Cases(
        values=np.random.default_rng(0).uniform(size=(len(won), len(NAMES))),
        strategies=("put",) * len(won),
        target=won,
        entry_ts=2 * DAY * places,
        exit_ts=2 * DAY * places,
    )
    monkeypatch.setattr("optimize.quality_model.judging.forecasts", lambda *_: (told, np.full(len(won), 0.5)))
    return judge("probability", cases, confidence=0.975)[0]


def test_better_is_not_enough_it_must_be_beyond_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    won = np.tile([1.0, 0.0], 100)
    right = np.where(np.arange(200) % 20 < 11, won, 1 - won)  # right in 11 of 20
    some = ruled(monkeypatch, 0.5 + 0.05 * (2 * right - 1), won)
    # by hand: 0.5^2 - 0.45^2 where right, 0.5^2 - 0.55^2 where wrong
    assert some.gain == pytest.approx((110 * 0.0475 - 90 * 0.0525) / 200)
    assert some.gain > 0 > some.lower
    assert some.log_gain > 0
    assert some.answer == "refuse"
    assert "which may be chance" in _chance_words(some)
    much = ruled(monkeypatch, np.where(np.arange(200) % 20 < 16, 0.2 + 0.6 * won, 0.8 - 0.6 * won), won)
    assert much.answer == "use"


def test_a_forecast_that_was_certain_and_wrong_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    won = np.tile([1.0, 0.0], 100)
    told = 0.25 + 0.5 * won
    told[:8] = 1 - won[:8]
    found = ruled(monkeypatch, told, won)
    assert found.lower > 0  # the Brier score forgives it
    assert found.log_gain < 0
    assert found.answer == "refuse"


def _chance_words(one: Judged) -> str:
    return told_in_one(
        TradeQuality(
            kind="option", sources=("live",), trades=one.cases, probability=one, expected_r=one, models={},
            notes=(), digest="",
        )
    )  # fmt: skip


def test_what_it_says_is_what_happens() -> None:
    """The truth is known here: forecasts of new trades against the chances that these were drawn with."""
    history = draw(np.random.default_rng(4), 2_000, edge=lambda known: 0.006 * (known["iv_rank"] - 50))
    model = judged(history).models["probability"]
    new = draw(np.random.default_rng(5), 4_000, edge=lambda known: 0.006 * (known["iv_rank"] - 50))
    from scipy.stats import norm

    said = model.say(new.values, new.strategies)
    true = norm.cdf(0.006 * (new.values[:, NAMES.index("iv_rank")] - 50))
    assert float(np.abs(said - true).mean()) < 0.03
    # and as a forecaster is usually asked: the regression of what happened on what was said
    slope, intercept = np.polyfit(said, new.won.astype(float), 1)
    assert slope == pytest.approx(1.0, abs=0.25)
    assert intercept + slope * 0.5 == pytest.approx(0.5, abs=0.03)


def test_expected_r_is_right_where_losses_are_rare_and_large() -> None:
    def edge(known: dict[str, Floats]) -> Floats:
        return 0.004 * (known["iv_rank"] - 50)

    history = draw(np.random.default_rng(6), 2_000, payoff=PREMIUM, edge=edge)
    model = judged(history).models["expected_r"]
    new = draw(np.random.default_rng(7), 4_000, payoff=PREMIUM, edge=edge)
    said = model.say(new.values, new.strategies)
    # what was drawn: a win brings `gain`, a loss costs `loss`, and the chance carries the edge, within limits
    drift = 0.004 * (new.values[:, NAMES.index("iv_rank")] - 50)
    chance = np.clip(PREMIUM.wins + drift / (PREMIUM.gain + PREMIUM.loss), 0.02, 0.98)
    true = chance * PREMIUM.gain - (1 - chance) * PREMIUM.loss
    assert float(np.abs(said - true).mean()) < 0.08
    assert float(np.corrcoef(said, true)[0, 1]) > 0.9


# Overlap


def test_no_case_is_trained_on_that_overlaps_a_tested_one(with_edge: History) -> None:
    entry, exit_ = with_edge.entry_ts, with_edge.exit_ts
    tested: list[int] = []
    for train, test in folds_of(entry, exit_, 5):
        tested += test.tolist()
        embargo = max(DAY, int(np.median(exit_ - entry)))
        for k in train:
            assert not any(entry[k] <= exit_[j] and entry[j] <= exit_[k] for j in test)
            assert not exit_[test].max() < entry[k] <= exit_[test].max() + embargo
    assert sorted(tested) == list(range(len(with_edge)))


def test_what_overlapping_trades_share_is_no_skill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes are what the market did, and the name of the strategy gives the month away."""
    history = draw(np.random.default_rng(8), 400, market=1.0, per_week=10.0, held=(10, 20))
    months = tuple(f"month {day // (30 * DAY)}" for day in history.entry_ts - history.entry_ts[0])
    told = changed(history, strategies=months)
    assert not judged(told).speaks

    def shuffled(entry_ts: Floats, _: Floats, count: int) -> list[tuple[Any, Any]]:
        order = np.random.default_rng(0).permutation(len(entry_ts))
        return [(np.setdiff1d(order, test), np.sort(test)) for test in np.array_split(order, count)]

    # the trap is one: where neighbours are trained on, a month is known by its other trades
    monkeypatch.setattr("optimize.quality_model.judging.folds_of", shuffled)
    monkeypatch.setattr("optimize.quality_model.fitting.folds_of", shuffled)
    trapped = judged(told)
    assert trapped.probability.score < 0.9 * trapped.probability.base_score


# Answers for journals that no model can be made of


def few(history: History, count: int) -> History:
    return changed(
        history,
        values=history.values[:count],
        strategies=history.strategies[:count],
        won=history.won[:count],
        r=history.r[:count],
        entry_ts=history.entry_ts[:count],
        exit_ts=history.exit_ts[:count],
    )


@pytest.mark.parametrize("count", [0, 1, 2, 23, LEAST_CASES - 1])
def test_too_few_trades(without_edge: History, count: int) -> None:
    found = judged(few(without_edge, count))
    assert (found.probability.answer, found.expected_r.answer) == ("too few", "too few")
    assert found.probability.needed == LEAST_CASES - count
    assert f"about {LEAST_CASES - count} more trades are needed" in found.sentence()
    assert not found.speaks


@pytest.mark.parametrize(("won", "word"), [(True, "all 300 trades won"), (False, "all 300 trades lost")])
def test_a_single_class(without_edge: History, won: bool, word: str) -> None:
    r = np.abs(without_edge.r) * (1 if won else -1)
    found = judged(changed(without_edge, won=np.full(300, won), r=r))
    assert found.probability.answer == "one class"
    assert word in found.sentence()


def test_a_rare_class_asks_for_more(without_edge: History) -> None:
    won = np.full(300, True)
    won[:6] = False
    found = judged(changed(without_edge, won=won))
    assert found.probability.answer == "too few"
    assert found.probability.needed == 300


def test_constant_outcomes(without_edge: History) -> None:
    found = judged(changed(without_edge, r=np.full(300, 0.5)))
    assert found.expected_r.answer == "constant"
    assert "all 300 trades came to +0.50 R" in found.sentence()


def test_trades_that_all_overlap_are_one(without_edge: History) -> None:
    start = without_edge.entry_ts[0]
    found = judged(
        changed(without_edge, entry_ts=np.full(300, start), exit_ts=np.full(300, start + 30 * DAY))
    )
    assert found.probability.answer == "too few"
    assert found.probability.effective == pytest.approx(1.0)
    assert "they overlap and count as 1" in found.sentence()


def test_unknown_risk_leaves_the_probability(with_edge: History) -> None:
    found = judged(changed(with_edge, r=np.full(500, np.nan)))
    assert (found.probability.answer, found.expected_r.answer) == ("use", "too few")
    assert (found.expected_r.cases, found.expected_r.needed) == (0, LEAST_CASES)


def test_nothing_known_at_entry(without_edge: History) -> None:
    found = judged(
        changed(without_edge, values=np.full((300, len(NAMES)), np.nan), strategies=("put",) * 300)
    )
    assert (found.probability.answer, found.expected_r.answer) == ("no snapshot", "no snapshot")
    assert "nothing that was known at entry varies" in found.sentence()


def test_missing_iv_ranks(with_edge: History) -> None:
    """Half of them missing: the rest is used. All of them: the other measures are."""
    values = with_edge.values.copy()
    values[::2, 0] = np.nan
    some = judged(changed(with_edge, values=values))
    for model in some.models.values():
        said = model.say(values, with_edge.strategies)
        assert np.isfinite(said).all()
        assert 0 in model.encoding.lacking
    values[:, 0] = np.nan
    none = judged(changed(with_edge, values=values))
    assert none.probability.answer in ("use", "refuse")
    for model in none.models.values():
        assert 0 not in model.encoding.used


def test_modelled_prices_stand_beside_what_is_said(with_edge: History) -> None:
    said = judged(changed(with_edge, modelled=400)).quality_of(put_spread())
    assert said is not None
    assert said.notes[0] == "400 of them modelled"
    assert "500 trades, 400 of them modelled" in str(put_spread(quality=said))


def test_infinite_numbers_never_come_out(with_edge: History) -> None:
    model = judged(with_edge).models["probability"]
    extreme = np.array([[np.nan] * 7, [1e12] * 7, [-1e12] * 7])
    said = model.say(extreme, ["unheard-of"] * 3)
    assert np.isfinite(said).all()
    assert ((said > 0) & (said < 1)).all()


# The same again


def test_the_same_trades_give_the_same_model(with_edge: History) -> None:
    first, second = judged(with_edge), judged(with_edge)
    assert first.as_dict() == second.as_dict()
    assert first.digest == second.digest
    won = with_edge.won.copy()
    won[0] = ~won[0]
    assert changed(with_edge, won=won).digest() != first.digest


def test_scale_and_unit_of_a_measure_do_not_matter(with_edge: History) -> None:
    base = judged(with_edge).models["probability"]
    values = with_edge.values.copy()
    values[:, 0] = values[:, 0] / 100 - 3
    other = judged(changed(with_edge, values=values)).models["probability"]
    np.testing.assert_allclose(
        other.say(values, with_edge.strategies), base.say(with_edge.values, with_edge.strategies), atol=1e-6
    )


def test_the_mean_of_what_it_says_is_the_base_rate(with_edge: History) -> None:
    for head, target in (("probability", with_edge.won.astype(float)), ("expected_r", with_edge.r)):
        model = fit(
            head,
            Cases(with_edge.values, with_edge.strategies, target, with_edge.entry_ts, with_edge.exit_ts),
        )
        assert model is not None
        assert 0 <= model.slope <= 1
        said = model.say(with_edge.values, with_edge.strategies)
        assert float(said.mean()) == pytest.approx(float(target.mean()), abs=1e-9)


# What is kept


def test_a_kept_model_is_the_same_and_needs_no_scikit_learn(
    with_edge: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = judged(with_edge, cache=tmp_path)
    (kept,) = tmp_path.glob("*.json")
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    again = judged(with_edge, cache=tmp_path)
    assert again.as_dict() == fresh.as_dict()
    assert kept.stat().st_size < 20_000
    with pytest.raises(MissingExtraError) as caught:
        judged(changed(with_edge, r=with_edge.r + 1.0), cache=tmp_path)
    assert caught.value.code == "OPTIMIZE_EXTRA_QUALITY"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "[" * 100_000,
        lambda text: text.replace('"weights": [', '"weights": [1.0, '),
        lambda text: text.replace('"shift": ', '"shift": 1e999, "y": '),
        lambda text: text.replace("probability", "chance"),
        lambda text: text.replace('"answer": "use"', '"answer": "refuse"'),
        lambda text: text.replace('"cases": ', '"cases": "many", "z": '),
        lambda text: text.replace('"low": [', '"low": ["a", '),
        lambda text: text.replace('"used": [0', '"used": [99'),
        lambda text: json.dumps({**json.loads(text), "key": "another"}),
    ],
)  # fmt: skip
def test_what_was_spoilt_is_fitted_anew(
    with_edge: History, tmp_path: Path, spoil: Callable[[str], str]
) -> None:
    fresh = judged(with_edge, cache=tmp_path)
    (kept,) = tmp_path.glob("*.json")
    before = kept.read_text(encoding="utf-8")
    kept.write_text(spoil(before), encoding="utf-8")
    assert judged(with_edge, cache=tmp_path).as_dict() == fresh.as_dict()
    assert json.loads(kept.read_text(encoding="utf-8")) == json.loads(before)


def test_a_folder_that_cannot_be_written_is_no_error(with_edge: History, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("", encoding="utf-8")
    assert judged(with_edge, cache=place / "below").speaks


def test_plain_and_back(with_edge: History) -> None:
    found = judged(with_edge)
    text = json.dumps(found.probability.plain(), allow_nan=False)
    assert Judged.of(json.loads(text)) == found.probability
    early = judged(few(with_edge, 10)).probability
    assert Judged.of(json.loads(json.dumps(early.plain(), allow_nan=False))).plain() == early.plain()
    model = found.models["probability"]
    assert Fitted.of(json.loads(json.dumps(model.plain()))) == model


def test_a_confidence_that_is_none() -> None:
    from optimize.quality import trade_quality

    with pytest.raises(ConfigError) as caught:
        trade_quality("nowhere.db", confidence=1.0)
    assert caught.value.code == "OPTIMIZE_CONFIDENCE"
