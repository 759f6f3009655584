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

__all__ = ["candidates_of", "study_of", "thinned"]


def candidates_of(reaches: Sequence[Reach]) -> list[dict[str, Any]]:
    """Return changes to the set in force, each a dict of the one setting that it moves.

    Parameters
    ----------
    reaches
        What each setting may be moved to; its first value is the one in force.
    """
    return [{reach.name: value} for reach in reaches for value in reach.values[1:]]


def thinned(names: Sequence[str], changed: Sequence[int], most: int) -> list[int]:
    """Return the places of at most `most` candidates, or one per setting where there are more settings.

    Settings share what there is: a short list of values stays whole, however long that of another is.

    Parameters
    ----------
    names
        The setting that each candidate moves; candidates of one setting in the order of its values.
    changed
        Cases that each decides otherwise than the set in force. Of symbols those with most cases stay; of
        other settings every second, third, ... value does.
    """
    places: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        places.setdefault(name, []).append(at)
    left, kept = most, []
    shortest = sorted(places, key=lambda name: len(places[name]))
    for at, name in enumerate(shortest):
        here = places[name]
        count = min(len(here), max(1, left // (len(shortest) - at)))
        left -= count
        if name == "blacklist":
            kept += sorted(here, key=lambda place: -changed[place])[:count]
        else:
            kept += [here[round((step + 0.5) * len(here) / count - 0.5)] for step in range(count)]
    return sorted(kept)


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
