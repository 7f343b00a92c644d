"""From out-of-fold probabilities to the recipe with which new images are predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medt_pipeline.core.clip_frames import runs_of_frames
from medt_pipeline.core.files import make_folder, write_json, write_text
from medt_pipeline.core.images import write_png
from medt_pipeline.core.locks import locked, remove_unfinished
from medt_pipeline.core.manifest import environment
from medt_pipeline.core.progress import progress
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.evaluation.folder import FolderScores, evaluate_folder
from medt_pipeline.evaluation.held_out import CaseSource, HeldOutCase
from medt_pipeline.evaluation.labels import make_labels
from medt_pipeline.evaluation.options import EvaluationOptions
from medt_pipeline.evaluation.postprocessing_learning import LearnedPostProcessing, learn_postprocessing
from medt_pipeline.evaluation.quality import Quality, calibrate, expected_dice
from medt_pipeline.evaluation.score_records import interval_record, plain_number, with_intervals
from medt_pipeline.evaluation.selection import (
    SURE,
    Candidate,
    Ranked,
    average,
    candidates_of,
    choose,
    choose_weights,
    dice_of_candidates,
    mean_of_classes,
    rank,
    weightings_of,
)
from medt_pipeline.evaluation.tables import write_scores
from medt_pipeline.evaluation.uncertainty import as_picture, entropy
from medt_pipeline.evaluation.window_choice import OFF, WindowChoice, choose_window, window_scores
from medt_pipeline.inference.out_of_fold import OutOfFold, open_out_of_fold
from medt_pipeline.inference.recipe import FORMAT, QUALITY_TABLE, RECIPE_FILE, Member, Recipe, objects_of
from medt_pipeline.postprocessing.recipe import PostProcessing, apply
from medt_pipeline.training.run import fold_folder

OUT_OF_FOLD = "out_of_fold"
"""Folder of the masks, uncertainties and scores of the selected recipe on held-out cases, beside the recipe."""


@dataclass(frozen=True)
class BestRecipe:
    """What was selected.

    Attributes:
        file: inference.json.
        ranking: all candidates, best first.
        chosen: the winner of the ranking, before its weights were learned.
        content: of the file.
        left_out: sentences on configurations that are not complete.
    """

    file: Path
    ranking: tuple[Ranked, ...]
    chosen: Ranked
    content: dict[str, Any]
    left_out: tuple[str, ...]


def find_best(dataset_id: int, workspace: Workspace, quiet: bool = False) -> BestRecipe:
    """Rank every trained configuration, pair and triple on held-out cases, and write the best as inference.json.

    Args:
        dataset_id: with at least one configuration that is cross-validated.
        workspace: an activated workspace.
        quiet: show no progress.

    Raises:
        UserError: there is none, or another process chooses for this data set.
    """
    held_out = open_out_of_fold(workspace, dataset_id)
    name = workspace.dataset_name(dataset_id)
    folder = workspace.results / name
    with locked(folder / ".medt_find_best.lock", f"the recipe of {name}"):
        for part in (folder, *(folder / OUT_OF_FOLD / one for one in (".", "uncertainty", "instances"))):
            remove_unfinished(part)
        return _find_best(held_out, workspace, name, folder, quiet)


def _find_best(held_out: OutOfFold, workspace: Workspace, name: str, folder: Path, quiet: bool) -> BestRecipe:
    candidates = candidates_of(held_out.configurations)
    dice = _image_dice(held_out, candidates, "Rank models", quiet)
    ranking = rank(dice, candidates, held_out.groups, held_out.seconds)
    chosen = choose(ranking)
    candidate, gain = _with_weights(held_out, chosen.candidate, quiet)
    learned = _learn_postprocessing(held_out, candidate)
    quality, scores = _write_masks(held_out, candidate, learned.recipe, folder / OUT_OF_FOLD, quiet)
    smoothing = _choose_window(held_out, candidate, learned.recipe, quiet)
    members = tuple(
        Member(
            fold_folder(workspace, name, member, 0).parent.name,
            member,
            tuple(range(len(held_out.folders[member]))),
            weight,
        )
        for member, weight in zip(candidate.members, candidate.weights, strict=True)
    )
    content = {
        "format": FORMAT,
        "dataset": name,
        **Recipe(members, learned.recipe, quality, smoothing.window if smoothing else OFF).to_json(),
        "weights": "equal" if len(set(candidate.weights)) == 1 else "learned",
        "weights_gain": gain,
        "postprocessing_trials": [vars(one) for one in learned.trials],
        "smooth_frames_choice": None if smoothing is None else vars(smoothing),
        "score": scores,
        "ranking": [_as_record(one) for one in ranking],
        "rule": f"The cheapest candidate that the best one does not beat in {SURE:.0%} of the resamples of patients.",
        "environment": environment(),
    }
    write_json(folder / RECIPE_FILE, content)
    return BestRecipe(folder / RECIPE_FILE, tuple(ranking), chosen, content, held_out.left_out)


def _image_dice(held_out: OutOfFold, candidates: Sequence[Candidate], what: str, quiet: bool) -> np.ndarray:
    """(images, candidates): Dice of each held-out image in the mean over classes; one image in memory at a time."""
    used = sorted({member for candidate in candidates for member in candidate.members})
    ignore = held_out.dataset_json["labels"].get("ignore")
    rows = []
    for case in progress(held_out.cases, what, len(held_out.cases), "case", quiet):
        probabilities = held_out.probabilities(case, used)
        rows.append(mean_of_classes(dice_of_candidates(probabilities, held_out.reference(case), candidates, ignore)))
    return np.array(rows)


def _with_weights(held_out: OutOfFold, candidate: Candidate, quiet: bool) -> tuple[Candidate, dict[str, Any] | None]:
    """The candidate with learned weights where they win, and what they gained on cases they were not learned by."""
    if len(candidate.members) == 1:
        return candidate, None
    weightings = weightings_of(candidate)
    dice = _image_dice(held_out, weightings, "Weigh models", quiet)
    chosen, gain = choose_weights(dice, weightings, held_out.groups, held_out.folds)
    return chosen, interval_record(gain.value, gain.interval)


def _learn_postprocessing(held_out: OutOfFold, candidate: Candidate) -> LearnedPostProcessing:
    """What helps the masks of held-out cases; the splitting of objects too where the truth of these is known."""

    def source(case: str) -> CaseSource:
        def load() -> HeldOutCase:
            mean = average(held_out.probabilities(case, candidate.members), candidate)
            return HeldOutCase(held_out.reference(case), None, mean, held_out.instances(case))

        return CaseSource(held_out.group_of[case], load)

    labels = make_labels(held_out.dataset_json["labels"], "dataset.json")
    return learn_postprocessing([source(case) for case in held_out.cases], labels, held_out.has_instances)


def _choose_window(
    held_out: OutOfFold, candidate: Candidate, recipe: PostProcessing, quiet: bool
) -> WindowChoice | None:
    """Over how many frames of a clip probabilities are averaged; None where no cases are frames that follow another."""
    runs = [run for run in runs_of_frames(held_out.cases) if len(run) > 1]
    if not runs:
        return None
    labels = make_labels(held_out.dataset_json["labels"], "dataset.json").foreground.values()

    def frames(run: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for case in run:
            yield average(held_out.probabilities(case, candidate.members), candidate), held_out.reference(case)

    def labels_of(mean: np.ndarray) -> np.ndarray:
        return apply(recipe, mean.argmax(0), mean)

    scores = [
        window_scores(frames(run), labels_of, list(labels))
        for run in progress(runs, "Average frames", len(runs), "clip", quiet)
    ]
    return choose_window(scores, [held_out.group_of[run[0]] for run in runs])


def _write_masks(
    held_out: OutOfFold, candidate: Candidate, recipe: PostProcessing, folder: Path, quiet: bool
) -> tuple[Quality | None, dict[str, Any]]:
    """Write mask and uncertainty of each held-out case, score them, and calibrate the estimate of their quality.

    Returns:
        The calibration, and the scores with intervals.
    """
    for name in ("uncertainty", *(["instances"] if held_out.has_instances else [])):
        make_folder(folder / name)
    expected = []
    for case in progress(held_out.cases, "Write masks", len(held_out.cases), "case", quiet):
        mean = average(held_out.probabilities(case, candidate.members), candidate)
        labels = apply(recipe, mean.argmax(0), mean).astype(np.uint8)
        write_png(folder / f"{case}.png", labels)
        if held_out.has_instances:
            write_png(folder / "instances" / f"{case}.png", objects_of(recipe, labels, len(mean)))
        write_png(folder / "uncertainty" / f"{case}.png", as_picture(entropy(mean)))
        expected.append(expected_dice(mean, labels))
    scores = evaluate_folder(
        held_out.references,
        folder,
        held_out.dataset_json["labels"],
        only=held_out.cases,
        options=EvaluationOptions(groups=held_out.group_of),
        dataset_folder=held_out.raw,
    )
    write_scores(scores, folder)
    by_class = {one.label: _of_class(scores, one.label, held_out.cases) for one in scores.classes}
    true = mean_of_classes(np.stack([values[:, 0] for values in by_class.values()], axis=1))
    quality = calibrate(expected, true.tolist(), held_out.folds)
    estimated = [quality.estimate(one) if quality else float("nan") for one in expected]
    lines = [f"{case},{one:.4f},{other:.4f}" for case, one, other in zip(held_out.cases, estimated, true, strict=True)]
    write_text(folder / QUALITY_TABLE, "\n".join(["image,estimated_dice,true_dice", *lines]) + "\n")
    return quality, with_intervals(by_class, held_out.groups)


def _of_class(scores: FolderScores, label: str, cases: Sequence[str]) -> np.ndarray:
    """(images, 2): Dice and IoU of a class in each image."""
    rows = {row.image: (row.scores.dice, row.scores.iou) for row in scores.images if row.label == label}
    return np.array([rows[case] for case in cases])


def _as_record(ranked: Ranked) -> dict[str, Any]:
    behind = ranked.behind_best
    return {
        "name": ranked.candidate.name,
        "members": list(ranked.candidate.members),
        "weights": list(ranked.candidate.weights),
        "mean_dice": interval_record(ranked.value, ranked.interval),
        "behind_best": {
            **interval_record(behind.value, behind.interval),
            "share_below": plain_number(behind.share_above),
        },
        "seconds_per_image": round(ranked.cost, 4),
    }
