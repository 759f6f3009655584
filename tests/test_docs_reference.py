"""The reference pages of `docs/`: generated parts are fresh, tables complete, links good, snippets run.

What can be generated is: pictures and outcomes of conventions and the worked numbers of the risk manager come
from running the kernel on tiny cases. `python tests/test_docs_reference.py` rewrites those parts.
"""

# ruff: noqa: E501 - a row of a table is one line, however long

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest

from simulator import (
    Bars,
    Command,
    Conventions,
    Costs,
    PortfolioRiskManager,
    Result,
    RiskLimits,
    Run,
    Signals,
    backtest,
)
from simulator.bars.guard import ERROR_RULES
from simulator.conventions import CHOICES, PROFILES
from simulator.risk_limits import POLICIES
from simulator.signals import COLUMNS
from simulator.types import (
    CommandKind,
    Entry,
    ExitReason,
    HaltState,
    OrderState,
    PriceRule,
    Reason,
    allowed_transitions,
)
from twinstep.schema import parameter_docs

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
SOURCES: Final = ("simulator", "strategies", "twinstep")

Prices = tuple[float, float, float, float]
Columns = dict[str, Any]


# Conventions: one tiny case each, drawn and run under every value


@dataclass(frozen=True)
class Example:
    """Bars of one symbol after a signal at a close of 100, bought at the open of bar 1 unless said otherwise."""

    bars: tuple[Prices, ...]
    signal: Columns
    values: tuple[Any, ...] = ()
    later: tuple[tuple[int, int, Columns], ...] = ()  # bar, side, columns of further signals
    levels: dict[str, float] = field(default_factory=dict)
    step: float = 1.0
    rules: Columns = field(default_factory=dict)


BRACKET: Final[Columns] = {"stop": 95.0, "target": 110.0}
STOP: Final = {"stop": 95.0}
BOTH: Final = {"target": 110.0, "stop": 95.0}
EXAMPLES: Final[dict[str, list[Example]]] = {
    "collision": [
        Example(((100, 101, 99, 100), (101, 111, 94, 104)), BRACKET, levels=BOTH, step=2.5),
        Example(((100, 101, 99, 100), (105, 111, 94, 98)), BRACKET, levels=BOTH, step=2.5),
    ],
    "target_gap": [Example(((100, 101, 99, 100), (112, 113, 94, 97)), BRACKET, levels=BOTH, step=2.5)],
    "trail_rule": [
        Example(
            ((100, 101, 99, 100), (104, 110, 103, 104.5), (104.5, 106, 100, 101), (101, 101, 98, 98.5)),
            {"trail_amount": 5.0},
        )
    ],
    "stop_and_trail": [
        Example(
            ((100, 101, 99, 100), (100, 100, 97, 99), (99, 100, 94, 95)),
            {"stop": 98.0, "trail_amount": 5.0},
            levels={"stop": 98.0},
        )
    ],
    "entry_bar": [Example(((100, 101, 94, 99), (99, 100, 94, 96)), STOP, levels=STOP)],
    "exit_bar_signal": [
        Example(((100, 101, 99, 100), (101, 102, 94, 96)), STOP, later=((1, 0, {}),), levels=STOP)
    ],
    "same_side": [
        Example(((100, 101, 99, 100), (101, 103, 100, 102)), STOP, later=((1, 1, {"stop": 96.0}),))
    ],
    "opposite_side": [
        Example(((100, 101, 99, 100), (101, 103, 100, 102)), STOP, later=((1, -1, {"stop": 106.0}),))
    ],
    "stop_gap": [Example(((100, 101, 99, 100), (92, 96, 91, 94)), STOP, levels=STOP)],
    "limit_gap": [
        Example(((100, 101, 99, 100), (112, 113, 108, 109)), BRACKET, levels={"target": 110.0}, step=2.5)
    ],
    "stop_slippage": [
        Example(
            ((100, 101, 99, 100), (98, 99, 94, 96)),
            STOP,
            levels=STOP,
            rules={"costs": Costs(slippage_bps=10)},
        )
    ],
    "volume_cap": [
        Example(((100, 101, 99, 100), (101, 102, 100, 101)), {**STOP, "qty": 250.0}, values=(0.0, 0.1))
    ],
}


