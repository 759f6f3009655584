"""`twinstep iv` and `twinstep chain`: grades are named, the unknown stays unknown, errors are one line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator import load_bars
from simulator.options.chain import Chain, load_chain
from simulator.options.pricing import price
from simulator.options.snapshots import load_snapshots
from tests.twinstep.conftest import Cli

DAYS = pd.bdate_range("2020-01-06", periods=8)  # eight sessions of New York without a holiday
LEVELS = (0.20, 0.24, 0.18, 0.30, 0.22, 0.21, 0.26, 0.25)
VENDOR = """symbol,date,stock_price_close,option_symbol,option_expiration,strike,call/put,style,ask,bid,iv,volume,open_interest,delta
SPX,01/03/2011,1271.87,SPXW  110107C01270000,01/07/2011,1270.0,C,E,9.5,9.0,0.13,5,6,0.55
SPX,01/03/2011,1271.87,SPX   110122P01270000,01/22/2011,1270.0,P,E,19.5,19.0,-1.0,5,6,-0.45
SPX,01/03/2011,1271.87,SPX   110122P01280000,01/22/2011,1280.0,P,E,21.5,22.0,0.2,5,6,-0.45
SPX,01/03/2011,1271.87,SPX   110122P00500000,01/21/2011,500.0,P,E,0.05,0.0,0.9,0,0,-0.01
"""  # noqa: E501  # the vendor's header is one line


def quotes(levels: tuple[float, ...] = LEVELS, *, origin: str = "real", symbol: str = "XYZ") -> Chain:
    """Quotes at the close of each day, from one flat volatility per day; expiries 20 and 40 days ahead."""
    parts = []
    for day, level in zip(DAYS, levels, strict=False):
        ts = pd.Timestamp(f"{day.date()} 16:00", tz="America/New_York").value
        session = int(np.datetime64(day, "D").astype(np.int64))
        for ahead in (20, 40):
            for kind, code in (("call", 1), ("put", -1)):
                strikes = np.arange(90.0, 111.0)
                mid = price(kind, 100.0, strikes, ahead / 365, 0.0, level)
                count = strikes.size
                parts.append(
                    pd.DataFrame(
                        {
                            "ts": np.full(count, ts),
                            "expiry": np.full(count, session + ahead),
                            "kind": np.full(count, code),
                            "strike": strikes,
                            "bid": mid * 0.99,
                            "ask": mid * 1.01,
                            "underlying": np.full(count, 100.0),
                        }
                    )
                )
    table = pd.concat(parts)
    return Chain.from_arrays(symbol, {str(name): table[name].to_numpy() for name in table}, origin=origin)


# IV


def test_the_vix_is_ranked_by_its_own_last_year(cli: Cli) -> None:
    answer = cli("iv", "--iv", "sample:vix", "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    bars = load_bars("sample:vix")
    year = bars.close[-252:, 0]
    assert (found["name"], found["grade"], found["origin"], found["unit"]) == (
        "VIX",
        "index",
        "real",
        "points",
    )
    assert found["level"] == year[-1]
    assert found["iv_rank"] == pytest.approx(100 * (year[-1] - year.min()) / (year.max() - year.min()))
    assert found["iv_percentile"] == pytest.approx(100 * (year < year[-1]).sum() / 251)
    assert (found["range"]["low"], found["range"]["high"]) == (year.min(), year.max())
    assert found["range"]["mean"] == pytest.approx(year.mean())
    assert found["as_of"] == str(bars.index[-1].date())
    low = np.flatnonzero(bars.close[:, 0] == year.min())[-1]
    assert found["range"]["low_on"] == str(bars.index[low].date())


def test_a_rank_is_unknown_and_not_a_number_before_a_full_window(cli: Cli) -> None:
    day = str(load_bars("sample:vix").index[250].date())
    found = cli("iv", "--iv", "sample:vix", "--end", day, "--json").json
    assert (found["iv_rank"], found["iv_percentile"], found["sessions"]) == (None, None, 251)
    assert "251 of 252" in found["unknown"]
    text = cli("iv", "--iv", "sample:vix", "--end", day).out
    assert "IV rank         unknown" in text
    next_day = str(load_bars("sample:vix").index[251].date())
    found = cli("iv", "--iv", "sample:vix", "--end", next_day, "--json").json
    assert (found["unknown"], found["as_of"]) == (None, next_day)
    assert found["iv_rank"] is not None


def test_a_proxy_is_called_one_wherever_it_is_shown(cli: Cli) -> None:
    found = cli("iv", "MSFT", "--json").json
    close = load_bars("sample:stocks", symbols=["MSFT"]).close[:, 0]
    returns = np.diff(np.log(close[np.isfinite(close)]))
    assert found["level"] == pytest.approx(returns[-21:].std(ddof=1) * np.sqrt(252))
    assert (found["grade"], found["unit"]) == ("proxy", "fraction")
    assert found["definition"].startswith("no implied volatility")
    assert "grade proxy" in cli("iv", "MSFT").out
    span = ("--start", "2009-01-01", "--end", "2012-12-31")
    garch = cli("iv", "MSFT", "--proxy", "garch", *span, "--json").json
    assert "GARCH" in garch["definition"]
    assert 0.05 < garch["level"] < 1.0
    assert garch["level"] != found["level"]


@pytest.mark.parametrize("origin", ["real", "modelled"])
def test_snapshots_and_chain_files_give_the_same_constant_maturity(
    cli: Cli, tmp_path: Path, origin: str
) -> None:
    quotes(origin=origin).to_parquet(tmp_path / "quotes.parquet")
    assert cli("chain", "import", "quotes.parquet", "--snapshots", "days", "--json").code == 0
    answers = [
        cli("iv", *more, "--window", "8", "--json").json
        for more in (("--iv", "quotes.parquet"), ("--iv", "days"), ("XYZ", "--iv", "days"))
    ]
    assert answers[0] == answers[1] == answers[2]
    found = answers[0]
    assert (found["grade"], found["origin"], found["sessions"]) == ("chain", origin, 8)
    assert found["level"] == pytest.approx(LEVELS[-1], abs=1e-3)
    assert found["iv_rank"] == pytest.approx(100 * (0.25 - 0.18) / (0.30 - 0.18), abs=0.5)
    assert found["iv_percentile"] == pytest.approx(100 * 5 / 7)
    assert origin in cli("iv", "--iv", "days").out


def test_sessions_that_were_not_kept_count_as_missing(cli: Cli, tmp_path: Path) -> None:
    quotes().to_parquet(tmp_path / "quotes.parquet")
    cli("chain", "import", "quotes.parquet", "--snapshots", "days")
    (tmp_path / f"days/XYZ/{DAYS[4].date()}.parquet").unlink()
    found = cli("iv", "--iv", "days", "--window", "7", "--json").json
    assert (found["iv_rank"], found["sessions"]) == (None, 7)
    assert "1 of 8 sessions are missing" in found["unknown"]
    assert cli("iv", "--iv", "days", "--window", "3", "--json").json["iv_rank"] is not None


def test_an_index_file_may_be_dates_and_one_column_or_bars_with_bad_highs(cli: Cli, tmp_path: Path) -> None:
    rows = "".join(f"{day.date()},{100 * level}\n" for day, level in zip(DAYS, LEVELS, strict=True))
    (tmp_path / "one.csv").write_text("DATE,VIXCLS\n" + rows.replace(",18.0", ",."), encoding="utf-8")
    found = cli("iv", "--iv", "one.csv", "--window", "3", "--json").json
    assert (found["level"], found["unit"], found["grade"], found["name"]) == (25.0, "points", "index", "one")
    assert found["iv_rank"] == pytest.approx(100 * (25 - 21) / (26 - 21))
    bars = "".join(f"{day.date()},30,20,10,{100 * level}\n" for day, level in zip(DAYS, LEVELS, strict=True))
    (tmp_path / "bars.csv").write_text("date,open,high,low,close\n" + bars, encoding="utf-8")
    again = cli("iv", "SPX", "--iv", "bars.csv", "--window", "3", "--json").json
    assert (again["level"], again["iv_rank"], again["name"]) == (25.0, found["iv_rank"], "SPX")
    (tmp_path / "share.csv").write_text(
        "date,iv\n" + "".join(f"{d.date()},{v}\n" for d, v in zip(DAYS, LEVELS, strict=True)),
        encoding="utf-8",
    )
    share = cli("iv", "--iv", "share.csv", "--window", "3", "--json").json
    assert (share["unit"], share["iv_rank"]) == ("fraction", pytest.approx(found["iv_rank"]))


def test_the_page_needs_no_network_and_escapes_names(cli: Cli, tmp_path: Path) -> None:
    rows = "".join(f"{day.date()},{100 * level}\n" for day, level in zip(DAYS, LEVELS, strict=True))
    (tmp_path / "one.csv").write_text("date,vix\n" + rows, encoding="utf-8")
    answer = cli("iv", "<b>X</b>", "--iv", "one.csv", "--window", "3", "--plot", "out/iv.html")
    assert answer.code == 0, answer.err
    assert answer.err == "wrote out/iv.html\n"
    text = (tmp_path / "out/iv.html").read_text(encoding="utf-8")
    assert '<script src="' not in text
    assert "<link" not in text.split("<script")[0]
    assert "<b>X" not in text
    assert "\\u003cb\\u003eX" not in text
    assert "grade index" in text
    assert "IV percentile" in text
    assert cli("iv", "--iv", "one.csv", "--plot", "out/iv.html", "--json").json["files"] == ["out/iv.html"]


def test_without_plotly_the_error_names_the_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("plotly", "plotly.graph_objects", "plotly.subplots"):
        monkeypatch.setitem(sys.modules, name, None)
    answer = cli("iv", "--iv", "sample:vix", "--plot", "x.html")
    assert answer.code == 2
    assert answer.err.startswith("error [CLI_EXTRA_REPORT]")
    assert "twinstep[report]" in answer.err
    assert answer.err.count("\n") == 1
    assert not answer.out


def test_the_small_chart_rises_and_falls_and_can_be_left_out(cli: Cli, tmp_path: Path) -> None:
    rows = "".join(f"{day.date()},{10 + k}\n" for k, day in enumerate(DAYS))
    (tmp_path / "up.csv").write_text("date,vix\n" + rows, encoding="utf-8")
    assert "▁▂▃▄▅▆▇█" in cli("iv", "--iv", "up.csv").out
    assert not set(cli("iv", "--iv", "up.csv", "--no-plot").out) & set("▁▂▃▄▅▆▇█")


# Chains


def test_a_vendors_file_becomes_canonical_parquet(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "vendor.csv").write_text(VENDOR, encoding="utf-8")
    answer = cli("chain", "import", "vendor.csv", "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    assert (found["layouts"], found["read"], found["kept"]) == (["ivolatility"], 4, 3)
    assert found["counts"] == {"crossed": 1, "zero_bid": 1}
    assert found["files"] == ["SPX.parquet"]
    stored, read = load_chain(tmp_path / "SPX.parquet"), load_chain(tmp_path / "vendor.csv")
    pd.testing.assert_frame_equal(stored.to_frame(), read.to_frame())
    text = cli("chain", "import", "vendor.csv", "--out", "deep/all.parquet", "--guard", "note").out
    assert "4 quotes read, 4 kept, grade real" in text
    assert "1 crossed (error)" in text
    assert len(load_chain(tmp_path / "deep/all.parquet", guard="note")) == 4


def test_snapshots_are_kept_unless_told(cli: Cli, tmp_path: Path) -> None:
    quotes().to_parquet(tmp_path / "quotes.parquet")
    first = cli("chain", "import", "quotes.parquet", "--snapshots", "days", "--json").json
    assert len(first["files"]) == 8
    whole = load_snapshots(tmp_path / "days", "XYZ")
    np.testing.assert_array_equal(whole.bid, quotes().bid)
    (tmp_path / f"days/XYZ/{DAYS[0].date()}.parquet").unlink()
    answer = cli("chain", "import", "quotes.parquet", "--snapshots", "days")
    assert answer.code == 2
    assert answer.err.startswith("error [CLI_EXISTS]")
    assert not (tmp_path / f"days/XYZ/{DAYS[0].date()}.parquet").exists()  # all or none
    assert cli("chain", "import", "quotes.parquet", "--snapshots", "days", "--force").code == 0
    assert (tmp_path / f"days/XYZ/{DAYS[0].date()}.parquet").exists()


@pytest.mark.parametrize("origin", ["real", "modelled"])
def test_show_has_expiries_and_the_strikes_around_the_money(cli: Cli, tmp_path: Path, origin: str) -> None:
    quotes(origin=origin).to_parquet(tmp_path / "quotes.parquet")
    found = cli("chain", "show", "quotes.parquet", "--strikes", "2", "--json").json
    assert found["chain"]["grade"] == origin
    assert found["chain"]["shown"].startswith(str(DAYS[-1].date()))
    assert [row["days"] for row in found["expiries"]] == [20, 40]
    assert [row["iv_percent"] for row in found["expiries"]] == pytest.approx([25.0, 25.0], abs=0.1)
    assert found["expiry"] == found["expiries"][0]["expiry"]
    assert [row["strike"] for row in found["strikes"]] == [98.0, 99.0, 100.0, 101.0]
    parity = [row["call_bid"] / 0.99 - row["put_bid"] / 0.99 for row in found["strikes"]]
    assert parity == pytest.approx([2.0, 1.0, 0.0, -1.0])
    later = found["expiries"][1]["expiry"]
    other = cli("chain", "show", "quotes.parquet", "--expiry", later, "--at", str(DAYS[3].date()), "--json")
    assert other.code == 2  # that expiry is not quoted four sessions earlier
    text = cli("chain", "show", "quotes.parquet", "--expiry", later).out
    assert f"strikes of {later}" in text
    assert f"grade {origin}" in text


def test_check_finds_impossible_quotes_and_says_so_with_its_exit_code(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(VENDOR, encoding="utf-8")
    good = [line for line in VENDOR.splitlines(keepends=True) if "21.5,22.0" not in line]
    (tmp_path / "good.csv").write_text("".join(good), encoding="utf-8")
    answer = cli("chain", "check", "bad.csv")
    assert answer.code == 3
    assert "bad.csv row 3" in answer.out
    assert "bid 22 is above ask 21.5" in answer.out
    document = cli("chain", "check", "bad.csv", "--json").json
    assert (document["passed"], document["counts"]) == (False, {"crossed": 1, "zero_bid": 1})
    assert {finding["grade"] for finding in document["findings"]} == {"error", "note"}
    fine = cli("chain", "check", "good.csv", "--json")
    assert (fine.code, fine.json["passed"], fine.json["counts"]) == (0, True, {"zero_bid": 1})
    (tmp_path / "both.csv").write_text(VENDOR + good[1].replace("SPX,", "NDX,"), encoding="utf-8")
    assert cli("chain", "check", "both.csv", "--json").json["symbols"] == ["NDX", "SPX"]


# Wrong input

CASES: list[tuple[str, str, str]] = [
    ("iv", "CLI_RANK", "--iv SOURCE"),
    ("iv XYZ --iv sample:vix --proxy garch", "CLI_EXCLUSIVE", "--proxy"),
    ("iv --iv sample:vix --plot x.html --no-plot", "CLI_EXCLUSIVE", "--no-plot"),
    ("iv MSFT --proxy grach", "NAME_PROXY", "Did you mean 'garch'?"),
    ("iv MSFTT", "NAME_SYMBOL", "Did you mean 'MSFT'?"),
    ("iv --iv sample:vixx", "NAME_SAMPLE", "Did you mean 'vix'?"),
    ("iv --iv sample:stocks", "NAME_SYMBOL", "name the SYMBOL"),
    ("iv --iv sample:vix --window 1", "CLI_USAGE", "--window"),
    ("iv --iv sample:vix --end 2010-01-01", "DATA_RANGE", "2014-01-03"),
    ("iv --iv sample:vix --end soon", "CONFIG_DATE", "2010-01-31"),
    ("iv --iv sample:vix --plot x.png", "CLI_WRITE", ".html"),
    ("iv --iv nowhere.csv", "DATA_FILE", "nowhere.csv"),
    ("iv --iv empty", "DATA_EMPTY", "empty"),
    ("iv --iv empty.csv", "DATA_EMPTY", "empty.csv"),
    ("iv --iv words.csv", "DATA_TYPE", "ten"),
    ("iv --iv notes.md", "DATA_FILE", "files must end in"),
    ("iv SPY --iv days", "NAME_SYMBOL", "Did you mean 'SPX'?"),
    ("iv SPX --iv days --end 2001-01-01", "DATA_EMPTY", "between these dates"),
    ("iv SPX --iv vendor.csv --end 2001-01-01", "DATA_EMPTY", "between these dates"),
    ("iv SPX --iv vendor.csv", "DATA_EMPTY", "no volatility on any of its 1 sessions"),
    ("chain shw vendor.csv", "CLI_USAGE", "Did you mean 'show'"),
    ("chain show", "CLI_USAGE", "SOURCE"),
    ("chain show nowhere.csv", "DATA_FILE", "nowhere.csv"),
    ("chain show empty", "DATA_EMPTY", "empty"),
    ("chain show words.csv", "DATA_LAYOUT", "words.csv"),
    ("chain show vendor.csv --layout ivolatilty", "NAME_LAYOUT", "Did you mean 'ivolatility'?"),
    ("chain show vendor.csv --layout optionsdx", "DATA_COLUMNS", "optionsdx"),
    ("chain show vendor.csv --symbol SPY", "NAME_SYMBOL", "SPY"),
    ("chain show vendor.csv --expiry 2011-02-18", "DATA_QUOTES", "2011-01-21"),
    ("chain show vendor.csv --expiry later", "DATA_TIME", "2020-01-31"),
    ("chain show vendor.csv --at 2011-01-04", "DATA_QUOTES", "2011-01-04"),
    ("chain show vendor.csv --at 2011-01-03T12:00", "DATA_NAIVE", "time zone"),
    ("chain show vendor.csv --root SPXQ", "NAME_ROOT", "Did you mean"),
    ("chain show vendor.csv --strikes 0", "CLI_USAGE", "--strikes"),
    ("chain show vendor.csv --calendar NYSEE", "DATA_CALENDAR", "NYSEE"),
    ("chain import nowhere", "DATA_FILE", "nowhere"),
    ("chain import empty", "DATA_EMPTY", "empty"),
    ("chain import vendor.csv --guard raise", "DATA_CROSSED", "row 3"),
    ("chain import vendor.csv --guard drp", "CONFIG_GUARD", "Did you mean 'drop'?"),
    ("chain import vendor.csv --out a.parquet --snapshots b", "CLI_EXCLUSIVE", "--snapshots"),
    ("chain import vendor.csv --out here.csv", "CLI_WRITE", ".parquet"),
    ("chain import vendor.csv --out there.parquet", "CLI_EXISTS", "--force"),
    ("chain import vendor.csv --out vendor.csv/x.parquet", "CLI_WRITE", "cannot be written"),
    ("chain import vendor.csv --snapshots vendor.csv", "CLI_WRITE", "cannot be written"),
    ("chain check nowhere.csv", "DATA_FILE", "nowhere.csv"),
    ("chain check empty", "DATA_EMPTY", "empty"),
    ("chain check words.csv --layout orats", "DATA_COLUMNS", "orats"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vendor.csv").write_text(VENDOR, encoding="utf-8")
    (tmp_path / "words.csv").write_text("date,price\n2020-01-02,ten\n", encoding="utf-8")
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    (tmp_path / "notes.md").write_text("# no table\n", encoding="utf-8")
    (tmp_path / "there.parquet").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "days/SPX").mkdir(parents=True)
    quotes(symbol="SPX").rows(slice(0, 84)).to_parquet(tmp_path / f"days/SPX/{DAYS[0].date()}.parquet")
    return tmp_path


@pytest.mark.parametrize(("line", "code", "words"), CASES, ids=[case[0] for case in CASES])
def test_wrong_input_gives_one_line_with_its_code(
    cli: Cli, folder: Path, line: str, code: str, words: str
) -> None:
    answer = cli(*line.split())
    assert answer.code == 2, answer.out
    assert answer.err.count("\n") == 1, answer.err
    assert answer.err.startswith(f"error [{code}]")
    assert words in answer.err
    assert not answer.out


def test_a_page_that_cannot_be_written_does_not_cost_the_answer(cli: Cli, folder: Path) -> None:
    answer = cli("iv", "--iv", "sample:vix", "--plot", "vendor.csv/x.html")
    assert answer.code == 2
    assert answer.err.startswith("error [CLI_WRITE]: vendor.csv/x.html cannot be written")
    assert answer.err.count("\n") == 1
    assert "IV rank" in answer.out


@pytest.mark.parametrize("command", ["iv", "chain", "chain show", "chain import", "chain check"])
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    answer = cli(*command.split(), "--help")
    assert answer.code == 0
    assert f"Usage: twinstep {command}" in answer.out
    assert not answer.err
