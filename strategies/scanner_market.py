"""Where a scan gets its quotes: a chain, a folder of snapshots, or a modelled surface.

A `ScanMarket` is one underlying and answers one question: what was quoted at a time? The answer is a
`Snapshot`: IV rank as known then, and a `Strip` per expiry. Nothing later than that time enters it.

Stored quotes are graded "quoted", a surface's "modelled"; a chain that was itself modelled stays so. IV rank
comes from a history of 30-day implied volatility that ends on the session of the scan; where that session
is missing, or a year is not full, it is unknown.

>>> ScanMarket.sample()
ScanMarket(SPX: modelled, sample:spx with sample:vix)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulator.bars.clock import session_of
from simulator.errors import DataError
from simulator.opportunity import Grade
from simulator.options.chain import Chain
from simulator.options.chain_time import Instant, instant_of, session_number
from strategies.scanner_strip import Strip, modelled_strips, quoted_strips

if TYPE_CHECKING:
    import pandas as pd

    from simulator.options.surface import Surface

__all__ = ["ScanMarket", "Snapshot"]

SAMPLE_RATE: Final = 0.024
"""Three-month Treasury bill at the end of 2018, when the bundled sample ends, as a fraction."""
SAMPLE_YIELD: Final = 0.021
"""Dividend yield of the S&P 500 at the end of 2018, as a fraction."""
_REACH: Final = (1, 400)
"""Days to expiry that a modelled market can be asked for: expiries further out are not made."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Snapshot:
    """What one underlying showed at one time.

    Attributes
    ----------
    symbol, ts, session
        The underlying, the time of its quotes (UTC ns), its session (days since 1970-01-01).
    spot
        Price of the underlying.
    iv_rank
        0 to 100, NaN where unknown.
    strips
        One per expiry and trading class.
    grade
        "quoted" or "modelled".
    notes
        What a reader should know.
    """

    symbol: str
    ts: int
    session: int
    spot: float
    iv_rank: float
    strips: tuple[Strip, ...]
    grade: Grade
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class ScanMarket:
    """One underlying and where its quotes come from; made by one of the class methods.

    Attributes
    ----------
    symbol
        The underlying.
    source
        Where the quotes come from, in words.
    grade
        "quoted" or "modelled"; of a folder, what its latest snapshot is.
    rate, dividend_yield
        Continuous rates per year as fractions. With quotes, the yield is the one that put-call parity
        implies, and this one stands in where parity says nothing.
    iv_history
        30-day implied volatility by session date, in any unit; None where there is none.
    rank
        IV rank as a broker supplies it (0 to 100), which then takes the place of the history.
    """

    symbol: str
    source: str
    grade: Grade
    rate: float = 0.0
    dividend_yield: float = 0.0
    iv_history: pd.Series[Any] | None = None
    rank: float | None = None
    chain: Chain | None = None
    folder: Path | None = None
    closes: pd.Series[Any] | None = None
    surface: Surface | None = None

    @classmethod
    def sample(cls) -> ScanMarket:
        """Return the bundled S&P 500 with quotes modelled from the bundled VIX; it ends on 2018-12-31."""
        import pandas as pd

        from simulator import load_bars

        spx, vix = load_bars("sample:spx"), load_bars("sample:vix")
        return cls.modelled(
            "SPX",
            pd.Series(spx.close[:, 0], spx.index),
            pd.Series(vix.close[:, 0], vix.index),
            rate=SAMPLE_RATE,
            dividend_yield=SAMPLE_YIELD,
            source="sample:spx with sample:vix",
        )

    @classmethod
    def modelled(
        cls,
        symbol: str,
        closes: pd.Series[Any],
        index_percent: pd.Series[Any],
        *,
        surface: Surface | str = "index",
        rate: float = 0.0,
        dividend_yield: float = 0.0,
        source: str = "closes and an IV index",
    ) -> ScanMarket:
        """Let a surface quote every option.

        Parameters
        ----------
        symbol
            The underlying.
        closes
            Closes in currency by session date.
        index_percent
            IV index as published, in percent (20.0 is 20 %), by session date; IV rank is that of the index.
        surface
            A `Surface`, or the name of a preset.
        rate, dividend_yield
            Continuous, as fractions.
        source
            In words, for tables.

        Raises
        ------
        UnknownNameError
            NAME_SURFACE.
        DataError
            DATA_EMPTY where no session has both values, DATA_TIME for an index of no session dates.
        """
        from simulator.options.modelled import session_values
        from simulator.options.surface import Surface

        days, _ = session_values(closes, "closes")
        others, _ = session_values(index_percent, "index_percent")
        if not np.intersect1d(days, others).size:
            raise DataError(f"{symbol}: no session has both a close and an IV index", code="DATA_EMPTY")
        return cls(
            symbol=symbol,
            source=source,
            grade="modelled",
            rate=rate,
            dividend_yield=dividend_yield,
            iv_history=index_percent,
            closes=closes,
            surface=Surface.preset(surface) if isinstance(surface, str) else surface,
        )

    @classmethod
    def from_chain(
        cls,
        chain: Chain,
        *,
        iv_history: pd.Series[Any] | None = None,
        iv_rank: float | None = None,
        rate: float = 0.0,
        dividend_yield: float = 0.0,
    ) -> ScanMarket:
        """Take the quotes of a chain, live or stored.

        Parameters
        ----------
        chain
            One or many quote times.
        iv_history
            30-day implied volatility by session date, in any unit, the session of the scan included; by
            default that of the chain itself, which is unknown for less than a year of sessions.
        iv_rank
            IV rank as a broker supplies it, 0 to 100, instead.
        rate, dividend_yield
            Continuous, as fractions.

        Raises
        ------
        DataError
            DATA_EMPTY for a chain without quotes, DATA_IV_RANK for a rank outside 0 to 100.
        """
        if not len(chain):
            raise DataError(f"the chain of {chain.symbol} has no quotes to scan", code="DATA_EMPTY")
        if iv_rank is not None and not 0 <= iv_rank <= 100:
            raise DataError(
                f"the IV rank of {chain.symbol} is {iv_rank!r}; it goes from 0 to 100, so multiply a "
                f"fraction by 100",
                code="DATA_IV_RANK",
            )
        return cls(
            symbol=chain.symbol,
            source=repr(chain),
            grade="quoted" if chain.origin == "real" else "modelled",
            rate=rate,
            dividend_yield=dividend_yield,
            iv_history=iv_history,
            rank=iv_rank,
            chain=chain,
        )

    @classmethod
    def from_folder(
        cls, folder: str | Path, symbol: str, *, rate: float = 0.0, dividend_yield: float = 0.0
    ) -> ScanMarket:
        """Take stored snapshots (`simulator.options.snapshots`), IV history included.

        Raises `UnknownNameError` NAME_SYMBOL where nothing is stored of the symbol.
        """
        from simulator.options.snapshots import iv_history, load_snapshots, snapshot_days

        last = snapshot_days(folder, symbol)[-1]
        newest = load_snapshots(folder, symbol, start=last, end=last)
        return cls(
            symbol=symbol,
            source=f"snapshots of {symbol}",
            grade="quoted" if newest.origin == "real" else "modelled",
            rate=rate,
            dividend_yield=dividend_yield,
            iv_history=iv_history(folder, symbol, rate=rate),
            folder=Path(folder),
        )

    def at(self, as_of: Instant | None = None) -> Snapshot:
        """Return what was quoted at a time; None is the latest.

        Raises `DataError` DATA_QUOTES where nothing was quoted in that session, or not yet.
        """
        return (
            self._modelled_at(as_of) if self.chain is None and self.folder is None else self._quoted_at(as_of)
        )

    def __repr__(self) -> str:
        return f"ScanMarket({self.symbol}: {self.grade}, {self.source})"

    def _quoted_at(self, as_of: Instant | None) -> Snapshot:
        chain = self._stored(as_of)
        now = chain.at(int(chain.times[-1]) if as_of is None else as_of)
        session = int(now.session[0])
        history = self.iv_history
        if history is None and self.rank is None:
            history = _own_history(chain, self.rate, int(now.ts[0]))
        strips = quoted_strips(now, rate=self.rate, dividend_yield=self.dividend_yield)
        return Snapshot(
            symbol=self.symbol,
            ts=int(now.ts[0]),
            session=session,
            spot=strips[0].spot if strips else float("nan"),
            iv_rank=float(self.rank) if self.rank is not None else _rank_on(history, session),
            strips=strips,
            grade="quoted" if now.origin == "real" else "modelled",
            notes=("IV rank as supplied",) if self.rank is not None else (),
        )

    def _stored(self, as_of: Instant | None) -> Chain:
        if self.chain is not None:
            return self.chain
        from simulator.options.snapshots import load_snapshots, snapshot_days

        assert self.folder is not None  # noqa: S101 - one of the two is always there
        day = snapshot_days(self.folder, self.symbol)[-1] if as_of is None else _session(as_of, "XNYS")
        try:
            return load_snapshots(self.folder, self.symbol, start=day, end=day)
        except DataError as error:
            if error.code != "DATA_EMPTY":
                raise
            raise DataError(
                f"{self.symbol}: no snapshot is stored of {np.datetime64(day, 'D')}", code="DATA_QUOTES"
            ) from None

    def _modelled_at(self, as_of: Instant | None) -> Snapshot:
        from simulator.options.modelled import modelled_chain, session_values

        assert self.closes is not None  # noqa: S101 - `modelled` gives all three
        assert self.iv_history is not None  # noqa: S101
        assert self.surface is not None  # noqa: S101
        days, closes = session_values(self.closes, "closes")
        others, index = session_values(self.iv_history, "index_percent")
        both = np.intersect1d(days[closes > 0], others[index > 0])
        session = int(both[-1]) if as_of is None else _session(as_of, "XNYS")
        if session not in both:
            raise DataError(
                f"{self.symbol}: {np.datetime64(session, 'D')} has no close and IV index of its own",
                code="DATA_QUOTES",
            )
        chain = modelled_chain(
            self.symbol,
            self.closes.iloc[np.flatnonzero(days == session)],
            self.iv_history.iloc[np.flatnonzero(others == session)],
            surface=self.surface,
            rate=self.rate,
            dividend_yield=self.dividend_yield,
            dte=_REACH,
        )
        instant = None if as_of is None else instant_of(as_of)
        if instant is not None and instant < int(chain.times[0]):
            raise DataError(
                f"{self.symbol}: modelled quotes are of the close, and {np.datetime64(session, 'D')} has not "
                f"closed at the time asked for",
                code="DATA_QUOTES",
            )
        return Snapshot(
            symbol=self.symbol,
            ts=int(chain.times[0]),
            session=session,
            spot=float(chain.underlying[0]),
            iv_rank=_rank_on(self.iv_history, session),
            strips=modelled_strips(
                chain,
                self.surface,
                index=float(index[others == session][0]) / 100,
                rate=self.rate,
                dividend_yield=self.dividend_yield,
            ),
            grade="modelled",
            notes=(f"quotes are modelled: surface {self.surface.name!r} on {self.source}",),
        )


