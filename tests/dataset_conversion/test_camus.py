"""CAMUS, drawn small: NIfTI with columns first and pixels that are not square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medt_pipeline.core.errors import UserError

from .drawn import picture
from .drawn_releases import convert

VIEWS = ("2CH", "4CH")
INSTANTS = ("ED", "ES")


def frame(patient: int, view: str, instant: str) -> tuple[np.ndarray, np.ndarray]:
    seed = 100 * patient + 10 * VIEWS.index(view) + INSTANTS.index(instant)
    mask = np.zeros((12, 15), dtype=np.uint8)
    mask[1:5, 2:9], mask[5:8, 2:9], mask[8:11, 3:12] = 1, 2, 3
    return picture(seed, channels=1), mask


def write(path: Path, pixels: np.ndarray) -> None:
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing((0.308, 0.154))
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))


def draw(root: Path) -> Path:
    for patient in (1, 2, 3):
        folder = root / "database_nifti" / f"patient{patient:04d}"
        for view in VIEWS:
            for instant in INSTANTS:
                image, mask = frame(patient, view, instant)
                write(folder / f"{folder.name}_{view}_{instant}.nii.gz", image)
                write(folder / f"{folder.name}_{view}_{instant}_gt.nii.gz", mask)
            write(folder / f"{folder.name}_{view}_half_sequence.nii.gz", image)
            (folder / f"Info_{view}.cfg").write_text("ED: 1\nES: 18\n")
    (root / "database_split").mkdir()
    (root / "database_split" / "subgroup_testing.txt").write_text("patient0003\n")
    return root


def test_pixels_patients_and_pixel_size(tmp_path: Path) -> None:
    done = convert("camus", draw(tmp_path / "CAMUS_public"), tmp_path)
    assert (done.summary.training_cases, done.summary.test_masks, done.summary.groups) == (8, 4, 2)
    image, mask = frame(2, "4CH", "ES")
    np.testing.assert_array_equal(done.image("patient0002_4CH_ES"), image)
    np.testing.assert_array_equal(done.label("patient0002_4CH_ES"), mask)
    np.testing.assert_array_equal(done.label("patient0003_2CH_ED", "Ts"), mask)
    assert done.labels == {"background": 0, "left ventricle": 1, "myocardium": 2, "left atrium": 3}
    case = done.cases["patient0002_4CH_ES"]
    assert case.group == "patient0002"
    # height, then width
    assert case.pixel_size_um == pytest.approx((154.0, 308.0), abs=0.01)
    assert case.facts == {"view": "4CH", "instant": "ES"}


def test_one_view(tmp_path: Path) -> None:
    source = draw(tmp_path / "CAMUS_public")
    (source / "database_split" / "subgroup_testing.txt").unlink()
    done = convert("camus", source, tmp_path, view="2CH")
    assert done.summary.training_cases == 6
    assert all("2CH" in name for name in done.groups)
    assert any("all patients are for training" in note for note in done.summary.notes)


def test_missing_masks_are_named(tmp_path: Path) -> None:
    source = draw(tmp_path / "CAMUS_public")
    (source / "database_nifti" / "patient0001" / "patient0001_2CH_ED_gt.nii.gz").unlink()
    with pytest.raises(UserError, match=r"have no counterpart \(image patient0001_2CH_ED\.nii\.gz\)"):
        convert("camus", source, tmp_path)
