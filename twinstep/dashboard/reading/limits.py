"""How much of each limit in force is used: the gauges of the page "now".

The figures come from the risk manager's own functions, over the state that the session stored last:
`PortfolioRiskManager`, and the kernel's measures and correlations. A limit that is not set has no gauge.
Every gauge shows what is in use now; what the next signal would add is said by its verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from twinstep.dashboard.reading.reader import Reader

if TYPE_CHECKING:
    from live.sessions.account import Rules
    from simulator.bars import Bars
    from simulator.kernel.state import State
    from simulator.portfolio_risk_manager import PortfolioRisk

__all__ = ["Gauge", "Stored", "read_gauges", "read_stored"]

MOST: Final = 4
"""Sectors and strategies that have a gauge, the fullest."""
_DAY: Final = 86_400_000_000_000
_MOST_BARS: Final = 256
"""Bars that are read for their closes: a session of daily bars stores its closes with every 64."""

_SESSION: Final = (
    "SELECT s.id, s.configuration, s.changes, coalesce((SELECT i.data FROM inputs i WHERE i.session_id = "
    "s.id AND i.kind = 'frame' AND i.kind <> 'bar' ORDER BY i.id DESC LIMIT 1), s.frame) AS frame, "
    "p.bars, p.state, p.memory, p.closes, p.closes_bars, "
    "(SELECT i.data FROM inputs i WHERE i.session_id = s.id AND i.kind = 'bar' AND i.bar = p.bars - 1) "
    "AS last FROM sessions s JOIN snapshots p ON p.session_id = s.id WHERE s.name = ?"
)
_BARS: Final = (
    "SELECT data FROM inputs WHERE session_id = ? AND kind = 'bar' AND bar >= ? ORDER BY bar DESC LIMIT ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One limit.

    Attributes
    ----------
    rule
        As verdicts name it.
    name
        For people.
    used, limit
        In `unit`: "%", of equity, or "", a count or a correlation.
    about
        What it is made of; "" where the name says it.
    """

    rule: str
    name: str
    used: float
    limit: float
    unit: str = "%"
    about: str = ""

    @property
    def full(self) -> bool:
        """Whether nothing is left of it."""
        return self.used >= self.limit

    @property
    def tight(self) -> bool:
        """Whether less than a fifth is left of it."""
        return self.used >= 0.8 * self.limit


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A session as it was stored with its last bar.

    Attributes
    ----------
    last
        That bar.
    strategies
        Names by code.
    closes
        Of complete sessions, shape (n, symbols), NaN where there is none.
    """

    rules: Rules
    state: State
    last: Bars
    strategies: tuple[str, ...]
    closes: npt.NDArray[np.float64]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names by column."""
        return self.last.symbols


def read_stored(reader: Reader, session: str) -> Stored | None:
    """Read a session; None where it has no bar yet.

    Raises
    ------
    sqlite3.Error, OSError, ValueError, KeyError, TwinstepError
        Where it cannot be read.
    """
    import json

    from live.sessions.account import Rules
    from live.sessions.frames import decode_frame
    from live.sessions.recording import decode_piece, unpack
    from simulator.kernel.state import from_bytes

    rows = reader.ask(_SESSION, (session,))
    if not rows or rows[0]["last"] is None:
        return None
    row = rows[0]
    changed = json.loads(row["changes"])
    rules = Rules.of(changed[-1]["configuration"] if changed else json.loads(row["configuration"]))
    like, state = decode_frame(row["frame"]), from_bytes(row["state"])
    last = decode_piece(row["last"], like).bars
    closes = unpack(row["closes"])[0].get("closes")
    known = np.empty((0, len(like.symbols))) if closes is None else closes
    known = np.pad(known, ((0, 0), (0, len(like.symbols) - known.shape[1])), constant_values=np.nan)
    # bars of a day are complete sessions; of finer ones the closes are stored with every session
    if like.daily and int(state.account["n_positions"][0]) + int(state.account["n_orders"][0]) > 1:
        since = reader.ask(_BARS, (row["id"], row["closes_bars"], _MOST_BARS))
        more = [_close(decode_piece(one["data"], like).bars, like) for one in reversed(since)]
        known = np.vstack([known, *more]) if more else known
    return Stored(rules, state, last, tuple(unpack(row["memory"])[1]["strategies"]), known)


def _close(bar: Bars, like: Bars) -> npt.NDArray[np.float64]:
    # bars from before a symbol joined have no column of it
    return np.pad(bar.close, ((0, 0), (0, len(like.symbols) - bar.close.shape[1])), constant_values=np.nan)


