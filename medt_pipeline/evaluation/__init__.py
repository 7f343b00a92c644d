"""Scores of masks against ground truth."""

from medt_pipeline.evaluation.folder import FolderScores, Setting, evaluate_folder
from medt_pipeline.evaluation.image_scores import ImagePair, ImageScores, Wanted, score_image
from medt_pipeline.evaluation.options import EvaluationOptions, Tolerance
from medt_pipeline.evaluation.scores import Scores
from medt_pipeline.evaluation.summary import ClassScores

__all__ = [
    "ClassScores",
    "EvaluationOptions",
    "FolderScores",
    "ImagePair",
    "ImageScores",
    "Scores",
    "Setting",
    "Tolerance",
    "Wanted",
    "evaluate_folder",
    "score_image",
]
