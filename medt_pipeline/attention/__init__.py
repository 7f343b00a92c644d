"""Gated axial attention as one pure function with interchangeable backends."""

from medt_pipeline.attention.all_processes import over_all_processes
from medt_pipeline.attention.backends import axial_attention, choose_backend, forced_backend
from medt_pipeline.attention.relative_table import resize_relative_table
from medt_pipeline.attention.similarity_statistics import SimilarityStatistics, similarity_statistics

__all__ = [
    "SimilarityStatistics",
    "axial_attention",
    "choose_backend",
    "forced_backend",
    "over_all_processes",
    "resize_relative_table",
    "similarity_statistics",
]
