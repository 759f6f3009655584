"""Parameter search and its checks, which will live here.

Optuna studies of strategy parameters against the simulator and of filters against journal outcomes,
walk-forward with purge and embargo, a ledger of every trial ever run, and the figures that it feeds: deflated
Sharpe ratio and probability of backtest overfitting. It will build on `journal`. There is no code in this
package yet; `simulator.sweep` runs parameter grids today.
"""
