"""Slots under any order of asking, finishing, dying and rescuing: each is finished once, none is missing.

Processes are played by one: what they do to the storage are single steps, which hypothesis puts in any order,
among them the ones where a process dies between two steps that belong together.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.objectives import objectives
from optimize.studies import run
from optimize.studies._optuna import quiet
from optimize.studies.samplers import make_sampler
from optimize.studies.slots import RETRY, Slots
from optimize.studies.space import distributions
from optimize.studies.storage import drop, release, tidy
from strategies import Int

STATES = optuna.trial.TrialState
SPACE = {"x": Int(0, 10_000), "y": Int(0, 10_000)}
EVENTS = (
    "ask",
    "ask",
    "ask",
    "finish",
    "finish",
    "die",
    "rescue",
    "half rescue",
    "tidy",
    "doubt",
    "unsigned",
)


class Process:
    """One process of a study: what it knows, and the trials that it has."""

    def __init__(self, study: optuna.Study, trials: int) -> None:
        plan = run.Plan(
            space=dict(SPACE), objectives=objectives("sharpe"), limits={}, trials=trials, sampler="random",
            pruner=None, prune_at=(), batch=1, seed=7, first=0, last=1,
        )  # fmt: skip
        evaluator: Any = None
        self.loop = run._Loop(study, evaluator, plan, run.Timing(), None, distributions(SPACE))
        self.loop.stored = True
        self.sampler = make_sampler("random", seed=7, spaces=self.loop.spaces, slots=self.loop.slots)
        self.has: list[optuna.Trial] = []

    def ask(self) -> bool:
        """Ask for a trial if there is room, as the loop does."""
        study, wanted = self.loop.study, self.loop.plan.trials
        stock = self.loop.slots.stock(study, wanted)
        if stock.finished + stock.running >= wanted:
            return False
        self.ask_late()
        return True

    def ask_late(self) -> None:
        """Ask although others have asked since this process has looked for room."""
        self.loop.study.sampler = self.sampler
        trial = run._ask(self.loop, [])
        if trial is not None:
            self.has.append(trial)

    def finish(self) -> None:
        """Tell of one trial."""
        if self.has:
            trial = self.has.pop(0)
            run._tell(self.loop.study, run._Asked(trial, dict(trial.params), values=(1.0,)))


def slots_of(study: optuna.Study) -> list[int]:
    """The slot of every trial, by the definition: new ones count, others have that of the one before."""
    found: list[int] = []
    for trial in study.trials:
        first = trial.user_attrs.get(RETRY)
        fresh = [one for one in study.trials[: trial.number] if RETRY not in one.user_attrs]
        found.append(len(fresh) if first is None else found[first])
    return found


def finished(study: optuna.Study) -> Counter[int]:
    """How often each slot is finished."""
    pairs = zip(study.trials, slots_of(study), strict=True)
    return Counter(slot for trial, slot in pairs if trial.state in (STATES.COMPLETE, STATES.PRUNED))


class Play:
    """Three processes on one study, and what may happen to them."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.study = optuna.create_study(direction="maximize")
        self.team = [Process(self.study, wanted) for _ in range(3)]
        self.orphans: list[int] = []

    def ask(self, who: int) -> None:
        self.team[who].ask()

    def ask_late(self, who: int) -> None:
        self.team[who].ask_late()

    def finish(self, who: int) -> None:
        self.team[who].finish()

    def die(self, who: int) -> None:
        self.orphans += [trial._trial_id for trial in self.team[who].has]
        self.team[who] = Process(self.study, self.wanted)

    def die_unsigned(self, who: int) -> None:
        """Be killed between asking and signing."""
        self.study.sampler = self.team[who].sampler
        self.orphans.append(self.study.ask(self.team[who].loop.spaces)._trial_id)
        self.die(who)

    def rescue(self, who: int) -> None:
        del who
        release(self.study, self.orphans)
        self.orphans = []

    def rescue_and_die(self, who: int) -> None:
        """Be killed between failing a dead one's trial and queueing it."""
        if self.orphans:
            self.study._storage.set_trial_state_values(self.orphans.pop(), STATES.FAIL)
        self.die(who)

    def doubt(self, who: int) -> None:
        """Take a process for dead that lives, and will tell."""
        if self.team[who].has:
            release(self.study, [self.team[who].has[-1]._trial_id])

    def tidy(self, who: int) -> None:
        tidy(self.study, self.team[who].loop.slots.stock(self.study, self.wanted))

    def end(self) -> None:
        """Let all who live finish, and a last process do the rest."""
        for process in self.team:
            while process.has:
                process.finish()
        self.rescue(0)
        last = Process(self.study, self.wanted)
        for _ in range(200):
            stock = last.loop.slots.stock(self.study, self.wanted)
            tidy(self.study, stock)
            if stock.finished == self.wanted:
                return
            last.ask()
            last.finish()
        raise AssertionError("the study does not end")


