"""Export: a run as files that other programs read.

A folder gets `trades`, `fills`, `verdicts`, `events` and `equity` in the chosen format, and `run.json` with
metrics, configuration and fingerprints. Runs with option packages have a table `greeks` too, whose column
`grade` says whether the quotes behind a row were modelled. Times are ISO 8601 in UTC (Parquet: timestamps).
In JSON a missing number is null; in CSV it is empty and a list of words is joined by semicolons.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulator.errors import ConfigError, UnknownNameError, did_you_mean
from simulator.results.greeks import GREEK_UNITS
from simulator.results.identity import configuration_of

if TYPE_CHECKING:
    import pandas as pd

    from simulator.results.result import Result

__all__ = ["FORMATS", "export_result", "output_error", "plain", "run_document"]

FORMATS: Final = ("csv", "parquet", "json")


def export_result(result: Result, folder: Path, kind: str) -> list[Path]:
    """Write every table and `run.json`; see `Result.export`."""
    if kind not in FORMATS:
        raise UnknownNameError(
            f"no export format {kind!r}.{did_you_mean(str(kind), FORMATS)}", code="NAME_FORMAT"
        )
    tables = {
        "trades": result.trades,
        "fills": result.fills,
        "verdicts": result.verdicts,
        "events": result.events,
        "equity": _equity(result),
    }
    if result.package_ids:
        tables["greeks"] = result.greeks.rename_axis("time").reset_index()
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            path = folder / f"{name}.{kind}"
            _write(table, path, kind)
            written.append(path)
        document = folder / "run.json"
        document.write_text(
            json.dumps(run_document(result), indent=2, allow_nan=False) + "\n", encoding="utf-8"
        )
    except OSError as error:
        raise output_error(folder, error) from error
    return [*written, document]


def run_document(result: Result) -> dict[str, Any]:
    """Return metrics, configuration and provenance as plain values."""
    raw = result.raw
    interval = result.interval_if_made
    greeks = {"grade": result.option_grade, "units": dict(GREEK_UNITS)} if result.package_ids else None
    return {
        "fingerprint": result.fingerprint,
        "engine": raw.engine_hash,
        "data": {
            "name": raw.bars.name,
            "origin": raw.bars.origin,
            "options": result.option_grade or None,
            "fingerprint": raw.bars.fingerprint,
            "symbols": list(raw.bars.symbols),
            "bars": raw.seen,
            "calendar": raw.bars.calendar,
            "notes": list(raw.bars.notes),
        },
        "configuration": plain(configuration_of(raw)),
        "benchmark": result.benchmark_name,
        "metrics": plain(result.metrics),
        "greeks": greeks,
        "interval": None if interval is None else interval.to_dict(),
    }


def output_error(path: Path, error: OSError) -> ConfigError:
    """Return the error for a file or folder that cannot be written."""
    return ConfigError(
        f"cannot write {path}: {error.strerror or error}. Is the folder writable, and is there no file in "
        "its place?",
        code="CONFIG_OUTPUT",
    )


def plain(value: Any) -> Any:
    """Return a value that JSON can hold: NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def _equity(result: Result) -> pd.DataFrame:
    table = result.exposure.assign(drawdown=result.drawdown, benchmark=result.benchmark)
    return table.rename_axis("time").reset_index()


def _write(table: pd.DataFrame, path: Path, kind: str) -> None:
    if kind == "parquet":
        table.to_parquet(path, index=False)
    elif kind == "json":
        table.to_json(
            path, orient="records", date_format="iso", date_unit="ns", double_precision=15, indent=0
        )
    else:
        flat = table
        if "absent" in table:
            flat = table.assign(absent=[";".join(words) for words in table["absent"]])
        flat.to_csv(
            path,
            index=False,
            date_format="%Y-%m-%dT%H:%M:%S.%fZ" if _has_seconds(table) else "%Y-%m-%dT%H:%M:%SZ",
        )


def _has_seconds(table: pd.DataFrame) -> bool:
    # microseconds in every row of a table of daily bars would only be noise
    import pandas as pd

    times = [table[name] for name in table if isinstance(table[name].dtype, pd.DatetimeTZDtype)]
    return any(bool((column.dt.microsecond != 0).any()) for column in times)
