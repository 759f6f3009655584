"""Trading signals from pattern scans, or by hand: entry, stop, target, size and strength.

>>> signal = create_manual_signal(
...     ticker="AAPL", entry_price=150.0, stop_loss=145.0, target_price=160.0, account_size=100_000
... )
>>> signal.position_size, signal.risk_amount, signal.risk_reward_ratio
(400, 2000.0, 2.0)
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime

from simulator.errors import ConfigError, SignalError
from simulator.types import ParameterSource, SignalStrength, TradingSignal
from strategies.patterns.scan import PatternScan
from strategies.risk_calculator import RiskCalculator, reward_risk

__all__ = [
    "SignalGenerator",
    "SignalStrength",
    "StrengthThresholds",
    "TradingSignal",
    "create_manual_signal",
]

PARAMETERS_NAME = "signal_generator"
"""By which a `ParameterSource` knows what was learned for it."""

_ROUNDING = 1e-9
"""Relative slack in comparing a ratio with its limit: 2.0 passes 2.0, whatever binary prices do to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthThresholds:
    """Scores from which a signal is of a class; below `moderate` it is WEAK.

    >>> StrengthThresholds().classify(75.0).name
    'STRONG'
    """

    moderate: float = 60.0
    strong: float = 75.0
    very_strong: float = 85.0

    def __post_init__(self) -> None:
        if not 0 <= self.moderate <= self.strong <= self.very_strong <= 100:
            raise ConfigError(
                f"strength thresholds {self.moderate:g}, {self.strong:g}, {self.very_strong:g} must rise "
                "from 0 to 100 (moderate, strong, very_strong)",
                code="CONFIG_STRENGTH_THRESHOLDS",
            )

    def classify(self, score: float) -> SignalStrength:
        """Return the class of a score from 0 to 100; a score equal to a threshold has reached it."""
        if not 0 <= score <= 100:
            raise SignalError(f"score {score!r} is outside 0 to 100", code="SIGNAL_SCORE")
        if score >= self.very_strong:
            return SignalStrength.VERY_STRONG
        if score >= self.strong:
            return SignalStrength.STRONG
        return SignalStrength.MODERATE if score >= self.moderate else SignalStrength.WEAK


class SignalGenerator:
    """Turns pattern scans into sized trading signals, and refuses those that break a filter.

    Parameters
    ----------
    risk_calc
        Sizes positions; a `RiskCalculator()` if not given.
    thresholds
        Score to strength.
    min_risk_reward_ratio
        Smallest reward per unit of risk (2.0); 2.0 passes 2.0.
    min_pattern_score
        Smallest score, 0 to 100 (60).
    parameters
        Who has learned these two; what is learned replaces a default, and what is given goes before both.
    """

    def __init__(
        self,
        risk_calc: RiskCalculator | None = None,
        *,
        thresholds: StrengthThresholds | None = None,
        min_risk_reward_ratio: float | None = None,
        min_pattern_score: float | None = None,
        parameters: ParameterSource | None = None,
    ) -> None:
        learned = {} if parameters is None else parameters.parameters_for(PARAMETERS_NAME)
        if min_risk_reward_ratio is None:
            min_risk_reward_ratio = float(learned.get("min_risk_reward_ratio", 2.0))
        if min_pattern_score is None:
            min_pattern_score = float(learned.get("min_pattern_score", 60.0))
        if not min_risk_reward_ratio >= 0 or not math.isfinite(min_risk_reward_ratio):
            raise ConfigError(
                f"min_risk_reward_ratio is {min_risk_reward_ratio!r}; it must be 0 or more",
                code="CONFIG_REWARD_RISK",
            )
        if not 0 <= min_pattern_score <= 100:
            raise ConfigError(
                f"min_pattern_score is {min_pattern_score!r}; it must be 0 to 100",
                code="CONFIG_PATTERN_SCORE",
            )
        self.risk_calc = risk_calc if risk_calc is not None else RiskCalculator()
        self.thresholds = thresholds if thresholds is not None else StrengthThresholds()
        self.min_risk_reward_ratio = min_risk_reward_ratio
        self.min_pattern_score = min_pattern_score

    def generate_signal_from_pattern(
        self,
        pattern_scan: PatternScan,
        account_size: float,
        risk_per_trade_pct: float = 2.0,
    ) -> TradingSignal | None:
        """Return the signal of a pattern, or None where a filter refuses it; `refusal` says which.

        Parameters
        ----------
        pattern_scan
            A completed pattern.
        account_size
            Equity, in currency.
        risk_per_trade_pct
            Percent of the account to lose at the stop at most: 2.0 is 2 %.

        Returns
        -------
        TradingSignal | None
            Created at the scan's time, with a `signal_id` that is the same for the same content.
        """
        if self.refusal(pattern_scan, account_size, risk_per_trade_pct) is not None:
            return None
        return _build(
            pattern_scan.symbol,
            (pattern_scan.entry, pattern_scan.stop, pattern_scan.target),
            self._size(pattern_scan, account_size, risk_per_trade_pct),
            strength=self.thresholds.classify(pattern_scan.score),
            signal_type=pattern_scan.pattern,
            score=pattern_scan.score,
            sector=pattern_scan.sector,
            notes=", ".join(f"{name} {points:.1f}" for name, points in pattern_scan.components.items()),
            created_at=pattern_scan.time,
            signal_id=None,
        )

    def generate_signals(
        self, scans: list[PatternScan], account_size: float, risk_per_trade_pct: float = 2.0
    ) -> list[TradingSignal]:
        """Return the signals of all patterns that pass, best score first, ties in the order given."""
        found = [self.generate_signal_from_pattern(scan, account_size, risk_per_trade_pct) for scan in scans]
        signals = [signal for signal in found if signal is not None]
        return sorted(signals, key=lambda signal: -(signal.score or 0.0))

    def refusal(
        self, pattern_scan: PatternScan, account_size: float, risk_per_trade_pct: float = 2.0
    ) -> str | None:
        """Say in one sentence why this pattern gives no signal, or return None where it gives one."""
        scan = pattern_scan
        self.thresholds.classify(scan.score)
        ratio = reward_risk(scan.entry, scan.stop, scan.target)
        if scan.score < self.min_pattern_score:
            return f"{scan.symbol} {scan.pattern}: score {scan.score:.1f} is below {self.min_pattern_score:g}"
        if ratio < self.min_risk_reward_ratio * (1.0 - _ROUNDING):
            return (
                f"{scan.symbol} {scan.pattern}: reward to risk {ratio:.2f} is below "
                f"{self.min_risk_reward_ratio:g}"
            )
        if self._size(scan, account_size, risk_per_trade_pct) == 0:
            return (
                f"{scan.symbol} {scan.pattern}: {risk_per_trade_pct:g} % of {account_size:,.2f} does not pay "
                f"for the risk of one lot ({abs(scan.entry - scan.stop) * self.risk_calc.lot:,.2f})"
            )
        return None

    def _size(self, scan: PatternScan, account_size: float, risk_per_trade_pct: float) -> int:
        return self.risk_calc.position_size(account_size, risk_per_trade_pct, scan.entry, scan.stop)


