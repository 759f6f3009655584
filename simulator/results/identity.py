"""The fingerprint: one hash over what went into a run and everything that came out.

Two runs with the same fingerprint had the same kernel, rules, market and signals, and gave the same bytes. It
does not depend on the driver, the chunking, or the machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from simulator.results.raw import RawRun

__all__ = ["configuration_of", "fingerprint_of"]


def configuration_of(raw: RawRun) -> dict[str, Any]:
    """Return cash, limits, costs and conventions as plain values."""
    return {
        "cash": raw.cash,
        "risk": None if raw.risk is None else dataclasses.asdict(raw.risk),
        "costs": dataclasses.asdict(raw.costs),
        "conventions": dataclasses.asdict(raw.conventions),
    }


def fingerprint_of(raw: RawRun) -> str:
    """Return the SHA-256 of engine, configuration, bars, signals and logs, as 64 hex digits."""
    digest = hashlib.sha256()
    names = [raw.tags, raw.strategies, raw.bars.symbols]
    head = json.dumps([configuration_of(raw), names], sort_keys=True, default=str)
    for text in (raw.engine_hash, head, raw.bars.fingerprint):
        digest.update(text.encode())
        digest.update(b"\0")
    signals = raw.signals.aligned(raw.bars)
    for log in (signals, raw.fills, raw.trades, raw.verdicts, raw.events, raw.equity):
        digest.update(str(len(log)).encode())
        digest.update(np.ascontiguousarray(log).view(np.uint8).data if len(log) else b"")
    return digest.hexdigest()
