"""What was recommended and entered: `twinstep journal log` and `ignore`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from simulator.errors import ConfigError
from twinstep.journal_words import PLAN, Credit, Debit, Expiry, IvRank, Legs, Price, credit_of, entered
from twinstep.journals import (
    AccountName,
    Fees,
    JournalPath,
    JournalSource,
    Notes,
    When,
    aware,
    legs_of,
    place,
    record,
    writing,
)
from twinstep.options import Json

__all__ = ["IGNORE_EXAMPLES", "LOG_EXAMPLES", "ignore", "log"]

LOG_EXAMPLES: Final = (
    "Examples:\n\n\b\n"
    "  twinstep journal log 1 --contracts 7 --credit 1.90 --iv-rank 68.5\n"
    '  twinstep journal log --symbol SPY --strategy short-put-spread --legs "-95P +90P" --expiry 2030-02-15 '
    "--contracts 7 --credit 1.90\n"
    "  twinstep journal log --symbol AAPL --side buy --quantity 100 --price 50 --stop 48 --target 56\n"
    "  twinstep journal log --recommend --symbol AAPL --side buy --quantity 100 --price 50 --stop 48 "
    "--target 56"
)
IGNORE_EXAMPLES: Final = 'Examples:\n\n\b\n  twinstep journal ignore 3 --reason "earnings next week"'


def _planned(help_text: str, metavar: str = "AMOUNT") -> Any:
    return typer.Option(metavar=metavar, help=help_text, rich_help_panel=PLAN, show_default=False)


def log(
    recommendation: Annotated[
        str | None,
        typer.Argument(metavar="REC", help="Recommendation that it follows.", show_default=False),
    ] = None,
    recommend: Annotated[
        bool, typer.Option("--recommend", help="Store a recommendation, not a trade.")
    ] = False,
    symbol: Annotated[
        str | None, typer.Option(metavar="SYMBOL", help="Without a REC.", show_default=False)
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="As short-put-spread.", show_default=False)
    ] = None,
    contracts: Annotated[
        float | None, typer.Option(metavar="N", help="Packages that were entered.", show_default=False)
    ] = None,
    side: Annotated[
        str | None, typer.Option(metavar="buy|sell", help="Of shares.", show_default=False)
    ] = None,
    quantity: Annotated[float | None, typer.Option(metavar="N", help="Shares.", show_default=False)] = None,
    legs: Legs = None,
    expiry: Expiry = None,
    credit: Credit = None,
    debit: Debit = None,
    price: Price = None,
    fees: Fees = 0.0,
    when: When = None,
    stop: Annotated[float | None, _planned("Stop price.", "PRICE")] = None,
    target: Annotated[float | None, _planned("Target price.", "PRICE")] = None,
    iv_rank: IvRank = None,
    spot: Annotated[float | None, _planned("Price of the underlying.", "PRICE")] = None,
    max_loss: Annotated[float | None, _planned("Largest loss of the whole trade.")] = None,
    max_profit: Annotated[float | None, _planned("Largest profit of the whole trade.")] = None,
    max_days: Annotated[float | None, _planned("Calendar days that it may last.", "DAYS")] = None,
    sector: Annotated[str | None, _planned("Sector of the symbol.", "NAME")] = None,
    signal_type: Annotated[str | None, _planned("What kind of signal it was.", "NAME")] = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why it is recommended.", show_default=False)
    ] = "",
    notes: Notes = "",
    tag: Annotated[
        list[str] | None, typer.Option(metavar="WORD", help="May be repeated.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="A name of your own, unique.", show_default=False)
    ] = None,
    account: AccountName = None,
    override: Annotated[
        bool, typer.Option("--override", help="Also on a recommendation that was ignored or has expired.")
    ] = False,
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Log a trade that was entered, on a recommendation or one of your own; or a recommendation."""
    chosen = place(journal, source)
    sides = {None: None, "buy": 1, "sell": -1}
    if side not in sides:
        raise ConfigError(f"--side is {side!r}; it is buy or sell", code="CLI_SIDE")
    held = {
        "rec_id": recommendation, "actual_contracts": contracts,
        "entry_credit": credit_of(credit, debit, price), "iv_rank": iv_rank, "symbol": symbol,
        "strategy": strategy, "side": sides[side], "quantity": quantity,
        "legs": legs_of(legs, expiry) or None, "expiry": expiry, "entry_price": price,
        "when": aware("--when", when), "stop_price": stop, "target_price": target, "spot": spot,
        "max_loss": max_loss, "max_profit": max_profit, "max_days": max_days, "sector": sector,
        "signal_type": signal_type, "name": name, "account": account, "notes": notes or None,
        "fees": fees or None, "tags": tag or None, "override": override or None,
    }  # fmt: skip
    arguments = {key: value for key, value in held.items() if value is not None}
    with writing(chosen, begin=True) as opened:
        if recommend:
            made = _recommendation(arguments, reason) | {"source": chosen.one_source}
            record(opened, "log_recommendation", made, as_json=as_json, answer=_recommended)
        else:
            # a trade on a recommendation has the source of that
            given = arguments if recommendation is not None else {**arguments, "source": chosen.one_source}
            record(
                opened, "log_trade_entry", given, as_json=as_json,
                answer=lambda number: entered(opened.trade(number)),
            )  # fmt: skip


