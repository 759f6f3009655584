"""`python -m benchmarks`: every comparison, trades first, then speed and memory as ratios.

    python -m benchmarks                  the whole report; several minutes, most of them backtrader's
    python -m benchmarks --quick          smaller work, the same steps
    python -m benchmarks --only sweep     one section (may be repeated)
    python -m benchmarks --only exchange --orders 1000   the paper exchange, with so many orders
    python -m benchmarks --json           JSON on standard output
    python -m benchmarks --json out.json  JSON into a file, the tables on the terminal

Exits with 1 where trades disagree, and with 0 otherwise: a target that is missed is printed, not hidden, but
depends on the machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import machine
from benchmarks.report import Section, show

SECTIONS = {
    "sweep": "scenarios.sweep_section",
    "portfolio": "scenarios.portfolio_section",
    "long": "scenarios.long_section",
    "chunked": "scenarios.chunked_section",
    "premium": "premium.premium_section",
    "startup": "startup.startup_section",
    "journal": "journal.journal_section",
    "live": "live.live_section",
    "exchange": "exchange.exchange_section",
    "dashboard": "dashboard.dashboard_section",
    "optimize": "optimize.optimize_section",
    "scaling": "scaling.scaling_section",
}
PEERS = {"sweep": ("vectorbt",), "portfolio": ("vectorbt", "backtrader"), "long": ("vectorbt",)}


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen sections and print what they found."""
    options = _parser().parse_args(arguments)
    to_stdout = options.json == "-"
    found: list[Section] = []
    for key in options.only or SECTIONS:
        section = _run(key, quick=options.quick, orders=options.orders)
        found.append(section)
        if not to_stdout:
            show(section)
    if options.json:
        text = json.dumps(
            {
                "machine": machine(),
                "quick": options.quick,
                "sections": [section.as_dict() for section in found],
            },
            indent=2,
        )
        if to_stdout:
            print(text)
        else:
            Path(options.json).write_text(text + "\n", encoding="utf-8")
    if not all(section.agrees for section in found):
        print("trades disagree: no times are given where they do", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("--quick", action="store_true", help="smaller work, the same steps")
    parser.add_argument(
        "--only", action="append", choices=tuple(SECTIONS), help="run this section; may be repeated"
    )
    parser.add_argument("--orders", type=int, metavar="N", help="orders of the section exchange")
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="JSON to standard output, or to FILE"
    )
    return parser


def _run(key: str, *, quick: bool, orders: int | None) -> Section:
    missing = [name for name in PEERS.get(key, ()) if find_spec(name) is None]
    if missing:
        note = f"{' and '.join(missing)} not installed: pip install 'twinstep[peers]'"
        return Section(key, f"{key}: skipped", notes=[note])
    module, _, function = SECTIONS[key].partition(".")
    run = getattr(importlib.import_module(f"benchmarks.{module}"), function)
    section: Section = run(quick=quick, orders=orders) if key == "exchange" else run(quick=quick)
    return section


if __name__ == "__main__":
    sys.exit(main())