def example_of(name: str) -> str:
    return "\n\n".join(_example(name, example) for example in EXAMPLES[name])


def _example(name: str, example: Example) -> str:
    values = example.values or tuple(CHOICES[name])
    rows = [(f"`{value}`", _story(_run_example(name, value, example))) for value in values]
    drawn = picture(example.bars, example.levels, example.step)
    return f"```text\n{drawn}\n```\n\n{_table((f'`{name}`', 'what happens'), rows)}"


def _run_example(name: str, value: Any, example: Example) -> Result:
    bars = tiny({"X": ((100.0, 100.0, 100.0, 100.0), *example.bars)})
    rows, sides = [0, *(at for at, _, _ in example.later)], [1, *(side for _, side, _ in example.later)]
    given = [example.signal, *(columns for _, _, columns in example.later)]
    names = {"qty", *(key for columns in given for key in columns)}
    columns = {
        key: [one.get(key, 100.0 if key == "qty" else np.nan) for one in given] for key in sorted(names)
    }
    signals = Signals.from_arrays(bars, rows, 0, sides, **columns)
    chosen = Conventions(**{name: value})
    return backtest(bars, signals, risk=None, conventions=chosen, **example.rules)


def _story(result: Result) -> str:
    """Fills and what is open at the end, in words."""
    bar = {time: row for row, time in enumerate(result.raw.bars.index)}
    fills: list[Any] = list(result.fills.itertuples())
    parts = []
    for fill in fills:
        what = "bought" if fill.side > 0 else "sold"
        why = "" if fill.kind in ("entry", "add") else f" ({fill.reason})"
        parts.append(f"{what} {fill.qty:g} at {fill.price:g} in bar {bar[fill.time]}{why}")
    held = sum(fill.qty * fill.side for fill in fills)
    if held:
        parts.append(f"{'long' if held > 0 else 'short'} {abs(held):g} at the end")
    return "; ".join(parts)


def picture(bars: Sequence[Prices], levels: dict[str, float], step: float) -> str:
    """Bars in characters: open to the left, close to the right of the range; levels as dotted lines."""
    top = step * np.ceil(max(max(bar[1] for bar in bars), *levels.values(), 0.0) / step)
    bottom = min(min(bar[2] for bar in bars), *levels.values(), np.inf)
    height = round((top - bottom) / step) + 1

    def at(price: float) -> int:
        return int((top - price) / step + 0.5)

    named = {at(price): name for name, price in levels.items()}
    lines = []
    for row in range(height):
        cells = ""
        for open_, high, low, close in bars:
            middle = "|" if at(high) <= row <= at(low) else " "
            cells += f"  {'-' if at(open_) == row else ' '}{middle}{'-' if at(close) == row else ' '}  "
        name = named.get(row, "")
        line = f"{top - row * step:6g} {name:6} "
        lines.append(f"{line}{cells.replace(' ', '.')}" if name else f"{line}{cells}".rstrip())
    header = "".join(f"{number:^7}" for number in range(1, len(bars) + 1))
    return "\n".join([*lines, f"   bar        {header}".rstrip()])


def profiles() -> str:
    names = list(PROFILES)
    standard = PROFILES["realistic"]
    rows = []
    for choice in (*CHOICES, "volume_cap"):
        cells = []
        for name in names:
            value = getattr(PROFILES[name], choice)
            cells.append(f"{value}" if value == getattr(standard, choice) else f"**{value}**")
        rows.append((f"`{choice}`", *cells))
    return _table(("choice", *(f"`{name}`" for name in names)), rows)


# The risk manager: worked numbers


def tiny(prices: dict[str, Sequence[Prices]], sectors: dict[str, str] | None = None) -> Bars:
    """Bars of a few sessions from 2020-01-02, volume 1,000, prices to the cent."""
    rows = len(next(iter(prices.values())))
    panel = np.array([[[*bar, 1000.0] for bar in symbol] for symbol in prices.values()]).swapaxes(0, 1)
    days = pd.bdate_range("2020-01-02", periods=rows).as_unit("ns").asi8
    return Bars.from_arrays(list(prices), days, np.ascontiguousarray(panel), sectors=sectors)


