"""Pixels as nnU-Net's own readers see them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.stored_pixels import read_stored, write_mapped

LABELS = np.array([[0, 1, 2, 0], [2, 1, 0, 0], [0, 255, 0, 0]], dtype=np.uint8)


def palette(path: Path) -> None:
    image = Image.fromarray(LABELS, mode="P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(path)


def volume(path: Path, pixels: np.ndarray = LABELS, spacing: tuple[float, ...] = (0.5, 0.25)) -> None:
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing(spacing)
    SimpleITK.WriteImage(image, str(path))


FILES = {
    "gray.png": lambda path: Image.fromarray(LABELS).save(path),
    "one bit.png": lambda path: Image.fromarray(LABELS > 0).save(path),
    "palette.png": palette,
    "rgb.png": lambda path: Image.fromarray(np.stack([LABELS] * 3, 2)).save(path),
    "rgba.png": lambda path: Image.fromarray(np.stack([LABELS] * 4, 2)).save(path),
    "wide.png": lambda path: Image.fromarray(LABELS.astype(np.uint16) * 200).save(path),
    "gray.bmp": lambda path: Image.fromarray(LABELS).save(path),
    "gray.tif": lambda path: tifffile.imwrite(path, LABELS),
    "flat.nii.gz": volume,
    "slice.nii.gz": lambda path: volume(path, LABELS[None], (0.5, 0.25, 3.0)),
    "flat.mha": volume,
}


@pytest.mark.parametrize("name", FILES)
def test_as_nnunet_reads_it(tmp_path: Path, name: str) -> None:
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    FILES[name](tmp_path / name)
    reader = SimpleITKIO() if name.endswith(("gz", "mha")) else NaturalImage2DIO()
    expected, properties = reader.read_images([str(tmp_path / name)])
    stored = read_stored(tmp_path / name)
    np.testing.assert_array_equal(stored.pixels, expected[:, 0])
    assert stored.palette == (name == "palette.png")
    if stored.spacing is not None:
        assert stored.spacing == tuple(properties["spacing"][1:])
        assert stored.spacing == (0.25, 0.5)


def test_what_is_no_2d_image(tmp_path: Path) -> None:
    volume(tmp_path / "deep.nii.gz", np.zeros((4, 3, 5), np.uint8), (1, 1, 1))
    tifffile.imwrite(tmp_path / "pages.tif", np.zeros((4, 3, 5), np.uint8), photometric="minisblack")
    for name, sentence in (
        ("deep.nii.gz", "holds 4 slices"),
        ("pages.tif", "has the shape"),
        ("absent.png", "cannot be"),
    ):
        with pytest.raises(UserError, match=sentence):
            read_stored(tmp_path / name)


def test_broken_files(tmp_path: Path) -> None:
    for name in ("gray.png", "gray.bmp", "gray.tif", "flat.nii.gz", "flat.mha"):
        FILES[name](tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        for content in (b"", whole[: len(whole) // 2], b"something else altogether"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(UserError, match="cannot be read"):
                read_stored(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["gray.png", "wide.png", "gray.bmp", "gray.tif", "flat.nii.gz", "slice.nii.gz", "flat.mha"]
)
def test_mapping_changes_these_values_only_and_keeps_the_geometry(tmp_path: Path, name: str) -> None:
    FILES[name](tmp_path / name)
    before = read_stored(tmp_path / name)
    target = tmp_path / f"mapped {name}"
    write_mapped(tmp_path / name, target, {255: 1, 51000: 1})
    after = read_stored(target)
    expected = np.where((before.pixels == 255) | (before.pixels == 51000), 1, before.pixels)
    np.testing.assert_array_equal(after.pixels, expected)
    assert (after.spacing, after.size) == (before.spacing, before.size)
