"""Drawn shapes, written in every format that is read, become the same pixels and the same objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import shapely
import SimpleITK
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion.folder import FolderOptions, convert
from medt_pipeline.dataset_conversion.folder_masks import match_masks
from medt_pipeline.dataset_conversion.problems import Problems
from medt_pipeline.dataset_conversion.target import Target
from tests.dataset_conversion.annotations.writers import (
    Drawn,
    coco_polygons,
    coco_runs,
    write_aperio_xml,
    write_coco,
    write_geojson,
    write_labelme,
)
from tests.dataset_conversion.drawn import load, picture, save

SIZE = (44, 56)
CLASSES = ["gland", "lumen", "stroma"]
COLOURS = np.array([(0, 0, 0), (0, 0, 90), (0, 200, 0), (255, 0, 0)], dtype=np.uint8)


@dataclass(frozen=True)
class Scene:
    """Objects that touch and do not overlap; their pixels are shapely's."""

    objects: list[Drawn]

    def mask(self, one: Drawn) -> np.ndarray:
        y, x = np.indices(SIZE) + 0.5
        parts = [shapely.Polygon(exterior, holes) for exterior, *holes in one.parts]
        assert all(part.is_valid for part in parts)
        return np.any([shapely.contains_xy(part, x, y) for part in parts], axis=0)

    @property
    def labels(self) -> np.ndarray:
        return sum((1 + CLASSES.index(one.name)) * self.mask(one).astype(np.uint8) for one in self.objects)

    @property
    def numbers(self) -> np.ndarray:
        masks = [mask for mask in map(self.mask, self.objects) if mask.any()]
        return sum(number * mask.astype(np.uint16) for number, mask in enumerate(masks, start=1))


def draw_scene(seed: int, holes: bool, parts: bool) -> Scene:
    """Cells of a mesh of random quadrangles, whose neighbours share edges; a hole is open or filled by an object."""
    random = np.random.default_rng(seed)
    mesh = np.stack(np.meshgrid(np.arange(-1, 60, 12.0), np.arange(-1, 50, 12.0)), axis=-1)
    mesh += np.round(random.uniform(-3, 3, mesh.shape), 3)
    objects: list[Drawn] = []
    for row, column in np.ndindex(mesh.shape[0] - 1, mesh.shape[1] - 1):
        corners = mesh[[row, row, row + 1, row + 1], [column, column + 1, column + 1, column]]
        # every class is there, so that the labels are the same in all formats
        missing = [name for name in CLASSES if name not in {one.name for one in objects}]
        name = missing[0] if missing else str(random.choice([*CLASSES, ""]))
        if not name:
            continue
        rings = [as_corners(corners)]
        if holes and random.random() < 0.5:
            rings.append(as_corners(np.round(corners.mean(axis=0) + 0.4 * (corners - corners.mean(axis=0)), 3)))
        objects.append(Drawn(name, [rings]))
        if len(rings) > 1 and random.random() < 0.5:
            objects.append(Drawn("lumen", [[rings[1]]]))
    if parts:
        last = objects.pop()
        objects[0] = Drawn(objects[0].name, objects[0].parts + last.parts)
    # XML keeps layers one after the other
    return Scene(sorted(objects, key=lambda one: CLASSES.index(one.name)))


def as_corners(points: np.ndarray) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]


Scenes = dict[str, Scene]


def each(ending: str, write: Callable[[Path, Scene], object]) -> Callable[[Path, Scenes], Path]:
    """Writes one file a picture into a folder."""

    def write_all(root: Path, scenes: Scenes) -> Path:
        folder = root / "masks"
        folder.mkdir(parents=True)
        for name, scene in scenes.items():
            write(folder / f"{name}{ending}", scene)
        return folder

    return write_all


def coco_of(annotate: Callable[[Scene, Drawn], dict]) -> Callable[[Path, Scenes], Path]:
    def write_all(root: Path, scenes: Scenes) -> Path:
        pictures = {
            f"{name}.png": (SIZE, [annotate(scene, one) for one in scene.objects]) for name, scene in scenes.items()
        }
        return write_coco(root / "coco.json", pictures, CLASSES)

    return write_all


def palette_png(path: Path, scene: Scene) -> None:
    image = Image.fromarray(scene.labels, mode="P")
    image.putpalette(COLOURS.ravel().tolist())
    image.save(path)


