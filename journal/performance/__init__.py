"""Figures of closed trades: metrics, intervals, breakdowns, insights, mistakes and running series."""
