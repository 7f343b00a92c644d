"""Scores of masks against ground truth."""