@lru_cache(maxsize=1)
def flat() -> Bars:
    """Four symbols at 100 for five sessions, two of them in one sector."""
    still: list[Prices] = [(100.0, 100.0, 100.0, 100.0)] * 5
    names = {"A": "Technology", "B": "Technology", "C": "Energy", "D": "Utilities"}
    return tiny(dict.fromkeys(names, still), names)


@lru_cache(maxsize=1)
def wavy() -> Bars:
    """Two symbols that move together and one that does not, for 61 sessions."""
    n = np.arange(61)
    together, alone = 100 * np.exp(0.01 * np.sin(n)), 100 * np.exp(0.01 * np.sin(2.5 * n + 1))
    paths = {"A": together, "B": together * 1.1, "C": alone}
    return tiny({name: [(p, p, p, p) for p in path] for name, path in paths.items()}, {})


WIDE: Final = RiskLimits(
    risk_per_trade_pct=100.0, max_portfolio_heat_pct=1000.0, max_sector_exposure_pct=1000.0, leverage=10.0
)
"""Limits that leave room for the one that an example is about."""


@dataclass(frozen=True)
class Case:
    """Signals, all at one close unless said otherwise, of which the last one's verdict is shown."""

    what: str
    limits: RiskLimits
    signals: tuple[Columns, ...]
    market: Callable[[], Bars] = flat
    rules: Columns = field(default_factory=dict)


def buy(symbol: str = "A", *, row: int = 1, side: int = 1, **columns: Any) -> Columns:
    return {"row": row, "symbol": symbol, "side": side, "stop": 95.0, **columns}


VERDICTS: Final = [
    Case("buy at 100, stop 95, sized by 2 % of 100,000", WIDE.replace(risk_per_trade_pct=2.0), (buy(),)),
    Case("the same, 1,000 asked", WIDE.replace(risk_per_trade_pct=2.0), (buy(qty=1000.0),)),
    Case("the same under `on_risk=\"reject\"`", WIDE.replace(risk_per_trade_pct=2.0, on_risk="reject"), (buy(qty=1000.0),)),
    Case("800 resting with stop 95 are 4 % heat; 800 more in another sector", WIDE.replace(max_portfolio_heat_pct=6.0), (buy(qty=800.0), buy("C", qty=800.0))),
    Case("150 of A in the sector; 400 of B asked", WIDE.replace(max_sector_exposure_pct=25.0), (buy(qty=150.0), buy("B", qty=400.0))),
    Case("400 asked, a position may be 10 %", WIDE.replace(max_position_size_pct=10.0), (buy(qty=400.0),)),
    Case("500 of A; 800 of C asked, 100 % gross", WIDE.replace(max_gross_exposure_pct=100.0), (buy(qty=500.0), buy("C", qty=800.0))),
    Case("500 of A; 800 of C asked, 80 % net", WIDE.replace(max_net_exposure_pct=80.0), (buy(qty=500.0), buy("C", qty=800.0))),
    Case("the same, C sold short: net falls", WIDE.replace(max_net_exposure_pct=80.0), (buy(qty=500.0), buy("C", side=-1, stop=105.0, qty=800.0))),
    Case("1,500 asked, cash for 1,000", WIDE.replace(leverage=1.0), (buy(qty=1500.0),)),
    Case("2 % of 200 is 4, one share risks 5", WIDE.replace(risk_per_trade_pct=2.0), (buy(),), rules={"cash": 200.0}),
    Case("strength WEAK", WIDE, (buy(strength="WEAK"),)),
    Case("score 55", WIDE, (buy(score=55.0),)),
    Case("target 107: 7 for 5", WIDE, (buy(target=107.0),)),
    Case("target 110: 10 for 5", WIDE, (buy(target=110.0, qty=10.0),)),
    Case("half at 105, half at 115: the mean counts", WIDE, (buy(target=105.0, target_fraction=0.5, target2=115.0, target2_fraction=0.5, qty=10.0),)),
    Case("one resting, one position allowed", WIDE.replace(max_open_positions=1), (buy(qty=1.0), buy("C", qty=1.0))),
    Case("B moves with A", WIDE, (buy(row=60, stop_percent=5.0, stop=np.nan, qty=1.0), buy("B", row=60, stop=np.nan, stop_percent=5.0, qty=1.0)), wavy),
    Case("C does not", WIDE, (buy(row=60, stop_percent=5.0, stop=np.nan, qty=1.0), buy("C", row=60, stop=np.nan, stop_percent=5.0, qty=1.0)), wavy),
    Case("two returns are too few to know", WIDE.replace(unknown_correlation="reject"), (buy(row=2, stop_percent=5.0, stop=np.nan, qty=1.0), buy("B", row=2, stop=np.nan, stop_percent=5.0, qty=1.0)), wavy),
    Case("no stop, no trail, no quantity", WIDE, (buy(stop=np.nan),)),
    Case("a long's stop above the close", WIDE, (buy(stop=101.0),)),
    Case("a long's target below the close", WIDE, (buy(stop=np.nan, target=99.0, qty=1.0),)),
    Case("long already", WIDE, (buy(qty=1.0), buy(row=3, qty=1.0))),
    Case("long already, `same_side=\"add\"`, one position per symbol", WIDE, (buy(qty=1.0), buy(row=3, qty=1.0)), rules={"conventions": Conventions(same_side="add")}),
    Case("long already, a short asked", WIDE, (buy(qty=1.0), buy(row=3, side=-1, stop=105.0, qty=1.0))),
    Case("close what is not there", WIDE, (buy(side=0, stop=np.nan),)),
    Case("after a kill", WIDE, (buy(row=2, qty=1.0),), rules={"commands": [Command("2020-01-03", "kill")]}),
    Case("after a reduce", WIDE, (buy(row=2, qty=1.0),), rules={"commands": [Command("2020-01-03", "reduce")]}),
]  # fmt: skip


