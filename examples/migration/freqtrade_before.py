# mypy: ignore-errors
# ruff: noqa
"""The moving-average cross in freqtrade, as it was: a stop, a ROI as target, an exit signal."""

from pandas import DataFrame

from freqtrade.strategy import IStrategy


class SmaCross(IStrategy):
    """Bought when the 20-day average rises above the 50-day one."""

    timeframe = "1d"
    can_short = False
    stoploss = -0.05
    minimal_roi = {"0": 0.10}
    startup_candle_count = 50

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["fast"] = dataframe["close"].rolling(20).mean()
        dataframe["slow"] = dataframe["close"].rolling(50).mean()
        dataframe["above"] = dataframe["fast"] > dataframe["slow"]
        dataframe["before"] = dataframe["above"].shift(1, fill_value=True)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        known = dataframe["slow"].shift(1).notna()
        dataframe.loc[known & dataframe["above"] & ~dataframe["before"], "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        known = dataframe["slow"].shift(1).notna()
        dataframe.loc[known & ~dataframe["above"] & dataframe["before"], "exit_long"] = 1
        return dataframe
