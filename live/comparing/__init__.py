"""The parts of the parity receipt, and of a comparison with a coarser backtest."""
