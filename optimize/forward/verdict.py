"""What a walk-forward shows, in one sentence that is wrong in at most one of twenty markets without an edge.

An edge is claimed where the returns out of sample are above zero **and** above what their share of the
market's move explains: whoever holds stocks in a rising market earns without knowing anything. Only where
that is shown is it asked whether tuning did better than the strategy as it was given, so that both claims
together are wrong in at most 5 % too. Nothing is deflated: the inner searches were judged by data that they
had not seen, and out of sample one series was tested. Whoever walks many strategies forward and keeps the
best has searched again; the trial ledger counts that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from optimize.forward.evidence import MOST_STRETCHES, MeanTest, mean_p_value, mean_test, stretches

__all__ = ["LEAST_TRADES", "Verdict", "judge"]

Floats = npt.NDArray[np.float64]

LEAST_TRADES: Final = 20
"""Trades, and stretches, out of sample below which nothing is claimed, whatever they earned."""

_NOISE: Final = 1e-9  # share of a return that is rounding
_SESSIONS_EACH: Final = 2  # of a stretch at least
_CLEARLY: Final = 2.1  # standard errors at which this test claims, about
_SEEN: Final = 0.25  # standard errors below which there is no size to plan with


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the returns out of sample show. Returns are per year, sums of session returns, as fractions.

    Attributes
    ----------
    claims_evidence
        Whether an edge is claimed: earned above zero and above the share of the market's move.
    claims_tuning
        Whether tuning is claimed to be better than the strategy as given; only ever with an edge.
    sentence
        All of it in words.
    p_value
        Of "no edge": the larger of the next two. NaN where there is too little to test. This and all below
        but `mean` are NaN where the risk of a trade is not known.
    p_zero, p_market
        Of "the mean return is not above 0", and of the same after `beta` times the market's return is taken
        off.
    p_default
        Of "tuned is not better than as given"; NaN where both did the same.
    mean, lower, upper
        Return per year, and its bounds, each with 95 % confidence.
    beta
        Share of the market's move.
    trades, sessions
        Behind it.
    needed_trades
        About how many more trades would show an edge of the size seen; None where none was seen, or where
        evidence is claimed.
    """

    claims_evidence: bool
    claims_tuning: bool
    sentence: str
    p_value: float
    p_zero: float
    p_market: float
    p_default: float
    mean: float
    lower: float
    upper: float
    beta: float
    trades: int
    sessions: int
    needed_trades: int | None

    def __str__(self) -> str:
        return self.sentence


