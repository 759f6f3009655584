"""What an automation writes into the journal: the idea, what became of it, and what it taught.

Every processed signal is a recommendation there, refused ones too, with the reason. A fill of the kernel is
an entry, an add or an exit of its trade, with the kernel's price, time, fees and excursions; the journal adds
insights and automatic mistakes when a trade ends. All of it is of source "paper".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy import select

from journal import TradeJournal, schema
from journal.records import Trade
from live.automation_account import Logs, to_time
from simulator.types import ExitReason, FillKind, SignalStrength, TradingSignal

__all__ = ["SOURCE", "TradeBook", "plain_signal", "signal_of"]

SOURCE: Final = "paper"


class TradeBook:
    """Trades of one account in a journal, by the kernel's positions.

    Parameters
    ----------
    journal
        Where they are logged.
    run
        Id of the account: its fills are known by it and their number, and none is written twice.
    broker
        Named in the fills.
    """

    def __init__(self, journal: TradeJournal, *, run: str, broker: str = "paper") -> None:
        self.journal = journal
        self.broker = broker
        self.trades: dict[int, int] = {}  # open positions of the kernel -> trades of the journal
        self._run = run
        self._fills = 0
        self._known: dict[str, int] = {}

    def look_up(self) -> None:
        """Find which fills of this account are in the journal already, before they are written again."""
        table = schema.fills.c
        query = select(table.execution_key, table.trade_id).where(
            table.execution_key.like(f"{self._run}-%"), table.trade_id.is_not(None)
        )
        with self.journal.database.read() as connection:
            self._known = {str(key): int(trade) for key, trade in connection.execute(query)}

    def propose(self, signal: TradingSignal, days_valid: float) -> int:
        """Log a signal as a recommendation and return its number."""
        return self.journal.log_recommendation(
            signal, reason=signal.notes, expires=timedelta(days=days_valid), source=SOURCE
        )

    def refuse(self, recommendation: int, reason: str) -> None:
        """Log that a signal will not be traded, and why."""
        if self.journal.recommendation(recommendation).status == "recommended":
            self.journal.ignore_recommendation(recommendation, reason)

    def write(
        self,
        logs: Logs,
        *,
        entered: tuple[TradingSignal, int, float] | None = None,
        reasons: Mapping[int, str] | None = None,
        max_days: int | None = None,
    ) -> list[Trade]:
        """Log the fills of one tick; return the trades that ended.

        Parameters
        ----------
        logs
            What the tick logged.
        entered
            The signal that the tick carried out, its recommendation, and what was granted.
        reasons
            By position: why a person closed it; else the kernel's exit reason.
        max_days
            Calendar days that a trade may last.
        """
        ended = {int(trade["id"]): trade for trade in logs["trades"]}
        last = {int(fill["position"]): index for index, fill in enumerate(logs["fills"])}
        closed = []
        for index, fill in enumerate(logs["fills"]):
            position, kind = int(fill["position"]), FillKind(int(fill["kind"]))
            key = f"{self._run}-{self._fills}"
            self._fills += 1
            known = self._known.pop(key, None)
            if known is not None:
                self.trades[position] = known
            elif kind == FillKind.ENTRY and position not in self.trades:
                if entered is not None:
                    self.trades[position] = self._enter(fill, key, entered, max_days)
            elif kind in (FillKind.ENTRY, FillKind.ADD):
                self._add(fill, key)
            else:
                done = ended.get(position) if last[position] == index else None
                self._leave(fill, key, done, (reasons or {}).get(position))
            if position in ended and last[position] == index:
                closed.append(self.journal.trade(self.trades.pop(position)))
        return closed

    def _enter(
        self, fill: np.void, key: str, entered: tuple[TradingSignal, int, float], max_days: int | None
    ) -> int:
        signal, recommendation, granted = entered
        return self.journal.log_trade_entry(
            recommendation,
            quantity=float(fill["qty"]),
            entry_price=float(fill["price"]),
            when=to_time(int(fill["ts"])),
            fees=float(fill["fee"]),
            stop_price=signal.stop_loss,
            target_price=signal.target_price,
            granted_quantity=granted,
            max_days=None if max_days is None else float(max_days),
            notes=signal.notes,
            execution_key=key,
            broker=self.broker,
            order_id=str(int(fill["order"])),
        )

    def _add(self, fill: np.void, key: str) -> None:
        self.journal.log_trade_add(
            self.trades[int(fill["position"])],
            float(fill["qty"]),
            entry_price=float(fill["price"]),
            when=to_time(int(fill["ts"])),
            fees=float(fill["fee"]),
            execution_key=key,
            broker=self.broker,
            order_id=str(int(fill["order"])),
        )

    def _leave(self, fill: np.void, key: str, ended: np.void | None, reason: str | None) -> None:
        number = self.trades[int(fill["position"])]
        worst = best = None
        if ended is not None:
            # excursions are fractions of the entry in the kernel, and currency in the journal
            scale = float(ended["entry_price"]) * float(ended["qty"])
            worst, best = float(ended["mae"]) * scale, float(ended["mfe"]) * scale
        self.journal.log_trade_exit(
            number,
            exit_price=float(fill["price"]),
            quantity=float(fill["qty"]),
            close_reason=reason or ExitReason(int(fill["reason"])).label,
            when=to_time(int(fill["ts"])),
            fees=float(fill["fee"]),
            mae=worst,
            mfe=best,
            execution_key=key,
            broker=self.broker,
            order_id=str(int(fill["order"])),
        )


def plain_signal(signal: TradingSignal) -> dict[str, Any]:
    """Return a signal as values that JSON can hold."""
    return {
        **asdict(signal), "strength": int(signal.strength), "created_at": signal.created_at.isoformat()
    }  # fmt: skip


def signal_of(plain: Mapping[str, Any]) -> TradingSignal:
    """Rebuild a signal from its plain form."""
    return TradingSignal(
        **{
            **plain,
            "strength": SignalStrength(plain["strength"]),
            "created_at": datetime.fromisoformat(plain["created_at"]),
        }
    )