def _session(as_of: Instant, calendar: str) -> int:
    instant = instant_of(as_of)
    if instant is None:
        return session_number(as_of)
    return int(session_of(calendar, np.array([instant]))[0])


def _rank_on(history: pd.Series[Any] | None, session: int) -> float:
    """Return the IV rank on a session from what was known then; NaN where the session is missing."""
    from simulator.options.iv_rank import iv_rank
    from simulator.options.modelled import session_values

    if history is None or not len(history):
        return float("nan")
    days, values = session_values(history, "iv_history")
    known = values[days <= session]
    if not known.size or int(days[days <= session][-1]) != session:
        return float("nan")
    return float(iv_rank(known)[-1])


def _own_history(chain: Chain, rate: float, now: int) -> pd.Series[Any]:
    """Return the 30-day IV of each session of a chain, from its last quotes, up to a time."""
    import pandas as pd

    from simulator.options.iv_index import constant_maturity_iv

    past = chain.rows(chain.ts <= now)
    iv = constant_maturity_iv(past, rate=rate).to_numpy(np.float64)
    days = past.session[past.offsets[:-1]]
    last = np.append(days[1:] != days[:-1], True)
    return pd.Series(iv[last], pd.DatetimeIndex(days[last].astype("datetime64[D]").astype("datetime64[ns]")))
