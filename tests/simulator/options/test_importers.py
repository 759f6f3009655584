"""Every vendor's layout on a small table of made-up numbers, and how layouts are recognised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.errors import DataError, UnknownNameError
from simulator.options import importers
from simulator.options.chain import CALL, PUT, Chain, load_chain
from simulator.options.chain_columns import SETTLEMENTS, STYLES
from simulator.options.importers import LAYOUTS, detect

OPTIONSDX = """[QUOTE_UNIXTIME], [QUOTE_READTIME], [QUOTE_DATE], [QUOTE_TIME_HOURS], [UNDERLYING_LAST], \
[EXPIRE_DATE], [EXPIRE_UNIX], [DTE], [C_DELTA], [C_GAMMA], [C_VEGA], [C_THETA], [C_RHO], [C_IV], [C_VOLUME], \
[C_LAST], [C_SIZE], [C_BID], [C_ASK], [STRIKE], [P_BID], [P_ASK], [P_SIZE], [P_LAST], [P_DELTA], [P_GAMMA], \
[P_VEGA], [P_THETA], [P_RHO], [P_IV], [P_VOLUME], [STRIKE_DISTANCE], [STRIKE_DISTANCE_PCT]
1578085200, 2020-01-03 16:00, 2020-01-03, 16.000000, 300.000000, 2020-01-17, 1579294800, 14.000000, \
0.510000, \
0.1, 0.2, -0.1, 0.1, 0.120000, 11, 3.0, 5 x 7, 3.000000, 3.100000, 300.000000, 2.900000, 3.050000, 9 x 8, \
2.9, \
-0.490000, 0.1, 0.2, -0.1, -0.1, 0.125000, 12, 0.0, 0.0
1578085200, 2020-01-03 16:00, 2020-01-03, 16.000000, 300.000000, 2020-01-17, 1579294800, 14.000000, \
0.210000, \
0.1, 0.2, -0.1, 0.1, , , , 1 x 1, 1.000000, 1.100000, 305.000000, 5.900000, 6.050000, , , -0.790000, 0.1, \
0.2, \
-0.1, -0.1, , , 5.0, 0.017
"""
IVOLATILITY = """symbol,date,stock_price_close,option_symbol,option_expiration,strike,call/put,style,ask,\
bid,iv,\
volume,open_interest,delta
SPX,01/03/2011,1271.87,SPXW  110107C01270000,01/07/2011,1270.0,C,E,9.5,9.0,0.13,5,6,0.55
SPX,01/03/2011,1271.87,SPX   110122P01270000,01/22/2011,1270.0,P,E,19.5,19.0,-1.0,5,6,-0.45
SPX,01/03/2011,1271.87,SPX   110122P00500000,01/21/2011,500.0,P,E,0.0,0.0,0.9,0,0,-0.01
"""
DATASHOP = """underlying_symbol,quote_date,root,expiration,strike,option_type,trade_volume,bid_size_1545,\
bid_1545,\
ask_size_1545,ask_1545,underlying_bid_1545,underlying_ask_1545,implied_underlying_price_1545,\
active_underlying_price_1545,implied_volatility_1545,delta_1545,bid_eod,ask_eod,open_interest
^SPX,2014-07-03,SPX,2014-07-19,1980.000,C,7,11,12.10,12,12.60,0.0000,0.0000,1984.90,1985.10,0.0801,0.5501,1,\
2,70
^SPX,2014-07-03,SPXW,2014-07-11,1980.000,P,8,13,6.10,14,6.60,0.0000,0.0000,1984.90,0.0000,0.0000,0.0000,1,2,80
"""
ORATS = """ticker,cOpra,pOpra,stkPx,expirDate,yte,strike,cVolu,cOi,pVolu,pOi,cBidPx,cValue,cAskPx,pBidPx,\
pValue,\
pAskPx,cBidIv,cMidIv,cAskIv,smoothSmvVol,pBidIv,pMidIv,pAskIv,delta,spot_px,trade_date
SPX,SPXW240119C04700000,SPXW240119P04700000,4712.5,1/19/2024,0.04,4700,1,2,3,4,60,60.5,61,45,45.5,46,.12,\
.121,.122,\
.12,.12,.123,.13,0.56,4704.8,1/3/2024
SPX,SPX240119C04700000,SPX240119P04700000,4712.5,1/19/2024,0.04,4700,5,6,7,8,59,59.5,60,44,44.5,45,.12,0,\
.122,.12,\
.12,.124,.13,0.55,4704.8,1/3/2024
"""
SERVICE = """ticker,tradeDate,expirDate,dte,strike,stockPrice,callVolume,callOpenInterest,callBidSize,\
callAskSize,\
putVolume,putOpenInterest,putBidSize,putAskSize,callBidPrice,callAskPrice,putBidPrice,putAskPrice,callMidIv,\
putMidIv,\
delta,spotPrice
AAPL,2024-01-03,2024-01-19,16,185,184.2,1,2,3,4,5,6,7,8,2.5,2.6,3.1,3.2,0.22,0.23,0.47,184.25
"""
LAMBDACLASS = """underlying,underlying_last, exchange,optionroot,optionext,type,expiration,quotedate,strike,\
last,bid,\
ask,volume,openinterest,impliedvol,delta,gamma,theta,vega,optionalias,dte
SPX,2257.83,*,SPX170317C00300000,,call,2017-03-17,2017-01-03,300,1848.1,1945.3,1950.1,0,12,0.1844,0.9967,0,\
34,0,x,73
SPX,2257.83,*,SPXW170317P00300000,,put,2017-03-17,2017-01-03,300,0.0,0.0,0.05,0,0,0.2518,0.0,0,0,0,x,73
"""
WHITEPAPER = """Expiration,Days,Strike,Call Bid,Call Ask,Put Bid,Put Ask
20090110,9,900,48.5,50.2,20.1,21.4
20090207,37,900,60.1,62.3,38.4,40.0
"""
YFINANCE = """contractSymbol,lastTradeDate,strike,lastPrice,bid,ask,volume,openInterest,impliedVolatility,\
contractSize
AAPL261218C00200000,2026-11-01 14:30:00+00:00,200.0,20.0,19.5,20.5,10,100,0.25,REGULAR
AAPL261218P00200000,2026-11-01 14:30:00+00:00,200.0,1.0,0.0,0.0,,100,1.0000000000000003e-05,REGULAR
"""


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str, name: str = "quotes.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


Save = Callable[..., Path]


def utc(chain: Chain) -> list[str]:
    return [str(pd.Timestamp(int(ts), tz="UTC"))[:16] for ts in chain.times]


def day(number: int) -> str:
    return str(np.datetime64(int(number), "D"))


def style(chain: Chain) -> list[str]:
    return [STYLES[code] for code in chain.style]


def settlement(chain: Chain) -> list[str]:
    return [SETTLEMENTS[code] for code in chain.settlement]


def test_optionsdx(save: Save) -> None:
    chain = load_chain(save(OPTIONSDX, "spy_eod_202001.txt"), symbol="SPY")
    assert chain.symbol == "SPY"
    assert utc(chain) == ["2020-01-03 21:00"]
    assert [day(e) for e in chain.expiries] == ["2020-01-17"]
    assert chain.kind.tolist() == [CALL, CALL, PUT, PUT]
    assert chain.strike.tolist() == [300.0, 305.0] * 2
    assert chain.bid.tolist() == [3.0, 1.0, 2.9, 5.9]
    assert chain.ask.tolist() == [3.1, 1.1, 3.05, 6.05]
    np.testing.assert_array_equal(chain.iv, [0.12, np.nan, 0.125, np.nan])
    np.testing.assert_array_equal(chain.bid_size, [5, 1, 9, np.nan])
    np.testing.assert_array_equal(chain.ask_size, [7, 1, 8, np.nan])
    assert chain.delta.tolist() == [0.51, 0.21, -0.49, -0.79]
    assert set(style(chain)) == {"american"}
    assert set(chain.underlying) == {300.0}


def test_optionsdx_cannot_say_when_an_index_option_settles(save: Save) -> None:
    chain = load_chain(save(OPTIONSDX), symbol="SPX")
    assert set(style(chain)) == {"european"}
    assert set(settlement(chain)) == {"unknown"}
    with pytest.raises(DataError, match="symbol=") as caught:
        load_chain(save(OPTIONSDX))
    assert caught.value.code == "DATA_UNDERLYING"


def test_ivolatility(save: Save) -> None:
    chain = load_chain(save(IVOLATILITY))
    assert chain.symbol == "SPX"
    assert utc(chain) == ["2011-01-03 21:00"]
    assert [chain.roots[code] for code in chain.root] == ["SPXW", "SPX", "SPX"]
    assert settlement(chain) == ["pm", "am", "am"]
    assert [day(e) for e in chain.expiry] == ["2011-01-07", "2011-01-21", "2011-01-21"]  # one was a Saturday
    np.testing.assert_array_equal(chain.iv, [0.13, 0.9, np.nan])  # -1 is none
    np.testing.assert_array_equal(chain.bid, [9.0, np.nan, 19.0])  # 0 and 0 is no quote
    assert set(style(chain)) == {"european"}


def test_cboe_datashop(save: Save) -> None:
    chain = load_chain(save(DATASHOP))
    assert chain.symbol == "SPX"
    assert utc(chain) == ["2014-07-03 16:45"]  # a half day: a quarter of an hour before 13:00
    assert [day(e) for e in chain.expiry] == ["2014-07-11", "2014-07-18"]
    assert settlement(chain) == ["pm", "am"]
    assert chain.bid.tolist() == [6.1, 12.1]
    assert chain.ask_size.tolist() == [14.0, 12.0]
    assert chain.underlying.tolist() == [1984.9, 1985.1]
    np.testing.assert_array_equal(chain.iv, [np.nan, 0.0801])
    np.testing.assert_array_equal(chain.delta, [np.nan, 0.5501])


def test_orats_file(save: Save) -> None:
    chain = load_chain(save(ORATS))
    assert utc(chain) == ["2024-01-03 20:45"]
    assert [chain.roots[code] for code in chain.root] == ["SPX", "SPX", "SPXW", "SPXW"]
    assert settlement(chain) == ["am", "am", "pm", "pm"]
    assert chain.bid.tolist() == [59.0, 44.0, 60.0, 45.0]
    np.testing.assert_allclose(chain.delta, [0.55, -0.45, 0.56, -0.44])
    np.testing.assert_array_equal(chain.iv, [np.nan, 0.124, 0.121, 0.123])
    assert set(chain.underlying) == {4704.8}  # the spot, not the implied forward
    assert chain.open_interest.tolist() == [6.0, 8.0, 2.0, 4.0]


def test_orats_service(save: Save) -> None:
    chain = load_chain(save(SERVICE))
    assert chain.symbol == "AAPL"
    assert chain.kind.tolist() == [CALL, PUT]
    assert chain.ask.tolist() == [2.6, 3.2]
    assert chain.bid_size.tolist() == [3.0, 7.0]
    assert set(style(chain)) == {"american"}


def test_lambdaclass(save: Save) -> None:
    chain = load_chain(save(LAMBDACLASS))
    assert chain.roots == ("SPX", "SPXW")
    assert settlement(chain) == ["am", "pm"]
    assert chain.bid.tolist() == [1945.3, 0.0]
    assert (chain.dte == 73).all()


def test_white_paper(save: Save) -> None:
    chain = load_chain(save(WHITEPAPER))
    assert chain.symbol == "SPX"
    np.testing.assert_allclose(np.unique(chain.years) * 365, [9.0, 37.0], rtol=1e-14)
    assert chain.bid.tolist() == [48.5, 20.1, 60.1, 38.4]


def test_yfinance_file(save: Save) -> None:
    chain = load_chain(save(YFINANCE), time="2026-11-20", underlying=210.0)
    assert chain.symbol == "AAPL"
    assert utc(chain) == ["2026-11-20 21:00"]
    assert [day(e) for e in chain.expiry] == ["2026-12-18"] * 2
    assert chain.kind.tolist() == [CALL, PUT]
    np.testing.assert_array_equal(chain.bid, [19.5, np.nan])
    np.testing.assert_array_equal(chain.iv, [0.25, np.nan])
    with pytest.raises(DataError, match="time=") as caught:
        load_chain(save(YFINANCE))
    assert caught.value.code == "DATA_TIME"


def test_yfinance_answer() -> None:
    import io

    both = pd.read_csv(io.StringIO(YFINANCE))
    told = {"symbol": "AAPL", "regularMarketPrice": 211.5, "regularMarketTime": 1795208400}
    answer = SimpleNamespace(calls=both.iloc[:1], puts=both.iloc[1:], underlying=told)
    chain = load_chain(answer)
    assert chain.symbol == "AAPL"
    assert chain.times.tolist() == [1795208400 * 1_000_000_000]
    assert set(chain.underlying) == {211.5}
    assert load_chain(answer, underlying=5.0, time=1_795_000_000_000_000_000).underlying[0] == 5.0
    with pytest.raises(DataError) as caught:
        load_chain(SimpleNamespace(calls=None, puts=None, underlying=None), symbol="AAPL")
    assert caught.value.code == "DATA_EMPTY"


FIXTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "optionsdx": (OPTIONSDX, {"symbol": "SPY"}),
    "ivolatility": (IVOLATILITY, {}),
    "cboe_datashop": (DATASHOP, {}),
    "orats": (ORATS, {}),
    "orats_service": (SERVICE, {}),
    "lambdaclass": (LAMBDACLASS, {}),
    "cboe_whitepaper": (WHITEPAPER, {}),
    "yfinance": (YFINANCE, {"time": "2026-11-20"}),
}


def test_every_layout_is_tried_and_listed() -> None:
    assert all(f"`{name}`" in str(importers.__doc__) for name in LAYOUTS)
    assert set(FIXTURES) | {"canonical"} == set(LAYOUTS)


@pytest.mark.parametrize("name", FIXTURES)
def test_a_layout_is_recognised_by_its_columns_and_real(save: Save, name: str) -> None:
    text, given = FIXTURES[name]
    path = save(text)
    assert detect(text.split("\n")[0].split(",")).name == name
    chain = load_chain(path, **given)
    assert chain.origin == "real"
    named = load_chain(path, layout=name, **given)
    np.testing.assert_array_equal(chain.bid, named.bid)


@pytest.mark.parametrize("name", FIXTURES)
def test_a_missing_column_is_named(save: Save, name: str) -> None:
    text, given = FIXTURES[name]
    header, _, body = text.partition("\n")
    label = next(
        c for c in header.split(",") if c.strip().strip("[]").lower() in ("strike", "expiration", "strike")
    )
    path = save(header.replace(label, "other", 1) + "\n" + body)
    with pytest.raises(DataError) as caught:
        load_chain(path, layout=name, **given)
    assert caught.value.code == "DATA_COLUMNS"
    with pytest.raises(DataError) as caught:
        load_chain(path, **given)
    assert caught.value.code == "DATA_LAYOUT"
    assert label.strip().strip("[]").lower() in str(caught.value)


def test_of_several_layouts_the_more_particular_is_taken() -> None:
    both = LAYOUTS["canonical"].columns | LAYOUTS["yfinance"].columns
    assert detect(both).name == "canonical"
    assert detect(LAYOUTS["yfinance"].columns | {"time"}).name == "yfinance"


def test_a_near_miss_is_pointed_out(save: Save) -> None:
    path = save(IVOLATILITY.replace("option_expiration", "option_expirations", 1))
    with pytest.raises(
        DataError, match=r"'ivolatility'.*'option_expiration' \('option_expirations' is there\)"
    ):
        load_chain(path)
    with pytest.raises(UnknownNameError, match="Did you mean 'optionsdx'") as caught:
        load_chain(path, layout="optiondx")
    assert caught.value.code == "NAME_LAYOUT"
    with pytest.raises(DataError, match="known layouts are canonical, optionsdx"):
        load_chain(save("a,b\n1,2\n"))


def test_a_text_where_a_number_belongs(save: Save) -> None:
    with pytest.raises(DataError, match=r"quotes\.csv: row 2 has 'n/k' in the column bid") as caught:
        load_chain(save(IVOLATILITY.replace(",19.0,", ",n/k,")))
    assert caught.value.code == "DATA_TYPE"
    with pytest.raises(DataError, match="neither call nor put"):
        load_chain(save(IVOLATILITY.replace(",P,", ",X,")))
    with pytest.raises(DataError, match="is no date") as caught:
        load_chain(save(IVOLATILITY.replace("01/03/2011", "13/13/2011")))
    assert caught.value.code == "DATA_TIME"


def test_several_underlyings_need_a_name(save: Save) -> None:
    path = save(SERVICE + SERVICE.split("\n")[1].replace("AAPL", "MSFT") + "\n")
    with pytest.raises(DataError, match="AAPL, MSFT") as caught:
        load_chain(path)
    assert caught.value.code == "DATA_UNDERLYING"
    assert load_chain(path, symbol="MSFT").symbol == "MSFT"
    with pytest.raises(UnknownNameError, match="Did you mean 'MSFT'") as missing:
        load_chain(path, symbol="MSFTT")
    assert missing.value.code == "NAME_SYMBOL"


def test_a_folder_is_read_whole(save: Save, tmp_path: Path) -> None:
    save(LAMBDACLASS, "january.csv")
    save(LAMBDACLASS.replace("2017-01-03", "2017-01-04"), "more.csv")
    save("not for reading", ".hidden.csv")
    assert load_chain(tmp_path).times.size == 2


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "chain.csv").write_text(LAMBDACLASS, encoding="utf-8")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    for name, code in (
        ("chains.csv", "DATA_FILE"), ("empty", "DATA_EMPTY"), ("broken.parquet", "DATA_FILE"),
    ):  # fmt: skip
        with pytest.raises(DataError) as caught:
            load_chain(tmp_path / name)
        assert caught.value.code == code
    with pytest.raises(DataError, match=r"Did you mean 'chain\.csv'"):
        load_chain(tmp_path / "chains.csv")
    with pytest.raises(DataError, match="has no rows"):
        load_chain(pd.DataFrame({"time": []}))


def test_a_saturday_before_a_holiday_moves_to_the_thursday(save: Save) -> None:
    # Good Friday 2014-04-18: the April options last traded on the 17th
    text = DATASHOP.replace("2014-07-19", "2014-04-19").replace("2014-07-03", "2014-04-01")
    chain = load_chain(save(text), symbol="SPX").select(root="SPX")
    assert [day(e) for e in chain.expiries] == ["2014-04-17"]
