"""Comparisons with vectorbt and backtrader on the same work, in one run.

`python -m benchmarks` (or `make bench`) first shows that the engines' trades agree, one by one, and only then
prints times and memory as ratios. Nothing here is part of the product.

| module | what |
|---|---|
| `workloads` | prices and signals, the same arrays for every engine |
| `twinstep_side`, `vectorbt_side`, `backtrader_side` | one engine each: prepare, run, trades |
| `agreement` | trades of two engines side by side |
| `measure` | alternating medians, peak memory in a process of its own |
| `scenarios` | the sections of the report, `scaling` and `startup` among them |
| `worker` | what a process of its own runs |
"""
