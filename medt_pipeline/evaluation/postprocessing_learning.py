"""Learning of post-processing on held-out predictions: a step is taken only where patients say that it helps.

The rule. Per class, greedily: of all steps of a kind that the class has not yet, with all their parameters, those are
good of which the paired bootstrap over patients puts the lower bound of the mean gain in Dice above 0. The bound is
studentised (`lower_bounds`), and its error of 2.5 % is divided by the number of candidates (Bonferroni), because the
best of many looks good by chance. Of the good ones, that of the largest mean gain is taken, and the others are tried
again behind it; where none is good, the class is done. Gains below `SMALLEST_GAIN`, which three digits do not show, are
none. Smoothing of probabilities is decided first, by the mean Dice over classes; splitting of objects last, by the mean
of object F1 and object Dice.

An image in which a class is neither in the reference nor in the prediction counts 1 here, so that removing a false
alarm is a gain; elsewhere such images have no score.

What is learned was chosen on the cases on which its gain was measured: on new patients it will be a little less.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medt_pipeline.evaluation.held_out import CaseSource, HeldOutCase, over_cases
from medt_pipeline.evaluation.labels import BACKGROUND, Labels
from medt_pipeline.evaluation.metrics import count_pixels, dice
from medt_pipeline.evaluation.object_metrics import connected_objects, object_dice, object_f1, sum_objects
from medt_pipeline.evaluation.postprocessing_candidates import (
    candidate_smoothings,
    candidate_splittings,
    candidate_steps,
)
from medt_pipeline.evaluation.statistics import lower_bounds
from medt_pipeline.postprocessing.recipe import PostProcessing, apply, apply_step
from medt_pipeline.postprocessing.splitting import Splitting, split_objects
from medt_pipeline.postprocessing.steps import Step

ERROR = 0.025
SMALLEST_GAIN = 5e-4
FEWEST_GROUPS = 5
"""With fewer patients all of them may gain by chance: of four, one time in 16."""

ALL_CLASSES = "all classes"


@dataclass(frozen=True)
class Trial:
    """One thing that was tried.

    Attributes:
        label: name of the class, or `ALL_CLASSES`.
        step: what was tried, with its parameters.
        gain: mean over images.
        low: lower bound of the gain.
        taken: it is in the recipe.
    """

    label: str
    step: str
    gain: float
    low: float
    taken: bool


@dataclass(frozen=True)
class LearnedPostProcessing:
    """What was learned.

    Attributes:
        recipe: what to do with predictions; empty where nothing helps.
        trials: everything that was tried, in its order.
        groups: number of patients.
        reason: why nothing was tried; "" where something was.
    """

    recipe: PostProcessing
    trials: tuple[Trial, ...]
    groups: int
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The recipe with its reasons, for a file."""
        return {
            "recipe": self.recipe.to_json(),
            "groups": self.groups,
            "nothing_tried_because": self.reason or None,
            "trials": [vars(trial) for trial in self.trials],
        }


@dataclass(frozen=True)
class _Task:
    """What stays the same while the recipe grows; classes without an object in any reference have no `median_area`."""

    cases: Sequence[CaseSource]
    groups: list[str]
    labels: Labels
    median_area: dict[str, float]
    threads: int


def learn_postprocessing(
    cases: Sequence[CaseSource], labels: Labels, objects: bool = False, threads: int | None = None
) -> LearnedPostProcessing:
    """Learn what helps the predictions of `cases`, by the rule of this module.

    Args:
        cases: held-out cases; all are read once for the sizes of objects and once for each round of trials.
        labels: the classes; pixels that the reference ignores count for nothing.
        objects: also learn how to split objects.
        threads: cases in work, and in memory, at once; None: as many as there are processors.
    """
    groups = [case.group for case in cases]
    number = len(set(groups))
    if number < FEWEST_GROUPS:
        reason = f"{number} patients are too few to tell help from chance, {FEWEST_GROUPS} are needed"
        return LearnedPostProcessing(PostProcessing(), (), number, reason)
    threads = threads or os.cpu_count() or 1
    median_area, smooths = _look_through(cases, labels, threads)
    task = _Task(cases, groups, labels, median_area, threads)
    recipe, trials = PostProcessing(), []
    for wanted, learn in ((smooths, _learn_smoothing), (True, _learn_steps), (objects, _learn_splitting)):
        if wanted and median_area:
            recipe, tried = learn(task, recipe)
            trials += tried
    return LearnedPostProcessing(recipe, tuple(trials), number)


def choose(gains: np.ndarray, groups: Sequence[str]) -> tuple[int | None, np.ndarray]:
    """Which of several candidates to take, by the rule of this module.

    Args:
        gains: (n, candidates) gain of each candidate in each image.
        groups: patient of each image.

    Returns:
        Index of the candidate, None where none is good; lower bound of each one's mean gain, (candidates,).
    """
    low = lower_bounds(gains, groups, ERROR / gains.shape[1])
    means = gains.mean(0)
    good = (low > 0) & (means >= SMALLEST_GAIN)
    return (int(np.where(good, means, -np.inf).argmax()) if good.any() else None), low


def _decide(
    label: str, candidates: Sequence[str], gains: np.ndarray, groups: list[str]
) -> tuple[int | None, list[Trial]]:
    taken, low = choose(gains, groups)
    means = gains.mean(0)
    return taken, [
        Trial(label, candidate, float(means[index]), float(low[index]), index == taken)
        for index, candidate in enumerate(candidates)
    ]