def verdicts() -> str:
    rows = []
    for case in VERDICTS:
        verdict = _placed(case).verdicts.iloc[-1]
        cells = [_number(verdict[name]) for name in ("value", "limit", "asked", "granted")]
        rows.append((case.what, verdict["outcome"], f"`{verdict['rule']}`", *cells))
    return _table(("what", "outcome", "rule", "value", "limit", "asked", "granted"), rows)


def _placed(case: Case) -> Result:
    bars = case.market()
    frame = pd.DataFrame(list(case.signals))
    columns = {
        name: [None if pd.isna(value) else value for value in frame[name]]
        if frame[name].dtype == object or isinstance(frame[name].dtype, pd.StringDtype)
        else frame[name].to_numpy(float)
        for name in frame.columns.drop(["row", "symbol", "side"])
    }
    signals = Signals.from_arrays(bars, frame["row"], frame["symbol"].tolist(), frame["side"], **columns)
    return backtest(bars, signals, risk=case.limits, **case.rules)


HEATS: Final[list[tuple[str, tuple[Columns, ...]]]] = [
    ("100 bought at 100, stop 95", (buy(row=0, qty=100.0),)),
    ("the same, stop moved to break-even at 0.5 R", (buy(row=0, qty=100.0, breakeven_r=0.5),)),
    ("the same, 50 more planned at 1 R (105)", (buy(row=0, qty=100.0, add_r=1.0, add_fraction=0.5),)),
    ("a limit at 98 resting, stop 95, 100 shares", (buy(row=1, qty=100.0, entry="limit", limit_price=98.0),)),
    ("100 sold short at 100, stop 108", (buy(row=0, side=-1, stop=108.0, qty=100.0),)),
    ("100 bought at 100 without a stop", (buy(row=0, stop=np.nan, qty=100.0),)),
]


