"""The scanner: premium trades worth a look, and for every other candidate the filter that refused it.

A scan takes one snapshot per underlying, builds one candidate per strategy, expiry in bounds and width, and
asks the filters in turn. What passes is measured and ranked: symbols with a good record first, losing ones
last, then by score. `candidates` lists everything that was looked at, so an empty answer explains itself.

Without arguments it scans the bundled S&P 500 sample, whose option quotes are modelled; a warning, the notes,
the table and every `Opportunity` say so. IV rank above 50 is rare (18 % of days since 1990), so an empty
answer is the normal one. A score ranks candidates; it is no forecast.

>>> import warnings
>>> with warnings.catch_warnings():
...     warnings.simplefilter("ignore")
...     scanner = OptionsScanner(min_iv_rank=50, target_dte=45)
>>> opportunities = scanner.scan_for_opportunities()
>>> {opp.grade for opp in opportunities}
{'modelled'}
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.costs import Costs
from simulator.errors import ConfigError, DataError, UnknownNameError, did_you_mean, warn
from simulator.opportunity import Opportunity, ParameterSource, PastPerformance, QualitySource, TrackRecord
from strategies.scanner_settings import ScanSettings

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd
    import rich.table

    from simulator.options.chain import Chain
    from simulator.options.chain_time import Instant
    from strategies.scanner_market import ScanMarket
    from strategies.scanner_search import Candidate

    Source = ScanMarket | Chain | str | Path | Sequence[ScanMarket | Chain]
    Date = str | dt.date
    Earnings = Mapping[str, Iterable[Date | tuple[Date, Date | dt.datetime]]] | pd.DataFrame

__all__ = ["OptionsScanner"]

PARAMETERS_NAME = "options_scanner"
"""Under which a `ParameterSource` keeps what it learned for the scanner."""


class OptionsScanner:
    """Looks for premium trades in live, stored or modelled chains.

    Parameters
    ----------
    source
        A `Chain` (live or loaded), a folder of snapshots, a `ScanMarket`, or several of the first and last;
        None is the bundled sample with modelled quotes.
    min_iv_rank
        Least IV rank, 0 to 100 (50).
    target_dte
        Calendar days to expiry that are best (45); expiries 15 days to either side are looked at.
    journal
        Who remembers closed trades, for ranking and for `Opportunity.past`.
    parameters
        Who has learned settings; they replace defaults, and what is given here goes before both. Learned
        favourites come first among symbols whose own record says nothing.
    quality
        Who has a model of trade quality (`optimize.JournalQuality`), shown beside each opportunity; the order
        does not depend on it.
    blacklist
        Symbols to leave out.
    earnings
        Earnings dates by symbol, or pairs of a date and when it was announced, or a table with symbol, date
        and known_at; no expiry behind one is taken. A date without `known_at` counts whenever is scanned.
        Where none is announced, the next is expected a quarter after the last: `strategies.earnings`.
    costs
        A `Costs`, the name of a preset, or None: the share of the spread that fills give away, and fees.
    **settings
        Any other field of `ScanSettings`: strategies, widths, min_dte, min_credit_to_width, ...

    Raises
    ------
    ConfigError
        CONFIG_SCANNER for an unknown setting or one outside its range, or a source that is none.
    UnknownNameError
        NAME_STRATEGY, NAME_COSTS; NAME_SYMBOL for a folder without snapshots.
    """

    def __init__(
        self,
        source: Source | None = None,
        *,
        min_iv_rank: float | None = None,
        target_dte: int | None = None,
        journal: PastPerformance | None = None,
        parameters: ParameterSource | None = None,
        quality: QualitySource | None = None,
        blacklist: Iterable[str] = (),
        earnings: Earnings | None = None,
        costs: Costs | str | None = None,
        **settings: Any,
    ) -> None:
        given = {"min_iv_rank": min_iv_rank, "target_dte": target_dte}
        settings |= {name: value for name, value in given.items() if value is not None}
        learned = dict(parameters.parameters_for(PARAMETERS_NAME)) if parameters is not None else {}
        excluded = {blacklist} if isinstance(blacklist, str) else set(blacklist)
        self.blacklist = frozenset(excluded | set(learned.pop("blacklist", ())))
        self.favourites = frozenset(learned.pop("favourites", ()))
        known = {spec.name for spec in fields(ScanSettings)}
        self.learned = {name: value for name, value in learned.items() if name in known - set(settings)}
        self.settings = ScanSettings(**{**self.learned, **settings})
        self.journal = journal
        self.quality = quality
        self.earnings = _earnings(earnings)
        self.costs = Costs.of(costs)
        self.markets = _markets(source)
        self.notes: tuple[str, ...] = tuple(dict.fromkeys(map(repr, self.markets)))
        self._candidates: list[Candidate] = []
        self._found: list[Opportunity] = []
        if source is None:
            warn(
                "OptionsScanner() without a source scans the bundled S&P 500 of 2018 with modelled quotes; "
                "give a chain, a folder of snapshots or a ScanMarket for others",
                code="CONFIG_SCAN_SAMPLE",
            )

    @property
    def min_iv_rank(self) -> float:
        """Least IV rank in force, 0 to 100."""
        return self.settings.min_iv_rank

    @property
    def target_dte(self) -> int:
        """Best days to expiry in force."""
        return self.settings.target_dte

    @property
    def grade(self) -> str:
        """Where prices come from: "modelled" as soon as one market is, else "quoted"."""
        return "modelled" if any(market.grade == "modelled" for market in self.markets) else "quoted"

    def scan_for_opportunities(
        self, symbols: Iterable[str] | str | None = None, *, as_of: Instant | None = None
    ) -> list[Opportunity]:
        """Scan and return what passed, best first.

        Parameters
        ----------
        symbols
            Which of the underlyings; all of them by default.
        as_of
            A session (date) or an aware time; None is the latest of each market. Nothing later is used.

        Raises
        ------
        UnknownNameError
            NAME_SYMBOL for a symbol that no market has.
        DataError
            DATA_QUOTES where a market has no quotes for `as_of`, DATA_NAIVE, DATA_TIME.
        """
        from strategies.scanner_search import search

        found: list[Opportunity] = []
        candidates: list[Candidate] = []
        notes = list(map(repr, self.markets))
        if self.learned:
            notes.append("learned: " + ", ".join(f"{k}={v!r}" for k, v in sorted(self.learned.items())))
        for market in self._chosen(symbols):
            snapshot = market.at(as_of)
            notes += snapshot.notes
            if math.isnan(snapshot.iv_rank):
                notes.append(f"IV rank of {market.symbol} is unknown: fewer than 252 sessions of volatility")
            passed, looked_at = search(
                snapshot,
                self.settings,
                costs=self.costs,
                excluded=market.symbol in self.blacklist,
                earnings=self.earnings.get(market.symbol, ((), ())),
                past=self._past(market.symbol),
            )
            found += passed
            candidates += looked_at
        # the symbol and the legs make the order one and the same on every run
        found.sort(
            key=lambda opp: (
                -self._standing(opp),
                -opp.score,
                opp.symbol,
                opp.strategy,
                opp.strikes,
                tuple(leg.expiry for leg in opp.legs),
            )
        )
        if self.quality is not None and found:
            notes.append(self.quality.quality_note("option"))
            found = [replace(opp, quality=self.quality.quality_of(opp)) for opp in found]
        self._candidates, self._found, self.notes = candidates, found, tuple(dict.fromkeys(notes))
        return list(found)

    @property
    def candidates(self) -> pd.DataFrame:
        """Everything that the last scan looked at, one row per candidate, in the order of the search.

        Columns: symbol, strategy, legs (text), strikes (tuple), expiry (date or None), dte, accepted, filter
        (the one that rejected, "" for none), measure and limit (numbers, NaN where there is none), reason,
        grade, as_of (UTC).
        """
        from strategies.scanner_table import candidates_frame

        return candidates_frame(self._candidates)

    def table(self, opportunities: Sequence[Opportunity] | None = None) -> rich.table.Table:
        """Return a `rich` table of opportunities, those of the last scan by default; print it with rich."""
        from strategies.scanner_table import opportunities_table

        return opportunities_table(self._found if opportunities is None else opportunities)

    def __repr__(self) -> str:
        return (
            f"OptionsScanner(min_iv_rank={self.min_iv_rank:g}, target_dte={self.target_dte}, "
            f"{', '.join(market.symbol for market in self.markets)}: {self.grade})"
        )

    def _chosen(self, symbols: Iterable[str] | str | None) -> list[ScanMarket]:
        if symbols is None:
            return list(self.markets)
        wanted = [symbols] if isinstance(symbols, str) else list(symbols)
        known = {market.symbol: market for market in self.markets}
        for symbol in wanted:
            if symbol not in known:
                raise UnknownNameError(
                    f"the scanner has no market of {symbol!r}.{did_you_mean(str(symbol), known)}",
                    code="NAME_SYMBOL",
                )
        return [known[symbol] for symbol in dict.fromkeys(wanted)]

    def _past(self, symbol: str) -> TrackRecord | None:
        return None if self.journal is None else self.journal.past_performance(symbol)

    def _standing(self, opp: Opportunity) -> int:
        own = 0 if opp.past is None else opp.past.standing(self.settings.min_track_trades)
        return own or int(opp.symbol in self.favourites)


def _markets(source: Source | None) -> tuple[ScanMarket, ...]:
    from simulator.options.chain import Chain
    from strategies.scanner_market import ScanMarket

    if source is None:
        return (ScanMarket.sample(),)
    if isinstance(source, (str, Path)):
        return _stored(Path(source))
    given = [source] if isinstance(source, (ScanMarket, Chain)) else source
    made: dict[str, ScanMarket] = {}
    for each in given if isinstance(given, Iterable) else ():
        if not isinstance(each, (ScanMarket, Chain)):
            raise _no_source(each)
        market = ScanMarket.from_chain(each) if isinstance(each, Chain) else each
        if market.symbol in made:
            raise ConfigError(
                f"the scanner is given {market.symbol} twice; join its chains first", code="CONFIG_SCANNER"
            )
        made[market.symbol] = market
    if not made:
        raise _no_source(source)
    return tuple(made.values())


def _no_source(given: object) -> ConfigError:
    return ConfigError(
        f"a scanner cannot scan {given!r}; give a Chain, a folder of snapshots, ScanMarkets, or nothing for "
        f"the bundled sample",
        code="CONFIG_SCANNER",
    )


def _stored(folder: Path) -> tuple[ScanMarket, ...]:
    from urllib.parse import unquote

    from strategies.scanner_market import ScanMarket

    places = sorted(place for place in folder.glob("*") if any(place.glob("[0-9]*.parquet")))
    if not places:
        raise DataError(f"{folder} has no snapshots; `save_snapshot` stores them", code="DATA_EMPTY")
    return tuple(ScanMarket.from_folder(folder, unquote(place.name)) for place in places)


def _earnings(given: Earnings | None) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return dates and when each was known, by symbol, in the order of knowing."""
    from simulator.bars.actions import known_day
    from simulator.options.chain_time import session_number
    from strategies.earnings import ALWAYS

    entries: list[tuple[str, Any, Any]] = []
    if isinstance(given, Mapping):
        for symbol, dates in given.items():
            if isinstance(dates, str):
                raise DataError(f"earnings of {symbol} are the text {dates!r}; give a list", code="DATA_TIME")
            for entry in dates:
                when, known = entry if isinstance(entry, tuple) else (entry, None)
                entries.append((symbol, when, known))
    elif given is not None:
        absent = [name for name in ("symbol", "date") if name not in given.columns]
        if absent:
            raise DataError(f"the table of earnings lacks {', '.join(absent)}", code="DATA_TIME")
        known_at = given["known_at"] if "known_at" in given.columns else [None] * len(given)
        entries = list(zip(given["symbol"].astype(str), given["date"], known_at, strict=True))
    found: dict[str, list[tuple[int, int]]] = {}
    for symbol, when, known in entries:
        # an empty cell of a table does not equal itself, or is no text
        since = ALWAYS if known is None or known != known or known == "" else known_day(known, symbol)
        found.setdefault(symbol, []).append((since, session_number(when)))
    return {
        symbol: (tuple(day for _, day in sorted(pairs)), tuple(since for since, _ in sorted(pairs)))
        for symbol, pairs in found.items()
    }