EVENTS = (
    "ask", "ask", "ask_late", "finish", "finish", "die", "die_unsigned", "rescue", "rescue_and_die", "doubt",
    "tidy",
)  # fmt: skip


@settings(max_examples=80, derandomize=True, database=None, deadline=None)
@given(
    events=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 2)), max_size=60),
    wanted=st.integers(1, 8),
)
def test_whatever_happens_every_slot_is_finished_once(events: list[tuple[str, int]], wanted: int) -> None:
    with quiet():
        play = Play(wanted)
        study = play.study
        for what, who in events:
            getattr(play, what)(who)
            assert all(count == 1 for count in finished(study).values())
        play.end()
    found = finished(study)
    assert {slot: found[slot] for slot in range(wanted)} == dict.fromkeys(range(wanted), 1)
    assert not [trial for trial in study.trials if trial.state in (STATES.RUNNING, STATES.WAITING)]
    # each slot was drawn as in a study to which nothing happened
    quiet_study = optuna.create_study(direction="maximize")
    alone = Process(quiet_study, wanted)
    with quiet():
        while alone.ask():
            alone.finish()
    drawn = {
        slot: trial.params
        for trial, slot in zip(study.trials, slots_of(study), strict=True)
        if trial.state == STATES.COMPLETE and slot < wanted
    }
    assert drawn == {trial.number: trial.params for trial in quiet_study.trials}


def test_a_trial_beyond_the_last_slot_is_dropped_and_comes_back_when_the_study_grows() -> None:
    with quiet():
        study = optuna.create_study()
        first, second = Process(study, 1), Process(study, 1)
        first.ask_late()
        second.ask_late()
        assert second.has == []
        first.finish()
        assert [trial.state for trial in study.trials] == [STATES.COMPLETE, STATES.FAIL]
        assert study.trials[1].user_attrs["dropped"] == "the study has its trials"
        longer = Process(study, 2)
        stock = longer.loop.slots.stock(study, 2)
        assert (stock.finished, stock.running, [trial.number for trial in stock.lost]) == (1, 0, [1])
        tidy(study, stock)
        assert longer.ask()
        longer.finish()
    assert finished(study) == Counter([0, 1])


def test_of_two_retries_the_first_counts() -> None:
    with quiet():
        study = optuna.create_study()
        process = Process(study, 1)
        process.ask()
        trial = process.has.pop()
        release(study, [trial._trial_id])
        lost = study.trials[0]
        study.enqueue_trial({}, user_attrs={RETRY: lost.number})
        stock = Slots().stock(study, 1)
        assert [study.trials[-1]._trial_id] == stock.needless
        process.ask()
        assert process.has[0].number == 1
        assert process.has[0].params == trial.params
        second = Process(study, 1)
        second.ask_late()
        assert second.has == []
        assert study.trials[2].user_attrs["dropped"] == "another trial has its slot"


def test_dropping_what_is_finished_does_nothing() -> None:
    study = optuna.create_study()
    study.tell(study.ask(), 1.0)
    drop(study, study.trials[0]._trial_id, "late")
    assert study.trials[0].state == STATES.COMPLETE
    assert "dropped" not in study.trials[0].user_attrs


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "nsga2", "nsga3"])
def test_what_a_slot_draws_does_not_depend_on_who_asks_for_it(sampler: str) -> None:
    spaces = distributions(SPACE)
    with quiet():
        one = optuna.create_study(direction="maximize")
        one.sampler = make_sampler(sampler, seed=3, spaces=spaces)
        expected = [one.ask(spaces).params for _ in range(12)]
        many = optuna.create_study(direction="maximize")
        samplers = [make_sampler(sampler, seed=3, spaces=spaces) for _ in range(3)]
        found = []
        for number in range(12):
            many.sampler = samplers[number * number % 3]
            found.append(many.ask(spaces).params)
    assert found == expected
    assert len({tuple(params.values()) for params in found}) == 12
