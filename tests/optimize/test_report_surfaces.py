"""The sentence on the plateau says whether it speaks of a set or of a cell of several."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optimize.report.surfaces import plateau_of, plateau_words


def test_a_mean_over_ranges_is_called_a_cell() -> None:
    length = np.arange(5, 65)
    table = pd.DataFrame({"length": length, "sharpe": 1.0 - np.abs(length - 30) / 100.0})
    found = plateau_of(table, ["length"], "sharpe")
    assert found is not None
    assert found.parameters["length"] not in set(length)
    assert plateau_words(found, table).startswith("Around the best cell, with a mean sharpe of 0.9")


def test_a_set_is_called_a_set() -> None:
    table = pd.DataFrame({"length": [10, 20, 30], "sharpe": [0.5, 0.6, 0.4]})
    found = plateau_of(table, ["length"], "sharpe")
    assert found is not None
    assert plateau_words(found, table).startswith("Around the best sharpe of 0.6 (length=20)")
