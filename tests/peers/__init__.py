"""Agreement with other engines: the same case on both sides, trade by trade.

`cases` holds what both sides share, `vectorbt_cases` and `backtrader_cases` generate cases and run the peer,
the `test_` modules compare. The mapping of options is in `docs/peers.md`.
"""
