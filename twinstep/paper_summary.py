"""What `twinstep paper` says at the end: counts, what is open, and why nothing was traded if nothing was."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.types import HaltState, Reason
from twinstep.account_lines import account_lines
from twinstep.console import emit, price_text, table

if TYPE_CHECKING:
    from live.session import Session
    from live.sessions.outcome import StepOutcome
    from twinstep.paper_watch import Watch

__all__ = ["Answers", "show", "summary"]

_COUNTS: Final = (
    "stepped", "signals", "fills", "trades", "open_positions", "working_orders", "refused", "gaps",
)  # fmt: skip

_PRICES: Final = ("entry_price", "mark", "stop", "target")


class Answers:
    """Counts what the risk manager answered while a session ran; `take` is for `Session.on_outcome`."""

    def __init__(self) -> None:
        self.granted = 0
        self.refused: Counter[str] = Counter()

    def take(self, session: Session, outcome: StepOutcome) -> None:
        """Count the verdicts of a transaction."""
        verdicts = outcome.logs["verdicts"]
        # what is to be closed and is not there asked for nothing
        verdicts = verdicts[verdicts["reason"] != Reason.NOTHING_TO_CLOSE]
        passed = verdicts["granted"] > 0.0
        self.granted += int(passed.sum())
        rules, counts = np.unique(verdicts["reason"][~passed], return_counts=True)
        for rule, count in zip(rules.tolist(), counts.tolist(), strict=True):
            self.refused[Reason(rule).label] += count

    def words(self, session: Session) -> str:
        """Say why nothing was admitted; "" where something was, or nothing was asked."""
        if self.granted or not self.refused:
            return ""
        ((rule, count),) = self.refused.most_common(1)
        why, limits = "", session.rules.risk
        halt = HaltState(int(session.state.account[0]["state"]))
        if halt is not HaltState.ACTIVE:
            return (
                f"Nothing was admitted: the account is {halt.name}. twinstep status says why, and twinstep "
                "arm --by NAME --reason TEXT --confirm ends it when the cause is gone."
            )
        if rule == Reason.MIN_QUANTITY.label and limits is not None:
            why = f": one unit would risk more than {limits.risk_per_trade_pct:g} % of the equity"
        return (
            f"Nothing was admitted: {count:,} of {self.refused.total():,} signals met {rule}{why}. More cash "
            "(--cash, under another --name), a smaller instrument or another limit would let some through; "
            "docs/risk.md has every rule."
        )


def summary(session: Session, stepped: int, watch: Watch, answers: Answers) -> dict[str, Any]:
    """Return what came of a run, as values that JSON can hold."""
    account = session.state.account[0]
    lines = account_lines(
        session.state, session.symbols, session=session.name, bars=session.bars, limits=None, heat=None
    )
    return {
        "session": session.name,
        "stepped": stepped,
        "bars": session.bars,
        "last": None if session.last_ts is None else _day(session.last_ts),
        "equity": float(account["equity"]),
        "cash": float(account["cash"]),
        "state": HaltState(int(account["state"])).name,
        "open_positions": int(account["n_positions"]),
        "working_orders": int(account["n_orders"]),
        "signals": watch.signals,
        "fills": watch.fills,
        "trades": watch.trades,
        "refused": watch.refused,
        "gaps": watch.gaps,
        "verdicts": {"granted": answers.granted, **answers.refused},
        "hint": answers.words(session) or None,
        "positions": [
            {
                "symbol": held.symbol, "side": 1 if held.quantity > 0 else -1, "quantity": abs(held.quantity),
                "legs": held.legs, "entry_price": held.entry, "mark": held.mark, "stop": held.stop,
                "target": held.target, "unrealized": held.result,
            }
            for held in lines.positions
        ],
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    """Print what `summary` returned."""
    emit(
        f"session {found['session']!r}: {found['bars']:,} bars to {found['last'] or 'none'}, equity "
        f"{found['equity']:,.2f}, cash {found['cash']:,.2f}, {found['state']}"
    )
    emit(", ".join(f"{name.replace('_', ' ')} {found[name]:,}" for name in _COUNTS))
    if found["hint"]:
        emit(found["hint"])
    positions = found["positions"]
    if positions:
        columns = [name for name in positions[0] if name != "legs" or any(held["legs"] for held in positions)]
        table(columns, [[_cell(held, name) for name in columns] for held in positions])


def _cell(held: dict[str, Any], name: str) -> object:
    if name in _PRICES:
        return price_text(held[name])
    if name == "unrealized":
        return f"{held[name]:+,.2f}"
    if name != "side":
        return held[name]
    words = ("bought", "sold") if held["legs"] else ("long", "short")
    return words[0] if held["side"] > 0 else words[1]


def _day(ts: int) -> str:
    from simulator.bars.arrays import stamp

    return stamp(ts)