def read_gauges(stored: Stored) -> tuple[Gauge, ...] | None:
    """Return a gauge for each limit that is set, none without a risk manager; None without equity."""
    from simulator.portfolio_risk_manager import PortfolioRiskManager

    limits = stored.rules.risk
    if limits is None:
        return ()
    if not stored.state.account["equity"][0] > 0.0:
        return None
    manager = PortfolioRiskManager(limits, costs=stored.rules.costs, conventions=stored.rules.conventions)
    greeks = any(getattr(limits, name) is not None for _, _, _, name in _GREEKS)
    risk = manager.portfolio_risk(stored, stored.last if greeks else None, row=0)
    return (
        *_of_equity(stored, risk),
        *_sectors(stored),
        *_counts(stored),
        *_correlated(stored),
        *_of_greeks(risk),
    )


def _of_equity(stored: Stored, risk: PortfolioRisk) -> Iterator[Gauge]:
    limits, account = risk.limits, stored.state.account[0]
    largest = max(risk.positions, key=lambda one: abs(one.market_value), default=None)
    size = 0.0 if largest is None else 100.0 * abs(largest.market_value) / risk.equity
    of = "" if largest is None else largest.symbol
    net = risk.net_exposure_pct
    for rule, name, used, limit, about in (
        ("heat", "Portfolio heat", risk.heat_pct, limits.max_portfolio_heat_pct, "loss at all stops"),
        (
            "daily_loss_halt", "Daily loss", max(0.0, risk.daily_loss_pct), limits.daily_loss_limit,
            "entries are halted" if account["daily_halt"] else "since the last session",
        ),
        (
            "drawdown_halt", "Drawdown", max(0.0, risk.drawdown_pct), limits.max_drawdown_pct,
            "entries are halted" if account["drawdown_halt"] else "from the highest equity",
        ),
        ("position_size", "Largest position", size, limits.max_position_size_pct, of),
        ("gross_exposure", "Gross exposure", risk.gross_exposure_pct, limits.max_gross_exposure_pct, ""),
        (
            "net_exposure", "Net exposure", abs(net), limits.max_net_exposure_pct,
            "long" if net > 0.0 else "short" if net < 0.0 else "",
        ),
    ):  # fmt: skip
        if limit is not None and np.isfinite(limit):
            yield Gauge(rule=rule, name=name, used=float(used), limit=float(limit), about=about)


def _sectors(stored: Stored) -> Iterator[Gauge]:
    from simulator.kernel.inspect import portfolio_measures
    from simulator.kernel.views import view_of
    from simulator.setup import params_of

    rules = stored.rules
    limit = None if rules.risk is None else rules.risk.max_sector_exposure_pct
    if limit is None or not np.isfinite(limit):
        return
    params = params_of(rules.cash, rules.risk, rules.costs, rules.conventions, raw=stored.last.raw)
    state, equity = stored.state, float(stored.state.account["equity"][0])
    heats = np.zeros(len(state.positions))
    found = []
    for sector in sorted({int(one["sector"]) for one in (*_held(state), *_working(state))}):
        *_, value = portfolio_measures(view_of(state), params, sector, heats)
        found.append((100.0 * float(value) / equity, _sector(stored.last, sector)))
    for used, name in sorted(found, reverse=True)[:MOST]:
        yield Gauge(rule="sector", name=f"Sector {name}", used=used, limit=float(limit))
    if not found:
        yield Gauge(rule="sector", name="Sectors", used=0.0, limit=float(limit), about="nothing held")


def _sector(bars: Bars, code: int) -> str:
    names = bars.sector_names
    return names[code] if 0 <= code < len(names) and names[code] else "unknown"


def _counts(stored: Stored) -> Iterator[Gauge]:
    """Count as the risk manager does: an order that has filled in part is its position."""
    limits, state = stored.rules.risk, stored.state
    if limits is None:
        return
    waiting = [one for one in _working(state) if one["position"] == 0]
    counted = [*_held(state), *waiting]
    about = f"{len(waiting)} of them orders" if waiting else ""
    yield Gauge(
        rule="max_positions", name="Positions", used=float(len(counted)), unit="", about=about,
        limit=float(limits.max_open_positions),
    )  # fmt: skip
    cap = limits.max_positions_per_strategy
    if cap is not None:
        each = Counter(int(one["strategy"]) for one in counted)
        for code, count in each.most_common(MOST):
            name = stored.strategies[code] if code < len(stored.strategies) else ""
            yield Gauge(
                rule="strategy_cap", name=f"Strategy {name or 'without a name'}", used=float(count), unit="",
                limit=float(cap),
            )  # fmt: skip
    cap = limits.max_positions_per_symbol
    # a limit of one is used up by every position, which says nothing
    if cap is not None and cap > 1 and counted:
        column, count = Counter(int(one["sym"]) for one in counted).most_common(1)[0]
        yield Gauge(
            rule="symbol_cap", name=f"Positions in {stored.symbols[column]}", used=float(count), unit="",
            limit=float(cap),
        )  # fmt: skip
    if limits.cooldown_losses:
        yield Gauge(
            rule="cooldown", name="Losses in a row", used=float(state.account["loss_streak"][0]), unit="",
            limit=float(limits.cooldown_losses),
            about="no entries for now"
            if state.account["cooldown_until"][0] > state.account["row"][0] else "",
        )  # fmt: skip
    if limits.max_days_in_trade is not None and len(_held(state)):
        oldest = min(_held(state), key=lambda one: int(one["entry_ts"]))
        days = max(0, int(state.account["ts"][0]) - int(oldest["entry_ts"])) // _DAY
        yield Gauge(
            rule="max_days_in_trade", name="Longest held, days", used=float(days), unit="",
            limit=float(limits.max_days_in_trade), about=stored.symbols[int(oldest["sym"])],
        )  # fmt: skip


