"""The report of a data set: data, plan, curves, scores, ranking and held-out cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medt_pipeline.core.cases import read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.evaluation.label_maps import read_label_map
from medt_pipeline.evaluation.labels import make_labels
from medt_pipeline.fingerprint.medt_fingerprint import Fingerprint, known_fingerprint
from medt_pipeline.inference.find_best import OUT_OF_FOLD
from medt_pipeline.inference.recipe import QUALITY_TABLE
from medt_pipeline.planning.planner import PLANS_NAME
from medt_pipeline.planning.run import SPLITS_FILE
from medt_pipeline.report.cases import Case, ScoreFile, in_order, read_quality, read_scores
from medt_pipeline.report.data_facts import describe_data
from medt_pipeline.report.data_set_parts import curve_part, ranking_part, runs_part, score_part, tiles
from medt_pipeline.report.folds import TrainedFold, choose_configuration, find_folds
from medt_pipeline.report.formats import entries
from medt_pipeline.report.page import MEGABYTES, PageContent, WrittenReport, write_report
from medt_pipeline.report.ranking import Selection, read_selection
from medt_pipeline.report.score_table import score_table
from medt_pipeline.training.run import SCORES

REPORT_FILE = "medt_report.html"
UNCERTAINTY = "uncertainty"
"""Folder of uncertainty maps beside masks."""


@dataclass(frozen=True)
class _HeldOut:
    """Masks of held-out cases by the model that is reported.

    Attributes:
        model: its name.
        masks: folder of the masks by case.
        scores: of the cases.
        estimated: Dice by case.
    """

    model: str
    masks: Mapping[str, Path]
    scores: ScoreFile
    estimated: Mapping[str, float]


def report_data_set(
    dataset_id: int,
    workspace: Workspace,
    configuration: str | None = None,
    target: Path | None = None,
    megabytes: float = MEGABYTES,
    quiet: bool = False,
) -> WrittenReport:
    """Write the report of a data set whose held-out cases are scored, at least those of one fold.

    Args:
        dataset_id: in the workspace.
        workspace: where everything lies; it need not be activated.
        configuration: whose held-out cases are shown; None: those of the recipe of medt_find_best or, where there is
            none, of the configuration with the most trained folds.
        target: file to write; None: medt_report.html in the results of the data set.
        megabytes: size of the page that is not exceeded.
        quiet: show no progress.

    Raises:
        UserError: the data set does not exist, nothing is scored, or a file is broken.
    """
    name = workspace.dataset_name(dataset_id)
    raw, preprocessed, results = (
        folder / name for folder in (workspace.raw, workspace.preprocessed, workspace.results)
    )
    dataset_json = read_json(preprocessed / "dataset.json")
    labels = make_labels(dataset_json.get("labels"), str(preprocessed / "dataset.json")).foreground
    folds, selection = find_folds(workspace, name), read_selection(results)
    fingerprint = known_fingerprint(preprocessed)
    if selection is not None and configuration is None and (results / OUT_OF_FOLD / SCORES).exists():
        held_out = _of_recipe(results / OUT_OF_FOLD, selection)
    else:
        held_out = _of_configuration(folds, configuration)
    cases = _cases(held_out, raw, preprocessed, dataset_json, fingerprint)
    table = score_table(cases, held_out.scores.unit, held_out.scores.tolerance)
    data = describe_data(raw, fingerprint, dataset_json)
    content = PageContent(
        title=f"{data.title}: segmentation report",
        subtitle=f"{name}; held-out images, each segmented by networks that were not trained on it: {held_out.model}.",
        tiles=tiles(table, held_out.model),
        data=data,
        decisions=_decisions(preprocessed / f"{PLANS_NAME}.json"),
        curves=curve_part(folds),
        scores=score_part(table, cases, name),
        ranking=ranking_part(selection, folds, cases),
        runs=runs_part(folds, selection),
    )
    return write_report(target or results / REPORT_FILE, content, in_order(cases), labels, megabytes, quiet)


def with_uncertainty(case: Case, file: Path) -> Case:
    """The case with its uncertainty map, where `file` exists.

    Raises:
        UserError: it cannot be read.
    """
    if not file.exists():
        return case
    return replace(case, uncertainty=file, mean_uncertainty=float(np.mean(read_label_map(file)) / 255))


def _of_recipe(folder: Path, selection: Selection) -> _HeldOut:
    scores = read_scores(folder / SCORES)
    model = " + ".join(
        one.configuration if len(selection.members) == 1 else f"{one.weight:.2g} {one.configuration}"
        for one in selection.members
    )
    return _HeldOut(model, dict.fromkeys(scores.by_case, folder), scores, read_quality(folder / QUALITY_TABLE))


def _of_configuration(folds: Sequence[TrainedFold], configuration: str | None) -> _HeldOut:
    chosen = choose_configuration(folds, configuration)
    numbers = ", ".join(str(one.fold) for one in chosen)
    return _HeldOut(
        f"{chosen[0].configuration}, fold{'s' if len(chosen) > 1 else ''} {numbers}",
        {case: one.masks for one in chosen for case in one.scores.by_case},
        replace(chosen[0].scores, by_case={case: own for one in chosen for case, own in one.scores.by_case.items()}),
        {},
    )


def _cases(
    held_out: _HeldOut, raw: Path, preprocessed: Path, dataset_json: Mapping[str, Any], fingerprint: Fingerprint | None
) -> list[Case]:
    ending, known = str(dataset_json["file_ending"]), read_cases(raw)
    fold_of = _fold_of(preprocessed / SPLITS_FILE)
    facts = {} if fingerprint is None else fingerprint.cases
    cases = []
    for name, scores in held_out.scores.by_case.items():
        image, truth = raw / "imagesTr" / f"{name}_0000{ending}", preprocessed / "gt_segmentations" / f"{name}{ending}"
        group = known[name].group if name in known else None
        case = Case(
            name,
            held_out.masks[name] / f"{name}{ending}",
            image if image.exists() else None,
            truth if truth.exists() else None,
            group=group,
            resampled_with=facts[name].fold_group if name in facts else group or name,
            fold=fold_of.get(name),
            scores=scores,
            estimated_dice=held_out.estimated.get(name, math.nan),
        )
        cases.append(with_uncertainty(case, held_out.masks[name] / UNCERTAINTY / f"{name}.png"))
    return cases


def _fold_of(file: Path) -> dict[str, int]:
    splits = read_json(file) if file.exists() else []
    try:
        return {str(case): number for number, split in enumerate(splits) for case in split["val"]}
    except (KeyError, TypeError) as error:
        raise UserError(f"{file} does not hold folds ({type(error).__name__}: {error}); plan again.") from None


def _decisions(plans: Path) -> list[dict[str, Any]]:
    """Decisions of the plan as texts; [] for plans that explain nothing."""
    decisions = read_json(plans).get("medt", {}).get("decisions", []) if plans.exists() else []
    return [
        {
            "name": str(one["name"]),
            "reason": str(one["reason"]),
            "rule": str(one["rule"]),
            "value": entries(one["value"]),
            "facts": entries(one["facts"]),
        }
        for one in decisions
    ]