def heats() -> str:
    """Heat in currency after a close of 104, by basis."""
    bars = tiny({"A": [(100.0, 100.0, 100.0, 100.0), (100.0, 104.0, 100.0, 104.0)]})
    rows = []
    for what, given in HEATS:
        cells = []
        for basis in POLICIES["heat_basis"]:
            limits = WIDE.replace(heat_basis=basis)
            frame = pd.DataFrame(list(given))
            columns = {name: frame[name].tolist() for name in frame.columns.drop(["row", "symbol", "side"])}
            signals = Signals.from_arrays(bars, frame["row"], ["A"], frame["side"], **columns)
            run = Run(bars, signals, risk=limits)
            run.advance()
            cells.append(_number(PortfolioRiskManager(limits).portfolio_risk(run).heat))
        rows.append((what, *cells))
    return _table(("after a close of 104", 'heat, basis `"entry"`', 'heat, basis `"mark"`'), rows)


def halts() -> str:
    """One bad session under both ways of release, and with a person who arms again."""
    prices = [100.0, 100.0, 97.0, 97.0, 97.0, 97.0]
    bars = tiny({"A": [(p, p, p, p) for p in prices], **{name: [(50.0,) * 4] * 6 for name in "BCD"}})
    first = {"stop": 60.0, "qty": 800.0}
    signals = Signals.concat(
        [
            Signals.from_arrays(bars, [0], "A", 1, **first),
            Signals.from_arrays(bars, [2, 3, 4], ["B", "C", "D"], 1, qty=1.0, stop=40.0),
        ]
    )
    states, answers = {}, {}
    for release, commands in (
        ("next_session", None),
        ("manual", None),
        ("manual, armed", [Command(_day(bars, 4), "arm")]),
    ):
        limits = WIDE.replace(daily_loss_limit=2.0, halt_release=release.split(",")[0])
        result = backtest(bars, signals, risk=limits, commands=commands)
        states[release] = [HaltState(int(code)).label for code in result.exposure["state"]]
        later = result.verdicts[result.verdicts["symbol"] != "A"]
        answers[release] = dict(zip(later["time"], later["reason"], strict=True))
        equity = result.equity.to_numpy()
    rows = []
    for row, time in enumerate(bars.index):
        loss = 100.0 * (1.0 - equity[row] / (equity[row - 1] if row else 100_000.0))
        cells = [f"{states[release][row]}{_answer(answers[release].get(time))}" for release in states]
        rows.append((str(time.date()), f"{equity[row]:,.0f}", f"{loss:.2f} %", *cells))
    heads = ("session", "equity", "lost in it", "`next_session`", "`manual`", "`manual`, armed on the 8th")
    return _table(heads, rows)  # fmt: skip


def _answer(reason: str | None) -> str:
    return "" if reason is None else f"; a signal is {'`' + reason + '`'}"


def _day(bars: Bars, row: int) -> str:
    return str(bars.index[row].date())


UNITS: Final = {
    "max_correlation": "0 to 1",
    "min_risk_reward_ratio": "reward / risk",
    "min_signal_strength": "class",
    "min_pattern_score": "0 to 100",
    "max_days_in_trade": "calendar days",
    "correlation_window": "sessions",
    "correlation_min_observations": "sessions",
    "cooldown_losses": "trades",
    "cooldown_bars": "bars",
    "leverage": "times equity",
    "daily_loss_limit": "percent",
}


def limits() -> str:
    meaning = parameter_docs(RiskLimits)
    rows = []
    for spec in dataclasses.fields(RiskLimits):
        name, default = spec.name, getattr(RiskLimits(), spec.name)
        shown = default.name if hasattr(default, "name") else default
        unit = UNITS.get(name, "percent" if name.endswith("_pct") else "count")
        if name in POLICIES:
            unit = " or ".join(f"`{choice}`" for choice in POLICIES[name])
        rows.append((f"`{name}`", f"`{shown}`", unit, meaning[name].replace("|", "\\|")))
    return _table(("limit", "default", "unit", "meaning"), rows)


def transitions() -> str:
    rows = []
    for state in OrderState:
        following = sorted(allowed_transitions(state))
        rows.append((f"`{state.name}`", ", ".join(f"`{other.name}`" for other in following) or "final"))
    return _table(("state", "may become"), rows)


# Putting generated parts into pages

