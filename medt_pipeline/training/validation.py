"""Prediction and scoring of the held-out cases of a fold."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nnunetv2.evaluation.evaluate_predictions import save_summary_json
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.paths import nnUNet_raw
from nnunetv2.utilities.json_export import recursive_fix_for_json_export

from medt_pipeline.core.files import atomic_path, make_folder
from medt_pipeline.core.progress import progress
from medt_pipeline.evaluation.folder import FolderScores, evaluate_folder
from medt_pipeline.evaluation.tables import write_scores
from medt_pipeline.training.case_prediction import make_predictor, predict_probabilities

if TYPE_CHECKING:
    from medt_pipeline.training.trainer import nnUNetTrainerMedT


def predict_held_out(trainer: nnUNetTrainerMedT, save_probabilities: bool) -> None:
    """Predict the held-out cases of the trainer's fold into its folder `validation`; processes of a group share them.

    Args:
        trainer: with its trained network, deep supervision switched off.
        save_probabilities: also write CASE.npz with the class probabilities, as nnU-Net names and shapes them.

    Raises:
        KeyboardInterrupt: a process of the group was told to stop.
    """
    folder = make_folder(Path(trainer.output_folder) / "validation")
    predictor = make_predictor(
        trainer.plain_network(),
        trainer.plans_manager,
        trainer.configuration_name,
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
        trainer.device,
    )
    _, cases = trainer.do_split()
    dataset = trainer.dataset_class(trainer.preprocessed_dataset_folder, list(cases))
    quiet = trainer.progress is None or trainer.progress.quiet
    trainer.prediction_seconds = []
    shares = [cases[first : first + trainer.group.size] for first in range(0, len(cases), trainer.group.size)]
    for share in progress(shares, "validation", len(shares), "case", quiet):
        trainer.group.agree()
        # The last share may have fewer cases than there are processes.
        for case in share[trainer.group.rank : trainer.group.rank + 1]:
            _predict_case(trainer, predictor, dataset.load_case(case), folder / case, save_probabilities)
    trainer.group.wait()


def score_held_out(trainer: nnUNetTrainerMedT) -> None:
    """Score what `predict_held_out` predicted; the first process of a group does, the others wait."""
    if trainer.group.is_first:
        folder = Path(trainer.output_folder) / "validation"
        references = Path(trainer.preprocessed_dataset_folder_base) / "gt_segmentations"
        raw_folder = Path(nnUNet_raw) / trainer.plans_manager.dataset_name
        score_validation(references, folder, trainer.do_split()[1], trainer.dataset_json, raw_folder)
    trainer.group.wait()


def _predict_case(
    trainer: nnUNetTrainerMedT, predictor: nnUNetPredictor, loaded: tuple[Any, ...], stem: Path, save: bool
) -> None:
    """Write the mask of a case beside `stem`, and its probabilities with `save`."""
    image, _, _, properties = loaded
    began = time.monotonic()
    labels, probabilities = predict_probabilities(predictor, image[:], properties)
    trainer.prediction_seconds.append(time.monotonic() - began)
    if save:
        with atomic_path(stem.with_name(f"{stem.name}.npz")) as temporary:
            np.savez_compressed(temporary, probabilities=probabilities.astype(np.float16))
    writer = trainer.plans_manager.image_reader_writer_class()
    with atomic_path(stem.with_name(f"{stem.name}{trainer.dataset_json['file_ending']}")) as temporary:
        writer.write_seg(labels, str(temporary), properties)


def score_validation(
    references: Path, predictions: Path, cases: list[str], dataset_json: dict[str, Any], raw_folder: Path
) -> FolderScores:
    """Score the predicted `cases` and write the tables beside them; `raw_folder` tells their patients and objects.

    Writes medt_scores.csv and .json, and before them summary.json as nnU-Net writes it.
    """
    scores = evaluate_folder(references, predictions, dataset_json["labels"], only=cases, dataset_folder=raw_folder)
    with atomic_path(predictions / "summary.json") as temporary:
        save_summary_json(_nnunet_summary(scores, references, predictions, dataset_json["file_ending"]), str(temporary))
    # Last, because a fold that has them counts as scored.
    write_scores(scores, predictions)
    return scores


def _nnunet_summary(scores: FolderScores, references: Path, predictions: Path, ending: str) -> dict[str, Any]:
    """The scores in the form of nnU-Net's summary.json, for its tools."""
    value_of = {one.label: one.value for one in scores.classes}
    by_case: dict[str, dict[int, dict[str, float]]] = {}
    for row in scores.images:
        counts = row.counts
        by_case.setdefault(row.image, {})[value_of[row.label]] = {
            "Dice": row.scores.dice,
            "IoU": row.scores.iou,
            "FP": counts.fp,
            "TP": counts.tp,
            "FN": counts.fn,
            "TN": counts.tn,
            "n_pred": counts.fp + counts.tp,
            "n_ref": counts.fn + counts.tp,
        }
    names = ("Dice", "IoU", "FP", "TP", "FN", "TN", "n_pred", "n_ref")
    mean = {
        value: {name: float(np.nanmean([case[value][name] for case in by_case.values()])) for name in names}
        for value in value_of.values()
    }
    summary = {
        "metric_per_case": [
            {
                "metrics": metrics,
                "prediction_file": str(predictions / f"{case}{ending}"),
                "reference_file": str(references / f"{case}{ending}"),
            }
            for case, metrics in by_case.items()
        ],
        "mean": mean,
        "foreground_mean": {name: float(np.mean([of_class[name] for of_class in mean.values()])) for name in names},
    }
    recursive_fix_for_json_export(summary)
    return summary
