"""Summaries of real data sets, as the fingerprint measured them, and of images drawn in tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medt_pipeline.fingerprint.case_facts import measure_case
from medt_pipeline.fingerprint.plain import from_plain
from medt_pipeline.fingerprint.set_groups import group_cases
from medt_pipeline.fingerprint.summary import Summary, summarise


def real_summary(name: str) -> Summary:
    """Of "glas", "monuseg", "busi" or "usgra"."""
    return from_plain(Summary, json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8")))


def summary_of(images: Sequence[np.ndarray]) -> Summary:
    """Of `images`, (H, W) or (H, W, C), with empty masks."""
    channels = [image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0) for image in images]
    cases = {
        f"case{i}": measure_case(f"case{i}", one.astype(np.float32), np.zeros(one.shape[1:], int), (999, 1, 1), [1])
        for i, one in enumerate(channels)
    }
    grouped, pairs = group_cases(cases)
    return summarise(grouped, {1: "thing"}, pairs, [])
