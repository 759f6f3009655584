"""Opening a study: created, or taken up by whoever measures the same.

What the figures of a study depend on (bars, window, rules, objectives and their formulas, constraints,
spaces, the strategy's code and its other values) is stored with it. A study of the same name that measured
something else is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from optimize.evaluator import Evaluator, Rules
from optimize.studies._optuna import the_optuna
from optimize.studies.run import Plan
from optimize.studies.samplers import make_pruner
from optimize.studies.space import describe_space, grid_values
from optimize.studies.storage import open_storage
from simulator.errors import ConfigError
from simulator.ran import digest_of, ran_of
from strategies.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

__all__ = ["grid_sets", "open_study"]

_DEFINITION: Final = "twinstep"
"""Attribute of a study in its storage that says what its figures were measured on."""
_WORDS: Final = {
    "code": "the code of its strategy (a digest of it)",
    "formulas": "the formula of an objective (a digest of each)",
    "fixed": "what else its strategy holds",
}


def open_study(
    plan: Plan,
    evaluator: Evaluator,
    storage: str | Path | BaseStorage | None,
    name: str | None,
    *,
    resume: bool,
) -> Study:
    """Create the study, or take up the one of that name if it measures the same.

    Raises
    ------
    ConfigError
        OPTIMIZE_STUDY_EXISTS: there is one, and it was not to be resumed. OPTIMIZE_STUDY_OTHER: it measured
        something else.
    """
    kept = open_storage(storage)
    definition = _definition(plan, evaluator)
    if name is None:
        how = [definition, str(plan.sampler), str(plan.pruner), plan.seed, plan.batch]
        digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()
        name = f"{definition['strategy']}-{digest[:12]}"
    study: Study = the_optuna().create_study(
        storage=kept,
        study_name=name,
        directions=["maximize"] * len(plan.objectives),
        pruner=make_pruner(plan.pruner),
        load_if_exists=True,
    )
    # in this order: another process that has just created it signs it before it asks for a trial
    used = bool(study.get_trials(deepcopy=False))
    before = study.user_attrs.get(_DEFINITION)
    if before is None and not used:
        study.set_user_attr(_DEFINITION, definition)
        return study
    if not resume:
        raise ConfigError(
            f"there is a study {name!r} in the storage already; resume it, delete it, or choose another name",
            code="OPTIMIZE_STUDY_EXISTS",
        )
    for key, value in definition.items():
        if (before or {}).get(key) != value:
            raise ConfigError(
                f"the study {name!r} cannot be resumed: {_WORDS.get(key, f'its {key}')} was "
                f"{(before or {}).get(key)!r} and is now {value!r}; figures would not be comparable. Choose "
                "another study name",
                code="OPTIMIZE_STUDY_OTHER",
            )
    return study


def grid_sets(space: Mapping[str, Space], trials: int, seed: int) -> tuple[dict[str, Any], ...]:
    """Return the combinations of the steps in a seeded order; of too many, the first `trials` of it."""
    values = grid_values(space)
    names, sizes = list(values), [len(one) for one in values.values()]
    total = math.prod(sizes)
    trials = min(trials, total)
    order = np.random.default_rng(seed)
    # without replacement from a range: no list of all combinations is needed
    picked = order.permutation(total)[:trials] if total <= 1_000_000 else order.choice(total, trials, False)
    points = (np.unravel_index(flat, sizes) for flat in picked.tolist())
    return tuple(
        {name: values[name][int(index)] for name, index in zip(names, point, strict=True)} for point in points
    )


def _definition(plan: Plan, evaluator: Evaluator) -> dict[str, Any]:
    """Return what the figures of a study depend on, in terms of JSON."""
    strategy, bars = evaluator.strategy, evaluator.bars
    ran = ran_of(strategy)
    fixed = strategy.parameters() if hasattr(strategy, "parameters") else ran.parameters
    found = {
        "strategy": str(getattr(strategy, "name", getattr(strategy, "__name__", type(strategy).__name__))),
        "data": bars.fingerprint,
        "window": [plan.first, plan.last],
        "code": ran.version,
        "objectives": [one.name for one in plan.objectives],
        "formulas": [digest_of(one.formula) for one in plan.objectives],
        "limits": plan.limits,
        "space": describe_space(plan.space),
        "fixed": {key: repr(value) for key, value in fixed.items() if key not in plan.space},
        "rules": _words(evaluator.rules),
    }
    if evaluator.without:
        found["without"] = [list(part) for part in evaluator.without]
    return found


def _words(rules: Rules) -> dict[str, str]:
    return {name: repr(getattr(rules, name)) for name in ("cash", "risk", "costs", "conventions")}