BLOCKS: Final[dict[str, dict[str, Callable[[], str]]]] = {
    "conventions.md": {**{name: partial(example_of, name) for name in EXAMPLES}, "profiles": profiles},
    "risk.md": {"limits": limits, "verdicts": verdicts, "heat": heats, "halts": halts},
    "orders.md": {"transitions": transitions},
}


def refreshed(text: str, blocks: dict[str, Callable[[], str]]) -> str:
    """Return a page with what stands between its markers made anew."""
    for name, generate in blocks.items():
        begin, end = f"<!-- generated: {name} -->\n", "<!-- end -->"
        before, found, rest = text.partition(begin)
        if not found:
            raise LookupError(f"no marker {begin.strip()!r}")
        text = f"{before}{begin}\n{generate()}\n\n{end}{rest.partition(end)[2]}"
    return text


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float) -> str:
    return "" if value != value else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def cells(text: str, heading: str) -> list[list[str]]:
    """Rows of the table below a heading, as cells."""
    section = text.split(f"\n{heading}\n", 1)[1]
    section = re.split(r"\n#+ ", section)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def named(rows: list[list[str]], column: int = 0) -> list[str]:
    """Every name in backquotes in a column."""
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[column])]


# The tests


@pytest.mark.parametrize("name", list(BLOCKS))
def test_generated_parts_are_fresh(name: str) -> None:
    text = page(name)
    assert text == refreshed(text, BLOCKS[name]), "stale: run python tests/test_docs_reference.py"


def test_every_convention_and_value_has_its_picture_and_outcome() -> None:
    text = page("conventions.md")
    assert set(EXAMPLES) == {*CHOICES, "volume_cap"}
    for choice, values in CHOICES.items():
        section = text.split(f"### {choice}\n")[1].split("\n### ")[0]
        assert [f"`{value}`" in section for value in values] == [True] * len(values), choice
        outcomes = [_story(_run_example(choice, value, EXAMPLES[choice][-1])) for value in values]
        assert len(set(outcomes)) >= 2, f"the example of {choice} shows no difference"


def test_the_order_of_operations_is_that_of_the_step() -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / "simulator/kernel/step.py").read_text(encoding="utf-8")))
    assert docstring is not None
    phases = re.findall(r"^ {4}(\d[abc]?)  +\S", docstring, re.MULTILINE)
    rows = cells(page("conventions.md"), "## The order of operations")
    assert [row[0] for row in rows] == phases


def test_every_limit_is_explained_and_every_policy_value_named() -> None:
    rows = cells(page("risk.md"), "## Limits")
    assert named(rows) == [spec.name for spec in dataclasses.fields(RiskLimits)]
    text = page("risk.md").split("\n## Rules\n")[1]
    for spec in dataclasses.fields(RiskLimits):
        assert f"`{spec.name}" in text, spec.name


def test_the_reason_table_is_the_enumeration() -> None:
    rows = cells(page("risk.md"), "## Reasons of verdicts") + cells(page("orders.md"), "## Reasons of events")
    listed = [(int(row[0]), row[1].strip("`")) for row in rows]
    assert listed == [(int(reason), reason.label) for reason in Reason]
    assert all(len(row[2].split()) >= 3 for row in rows)


def test_every_rule_with_numbers_is_worked() -> None:
    worked = {row[2].strip("`") for row in cells(page("risk.md"), "## Worked numbers")}
    assert worked >= {
        "admitted", "risk_per_trade", "heat", "sector", "position_size", "gross_exposure", "net_exposure",
        "buying_power", "min_quantity", "min_strength", "min_score", "min_reward_risk", "max_positions",
        "correlation", "correlation_unknown", "no_stop", "invalid_stop", "invalid_target", "killed",
    }  # fmt: skip


def test_every_column_of_signals_is_documented() -> None:
    listed = named(cells(page("orders.md"), "## Columns of a signal"))
    assert sorted(listed) == sorted(COLUMNS)


@pytest.mark.parametrize(
    ("heading", "members"),
    [
        ("## Entries", [entry.label for entry in Entry if entry <= Entry.MOC]),
        ("## States", [state.name for state in OrderState]),
        ("## Exit reasons", [reason.label for reason in ExitReason if reason]),
        ("## Price rules", [rule.label for rule in PriceRule]),
        ("## Commands", [kind.label for kind in CommandKind]),
    ],
)
def test_every_word_of_an_order_is_documented(heading: str, members: list[str]) -> None:
    rows = cells(page("orders.md"), heading)
    assert named(rows) == members
    assert all(row[1] for row in rows)