def ignore(
    recommendation: Annotated[str, typer.Argument(metavar="REC", help="Number of the recommendation.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why not.", show_default=False)] = "",
    journal: JournalPath = None,
    source: JournalSource = None,
    as_json: Json = False,
) -> None:
    """Say that a recommendation will not be traded."""
    with writing(place(journal, source)) as opened:
        opened.recommendation(recommendation)
        record(
            opened, "ignore_recommendation", {"rec_id": recommendation, "reason": reason}, as_json=as_json,
            answer=lambda _: (
                f"recommendation {recommendation} is ignored",
                {"recommendation": recommendation, "status": "ignored"},
            ),
        )  # fmt: skip


def _recommendation(given: Mapping[str, Any], reason: str) -> dict[str, Any]:
    from twinstep import by_hand

    symbol, notes = given.get("symbol"), given.get("notes", "")
    if symbol is None or "rec_id" in given:
        raise ConfigError(
            "--recommend stores something new: name a --symbol, and no REC", code="CLI_RECOMMEND"
        )
    strategy = given.get("strategy", "by hand")
    if "legs" in given:
        if "entry_credit" not in given:
            raise ConfigError("--recommend with --legs needs --credit or --debit", code="CLI_RECOMMEND")
        found = by_hand.opportunity(
            symbol, strategy, given["legs"], credit=given["entry_credit"], iv_rank=given.get("iv_rank"),
            spot=given.get("spot"), multiplier=100.0, notes=notes,
        )  # fmt: skip
        contracts = given.get("actual_contracts")
        sizing = None if contracts is None else by_hand.size(found, int(contracts))
        return {"opp": found, "sizing": sizing, "reason": reason}
    missing = [flag for flag, name in _SIGNAL.items() if name not in given]
    if missing:
        raise ConfigError(
            f"--recommend without --legs is for shares and needs {', '.join(missing)}", code="CLI_RECOMMEND"
        )
    made = by_hand.signal(
        symbol, strategy, side=given["side"], quantity=int(given["quantity"]), price=given["entry_price"],
        stop=given["stop_price"], target=given["target_price"], sector=given.get("sector"), notes=notes,
    )  # fmt: skip
    return {"opp": made, "reason": reason}


_SIGNAL: Final = {
    "--side": "side", "--quantity": "quantity", "--price": "entry_price", "--stop": "stop_price",
    "--target": "target_price",
}  # fmt: skip


def _recommended(number: int) -> tuple[str, dict[str, Any]]:
    return f"recommendation {number}", {"recommendation": number}
