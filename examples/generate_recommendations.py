"""Scan for premium to sell, size what is found, and log every recommendation in the journal.

    python examples/generate_recommendations.py [CHAIN] [--iv-rank 62] [--journal trade_journal.db]

CHAIN is a file or folder of option quotes; without it the bundled S&P 500 is scanned, with modelled quotes,
and what is found is logged as "paper". The scanner uses what the journal has learned and shows how past
trades in a symbol went. What was logged waits for `journal.log_trade_entry(rec_id=...)`, or for
`twinstep journal log REC`. Where a model of closed trades may say something, it stands beside each.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from journal import TradeJournal
from optimize import JournalQuality
from simulator.errors import TwinstepWarning
from simulator.opportunity import describe_legs
from strategies import OptionsScanner, PositionSizer


def main() -> None:
    """Scan once and print what was logged."""
    parser = argparse.ArgumentParser(description="Scan and log every recommendation.")
    parser.add_argument("chain", nargs="?", type=Path, help="option quotes; the bundled sample without")
    parser.add_argument("--iv-rank", type=float, help="IV rank now, which a single chain does not know")
    parser.add_argument("--journal", default="trade_journal.db", help="file or address of the journal")
    parser.add_argument("--account-size", type=float, default=46_000, help="equity in currency")
    given = parser.parse_args()
    source = "paper" if given.chain is None else "live"
    with TradeJournal(given.journal, source=source) as journal:
        scanner = make_scanner(given.chain, given.iv_rank, journal)
        sizer = PositionSizer(account_size=given.account_size)
        opportunities = scanner.scan_for_opportunities()
        for opp in opportunities:
            sizing = sizer.calculate_position_details(opp)
            rec_id = journal.log_recommendation(opp, sizing, reason="Scanner auto-generated")
            past = "no past trades" if opp.past is None else opp.past
            print(f"{rec_id:4} {opp.symbol} {opp.strategy:18} {describe_legs(opp.legs)}: {sizing} ({past})")
            if opp.quality is not None:
                print(f"{'':5}quality: {opp.quality}")
        if opportunities:
            print(scanner.notes[-1])
        print(f"{len(opportunities)} recommendations in {given.journal} as {source}, quotes {scanner.grade}")


def make_scanner(chain: Path | None, iv_rank: float | None, journal: TradeJournal) -> OptionsScanner:
    """Return a scanner with the journal's memory over a chain, or over the bundled sample."""
    if chain is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TwinstepWarning)  # the last line says "modelled" as well
            return OptionsScanner(journal=journal, parameters=journal, quality=JournalQuality(journal))
    from simulator.options import load_chain
    from strategies.scanner_market import ScanMarket

    market = ScanMarket.from_chain(load_chain(chain), iv_rank=iv_rank)
    return OptionsScanner(market, journal=journal, parameters=journal, quality=JournalQuality(journal))


if __name__ == "__main__":
    main()
