"""The candidates of a tuning, and the Optuna study that they make.

A candidate moves one setting; what else should move is asked again from there. The grid of single moves is
small, so it is tried whole, and kept as a study for its plots and importances. Samplers that learn from
outcomes are not used, and that is on purpose: the bound of `bounds` counts everything that could have been
chosen, which must be known before an outcome is looked at. A search that goes where outcomes are good leaves
out what would have been good by chance. Moves of several settings at once are left out for the same reason:
they multiply what could be chosen, and bring along settings that nothing speaks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optimize.studies._optuna import quiet, the_optuna

if TYPE_CHECKING:
    import optuna

    from optimize.tuning.settings import Reach

__all__ = ["candidates_of", "study_of"]


def candidates_of(reaches: Sequence[Reach], *, trials: int) -> list[dict[str, Any]]:
    """Return changes to the set in force, each a dict of the one setting that it moves.

    Parameters
    ----------
    reaches
        What each setting may be moved to; its first value is the one in force.
    trials
        Candidates at most; longer lists of values are thinned out evenly.
    """
    every = sum(len(reach.values) - 1 for reach in reaches)
    found = []
    for reach in reaches:
        values = reach.values[1:]
        count = len(values) if every <= trials else max(1, len(values) * trials // every)
        chosen = (round((at + 0.5) * len(values) / count - 0.5) for at in range(min(count, len(values))))
        found += [{reach.name: values[at]} for at in chosen]
    return found


def study_of(rows: Sequence[Mapping[str, Any]], in_force: Mapping[str, Any]) -> optuna.Study:
    """Return an Optuna study of what was tried, for its plots and importances.

    Parameters
    ----------
    rows
        `settings` (what differs from the set in force), `lower` (the value of the trial, larger is better),
        and `estimate`, `trades` and `changed`, kept as attributes. A `lower` of None makes a failed trial.
    in_force
        The set in force; settings that a row does not change have its value.
    """
    the = the_optuna()
    names = sorted({name for row in rows for name in row["settings"]})
    levels: dict[str, list[Any]] = {
        name: list(dict.fromkeys(_plain(row["settings"].get(name, in_force.get(name))) for row in rows))
        for name in names
    }
    kinds = {name: _distribution(values) for name, values in levels.items()}
    with quiet():
        study: optuna.Study = the.create_study(direction="maximize", study_name="journal tuning")
        study.add_trials(
            [
                the.trial.create_trial(
                    state=the.trial.TrialState.COMPLETE
                    if row["lower"] is not None
                    else the.trial.TrialState.FAIL,
                    value=row["lower"],
                    params={name: _plain(row["settings"].get(name, in_force.get(name))) for name in names},
                    distributions=kinds,
                    user_attrs={key: row[key] for key in ("estimate", "trades", "changed") if key in row},
                )
                for row in rows
            ]
        )
    return study


def _plain(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, (tuple, list)) else value


def _distribution(values: Sequence[Any]) -> Any:
    make = the_optuna().distributions
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return make.FloatDistribution(float(min(values)), float(max(values)))
    return make.CategoricalDistribution(tuple(values))
