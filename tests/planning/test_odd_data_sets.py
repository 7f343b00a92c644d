"""Odd data sets: each is planned, trained for two steps and predicted, or refused with one clear sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_mask
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion.folder import FolderOptions, convert
from medt_pipeline.dataset_conversion.target import Target
from medt_pipeline.inference.models import find_model
from medt_pipeline.inference.predict import PredictionOptions, predict_images
from medt_pipeline.planning.overrides import parse_overrides
from medt_pipeline.planning.run import PlanSummary, plan_and_preprocess
from medt_pipeline.training.run import TrainingOptions, train_fold

CPU = torch.device("cpu")
DATASET_ID = 902
SIZE = (48, 64)


@dataclass(frozen=True)
class Case:
    """An image with its mask, and the ending of the image's file."""

    image: np.ndarray
    mask: np.ndarray
    ending: str = ".png"


def picture(seed: int, size: tuple[int, int] = SIZE, channels: int = 3) -> np.ndarray:
    """Smooth noise, 8 bits, (H, W) or (H, W, channels)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (8, 8, channels), np.uint8)
    planes = [np.asarray(Image.fromarray(coarse[..., c]).resize(size[::-1])) for c in range(channels)]
    return planes[0] if channels == 1 else np.stack(planes, -1)


def disc(seed: int, size: tuple[int, int] = SIZE, value: int = 255) -> np.ndarray:
    """A mask with one disc."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    row, column = size[0] * (0.4 + 0.02 * (seed % 10)), size[1] * 0.5
    return np.where((rows - row) ** 2 + (columns - column) ** 2 < (min(size) / 4) ** 2, value, 0).astype(np.uint8)


def several(count: int, size: tuple[int, int] = SIZE, **options: int) -> dict[str, Case]:
    return {f"p{i}_0": Case(picture(i, size, **options), disc(i, size)) for i in range(count)}


def with_classes(count: int, classes: int, absent: int | None = None) -> dict[str, Case]:
    """Stripes of every class but `absent`."""
    stripes = np.linspace(0, classes, SIZE[1], endpoint=False).astype(np.uint8)
    stripes[stripes == absent] = 0
    return {f"p{i}_0": Case(picture(i), np.tile(stripes, (SIZE[0], 1))) for i in range(count)}


def numbered(classes: int) -> str:
    return "background=0," + ",".join(f"class{i}={i}" for i in range(1, classes))


def changed(
    cases: dict[str, Case], change: Callable[[np.ndarray], np.ndarray], ending: str = ".png"
) -> dict[str, Case]:
    return {name: Case(change(case.image), case.mask, ending) for name, case in cases.items()}


def as_rgba(image: np.ndarray) -> np.ndarray:
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


def empty(cases: dict[str, Case]) -> dict[str, Case]:
    return {name: Case(case.image, np.zeros_like(case.mask)) for name, case in cases.items()}


GRAY = {"channels": 1}
WORKING = {
    "two_patients": (
        {f"p{i % 2}_{i}": case for i, case in enumerate(several(4).values())},
        FolderOptions("background=0,disc=255", "^(p[01])"),
    ),
    "one_image": (several(1), FolderOptions("background=0,disc=255")),
    "two_images": (several(2), FolderOptions("background=0,disc=255")),
    "some_masks_empty": (
        {**several(4), **{f"e{i}_0": c for i, c in enumerate(empty(several(3)).values())}},
        FolderOptions("background=0,disc=255"),
    ),
    "40x40": (several(5, (40, 40)), FolderOptions("background=0,disc=255")),
    "16x16": (several(5, (16, 16)), FolderOptions("background=0,disc=255")),
    "wide_strip": (several(5, (32, 400)), FolderOptions("background=0,disc=255")),
    "gray_stored_as_rgb": (
        changed(several(5, **GRAY), lambda x: np.repeat(x[..., None], 3, -1)),
        FolderOptions("background=0,disc=255"),
    ),
    "rgba": (changed(several(5), as_rgba), FolderOptions("background=0,disc=255")),
    "16_bit": (
        changed(several(5, **GRAY), lambda x: x.astype(np.uint16) * 200, ".tif"),
        FolderOptions("background=0,disc=255"),
    ),
    "class_never_present": (with_classes(5, 3, absent=2), FolderOptions(numbered(3))),
    "12_classes": (with_classes(5, 13), FolderOptions(numbered(13))),
    "masks_0_and_255": (several(5, **GRAY), FolderOptions()),
    "mixed_sizes": (
        {**several(3), **{f"q{i}_0": c for i, c in enumerate(several(3, (96, 40)).values())}},
        FolderOptions("background=0,disc=255"),
    ),
    "constant_images": (
        changed(several(5, **GRAY), lambda x: np.full_like(x, 90)),
        FolderOptions("background=0,disc=255"),
    ),
}