def _correlated(stored: Stored) -> Iterator[Gauge]:
    """Return the closest pair on one side; the rule looks at the same pairs when a signal asks to join."""
    limits = stored.rules.risk
    if limits is None or limits.max_correlation is None:
        return
    pairs = list(_pairs([*_held(stored.state), *_working(stored.state)]))
    columns = sorted({column for pair in pairs for column in pair})
    rho = _correlations(stored, columns) if pairs and len(stored.closes) else None
    best, names = 0.0, "no two positions on one side"
    if pairs:
        names = "not known: too few closes in common"
    for one, other in pairs:
        value = float("nan") if rho is None else abs(float(rho[columns.index(one), columns.index(other)]))
        if value > best:
            best, names = value, f"{stored.symbols[one]} and {stored.symbols[other]}"
    yield Gauge(
        rule="correlation", name="Closest pair", used=best, limit=limits.max_correlation, unit="", about=names
    )


def _pairs(records: Sequence[Any]) -> Iterator[tuple[int, int]]:
    leans = [_lean(one) for one in records]
    for at, one in enumerate(records):
        for two, lean in zip(records[at + 1 :], leans[at + 1 :], strict=True):
            # packages that both bring a credit, or both cost, bet on volatility alike
            alike = one["package"] and two["package"] and one["side"] == two["side"]
            if one["sym"] != two["sym"] and (alike or leans[at] * lean > 0.0):
                low, high = sorted((int(one["sym"]), int(two["sym"])))
                yield low, high


def _lean(one: Any) -> float:
    if not one["package"]:
        return float(one["side"])
    return float(one["delta"] if "delta" in one.dtype.names else one["unit_net"])


def _correlations(stored: Stored, columns: list[int]) -> npt.NDArray[np.float64]:
    from simulator.portfolio_risk_manager import PortfolioRiskManager

    names = [stored.symbols[column] for column in columns]
    closes = stored.closes[:, columns]
    days = np.arange(len(closes), dtype=np.int64)
    panel = np.full((len(closes), len(columns), 5), np.nan)
    panel[:, :, 3] = closes
    bars = (
        stored.last.replaced(options=None, detail=None)
        .select(names)
        .replaced(panel=panel, ts=days, session=days, session_no=days, actions=stored.last.actions[:0],
                  spread=np.zeros((0, 0)), daily=True)
    )  # fmt: skip
    return np.asarray(PortfolioRiskManager(stored.rules.risk).correlation_matrix(bars), np.float64)


_GREEKS: Final = (
    ("net_delta", "Beta-weighted delta", "beta_delta_pct", "max_net_delta_pct"),
    ("gamma", "Gamma", "gamma_pct", "max_gamma_pct"),
    ("theta", "Theta received", "theta_pct", "max_theta_pct"),
    ("vega", "Vega", "vega_pct", "max_vega_pct"),
)


def _of_greeks(risk: PortfolioRisk) -> Iterator[Gauge]:
    for rule, name, field, limit_name in _GREEKS:
        limit, used = getattr(risk.limits, limit_name), getattr(risk, field)
        if limit is not None and np.isfinite(limit) and np.isfinite(used):
            # of theta only what is received has a limit
            shown = max(0.0, used) if rule == "theta" else abs(used)
            yield Gauge(rule=rule, name=name, used=float(shown), limit=float(limit))


def _held(state: State) -> list[Any]:
    slots = state.open_slots["slot"][: int(state.account["n_positions"][0])]
    return [state.positions[slot] for slot in slots if state.positions[slot]["live"] == 1]


def _working(state: State) -> list[Any]:
    slots = state.order_slots["slot"][: int(state.account["n_orders"][0])]
    return [state.orders[slot] for slot in slots if state.orders[slot]["live"] == 1]