def create_manual_signal(
    ticker: str,
    entry_price: float,
    stop_loss: float,
    target_price: float,
    account_size: float,
    *,
    risk_per_trade_pct: float = 2.0,
    strength: SignalStrength | str = SignalStrength.MODERATE,
    score: float | None = None,
    sector: str | None = None,
    notes: str = "",
    risk_calc: RiskCalculator | None = None,
    created_at: datetime | None = None,
    signal_id: str | None = None,
) -> TradingSignal:
    """Create a signal by hand; a stop below the entry makes it a long, one above it a short.

    Parameters
    ----------
    ticker
        Symbol.
    entry_price, stop_loss, target_price
        In currency per share; entry between stop and target.
    account_size
        Equity, in currency.
    risk_per_trade_pct
        Percent of the account to lose at the stop at most: 2.0 is 2 %.
    strength
        A class or its name.
    score
        0 to 100, if there is one; without it the rule on scores does not apply.
    created_at
        Aware time; now, if not given.
    signal_id
        Made from the content if not given.

    Raises
    ------
    SignalError
        For prices that are not positive or on the wrong sides, or a size of zero (SIGNAL_SIZE).
    ConfigError
        For an account size or risk percentage that makes no sense.
    """
    if not isinstance(ticker, str) or not ticker.strip():
        raise SignalError(f"the ticker is {ticker!r}; a signal needs a symbol", code="SIGNAL_SYMBOL")
    reward_risk(entry_price, stop_loss, target_price)
    if score is not None and not 0 <= score <= 100:
        raise SignalError(f"score {score!r} is outside 0 to 100", code="SIGNAL_SCORE")
    calculator = risk_calc if risk_calc is not None else RiskCalculator()
    size = calculator.position_size(account_size, risk_per_trade_pct, entry_price, stop_loss)
    if size == 0:
        raise SignalError(
            f"{ticker}: {risk_per_trade_pct:g} % of {account_size:,.2f} does not pay for the risk of one "
            f"share ({abs(entry_price - stop_loss):,.2f}), or it cannot buy one at {entry_price:,.2f}",
            code="SIGNAL_SIZE",
        )
    return _build(
        ticker.strip(),
        (float(entry_price), float(stop_loss), float(target_price)),
        size,
        strength=_strength(strength),
        signal_type="manual",
        score=score,
        sector=sector,
        notes=notes,
        created_at=_aware(created_at),
        signal_id=signal_id,
    )


def _build(
    ticker: str,
    prices: tuple[float, float, float],
    size: int,
    *,
    strength: SignalStrength,
    signal_type: str,
    score: float | None,
    sector: str | None,
    notes: str,
    created_at: datetime,
    signal_id: str | None,
) -> TradingSignal:
    entry, stop, target = prices
    content = f"{ticker}|{signal_type}|{entry!r}|{stop!r}|{target!r}|{size}|{created_at.isoformat()}"
    return TradingSignal(
        signal_id=signal_id or f"{ticker}-{signal_type}-{hashlib.sha256(content.encode()).hexdigest()[:12]}",
        ticker=ticker,
        side=1 if stop < entry else -1,
        entry_price=entry,
        stop_loss=stop,
        target_price=target,
        position_size=size,
        strength=strength,
        risk_amount=abs(entry - stop) * size,
        reward_amount=abs(target - entry) * size,
        risk_reward_ratio=reward_risk(entry, stop, target),
        signal_type=signal_type,
        created_at=created_at,
        score=score,
        sector=sector,
        notes=notes,
    )


def _strength(value: SignalStrength | str | int) -> SignalStrength:
    try:
        if isinstance(value, str):
            return SignalStrength[value.strip().upper().replace(" ", "_")]
        return SignalStrength(value)
    except (KeyError, ValueError):
        names = ", ".join(member.name for member in SignalStrength)
        raise SignalError(
            f"strength {value!r} is no class of strength; known: {names}", code="SIGNAL_STRENGTH"
        ) from None


def _aware(moment: datetime | None) -> datetime:
    if moment is None:
        return datetime.now(UTC)
    if moment.tzinfo is None:
        raise SignalError(
            f"created_at {moment} has no time zone; give an aware time, for example datetime.now(UTC)",
            code="SIGNAL_NAIVE_TIME",
        )
    return moment.astimezone(UTC)
