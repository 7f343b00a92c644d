"""MoNuSeg: both layouts of the release, patients, borders, and every nucleus of the real tiles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely
import tifffile
from skimage.measure import points_in_poly

from medt_pipeline.core.cases import read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion.borders import mark_borders
from medt_pipeline.dataset_conversion.monuseg import convert, patient
from medt_pipeline.dataset_conversion.target import Target
from tests.dataset_conversion.annotations.writers import Drawn, write_aperio_xml
from tests.dataset_conversion.drawn import load, picture

SIZE = (40, 50)
NUCLEI = [
    Drawn("", [[[(2.0, 2.0), (20.0, 2.0), (20.0, 20.0), (2.0, 20.0)]]]),
    Drawn("", [[[(15.0, 10.0), (30.0, 10.0), (30.0, 16.0), (15.0, 16.0)]]]),
    Drawn("", [[[(40.0, 30.0), (41.0, 31.0)]]]),
]
TRAINING = ("TCGA-21-5784-01Z-00-DX1", "TCGA-21-5784-01Z-00-DX2", "TCGA-NH-A8F7-01A-01-TS1")
TEST = "TCGA-2Z-A9J9-01A-01-TS1"


def draw_monuseg(root: Path) -> Path:
    """Both archives, unpacked into one folder."""
    training, test = root / "MoNuSeg 2018 Training Data", root / "MoNuSegTestData"
    for folder in (training / "Tissue Images", training / "Annotations", test):
        folder.mkdir(parents=True)
    for seed, name in enumerate(TRAINING):
        tifffile.imwrite(training / "Tissue Images" / f"{name}.tif", picture(seed, SIZE))
        write_aperio_xml(training / "Annotations" / f"{name}.xml", NUCLEI)
    tifffile.imwrite(test / f"{TEST}.tif", picture(9, SIZE))
    write_aperio_xml(test / f"{TEST}.xml", NUCLEI)
    (test / f"._{TEST}.xml").touch()
    return root


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(Workspace.locate(tmp_path / "ws"), 102, "MoNuSeg")


def expected_objects() -> np.ndarray:
    objects = np.zeros(SIZE, dtype=np.uint8)
    objects[2:20, 2:20] = 1
    objects[10:16, 15:30] = 2
    return objects


def test_both_parts_of_the_release(tmp_path: Path, target: Target) -> None:
    summary = convert(draw_monuseg(tmp_path / "monuseg"), target)
    assert (summary.training_cases, summary.test_cases, summary.test_masks, summary.groups) == (3, 1, 1, 2)
    dataset = json.loads((target.folder / "dataset.json").read_text())
    assert dataset["labels"] == {"background": 0, "nucleus": 1}
    for part, name in (("Tr", TRAINING[0]), ("Ts", TEST)):
        np.testing.assert_array_equal(load(target.folder / f"labels{part}" / f"{name}.png"), expected_objects() > 0)
        np.testing.assert_array_equal(load(target.folder / f"instances{part}" / f"{name}.png"), expected_objects())
    np.testing.assert_array_equal(load(target.folder / "imagesTr" / f"{TRAINING[1]}_0000.png"), picture(1, SIZE))
    cases = read_cases(target.folder)
    assert cases[TRAINING[1]].group == "TCGA-21-5784"
    assert cases[TRAINING[1]].pixel_size_um == (0.252, 0.252)
    assert cases[TRAINING[1]].mask == f"{TRAINING[1]}.xml"
    assert [cases[name].facts for name in (*TRAINING[1:], TEST)] == [{"organ": "liver"}, {"organ": "colon"}, {}]


def test_border(tmp_path: Path, target: Target) -> None:
    summary = convert(draw_monuseg(tmp_path / "monuseg"), target, border=2)
    assert "the outermost 2 pixels of each object are its border" in summary.mask_reading
    dataset = json.loads((target.folder / "dataset.json").read_text())
    assert dataset["labels"] == {"background": 0, "nucleus": 1, "border": 2}
    labels = load(target.folder / "labelsTr" / f"{TRAINING[0]}.png")
    np.testing.assert_array_equal(labels, mark_borders(expected_objects(), 2))
    assert (labels[5, [2, 3, 4, 17, 18, 19]] == [2, 2, 1, 1, 2, 2]).all()
    np.testing.assert_array_equal(load(target.folder / "instancesTr" / f"{TRAINING[0]}.png"), expected_objects())


def test_files_without_counterpart(tmp_path: Path, target: Target) -> None:
    source = draw_monuseg(tmp_path / "monuseg")
    training = source / "MoNuSeg 2018 Training Data"
    (training / "Annotations" / f"{TRAINING[0]}.xml").unlink()
    (training / "Tissue Images" / f"{TRAINING[1]}.tif").unlink()
    (source / "MoNuSegTestData" / f"{TEST}.xml").unlink()
    with pytest.raises(UserError, match=rf"2 files in .* have no counterpart .*{TRAINING[0]}.tif.*{TRAINING[1]}.xml"):
        convert(source, target)
    summary = convert(source, target, skip_unpaired=True)
    assert (summary.training_cases, summary.test_cases, summary.test_masks) == (1, 1, 0)
    assert len(summary.left_out) == 2


def test_names_that_appear_twice(tmp_path: Path, target: Target) -> None:
    source = draw_monuseg(tmp_path / "monuseg")
    write_aperio_xml(source / f"{TEST}.xml", NUCLEI)
    with pytest.raises(UserError, match=f"two files {TEST}.xml"):
        convert(source, target)


def test_another_folder(tmp_path: Path, target: Target) -> None:
    (tmp_path / "a.tif").touch()
    with pytest.raises(UserError, match="holds no NAME.tif with NAME.xml"):
        convert(tmp_path, target)


@pytest.mark.parametrize(
    ("name", "group"),
    [("TCGA-21-5784-01Z-00-DX1", "TCGA-21-5784"), ("TCGA-21-5784", "TCGA-21-5784"), ("a-b-c-d", "a-b-c-d")],
)
def test_patient(name: str, group: str) -> None:
    assert patient(name) == group


def _reference_outlines(file: Path) -> list[np.ndarray]:
    regions = ElementTree.parse(file).iterfind("Annotation/Regions/Region")
    return [
        np.array([(float(vertex.get("X")), float(vertex.get("Y"))) for vertex in region.iterfind("Vertices/Vertex")])
        for region in regions
    ]


def _reference_pixels(outlines: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in any outline by scikit-image's even-odd test, and pixels whose centre lies on a line."""
    inside, on_line = np.zeros((2, 1000, 1000), dtype=bool)
    for outline in (outline for outline in outlines if len(outline) > 2):
        left, top = np.clip(np.floor(outline.min(axis=0)).astype(int), 0, 1000)
        right, bottom = np.clip(np.ceil(outline.max(axis=0)).astype(int), 0, 1000)
        y, x = np.mgrid[top:bottom, left:right] + 0.5
        inside[top:bottom, left:right] |= points_in_poly(np.column_stack([x.ravel(), y.ravel()]), outline).reshape(
            x.shape
        )
        on_line[top:bottom, left:right] |= shapely.dwithin(shapely.LinearRing(outline), shapely.points(x, y), 1e-6)
    return inside, on_line


