"""What a scan shows: the table of opportunities and the frame of candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from simulator.opportunity import Opportunity, describe_legs
from strategies.scanner_search import Candidate

if TYPE_CHECKING:
    import pandas as pd
    import rich.table

__all__ = ["COLUMNS", "candidates_frame", "opportunities_table"]

COLUMNS: Final = (
    "symbol", "strategy", "legs", "strikes", "expiry", "dte", "accepted", "filter", "measure", "limit",
    "reason", "grade", "as_of",
)  # fmt: skip


def opportunities_table(opportunities: Sequence[Opportunity]) -> rich.table.Table:
    """Return a table, one row per opportunity, in the order given; its title says what is modelled."""
    from rich.table import Table

    grades = sorted({opp.grade for opp in opportunities})
    days = sorted({opp.as_of.date().isoformat() for opp in opportunities})
    title = f"{len(opportunities)} opportunities"
    if days:
        title += f", {days[0]}" if len(days) == 1 else f", {days[0]} to {days[-1]}"
    if grades:
        title += f", {' and '.join(grades)} quotes"
    table = Table(title=title)
    for name in ("symbol", "strategy", "legs", "expiry"):
        table.add_column(name, no_wrap=name != "legs")
    for name in ("credit", "max loss", "buying power", "P(profit)", "EV", "IV rank", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("past")
    judged = any(opp.quality is not None for opp in opportunities)
    if judged:
        table.add_column("quality")
    table.add_column("grade", no_wrap=True)
    for opp in opportunities:
        table.add_row(
            opp.symbol,
            opp.strategy,
            describe_legs(opp.legs),
            f"{opp.expiry:%y-%m-%d} {opp.dte}d",
            f"{opp.credit:.2f}",
            "unlimited" if math.isinf(opp.max_loss) else f"{opp.max_loss:,.0f}",
            f"{opp.buying_power:,.0f}",
            f"{opp.probability_of_profit:.0%}",
            f"{opp.expected_value:+,.0f}",
            "?" if opp.iv_rank is None else f"{opp.iv_rank:.0f}",
            f"{opp.score:.0f}",
            "" if opp.past is None else str(opp.past),
            *(["" if opp.quality is None else str(opp.quality)] if judged else []),
            opp.grade,
        )
    return table


def candidates_frame(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return one row per candidate with the columns `COLUMNS`."""
    import pandas as pd

    rows = [[getattr(each, name) for name in COLUMNS] for each in candidates]
    return pd.DataFrame(rows, columns=list(COLUMNS))
