"""The parts of `TradingAutomation`: its account, its desk of signals, its broker and its journal."""