@pytest.mark.real_data
@pytest.mark.slow
def test_every_nucleus_of_the_real_tiles(tmp_path: Path, real_data: Callable[[str], Path], target: Target) -> None:
    """Instances are the regions less the degenerate ones; areas are shapely's, pixels those of scikit-image."""
    source = real_data("monuseg")
    summary = convert(source, target)
    assert (summary.training_cases, summary.groups) == (13, 13)
    frame = shapely.box(0, 0, 1000, 1000)
    for file in sorted(source.glob("*/Annotations/*.xml")):
        outlines = _reference_outlines(file)
        polygons = [shapely.make_valid(shapely.Polygon(outline)) for outline in outlines if len(outline) > 2]
        areas = [shapely.intersection(polygon, frame).area for polygon in polygons]
        # the one region of less than a pixel has no pixel's centre in it
        degenerate = len(outlines) - sum(area >= 1 for area in areas)
        objects = load(target.folder / "instancesTr" / f"{file.stem}.png")
        assert objects.max() == len(np.unique(objects)) - 1 == len(outlines) - degenerate
        labels = load(target.folder / "labelsTr" / f"{file.stem}.png")
        np.testing.assert_array_equal(labels, objects > 0)
        union = shapely.intersection(shapely.union_all(polygons), frame)
        assert labels.sum() == pytest.approx(union.area, rel=0.01)
    inside, on_line = _reference_pixels(outlines)
    assert not ((labels != inside) & ~on_line).any()
