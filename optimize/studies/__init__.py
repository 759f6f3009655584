"""How a strategy study works: spaces, samplers, storage, the loop over batches, and what it found.

The public entry is `optimize.strategy.tune_strategy`; several processes may run the same study at a time over
one storage. Only modules in here import Optuna, and only when a study runs.
"""

from __future__ import annotations
