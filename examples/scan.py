"""Scan the bundled sample for premium trades, size them, and show what was rejected and why.

Option quotes of the sample are modelled from S&P 500 closes and the VIX; with a chain or a folder of
snapshots in place of nothing the same lines scan real quotes.
"""

from __future__ import annotations

import warnings

from rich.console import Console

from simulator.errors import TwinstepWarning
from simulator.opportunity import describe_legs
from strategies import OptionsScanner, PositionSizer

ACCOUNT = 46_000
"""Equity in currency."""


def main() -> None:
    """Print the table of opportunities, a size for each, and the count of rejections by filter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TwinstepWarning)  # the table says "modelled" as well
        scanner = OptionsScanner(min_iv_rank=50, target_dte=45)
    sizer = PositionSizer(account_size=ACCOUNT)

    opportunities = scanner.scan_for_opportunities()
    console = Console(width=170)
    console.print(scanner.table())
    print(f"\nSizes for an account of {ACCOUNT:,}:")
    for opp in opportunities:
        sizing = sizer.calculate_position_details(opp)
        print(f"{opp.strategy:18} {describe_legs(opp.legs):28} {sizing}")
        if not sizing.contracts:
            print(f"{'':18} {sizing.reasons[0]}")

    rejected = scanner.candidates[~scanner.candidates["accepted"]]
    print(f"\nRejected: {len(rejected)} of {len(scanner.candidates)} candidates")
    print(rejected[["strategy", "legs", "filter", "reason"]].to_string(index=False))


if __name__ == "__main__":
    main()