def _look_through(cases: Sequence[CaseSource], labels: Labels, threads: int) -> tuple[dict[str, float], bool]:
    """Median area of the objects of each class that occurs, and whether every case has probabilities."""

    def look(case: HeldOutCase) -> tuple[dict[str, np.ndarray], bool]:
        areas = {label: _areas(_reference_objects(case, value)) for label, value in labels.foreground.items()}
        return areas, case.probabilities is not None

    seen = over_cases(cases, look, threads)
    pooled = {label: np.concatenate([areas[label] for areas, _ in seen]) for label in labels.foreground}
    return {label: float(np.median(areas)) for label, areas in pooled.items() if len(areas)}, all(
        has for _, has in seen
    )


def _learn_smoothing(task: _Task, recipe: PostProcessing) -> tuple[PostProcessing, list[Trial]]:
    recipes = [PostProcessing(sigma) for sigma in candidate_smoothings(min(task.median_area.values()))]

    def gains(case: HeldOutCase) -> np.ndarray:
        found = [apply(one, case.label_map, case.probabilities) for one in (recipe, *recipes)]
        scores = [
            np.mean([_dice(case, one, value, task.labels) for value in task.labels.foreground.values()])
            for one in found
        ]
        return np.array(scores[1:]) - scores[0]

    names = [f"smooth_probabilities(sigma_px={one.smoothing:g})" for one in recipes]
    taken, trials = _decide(ALL_CLASSES, names, np.array(over_cases(task.cases, gains, task.threads)), task.groups)
    return (recipe if taken is None else recipes[taken]), trials


def _learn_steps(task: _Task, recipe: PostProcessing) -> tuple[PostProcessing, list[Trial]]:
    """One round after another, in each of which every class that is not done gains a step or is done."""
    trials: list[Trial] = []
    active = list(task.median_area)
    while active:
        steps = {label: _steps_left(task, recipe, label) for label in active}
        steps = {label: tried for label, tried in steps.items() if tried}
        gains = _gains_of_steps(task, recipe, steps)
        active = []
        for label, tried in steps.items():
            taken, found = _decide(label, [str(step) for step in tried], gains[label], task.groups)
            trials += found
            if taken is not None:
                recipe = recipe.with_step(task.labels.foreground[label], tried[taken])
                active.append(label)
    return recipe, trials


def _steps_left(task: _Task, recipe: PostProcessing, label: str) -> list[Step]:
    done = {step.name for step in recipe.steps.get(task.labels.foreground[label], ())}
    return candidate_steps(task.median_area[label], done)


def _gains_of_steps(task: _Task, recipe: PostProcessing, steps: dict[str, list[Step]]) -> dict[str, np.ndarray]:
    """Gains (n, steps) in Dice of each class by each of its steps behind the recipe."""

    def gains(case: HeldOutCase) -> dict[str, list[float]]:
        before = apply(recipe, case.label_map, case.probabilities)
        found = {}
        for label, tried in steps.items():
            value = task.labels.foreground[label]
            score = _dice(case, before, value, task.labels)
            found[label] = [_dice(case, apply_step(before, value, step), value, task.labels) - score for step in tried]
        return found

    rows = over_cases(task.cases, gains, task.threads)
    return {label: np.array([row[label] for row in rows]) for label in steps}


def _learn_splitting(task: _Task, recipe: PostProcessing) -> tuple[PostProcessing, list[Trial]]:
    tried = {label: candidate_splittings(area) for label, area in task.median_area.items()}

    def gains(case: HeldOutCase) -> dict[str, np.ndarray]:
        found = apply(recipe, case.label_map, case.probabilities)
        if task.labels.ignore is not None:
            found = np.where(case.reference == task.labels.ignore, BACKGROUND, found)
        return {label: _splitting_gains(case, found, task.labels.foreground[label], tried[label]) for label in tried}

    rows = over_cases(task.cases, gains, task.threads)
    trials: list[Trial] = []
    splitting = {}
    for label, splittings in tried.items():
        table = np.array([row[label] for row in rows])
        taken, found = _decide(label, [str(one) for one in splittings], table, task.groups)
        trials += found
        if taken is not None:
            splitting[task.labels.foreground[label]] = splittings[taken]
    return PostProcessing(recipe.smoothing, recipe.steps, splitting), trials


def _splitting_gains(case: HeldOutCase, found: np.ndarray, value: int, splittings: list[Splitting]) -> np.ndarray:
    reference, mask = _reference_objects(case, value), found == value
    scores = []
    for splitting in (None, *splittings):
        sums = sum_objects(reference, split_objects(mask, splitting), distances=False)
        scores.append(_one_where_undefined((object_f1(sums) + object_dice(sums)) / 2))
    return np.array(scores[1:]) - scores[0]


def _dice(case: HeldOutCase, found: np.ndarray, value: int, labels: Labels) -> float:
    reference = case.reference
    if labels.ignore is not None:
        scored = reference != labels.ignore
        reference, found = reference[scored], found[scored]
    return _one_where_undefined(dice(count_pixels(reference, found, value)))


def _one_where_undefined(score: float) -> float:
    return 1.0 if math.isnan(score) else float(score)


def _reference_objects(case: HeldOutCase, value: int) -> np.ndarray:
    mask = case.reference == value
    return (
        connected_objects(mask)
        if case.reference_objects is None
        else np.where(mask, case.reference_objects, BACKGROUND)
    )


def _areas(instances: np.ndarray) -> np.ndarray:
    areas = np.bincount(instances.ravel())[1:]
    return areas[areas > 0]
