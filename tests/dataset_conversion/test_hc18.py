"""HC18: drawn ellipses, closed and open, against their own areas and circumferences."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from skimage.measure import regionprops

from medt_pipeline.core.errors import UserError

from .drawn import picture, save
from .drawn_releases import convert

SIZE = (180, 260)
HEADS = {
    "000_HC": ((90, 130), (80, 60), 0.3, 0.0),
    "001_HC": ((90, 120), (80, 65), 1.2, 0.0),
    "001_2HC": ((88, 128), (85, 70), 1.1, 0.9),  # a gap
    "002_HC": ((60, 130), (90, 75), 0.1, 0.0),  # cut by the upper border
}
MM = 0.25


def ramanujan(a: float, b: float) -> float:
    return math.pi * (3 * (a + b) - math.sqrt((3 * a + b) * (a + 3 * b)))


def points(name: str, number: int = 2000) -> np.ndarray:
    (y, x), (a, b), angle, gap = HEADS[name]
    t = np.linspace(0, 2 * np.pi - gap, number)
    right, down = a * np.cos(t), b * np.sin(t)
    return np.stack(
        [x + right * np.cos(angle) - down * np.sin(angle), y + right * np.sin(angle) + down * np.cos(angle)], 1
    )


def true_area(name: str) -> np.ndarray:
    (y, x), (a, b), angle, _ = HEADS[name]
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    return (along / a) ** 2 + (across / b) ** 2 <= 1


def draw(root: Path) -> Path:
    training = "filename,pixel size(mm),head circumference (mm)\n"
    for seed, name in enumerate(HEADS):
        outline = Image.new("L", (SIZE[1], SIZE[0]))
        ImageDraw.Draw(outline).line([tuple(point) for point in points(name).tolist()], fill=255, width=1)
        save(root / "training_set" / f"{name}.png", picture(seed, SIZE, channels=1))
        save(root / "training_set" / f"{name}_Annotation.png", np.array(outline))
        training += f"{name}.png,{MM},{MM * ramanujan(*HEADS[name][1]):.2f}\n"
    save(root / "test_set" / "000_HC.png", picture(9, SIZE, channels=1))
    (root / "training_set_pixel_size_and_HC.csv").write_text(training)
    (root / "test_set_pixel_size.csv").write_text("filename,pixel size(mm)\n000_HC.png,0.1\n")
    return root


def test_areas_circumferences_and_pixel_sizes(tmp_path: Path) -> None:
    done = convert("hc18", draw(tmp_path / "hc18"), tmp_path)
    for name, (_, axes, _, gap) in HEADS.items():
        mask, truth = done.label(name), true_area(name)
        fitted = gap > 0 or name == "002_HC"
        assert mask.sum() == pytest.approx(truth.sum(), rel=0.02 if fitted else 0.01)
        assert (mask != truth).sum() < 0.02 * truth.sum()
        assert done.cases[name].pixel_size_um == (250.0, 250.0)
        told = done.cases[name].facts["head circumference in mm"]
        assert told == pytest.approx(MM * ramanujan(*axes), abs=0.01)
        if name != "002_HC":
            found = regionprops(mask.astype(int))[0]
            ours = MM * ramanujan(found.axis_major_length / 2, found.axis_minor_length / 2)
            assert ours == pytest.approx(told, rel=0.01)
    assert done.cases["test_000_HC"].pixel_size_um == (100.0, 100.0)


def test_examinations_and_test_images(tmp_path: Path) -> None:
    done = convert("hc18", draw(tmp_path / "hc18"), tmp_path)
    assert done.groups == {
        "000_HC": "000",
        "001_HC": "001",
        "001_2HC": "001",
        "002_HC": "002",
        "test_000_HC": "test_000",
    }
    assert done.names("imagesTs") == {"test_000_HC_0000"}
    assert not (done.folder / "labelsTs").exists()
    assert (done.summary.training_cases, done.summary.test_masks, done.summary.groups) == (4, 0, 3)
    assert done.labels == {"background": 0, "fetal head": 1}
    repaired = [line for line in done.summary.repairs if "an ellipse was fitted" in line]
    assert len(repaired) == len(done.summary.repairs) == 2
    assert ("001_2HC_Annotation.png" in repaired[0], "87% drawn" in repaired[0]) == (True, True)
    assert "002_HC_Annotation.png" in repaired[1]


def test_what_is_no_ellipse_is_named(tmp_path: Path) -> None:
    source = draw(tmp_path / "hc18")
    line = np.zeros(SIZE, dtype=np.uint8)
    line[90, 20:200] = 255
    save(source / "training_set" / "000_HC_Annotation.png", line)
    with pytest.raises(UserError, match=r"000_HC_Annotation\.png holds no closed outline, and no ellipse fits"):
        convert("hc18", source, tmp_path)


def test_tables_must_list_the_images(tmp_path: Path) -> None:
    source = draw(tmp_path / "hc18")
    table = source / "training_set_pixel_size_and_HC.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    with pytest.raises(UserError, match=r"_and_HC\.csv does not list 002_HC"):
        convert("hc18", source, tmp_path)
    table.write_text("filename;pixel size\n")
    with pytest.raises(UserError, match="lacks the columns"):
        convert("hc18", source, tmp_path)
