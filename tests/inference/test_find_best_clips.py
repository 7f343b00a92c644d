"""Out-of-fold probabilities of clips whose frames flicker, and the window that is chosen for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medt_pipeline.core.clip_frames import frame_case
from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.selection import Candidate
from medt_pipeline.inference.find_best import _choose_window
from medt_pipeline.inference.recipe import Recipe, recipe_of
from medt_pipeline.postprocessing.recipe import read_recipe

NOTHING = read_recipe({"version": 1, "smoothing_px": 0, "classes": {}}, "nothing")
REFERENCE = np.zeros((12, 16), np.uint8)
REFERENCE[3:9, 4:12] = 1


def _held_out(patients: int, frames: int) -> Any:
    numbers = [(patient, index) for patient in range(patients) for index in range(frames)]
    names = {frame_case(f"p{patient}_001", index): f"p{patient}" for patient, index in numbers}

    def probabilities(case: str, members: list[str]) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(list(case.encode()))
        foreground = np.clip(0.3 + 0.4 * REFERENCE + rng.normal(0, 0.3, REFERENCE.shape), 0, 1)
        return {name: np.stack([1 - foreground, foreground]).astype(np.float32) for name in members}

    return SimpleNamespace(
        cases=tuple(names),
        group_of=names,
        dataset_json={"labels": {"background": 0, "lesion": 1}},
        probabilities=probabilities,
        reference=lambda case: REFERENCE,
    )


def test_flickering_clips_are_averaged_and_single_images_decide_nothing() -> None:
    candidate = Candidate(("2d",), (1.0,))
    choice = _choose_window(_held_out(6, 9), candidate, NOTHING, quiet=True)
    assert choice is not None and choice.window > 1
    assert _choose_window(_held_out(6, 1), candidate, NOTHING, quiet=True) is None
    few = _choose_window(_held_out(2, 9), candidate, NOTHING, quiet=True)
    assert few is not None and few.window == 1


def test_the_window_is_part_of_the_recipe() -> None:
    member = {"model": "m", "configuration": "2d", "folds": [0], "weight": 1.0}
    old = {"format": 1, "members": [member], "postprocessing": NOTHING.to_json(), "quality": None}
    assert recipe_of(old, "it", "again").smooth_frames == 1
    read = recipe_of({**old, "smooth_frames": 5}, "it", "again")
    assert read.smooth_frames == 5
    assert recipe_of({"format": 1, **read.to_json()}, "it", "again") == read
    assert isinstance(read, Recipe)
    for wrong in (4, 0, 33, True, "5"):
        with pytest.raises(UserError, match="smooth_frames"):
            recipe_of({**old, "smooth_frames": wrong}, "it", "again")
