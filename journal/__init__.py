"""The trade journal, which will live here.

An SQLite file that remembers every recommendation, order, fill, verdict and trade with its entry snapshot,
and on top of it performance figures, the position tracker, mistakes and lessons, reports and export. It will
build on `simulator` and `strategies`, and `optimize` and `live` on it. There is no code in this package yet.
"""