def write(cases: dict[str, Case], folder: Path) -> tuple[Path, Path]:
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    for name, case in cases.items():
        if case.ending == ".tif":
            tifffile.imwrite(images / f"{name}.tif", case.image)
        else:
            Image.fromarray(case.image).save(images / f"{name}.png")
        Image.fromarray(case.mask).save(masks / f"{name}.png")
    return images, masks


def converted(cases: dict[str, Case], options: FolderOptions, folder: Path) -> tuple[Workspace, Path]:
    images, masks = write(cases, folder)
    workspace = Workspace.locate(folder / "workspace")
    convert(images, masks, Target(workspace, DATASET_ID, "Odd"), options)
    return workspace.activate(), images


def plan(workspace: Workspace, *values: str) -> PlanSummary:
    quick = parse_overrides(["iterations_per_epoch=2", "epochs=1", *values])
    return plan_and_preprocess(DATASET_ID, workspace, "cpu", preset="fast", quiet=True, overrides=quick)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKING)
def test_it_is_planned_trained_and_predicted(name: str, tmp_path: Path) -> None:
    cases, options = WORKING[name]
    workspace, images = converted(cases, options, tmp_path)
    summary = plan(workspace)
    folds = next(decision for decision in summary.decisions if decision.name == "folds").value["count"]
    fold = 0 if folds else "all"
    train_fold(DATASET_ID, fold, workspace, CPU, options=TrainingOptions(quiet=True))
    model = find_model(workspace, DATASET_ID, "2d", (fold,))
    predicted = predict_images(images, tmp_path / "masks", model, CPU, PredictionOptions(quiet=True))
    assert not predicted.failed
    for case, content in cases.items():
        assert read_mask(tmp_path / "masks" / f"{case}.png").shape == content.mask.shape


@pytest.mark.slow
def test_an_image_of_24_megapixels_is_planned_and_trained(tmp_path: Path) -> None:
    size = (6000, 4000)
    cases = {f"p{i}_0": Case(picture(i, size, 1), disc(i, size)) for i in range(2)}
    workspace, _ = converted(cases, FolderOptions("background=0,disc=255"), tmp_path)
    plan(workspace)
    train_fold(DATASET_ID, "all", workspace, CPU, options=TrainingOptions(quiet=True))
    assert find_model(workspace, DATASET_ID, "2d", ("all",))


def test_mixed_channel_counts_are_refused_and_named(tmp_path: Path) -> None:
    workspace, _ = converted(several(3), FolderOptions("background=0,disc=255"), tmp_path)
    image = workspace.raw / "Dataset902_Odd" / "imagesTr" / "p1_0_0000.png"
    Image.fromarray(picture(1, SIZE, 1)).save(image)
    with pytest.raises(UserError, match="p0_0 has 3 channels but p1_0 has 1"):
        plan(workspace)


def test_float_tiffs_are_refused(tmp_path: Path) -> None:
    cases = changed(several(5, **GRAY), lambda x: x.astype(np.float32) / 255, ".tif")
    with pytest.raises(UserError, match="p0_0.tif holds float32 pixels; save it as whole numbers"):
        converted(cases, FolderOptions("background=0,disc=255"), tmp_path)


def test_masks_that_are_all_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No mask has a foreground pixel"):
        converted(empty(several(6)), FolderOptions("background=0,disc=255"), tmp_path)


def test_a_batch_that_does_not_fit_is_refused_with_its_rule(tmp_path: Path) -> None:
    workspace, _ = converted(several(3), FolderOptions("background=0,disc=255"), tmp_path)
    with pytest.raises(UserError, match=r"`batch_size` 100000 breaks the rule batch_size.fits_memory"):
        plan(workspace, "batch_size=100000")
