"""Scores of masks against ground truth."""

from medt_pipeline.evaluation.folder import ClassScores, FolderScores, ImageScores, evaluate_folder
from medt_pipeline.evaluation.metrics import Counts, Scores, all_scores, count_pixels, dice, iou, precision, recall

__all__ = [
    "ClassScores",
    "Counts",
    "FolderScores",
    "ImageScores",
    "Scores",
    "all_scores",
    "count_pixels",
    "dice",
    "evaluate_folder",
    "iou",
    "precision",
    "recall",
]
