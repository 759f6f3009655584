"""Keeping a run: its file is written beside its place, reaches the disk, and then takes the place at once.

Whoever lists the folder meanwhile sees the run as it was before or as it is now. Figures keep ten digits,
which is more than a price has. A run longer than `MOST_SESSIONS` sessions keeps every n-th of them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import secrets
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.errors import TwinstepError
from simulator.ran import ran_of
from simulator.results.export import output_error, plain
from simulator.results.kept import MOST_TRADES, KeptRun, KeptTrade
from simulator.results.kept_folder import FORMAT, HEAD, ID_DIGITS, LIMITS, REPORT, RUN, RunFolder
from simulator.results.summary import head_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from simulator.results.result import Result

__all__ = ["keep_result", "sharpe_interval"]

MOST_SESSIONS: Final = 20_000
"""Rows of the equity curve: about 80 years of sessions."""
_SYMBOLS_SHOWN: Final = 400  # signs
_NAME_SIGNS: Final = 200
_NOTE_SIGNS: Final = 2000
_VALUE_SIGNS: Final = 400
_DIGITS: Final = 10
_NORMAL_95: Final = 1.959963984540054
"""97.5 % quantile of the normal distribution: both ends of an interval at 95 %."""
_LEAST_SESSIONS: Final = 20
_DAY_NS: Final = 86_400_000_000_000
_SCRIPTS: Final = re.compile(r"script-src ([^;\"]*)")
_HASHES: Final = re.compile(r"'sha256-([A-Za-z0-9+/]{43}=)'")
_INTERVAL: Final = ("total_return", "cagr", "sharpe", "max_drawdown", "trades", "win_rate", "average_r")


def keep_result(
    result: Result,
    folder: str | os.PathLike[str],
    *,
    strategy: Any = None,
    note: str = "",
    report: bool = True,
    now: datetime | None = None,
) -> KeptRun:
    """Write a run into a folder, or over itself; see `Result.keep`."""
    store = RunFolder(folder)
    run_id = result.fingerprint[:ID_DIGITS]
    path = store.path(run_id)
    page = _report(result) if report else ""
    body = _body(result, strategy)
    moment = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
    head = _head(result, strategy, page) | {"created": moment, "updated": moment, "note": note[:_NOTE_SIGNS]}
    try:
        before = store.head(run_id)
    except TwinstepError:
        pass  # it is new, or what is there cannot be read
    else:
        head["created"] = before.created.isoformat(timespec="milliseconds")
        head["note"] = head["note"] or before.note
    try:
        _write(path, {HEAD: _json(head), RUN: body, REPORT: page.encode()})
    except OSError as error:
        raise output_error(path, error) from error
    return store.head(run_id)


def sharpe_interval(returns: npt.NDArray[np.float64], periods: float) -> tuple[float, float] | None:
    """Return the interval of an annual Sharpe ratio at 95 %; None below 20 returns, or where they are equal.

    The standard error allows for skewness and fat tails, and takes sessions as independent: Mertens (2002),
    Comments on variance of the IID estimator in Lo; Bailey and López de Prado (2012), The Sharpe ratio
    efficient frontier, Journal of Risk 15(2), eq. 9.

    Parameters
    ----------
    returns : (sessions,)
        Simple returns.
    periods
        Sessions per year.
    """
    n = len(returns)
    if n < _LEAST_SESSIONS:
        return None
    off = returns - returns.mean()
    second = float((off * off).mean())
    if second <= 1e-12 * float((returns * returns).mean()):
        return None
    skewness = float((off * off * off).mean()) / (second * math.sqrt(second))
    kurtosis = float((off * off * off * off).mean()) / (second * second)
    ratio = float(returns.mean()) / math.sqrt(second * n / (n - 1))
    spread = max(1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio * ratio, 0.0)
    half = _NORMAL_95 * math.sqrt(spread / (n - 1))
    year = math.sqrt(periods)
    return (ratio - half) * year, (ratio + half) * year


def _report(result: Result) -> str:
    """Return the report, "" where the run kept no log or its report is too long."""
    from simulator.results.report import render_report

    if not len(result.raw.equity_runs):
        return ""
    page = render_report(result)
    return page if len(page.encode()) <= LIMITS[REPORT] else ""


def _head(result: Result, strategy: Any, page: str) -> dict[str, Any]:
    raw = result.raw
    words = head_of(result)
    policy = _SCRIPTS.search(page)
    logged = bool(len(raw.equity_runs))
    return {
        "format": FORMAT,
        "fingerprint": result.fingerprint,
        "version": _version(),
        "engine": raw.engine_hash,
        "strategy": _strategy(result, strategy)[:_NAME_SIGNS],
        "parameters": _parameters(strategy),
        "data": {
            "name": raw.bars.name[:_NAME_SIGNS],
            "label": result.data_label,
            "symbols": _shortened(", ".join(raw.bars.symbols)),
            "first": words["first"],
            "last": words["last"],
            "bars": int(raw.metrics["bars"][0]),
            "fingerprint": raw.bars.fingerprint,
            "calendar": raw.bars.calendar,
            "benchmark": result.benchmark_name[:_NAME_SIGNS],
        },
        "conventions": raw.conventions.name[:_NAME_SIGNS],
        "costs": raw.costs.name[:_NAME_SIGNS],
        "risk": raw.risk is not None,
        "metrics": _rounded(result.metrics),
        "sharpe_interval": sharpe_interval(np.asarray(result.returns, np.float64), raw.bars.sessions_per_year)
        if logged
        else None,
        "scripts": _HASHES.findall(policy[1]) if policy else [],
    }


def _body(result: Result, strategy: Any) -> bytes:
    """Return the run as JSON, with half as many trades as often as it would be too long to be read."""
    most = MOST_TRADES
    while True:
        body = _json(_document(result, strategy, most))
        if len(body) <= LIMITS[RUN] or not most:
            return body
        most //= 2


def _document(result: Result, strategy: Any, most: int) -> dict[str, Any]:
    raw = result.raw
    interval = result.interval_if_made
    runs = {} if interval is None else {"worst": interval.worst, "best": interval.best}
    log = raw.trades[max(len(raw.trades) - most, 0) :]
    limits = {"risk manager": "off"} if raw.risk is None else _single(dataclasses.asdict(raw.risk))
    data = {
        "source": raw.bars.name, "symbols": _shortened(", ".join(raw.bars.symbols)),
        "fingerprint": raw.bars.fingerprint, "calendar": raw.bars.calendar,
        "raw prices": raw.bars.raw, "notes": "; ".join(raw.bars.notes), "options": result.option_grade,
    }  # fmt: skip
    return {
        "cash": raw.cash,
        "settings": {
            "Strategy": {"name": _strategy(result, strategy)[:_NAME_SIGNS], **_parameters(strategy)},
            "Account": {"cash": raw.cash},
            "Limits": limits,
            "Costs": {"name": raw.costs.name, **_single(dataclasses.asdict(raw.costs))},
            "Conventions": {"name": raw.conventions.name, **_single(dataclasses.asdict(raw.conventions))},
            "Data": _single(data),
        },
        "curve": _curve(result),
        "trades": _columns(log, raw.bars.symbols, raw.tags),
        "left_out": len(raw.trades) - len(log),
        "interval": {
            name: _rounded({key: found[key] for key in _INTERVAL if key in found})
            for name, found in runs.items()
        },
    }


def _curve(result: Result) -> dict[str, Any]:
    raw = result.raw
    if not len(raw.equity_runs):
        return {"day": [], "equity": [], "paid": [], "every": 1}
    from simulator.results.curves import deposits_of, session_ends

    ends = session_ends(raw.bars, raw.seen)
    deposits = deposits_of(raw)
    every = -(-len(ends) // MOST_SESSIONS)
    # the last session is always among them
    ends = ends[(len(ends) - 1) % every :: every]
    paid = np.zeros(len(ends)) if deposits is None else np.diff(np.cumsum(deposits)[ends], prepend=0.0)
    days = raw.bars.session[ends].astype("datetime64[D]").astype(np.int64)
    return {
        "day": days.tolist(),
        "equity": [_short(value) for value in raw.equity_at(ends).tolist()],
        "paid": [[place, _short(float(paid[place]))] for place in np.flatnonzero(paid).tolist()],
        "every": every,
    }


def _columns(log: Any, symbols: tuple[str, ...], tags: tuple[str, ...]) -> dict[str, list[Any]]:
    from simulator.types import ExitReason

    reasons = ExitReason.labels()
    found: dict[str, list[Any]] = {
        "symbol": [symbols[code] for code in log["sym"].tolist()],
        "side": log["side"].tolist(),
        "exit_reason": [reasons.get(code, f"code {code}") for code in log["exit_reason"].tolist()],
        "tag": [tags[code][:_NAME_SIGNS] for code in log["tag"].tolist()],
        "entry_ts": log["entry_ts"].tolist(),
        "exit_ts": log["exit_ts"].tolist(),
    }
    columns = {"r": "r_multiple", "bars": "bars_held"}
    for name in ("qty", "entry_price", "exit_price", "fees", "pnl", "r", "bars"):
        found[name] = [_short(float(value)) for value in log[columns.get(name, name)].tolist()]
    return {name: found[name] for name in KeptTrade._fields}


# Plain values


def _strategy(result: Result, strategy: Any) -> str:
    if strategy is not None:
        return ran_of(strategy).strategy
    return ", ".join(name for name in result.raw.strategies if name) or "signals"


def _parameters(strategy: Any) -> dict[str, Any]:
    return {} if strategy is None else _single(ran_of(strategy).parameters)


def _single(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return single values by name; what holds several gets a name for each, or is written out."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}{key}"[:_NAME_SIGNS]
        if isinstance(value, Mapping):
            found |= _single(value, f"{name}.")
        elif isinstance(value, Enum):
            found[name] = value.name
        elif isinstance(value, float) and not math.isfinite(value):
            found[name] = str(value)
        elif value is None or isinstance(value, (bool, int, float)):
            found[name] = value
        else:
            text = value if isinstance(value, str) else json.dumps(plain(value), default=str)
            found[name] = text[:_VALUE_SIGNS]
    return found


def _shortened(text: str) -> str:
    return text if len(text) <= _SYMBOLS_SHOWN else f"{text[:_SYMBOLS_SHOWN]}…"


def _rounded(values: Mapping[str, float]) -> dict[str, float | str | None]:
    """Return figures by name; JSON has no infinity, which a profit factor may be."""
    return {name: str(value) if math.isinf(value) else _short(float(value)) for name, value in values.items()}


def _short(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("twinstep")
    except PackageNotFoundError:  # run from a source tree that nobody installed
        return "0+source"


# The file


def _write(path: Path, parts: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                for name, content in parts.items():
                    if content:
                        archive.writestr(name, content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    handle = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
