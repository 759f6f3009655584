"""Paper and live trading, which will live here.

Sessions that feed completed bars and ticks through the same step as a backtest, feeds, brokers, the review
queue, the kill switch, alerts and the dashboard. It will build on `journal`. There is no code in this package
yet; `simulator.Stepper` steps the engine bar by bar today.
"""