def codes_in_source() -> dict[str, set[str]]:
    """Error and warning codes that the sources raise, and the calls whose code is built from a name."""
    found: dict[str, set[str]] = {"fixed": set(), "built": set()}
    for package in SOURCES:
        for file in (ROOT / package).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            found["fixed"] |= set(_codes(tree))
            found["fixed"] |= set(re.findall(r"error \[(CLI_\w+)\]", file.read_text(encoding="utf-8")))
    found["fixed"] |= {f"DATA_{rule.upper()}" for rule in ERROR_RULES}
    unchecked = {
        "time",
        "priority",
        "strategy",
        "sector",
        "tag",
    }  # every value is possible, or has codes above
    found["built"] = {f"SIGNAL_{name.upper()}" for name in (COLUMNS - unchecked) | {"trail", "row"}}
    return found


def _codes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "code":
            for constant in ast.walk(node.value):
                if isinstance(constant, ast.Constant) and re.fullmatch(
                    r"[A-Z]+_[A-Z_]+", str(constant.value)
                ):
                    yield str(constant.value)
        elif isinstance(node, ast.Assign) and "code" in ast.unparse(node.targets[0]):
            for constant in ast.walk(node.value):
                if isinstance(constant, ast.Constant) and re.fullmatch(
                    r"[A-Z]+_[A-Z_]+", str(constant.value)
                ):
                    yield str(constant.value)


def test_every_error_code_is_documented_and_every_documented_code_exists() -> None:
    source = codes_in_source()
    text = page("errors.md")
    rows = [
        row for heading in re.findall(r"^## .*$", text, re.MULTILINE) for row in _rows_below(text, heading)
    ]
    listed = named(rows)
    assert len(set(listed)) == len(listed)
    assert sorted((source["fixed"] | source["built"]) - set(listed)) == []
    assert sorted(set(listed) - source["fixed"] - source["built"]) == []
    for row in rows:
        assert len(row) == 3, row
        assert row[1].endswith("."), row
        assert row[2].endswith("."), row


def _rows_below(text: str, heading: str) -> list[list[str]]:
    return cells(text, heading) if "| code |" in text.split(f"\n{heading}\n")[1].split("\n## ")[0] else []


def test_codes_follow_one_pattern() -> None:
    areas = {"CLI", "CONFIG", "COST", "DATA", "ENGINE", "FETCH", "NAME", "SIGNAL", "STRATEGY"}
    assert {code.partition("_")[0] for code in codes_in_source()["fixed"]} == areas


def test_the_index_names_every_page_and_every_link_leads_somewhere() -> None:
    index = page("index.md")
    for file in DOCS.glob("*.md"):
        if file.name != "index.md":
            assert f"]({file.name})" in index, file.name
        for link in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", file.read_text(encoding="utf-8")):
            assert (DOCS / link).exists(), f"{file.name}: {link}"


def test_the_validation_page_names_commands_that_exist() -> None:
    text = page("validation.md")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets
    paths = re.findall(r"tests/[\w/]+\.py", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []
    lines = [row[0] for row in cells(text, "## Acceptance")]
    assert lines == sorted(lines, key=lambda line: (int(re.sub(r"\D", "", line)), line))


SNIPPETS: Final = [
    pytest.param(code, id=f"{file.name}-{number}")
    for file in sorted(DOCS.glob("*.md"))
    for number, code in enumerate(
        re.findall(r"```python run\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)
    )
]


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs", "exec"), {"__name__": "snippet"})  # noqa: S102 - the snippet is the test


def test_pages_with_snippets_are_more_than_one() -> None:
    assert len(SNIPPETS) >= 5


def main() -> None:
    """Rewrite the generated parts."""
    for name, blocks in BLOCKS.items():
        (DOCS / name).write_text(refreshed(page(name), blocks), encoding="utf-8")
        print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
