"""Single slices in NIfTI, MetaImage and NumPy files, written by their own libraries."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from medt_pipeline.core import slices
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import ending_of, list_images, read_image, read_mask, read_palette, stem_of

GRAY = np.arange(35, dtype=np.uint8).reshape(5, 7) * 3
RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
RECORD = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def write(path: Path, pixels: np.ndarray, vector: bool = False) -> Path:
    """Pixels in the order of rows and columns, slices first."""
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix in (".mha", ".nrrd"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels, isVector=vector), str(path))
    else:
        nibabel.save(nibabel.Nifti1Image(pixels.T, np.diag([-1.0, 2.0, 3.0, 1.0])), path)
    return path


@pytest.mark.parametrize("ending", slices.SLICE_ENDINGS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7)], ids=["plane", "slice"])
def test_gray(tmp_path: Path, ending: str, dtype: type, shape: tuple[int, ...]) -> None:
    path = write(tmp_path / f"a{ending}", GRAY.astype(dtype).reshape(shape))
    for read in (read_image, read_mask):
        pixels = read(path)
        np.testing.assert_array_equal(pixels, GRAY)
        assert pixels.dtype == (np.int64 if dtype is np.float32 else dtype)
    assert read_palette(path) is None


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_the_axis_of_one_slice_may_be_any(tmp_path: Path, ending: str) -> None:
    np.testing.assert_array_equal(read_image(write(tmp_path / f"a{ending}", GRAY[:, None])), GRAY)


@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 5, 7, 3)], ids=["plane", "slice"])
def test_colours(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write(tmp_path / "a.npy", RGB.reshape(shape))
    for ending in (".mha", ".nrrd"):
        write(tmp_path / f"a{ending}", RGB.reshape(shape), vector=True)
    records = np.ascontiguousarray(RGB).view(RECORD).reshape(shape[:-1])
    nibabel.save(nibabel.Nifti1Image(records.T, np.eye(4)), tmp_path / "a.nii.gz")
    for ending in (".npy", ".mha", ".nrrd", ".nii.gz"):
        np.testing.assert_array_equal(read_image(tmp_path / f"a{ending}"), RGB)


def test_planes_of_a_metaimage(tmp_path: Path) -> None:
    planes = np.stack([GRAY, GRAY + 1, GRAY + 2])
    np.testing.assert_array_equal(slices.read_planes(write(tmp_path / "a.mha", planes)), planes)
    for other, vector in ((GRAY, False), (GRAY[None], False), (RGB, True)):
        with pytest.raises(UserError, match="several slices of one value a pixel were expected"):
            slices.read_planes(write(tmp_path / "b.mha", other, vector))
    with pytest.raises(UserError, match=r"c\.mha is missing"):
        slices.read_planes(tmp_path / "c.mha")


def test_scaled_nifti_and_truth_values(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(GRAY.T, np.eye(4))
    image.header.set_slope_inter(2, 1)
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii"), nibabel.load(tmp_path / "a.nii").get_fdata().T)
    np.save(tmp_path / "b.npy", GRAY > 50)
    np.testing.assert_array_equal(read_mask(tmp_path / "b.npy"), 255 * (GRAY > 50))


def test_fractions_stay_as_images_and_are_no_mask(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npy", GRAY / 2)
    np.testing.assert_array_equal(read_image(path), GRAY / 2)
    with pytest.raises(UserError, match="not whole numbers"):
        read_mask(path)


@pytest.mark.parametrize("ending", slices.SLICE_ENDINGS)
def test_volumes_and_broken_files_are_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(UserError, match=r"volume.* has the shape .* one slice"):
        read_image(write(tmp_path / f"volume{ending}", np.zeros((6, 5, 7), np.uint8)))
    whole = write(tmp_path / f"cut{ending}", RGB[..., 0]).read_bytes()
    (tmp_path / f"cut{ending}").write_bytes(whole[: len(whole) - 9])
    (tmp_path / f"noise{ending}").write_bytes(b"\x93NUMPY" + bytes(range(200)) + b"ElementDataFile = LOCAL\n")
    for name in ("cut", "noise"):
        with pytest.raises(UserError, match=f"{name}.* (cannot be read as an image|does not hold its own pixels)"):
            read_image(tmp_path / f"{name}{ending}")
    with pytest.raises(UserError, match="is missing"):
        read_image(tmp_path / f"absent{ending}")


@pytest.mark.parametrize("ending", slices.SLICE_ENDINGS)
def test_large_files_are_refused_before_they_are_read(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "MOST_VALUES", 30)
    with pytest.raises(UserError, match="more than is safe to read"):
        read_image(write(tmp_path / f"a{ending}", GRAY))


def test_a_header_that_claims_more_than_the_file_holds(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npy", GRAY)
    path.write_bytes(path.read_bytes().replace(b"(5, 7)", b"(9999, 9999)"))
    with pytest.raises(UserError, match="cannot be read as an image"):
        read_image(path)


def test_python_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}, 1]], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="cannot be read as an image"):
        read_image(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array([["x"]]))
    with pytest.raises(UserError, match="not numbers"):
        read_image(tmp_path / "b.npy")


def test_pixels_in_another_file_are_not_read(tmp_path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(GRAY), str(tmp_path / "a.mhd"))
    (tmp_path / "a.mhd").rename(tmp_path / "a.mha")
    with pytest.raises(UserError, match="does not hold its own pixels"):
        read_image(tmp_path / "a.mha")


def test_names(tmp_path: Path) -> None:
    for name, ending, stem in (("a.nii.gz", ".nii.gz", "a"), ("B.c.PNG", ".png", "B.c"), ("x.NII.GZ", ".nii.gz", "x")):
        assert (ending_of(Path(name)), stem_of(Path(name))) == (ending, stem)
    assert (ending_of(Path("none")), stem_of(Path("none"))) == ("", "none")
    write(tmp_path / "a.nii.gz", GRAY)
    (tmp_path / "a.gz").touch()
    assert list_images(tmp_path) == [tmp_path / "a.nii.gz"]


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)], ids=["axial", "other plane"])
def test_the_grid_is_where_itk_sees_the_pixels(tmp_path: Path, ending: str, axes: tuple[int, ...]) -> None:
    image = SimpleITK.GetImageFromArray(GRAY[None])
    cosine, sine = np.cos(0.3), np.sin(0.3)
    turned = np.array([[cosine, sine, 0], [sine, -cosine, 0], [0, 0, -1]])
    image.SetDirection(turned.ravel().tolist())
    image.SetSpacing((0.5, 0.25, 3.0))
    image.SetOrigin((4.0, -5.0, 6.0))
    image = SimpleITK.PermuteAxes(image, axes)
    SimpleITK.WriteImage(image, str(tmp_path / f"a{ending}"))
    grid = slices.read_grid(tmp_path / f"a{ending}")
    assert grid is not None
    plane = [axis for axis in range(3) if image.GetSize()[axis] > 1]
    for column, row in ((0, 0), (3, 0), (0, 4), (2, 1)):
        index = [0, 0, 0]
        index[plane[0]], index[plane[1]] = column, row
        expected = image.TransformIndexToPhysicalPoint(index)
        found = np.array(grid.first) + column * np.array(grid.steps[0]) + row * np.array(grid.steps[1])
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert grid.is_close(grid)
    assert not grid.is_close(slices.Grid((0.0, 0.0, 0.0), grid.steps))


def test_files_without_a_grid(tmp_path: Path) -> None:
    (tmp_path / "b.nii.gz").write_bytes(b"x")
    (tmp_path / "c.nrrd").write_bytes(b"NRRD0004\ntype: uchar\ndimension: 2\nsizes: 1 1\nencoding: raw\n\n0")
    for name in ("b.nii.gz", "c.nrrd", "a.png", "absent.mha"):
        assert slices.read_grid(tmp_path / name) is None