def judge(
    returns: npt.ArrayLike,
    default: npt.ArrayLike,
    market: npt.ArrayLike,
    *,
    trades: int,
    risk: float = 0.0,
    folds: int = 1,
    default_beats: float = math.nan,
    level: float = 0.05,
    periods: float = 252.0,
) -> Verdict:
    """Judge returns out of sample.

    Parameters
    ----------
    returns, default, market : (sessions,)
        Of the tuned strategy, of the strategy as given, and of what was there to be held, over the same
        sessions, as fractions; finite.
    trades
        Positions behind `returns`; outcomes that depend on each other are counted by their number.
    risk
        Largest share of equity that was at risk at once, over all positions open together: what one stretch
        may lose, though it was not seen. 0 where it is not known, as with a trade that has no stop; then
        nothing is tested, because rare losses may only not have happened yet.
    folds, default_beats
        For the sentence: windows, and the share in which the strategy as given was better.
    level
        Largest share of markets without an edge in which evidence is claimed.
    periods
        Sessions per year.

    Raises
    ------
    ConfigError
        OPTIMIZE_CONFIDENCE for a level that does not lie between 0 and 0.5.
    """
    mine, given, held = (np.asarray(one, np.float64) for one in (returns, default, market))
    sessions = len(mine)
    count = max(1, min(MOST_STRETCHES, trades, sessions // _SESSIONS_EACH))
    beta = _slope(mine, held)
    outcomes = stretches(mine, count)
    known = risk > 0.0
    if known:
        zero = mean_test(outcomes, floor=-risk, confidence=1.0 - level)
    else:
        zero = MeanTest(math.nan, float(outcomes.mean()), math.nan, math.nan, math.nan, count)
    alone = _without_rounding(mine - beta * held, mine)
    beside = _p_value(stretches(alone, count), risk, nothing=1.0) if known else math.nan
    against = _p_value(stretches(mine - given, count), risk, nothing=math.nan) if known else math.nan
    enough = known and trades >= LEAST_TRADES and count >= LEAST_TRADES
    p_value = max(zero.p_value, beside) if enough else math.nan
    claims = bool(p_value <= level)
    needed = None
    if enough and not claims:
        needed = _needed([outcomes, stretches(alone, count)], risk, level, trades)
    elif not enough and (known or not trades):
        short = _SESSIONS_EACH * LEAST_TRADES / max(sessions, 1) - 1.0
        needed = max(LEAST_TRADES - trades, math.ceil(trades * short), 1)
    yearly = periods * count / max(sessions, 1)
    found = Verdict(
        claims_evidence=claims, claims_tuning=claims and bool(against <= level), sentence="",
        p_value=p_value, p_zero=zero.p_value, p_market=beside, p_default=against,
        mean=zero.estimate * yearly, lower=zero.lower * yearly, upper=zero.upper * yearly, beta=beta,
        trades=trades, sessions=sessions, needed_trades=needed,
    )  # fmt: skip
    return replace(found, sentence=_sentence(found, enough, known, level, folds, default_beats))


# Parts


def _without_rounding(rest: Floats, whole: Floats) -> Floats:
    """Return what is left of returns, as nothing where it is only what subtracting has rounded."""
    return rest if np.abs(rest).max() > _NOISE * np.abs(whole).max() else np.zeros(len(rest))


def _p_value(outcomes: Floats, risk: float, *, nothing: float) -> float:
    if not outcomes.any():
        return nothing
    return mean_p_value(outcomes, floor=min(-risk, float(outcomes.min())))


def _slope(mine: Floats, held: Floats) -> float:
    """Return the share of the market's move in the returns, 0 where the market does not move."""
    off = held - held.mean() if len(held) else held
    spread = float((off * off).sum())
    return float((off * mine).sum()) / spread if spread > 0.0 else 0.0


def _strength(outcomes: Floats) -> float:
    """Return the mean in standard errors; 0 where nothing varies."""
    if len(outcomes) < 2 or not outcomes.std() > 0.0:
        return 0.0
    return float(outcomes.mean() / (outcomes.std(ddof=1) / math.sqrt(len(outcomes))))


def _needed(tested: list[Floats], risk: float, level: float, trades: int) -> int | None:
    """Return about how many more trades would show effects of this size; None for one of no size."""
    times = 1.0
    for outcomes in tested:
        strength = _strength(outcomes)
        if strength < _SEEN:
            return None
        # so many outcomes of their mean size tell a loss of the floor's size from one that never comes
        floor = max(risk, -float(outcomes.min()))
        even = math.log(1.0 / level) / math.log1p(float(outcomes.mean()) / floor)
        times = max(times, (_CLEARLY / strength) ** 2, even / len(outcomes))
    return max(math.ceil(trades * (times - 1.0)), 1)


def _sentence(
    found: Verdict, enough: bool, known: bool, level: float, folds: int, default_beats: float
) -> str:
    if not found.trades:
        return "Not enough evidence: out of sample it never traded."
    seen = (
        f"out of sample it earned {found.mean:.1%} a year over {found.sessions:,} sessions and "
        f"{found.trades:,} trades"
    )
    if not enough and not known:
        return (
            f"Not enough evidence: {seen}, but not every trade had a stop or another known risk, so nothing "
            "says what a loss can cost; no number of trades without a loss would."
        )
    if not enough:
        few = "sessions" if found.sessions < _SESSIONS_EACH * LEAST_TRADES else "trades"
        more = found.needed_trades or 1
        return (
            f"Not enough evidence: {seen}, too few {few} to tell an edge from luck; at least {more:,} more "
            f"trade{'s are' if more > 1 else ' is'} needed."
        )
    between = f"(between {found.lower:.1%} and {found.upper:.1%}, each bound with 95 % confidence)"
    if found.claims_evidence:
        first = (
            f"Evidence of an edge: {seen} {between}; without one, so much is seen in at most "
            f"{_percent(found.p_value)} of histories."
        )
    else:
        why = (
            f", which its share of the market's move explains (beta {found.beta:.2f}; p = "
            f"{found.p_market:.2f})"
            if found.p_zero <= level
            else f"; p = {found.p_value:.2f}"
        )
        first = f"No evidence of an edge: {seen} {between}{why}."
        if found.needed_trades is not None:
            more = found.needed_trades
            first += f" If the edge is as large as it looks, about {more:,} more trades would show it."
    return f"{first} {_about_tuning(found, folds, default_beats)}".strip()


def _about_tuning(found: Verdict, folds: int, default_beats: float) -> str:
    if math.isnan(default_beats):
        return ""
    worse = round(default_beats * folds)
    beaten = f"The strategy as given was better than the tuned one in {worse} of {folds} windows"
    if found.claims_tuning:
        return f"{beaten}, and over all of them tuning earned more (p = {found.p_default:.2f})."
    return f"{beaten}; that tuning helps is not shown."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "0.1 %"
