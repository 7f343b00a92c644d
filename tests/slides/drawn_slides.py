"""Slides with known objects, and a network that finds them by their colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from medt_pipeline.core.slides import Window
from medt_pipeline.inference.models import OpenModel
from medt_pipeline.postprocessing.recipe import PostProcessing
from medt_pipeline.slides.predict import SlideModel
from medt_pipeline.training.case_prediction import make_predictor

GLASS, TISSUE, OBJECT = (243, 243, 243), (232, 160, 196), (92, 44, 140)
TILE = 512
RESAMPLING = "resample_data_or_seg_to_shape"


@dataclass(frozen=True)
class Ring:
    """An ellipse with an elliptic hole in x, y of level 0; `hole` 0 for none, as a share of the radii."""

    x: float
    y: float
    across: float
    down: float
    hole: float = 0.0

    def inside(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(h, w) bool: pixels whose centres lie in it."""
        distance = np.hypot((columns[None] + 0.5 - self.x) / self.across, (rows[:, None] + 0.5 - self.y) / self.down)
        return (distance <= 1) & (distance > self.hole if self.hole else True)


@dataclass(frozen=True)
class DrawnSlide:
    """A slide of `size` (height, width): glass, a tissue ellipse in its middle, and rings in cells of `cell` pixels."""

    size: tuple[int, int]
    cell: int
    seed: int = 0
    tissue: float = 0.95
    """Radii of the tissue over half the sides of the slide."""

    def ring(self, row: int, column: int) -> Ring | None:
        """The ring of a cell, which it does not leave; None outside the tissue."""
        rng = np.random.default_rng((self.seed, row, column))
        longest = 0.4 * self.cell
        across, down = rng.uniform(0.4, 1, 2) * longest
        x = column * self.cell + rng.uniform(across + 2, self.cell - across - 2)
        y = row * self.cell + rng.uniform(down + 2, self.cell - down - 2)
        hole = rng.choice((0.0, 0.5))
        height, width = self.size
        far = np.hypot((x - width / 2) / (width / 2 * self.tissue), (y - height / 2) / (height / 2 * self.tissue))
        room = self.cell / min(self.size)
        fits = far < 1 - 2 * room and (row + 1) * self.cell <= height and (column + 1) * self.cell <= width
        return Ring(x, y, across, down, hole) if fits else None

    def rings(self) -> list[Ring]:
        """All of them."""
        cells = ((row, column) for row in range(self.size[0] // self.cell) for column in range(self.size[1] // self.cell))
        return [ring for cell in cells if (ring := self.ring(*cell)) is not None]

    def labels(self, window: Window) -> np.ndarray:
        """(h, w) bool: the pixels of objects."""
        rows, columns = np.arange(window.top, window.bottom), np.arange(window.left, window.right)
        found = np.zeros(window.shape, bool)
        for row in range(window.top // self.cell, -(-window.bottom // self.cell)):
            for column in range(window.left // self.cell, -(-window.right // self.cell)):
                ring = self.ring(row, column)
                if ring is None:
                    continue
                # a cell's own pixels only
                top, left = max(row * self.cell, window.top), max(column * self.cell, window.left)
                bottom = min((row + 1) * self.cell, window.bottom)
                right = min((column + 1) * self.cell, window.right)
                place = np.s_[top - window.top : bottom - window.top, left - window.left : right - window.left]
                found[place] = ring.inside(rows[place[0]], columns[place[1]])
        return found

    def picture(self, window: Window) -> np.ndarray:
        """(h, w, 3) uint8."""
        height, width = self.size
        rows, columns = np.arange(window.top, window.bottom), np.arange(window.left, window.right)
        y, x = (rows[:, None] + 0.5 - height / 2) / (height / 2), (columns[None] + 0.5 - width / 2) / (width / 2)
        colours = np.array([GLASS, TISSUE, OBJECT], np.uint8)
        kinds = (x**2 + y**2 < self.tissue**2).astype(np.uint8)
        kinds[self.labels(window)] = 2
        return colours[kinds]

    def whole(self) -> np.ndarray:
        """The picture of the whole slide."""
        return self.picture(Window(0, 0, *self.size))

    def write(self, file: Path, levels: int = 3, ome: bool = False, microns: float | None = 0.5, jpeg: bool = False) -> Path:
        """Write it a tile at a time as tiled TIFF, each level half as large as the one before."""
        settings: dict = {"tile": (TILE, TILE), "photometric": "rgb", "dtype": np.uint8}
        settings |= {"compression": "jpeg", "compressionargs": {"level": 90}} if jpeg else {"compression": "zlib"}
        if microns and not ome:
            settings |= {"resolution": (1e4 / microns, 1e4 / microns), "resolutionunit": "CENTIMETER"}
        size = {"PhysicalSizeX": microns, "PhysicalSizeY": microns} if microns else {}
        with tifffile.TiffWriter(file, bigtiff=True, ome=ome) as writer:
            for level in range(levels):
                shape = tuple(side >> level for side in self.size)
                own: dict = {"subfiletype": 1} if level else {"subifds": levels - 1} if ome else {}
                own["metadata"] = {"axes": "YXS", **size} if ome and not level else None
                writer.write(self._tiles(level, shape), shape=(*shape, 3), **own, **settings)
        return file

    def _tiles(self, level: int, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        for top in range(0, shape[0], TILE):
            for left in range(0, shape[1], TILE):
                bottom, right = min(top + TILE, shape[0]), min(left + TILE, shape[1])
                tile = np.full((TILE, TILE, 3), 255, np.uint8)
                tile[: bottom - top, : right - left] = self._reduced(level, top, left, bottom, right)
                yield tile

    def _reduced(self, level: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        factor = 2**level
        # every second pixel, but for the mean of four at the last step
        step = max(factor // 2, 1)
        picture = self.picture(Window(top * factor, left * factor, bottom * factor, right * factor))[::step, ::step]
        if not level:
            return picture
        return picture.reshape(bottom - top, 2, right - left, 2, 3).mean((1, 3)).round().astype(np.uint8)


class ColourThreshold(nn.Module):
    """Logits of background and object: how much darker the green channel is than halfway from tissue to object."""

    def __init__(self, steepness: float = 20.0) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor(steepness))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        halfway = (TISSUE[1] + OBJECT[1]) / 2 / 255
        darker = self.steepness * (halfway - image[:, 1:2])
        return torch.cat([-darker, darker], 1)


def stand_in(
    patch: tuple[int, int] = (64, 64),
    spacing: float = 1.0,
    network: nn.Module | None = None,
    recipe: PostProcessing | None = None,
    microns: float | None = 0.5,
    scheme: str = "RGBTo01Normalization",
    mirror_axes: tuple[int, ...] | None = None,
    names: dict[int, str] | None = None,
) -> SlideModel:
    """A model of one network without training, in nnU-Net's predictor like any other."""
    names = names or {1: "gland"}
    dataset_json = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, **{name: value for value, name in names.items()}},
        "file_ending": ".png",
    }
    resampling = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    configuration = {
        "patch_size": list(patch),
        "spacing": [spacing, spacing],
        "normalization_schemes": [scheme] * 3,
        "use_mask_for_norm": [False] * 3,
        "preprocessor_name": "DefaultPreprocessor",
        "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
        "resampling_fn_data": RESAMPLING,
        "resampling_fn_data_kwargs": {**resampling, "order": 3},
        "resampling_fn_seg": RESAMPLING,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": RESAMPLING,
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
    }
    plans = {
        "dataset_name": "Dataset999_Drawn",
        "plans_name": "MedTPlans",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {},
        "configurations": {"2d": configuration},
    }
    predictor = make_predictor(
        (network or ColourThreshold()).eval(),
        PlansManager(plans),
        "2d",
        dataset_json,
        "nnUNetTrainerMedT",
        mirror_axes,
        torch.device("cpu"),
    )
    return SlideModel((OpenModel((predictor,), 1.0),), names, 3, recipe or PostProcessing(), microns)
