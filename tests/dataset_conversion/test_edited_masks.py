"""Masks of ITK-SNAP and 3D Slicer: SimpleITK, with which these programs read and write, tells where pixels lie."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.edited_masks import EditedMask

from .drawn import picture, save

SIZE = (12, 15)
LABELS = {"background": 0, "gland": 1, "lumen": 2}
MASK = np.zeros(SIZE, np.uint8)
MASK[2:6, 1:4] = 1
MASK[7:11, 9:14] = 2


def as_slice(labels: np.ndarray, spacing: float = 1.0) -> sitk.Image:
    """A volume of one slice over a picture, as an editor makes it."""
    image = sitk.GetImageFromArray(labels[None])
    image.SetSpacing((spacing, spacing, 1.0))
    return image


def seen_over(picture: Path, mask: sitk.Image) -> np.ndarray:
    """Labels of the pixels of a picture where a viewer shows the mask, by physical position."""
    plane = sitk.ReadImage(str(picture))
    grid = sitk.Image([*plane.GetSize(), 1], sitk.sitkUInt8)
    grid.SetSpacing((*mask.GetSpacing()[:2], 1.0))
    return sitk.GetArrayFromImage(sitk.Resample(mask, grid, sitk.Transform(), sitk.sitkNearestNeighbor))[0]


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("axes", [(False, False), (True, False), (False, True), (True, True)], ids=str)
@pytest.mark.parametrize("spacing", [1.0, 0.35])
def test_a_slice_lands_where_the_viewer_shows_it(
    tmp_path: Path, ending: str, axes: tuple[bool, bool], spacing: float
) -> None:
    image = save(tmp_path / "a.png", picture(0))
    # turned in memory and in its header: at the same place
    mask = sitk.Flip(as_slice(MASK, spacing), [*axes, False], False)
    np.testing.assert_array_equal(seen_over(image, mask), MASK)
    sitk.WriteImage(mask, str(tmp_path / f"a{ending}"))
    read = EditedMask(tmp_path / f"a{ending}", image, LABELS).read(SIZE)
    np.testing.assert_array_equal(read.values, MASK)
    assert bool(read.repairs) == any(axes)


def test_a_mask_of_a_medical_image_is_turned_to_it(tmp_path: Path) -> None:
    image = as_slice(picture(0, channels=1), 0.2)
    image.SetOrigin((30.0, -4.0, 7.0))
    turned = sitk.Flip(image, [True, True, False], False)
    sitk.WriteImage(turned, str(tmp_path / "a.nii.gz"))
    mask = as_slice(MASK, 0.2)
    mask.SetOrigin((30.0, -4.0, 7.0))
    sitk.WriteImage(mask, str(tmp_path / "m.nrrd"))
    read = EditedMask(tmp_path / "m.nrrd", tmp_path / "a.nii.gz", LABELS).read(SIZE)
    np.testing.assert_array_equal(read.values, MASK[::-1, ::-1])
    sitk.WriteImage(sitk.Flip(mask, [True, True, False], False), str(tmp_path / "n.nrrd"))
    read = EditedMask(tmp_path / "n.nrrd", tmp_path / "a.nii.gz", LABELS).read(SIZE)
    np.testing.assert_array_equal(read.values, MASK[::-1, ::-1])
    assert not read.repairs


def test_a_header_that_places_it_elsewhere(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", picture(0))
    # as nibabel writes an array: right and front, from the origin
    nibabel.save(nibabel.Nifti1Image(MASK.T[..., None], np.eye(4)), tmp_path / "a.nii.gz")
    read = EditedMask(tmp_path / "a.nii.gz", image, LABELS).read(SIZE)
    np.testing.assert_array_equal(read.values, MASK)
    assert "places it elsewhere than the image" in read.repairs[0]
    prediction = save(tmp_path / "p.png", MASK)
    assert EditedMask(tmp_path / "a.nii.gz", image, LABELS, prediction).read(SIZE).repairs == read.repairs
    save(prediction, MASK[::-1])
    with pytest.raises(UserError, match=r"fits the predicted mask when it is turned \(Dice 1\.00 instead of"):
        EditedMask(tmp_path / "a.nii.gz", image, LABELS, prediction).read(SIZE)


def with_segments(path: Path, names: dict[str, str]) -> Path:
    mask = as_slice(MASK)
    for number, (name, value) in enumerate(names.items()):
        mask.SetMetaData(f"Segment{number}_Name", name)
        mask.SetMetaData(f"Segment{number}_LabelValue", value)
    sitk.WriteImage(mask, str(path))
    return path


def test_segments_of_slicer_are_known_by_name(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", picture(0))
    path = with_segments(tmp_path / "a.seg.nrrd", {"lumen": "1", "gland": "2"})
    swapped = np.array([0, 2, 1])[MASK]
    np.testing.assert_array_equal(EditedMask(path, image, LABELS).read(SIZE).values, swapped)
    path = with_segments(tmp_path / "b.seg.nrrd", {"Segment_1": "1", "Segment_2": "2"})
    np.testing.assert_array_equal(EditedMask(path, image, LABELS).read(SIZE).values, MASK)
    path = with_segments(tmp_path / "c.seg.nrrd", {"gland": "1", "Segment_2": "2"})
    with pytest.raises(UserError, match=r"c\.seg\.nrrd holds segments named as classes and others \(Segment_2\)"):
        EditedMask(path, image, LABELS).read(SIZE)
    path = with_segments(tmp_path / "d.seg.nrrd", {"gland": "x"})
    with pytest.raises(UserError, match="which is no number"):
        EditedMask(path, image, LABELS).read(SIZE)
