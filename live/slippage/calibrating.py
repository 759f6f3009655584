"""Quantiles of slippage by broker, order type, hour and spread, and what the simulator is to charge for it.

A cell is known only from `min_count` orders on; below it a coarser one answers: without the hour, then
without the spread. What even the coarsest does not know is None, never a guess.

`costs` puts the quantile of market and stop orders in stocks into `slippage_bps`, and what packages gave up
into `spread_share_..`; whatever is not known stays as the given costs have it. The median is what is usual;
the mean is what all orders together have cost, and above it where a few cost much; a careful backtest takes
a higher quantile. What `slippage_bps` holds was measured from the mid, half of the spread included, so the
other parts of slippage are set to 0 with it, or they would count twice.

>>> from simulator.costs import Costs
>>> Calibration(cells={}, until=None, min_count=30, zone=ZONE).costs("alpaca", base="alpaca").slippage_bps
1.0
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import numpy as np

from live.slippage.measuring import Sample
from simulator.costs import Costs
from simulator.errors import ConfigError

__all__ = [
    "QUANTILES",
    "SLIPPING",
    "SPREADS_BPS",
    "ZONE",
    "Calibration",
    "Cell",
    "calibrate",
    "costs_section",
    "spread_bucket",
]

QUANTILES: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)

SPREADS_BPS: Final = (1.0, 2.0, 5.0, 10.0, 25.0, 100.0)
"""Upper ends of the buckets of the quoted spread, basis points of the mid; the last bucket has none."""

MIN_COUNT: Final = 30
"""Orders from which a cell is known: its outer quantiles have one or two beyond them then."""

ZONE: Final = "America/New_York"

SLIPPING: Final = "market+stop"
"""Order type under which market and stop orders are pooled: those whose fills the simulator slips."""

_VERSION: Final = 1
_SHARES: Final = {1: "spread_share_1_leg", **{n: f"spread_share_{n}_legs" for n in (2, 3, 4)}}

Key = tuple[str, str, str, int | None, str]
"""Broker, asset class, order type, hour (None: all), spread bucket ("": all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What orders of one sort cost.

    Attributes
    ----------
    hour
        Of the exchange's day, None for all.
    spread
        Bucket as "2-5", in basis points; "" for all.
    unit
        "bps" of the expected price, or "share" of the quoted spread for packages.
    quantiles
        By probability, in the order of `QUANTILES`.
    """

    broker: str
    asset: str
    kind: str
    hour: int | None
    spread: str
    unit: str
    count: int
    mean: float
    quantiles: tuple[float, ...]

    def at(self, quantile: float | Literal["mean"]) -> float:
        """Return one of the quantiles that are kept, or the mean."""
        return self.mean if quantile == "mean" else self.quantiles[QUANTILES.index(quantile)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Every cell that is known.

    Attributes
    ----------
    until
        Time of the newest order in it, aware; None for none.
    min_count, zone
        As `calibrate` was asked for.
    """

    cells: Mapping[Key, Cell]
    until: datetime | None
    min_count: int
    zone: str

    def cell(
        self,
        broker: str,
        kind: str,
        *,
        asset: str = "stock",
        hour: int | None = None,
        spread_bps: float | None = None,
    ) -> Cell | None:
        """Return the finest cell that is known for such an order, None where none is."""
        bucket = spread_bucket(spread_bps)
        for key in _levels(broker, asset, kind, hour, bucket):
            if key in self.cells:
                return self.cells[key]
        return None

    def costs(
        self, broker: str, *, base: Costs | str | None = None, quantile: float | Literal["mean"] = 0.5
    ) -> Costs:
        """Return costs with what was measured at a broker in place of what was assumed.

        Parameters
        ----------
        base
            Commissions, fees and rates, and slippage where none was measured.
        quantile
            One of `QUANTILES`; 0.5 is the usual order, 0.75 a careful one; or "mean". Never below 0.

        Raises
        ------
        ConfigError
            LIVE_SLIPPAGE_QUANTILE for another one.
        """
        if quantile != "mean" and quantile not in QUANTILES:
            raise ConfigError(
                f"quantile {quantile} is not kept; there are mean, {', '.join(f'{q:g}' for q in QUANTILES)}",
                code="LIVE_SLIPPAGE_QUANTILE",
            )
        changes: dict[str, float] = {}
        stock = self.cell(broker, SLIPPING)
        if stock is not None:
            changes = {"slippage_ticks": 0.0, "slippage_range": 0.0, "slippage_spread": 0.0}
            changes["slippage_bps"] = max(0.0, stock.at(quantile))
        for legs, name in _SHARES.items():
            package = self.cell(broker, f"package_{legs}", asset="option")
            if package is not None:
                changes[name] = max(0.0, package.at(quantile))
        found = Costs.of(base)
        return found.replace(**changes) if changes else found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON; `load` reads it."""
        until = None if self.until is None else self.until.isoformat()
        content = {
            "version": _VERSION, "until": until, "min_count": self.min_count, "zone": self.zone,
            "probabilities": QUANTILES, "cells": [asdict(cell) for cell in self.cells.values()],
        }  # fmt: skip
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read what `save` wrote.

        Raises
        ------
        ConfigError
            LIVE_SLIPPAGE_FILE where it cannot be read, or is something else.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["version"] != _VERSION or tuple(content["probabilities"]) != QUANTILES:
                raise ValueError("it is of another version")
            cells = [_cell(fields) for fields in content["cells"]]
            until = content["until"]
            return cls(
                cells={_key(cell): cell for cell in cells},
                until=None if until is None else datetime.fromisoformat(until),
                min_count=int(content["min_count"]), zone=str(content["zone"]),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path} is no calibration of slippage ({type(error).__name__}: {error}); make it anew from "
                "the journal",
                code="LIVE_SLIPPAGE_FILE",
            ) from error


def costs_section(costs: Costs) -> str:
    """Return costs as section [costs] of a configuration, with every key that differs from no costs."""
    free = Costs()
    lines = [
        f"{name} = {value!r}"
        for name, value in asdict(costs).items()
        if name != "name" and value != getattr(free, name)
    ]
    return "\n".join(["[costs]", 'preset = "zero"', *lines, ""])


def calibrate(found: Iterable[Sample], *, min_count: int = MIN_COUNT, zone: str = ZONE) -> Calibration:
    """Return the quantiles of what orders cost.

    Parameters
    ----------
    found
        Of `samples`.
    min_count
        Orders from which a cell is known, at least 2.
    zone
        Where hours are those of the exchange.

    Raises
    ------
    ConfigError
        LIVE_SLIPPAGE_COUNT for a count below 2.
    """
    if min_count < 2:
        raise ConfigError(
            f"min_count is {min_count}; quantiles need at least 2 orders, and mean little below {MIN_COUNT}",
            code="LIVE_SLIPPAGE_COUNT",
        )
    groups: dict[Key, list[float]] = {}
    until: datetime | None = None
    clock = ZoneInfo(zone)
    for one in found:
        if not math.isfinite(one.value):
            continue
        until = one.time if until is None else max(until, one.time)
        hour, bucket = one.time.astimezone(clock).hour, spread_bucket(one.spread_bps)
        for kind, value in _measures(one):
            for key in dict.fromkeys(_levels(one.broker, one.asset, kind, hour, bucket)):
                groups.setdefault(key, []).append(value)
    cells = {key: _summary(key, values) for key, values in groups.items() if len(values) >= min_count}
    return Calibration(cells=cells, until=until, min_count=min_count, zone=zone)


def spread_bucket(spread_bps: float | None) -> str:
    """Return the bucket of a quoted spread, as "2-5"; "" where it is not known."""
    if spread_bps is None or not math.isfinite(spread_bps):
        return ""
    low = 0.0
    for high in SPREADS_BPS:
        if spread_bps < high:
            return f"{low:g}-{high:g}"
        low = high
    return f"{low:g}+"


def _measures(one: Sample) -> list[tuple[str, float]]:
    """Return under which order types an order counts, and with what value."""
    found = [(one.kind, one.value)]
    if one.kind in ("market", "stop"):
        found.append((SLIPPING, one.value))
    # a single option is what the simulator calls a package of one leg
    if one.asset == "option" and one.kind in ("market", "limit") and one.spread_share is not None:
        found.append(("package_1", one.spread_share))
    return found


def _levels(broker: str, asset: str, kind: str, hour: int | None, bucket: str) -> list[Key]:
    """Return the cells of an order, the finest first."""
    return [
        (broker, asset, kind, hour, bucket),
        (broker, asset, kind, None, bucket),
        (broker, asset, kind, None, ""),
    ]


def _summary(key: Key, values: list[float]) -> Cell:
    broker, asset, kind, hour, spread = key
    sorted_values = np.sort(np.asarray(values, dtype=np.float64))
    return Cell(
        broker=broker, asset=asset, kind=kind, hour=hour, spread=spread,
        unit="share" if kind.startswith("package") else "bps",
        count=len(values), mean=float(sorted_values.mean()),
        quantiles=tuple(float(q) for q in np.quantile(sorted_values, QUANTILES)),
    )  # fmt: skip


def _cell(fields: dict[str, Any]) -> Cell:
    return Cell(**{**fields, "quantiles": tuple(float(value) for value in fields["quantiles"])})


def _key(cell: Cell) -> Key:
    return (cell.broker, cell.asset, cell.kind, cell.hour, cell.spread)