def class_files(root: Path, scenes: Scenes) -> Path:
    for name, scene in scenes.items():
        for label, class_name in enumerate(CLASSES, start=1):
            save(root / "masks" / f"{name}_{class_name}.png", (scene.labels == label).astype(np.uint8) * 255)
    return root / "masks"


def class_folders(root: Path, scenes: Scenes) -> Path:
    for name, scene in scenes.items():
        for label, class_name in enumerate(CLASSES, start=1):
            save(root / "masks" / class_name / f"{name}.png", scene.labels == label)
    return root / "masks"


FULL = {
    "geojson": each(".geojson", lambda path, scene: write_geojson(path, scene.objects)),
    "geojson list": each(".json", lambda path, scene: write_geojson(path, scene.objects, collection=False)),
    "coco run lengths": coco_of(lambda scene, one: coco_runs(one.name, scene.mask(one), compressed=False)),
    "coco compressed": coco_of(lambda scene, one: coco_runs(one.name, scene.mask(one), compressed=True)),
}
WITHOUT_HOLES = {
    "labelme": each(".json", lambda path, scene: write_labelme(path, scene.objects, SIZE)),
    "coco polygons": coco_of(lambda _, one: coco_polygons(one)),
}
WITHOUT_PARTS = {"aperio": each(".xml", lambda path, scene: write_aperio_xml(path, scene.objects))}
WITHOUT_OBJECTS = {
    "png": each(".png", lambda path, scene: save(path, scene.labels)),
    "palette": each(".png", palette_png),
    "colours": each(".bmp", lambda path, scene: save(path, COLOURS[scene.labels])),
    "npy": each(".npy", lambda path, scene: np.save(path, scene.labels)),
    "mha": each(".mha", lambda path, scene: SimpleITK.WriteImage(SimpleITK.GetImageFromArray(scene.labels), str(path))),
    "nifti": each(
        ".nii.gz", lambda path, scene: nibabel.save(nibabel.Nifti1Image(scene.labels.T[..., None], np.eye(4)), path)
    ),
    "class files": class_files,
    "class folders": class_folders,
}
FORMATS = {**FULL, **WITHOUT_HOLES, **WITHOUT_PARTS, **WITHOUT_OBJECTS}


def write_scenes(root: Path, format: str, *seeds: int) -> tuple[Path, Path, Scenes]:
    scenes = {
        f"case{number}": draw_scene(seed, format not in WITHOUT_HOLES, format not in WITHOUT_PARTS)
        for number, seed in enumerate(seeds)
    }
    for name in scenes:
        if not (root / "images" / f"{name}.png").exists():
            save(root / "images" / f"{name}.png", picture(len(name), SIZE))
    return root / "images", FORMATS[format](root, scenes), scenes


@pytest.mark.parametrize("format", [*FULL, *WITHOUT_HOLES, *WITHOUT_PARTS])
@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1))
@example(4204364)  # a hole of its second object is filled by another of the same class
def test_same_pixels_and_objects(tmp_path_factory: pytest.TempPathFactory, format: str, seed: int) -> None:
    images, masks, scenes = write_scenes(tmp_path_factory.mktemp("scene"), format, seed)
    problems = Problems()
    matched = match_masks(images, masks, FolderOptions(), problems)
    problems.raise_if_any()
    assert [label.name for label in matched.declared] == ["background", *CLASSES]
    ((_, mask),) = matched.pairs
    read = mask.read(SIZE)
    np.testing.assert_array_equal(read.values, scenes["case0"].labels)
    np.testing.assert_array_equal(read.objects, scenes["case0"].numbers)
    assert read.repairs == ()


@pytest.mark.parametrize("format", FORMATS)
def test_converted(tmp_path: Path, format: str) -> None:
    images, masks, scenes = write_scenes(tmp_path, format, 1, 2)
    target = Target(Workspace.locate(tmp_path / "ws"), 110, "Mine")
    convert(images, masks, target)
    for name, scene in scenes.items():
        np.testing.assert_array_equal(load(target.folder / "labelsTr" / f"{name}.png"), scene.labels)
        if format not in WITHOUT_OBJECTS:
            np.testing.assert_array_equal(load(target.folder / "instancesTr" / f"{name}.png"), scene.numbers)
    assert (target.folder / "instancesTr").exists() == (format not in WITHOUT_OBJECTS)
