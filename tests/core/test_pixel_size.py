from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medt_pipeline.core.pixel_size import PixelSize, from_aperio, from_dpi, from_ome_xml, from_spacing_mm, pixel_size
from medt_pipeline.core.pixel_size_of_files import read_pixel_size

PIXELS = np.zeros((8, 10), np.uint8)


def test_tiff_resolution_in_centimetres(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=(40_000, 20_000), resolutionunit="CENTIMETER")
    assert read_pixel_size(tmp_path / "a.tif") == PixelSize(0.5, 0.25, "TIFF resolution")


@pytest.mark.parametrize(
    ("resolution", "unit"), [((72, 72), "INCH"), ((96, 96), "INCH"), ((40_000, 40_000), "NONE"), ((1, 1), "INCH")]
)
def test_tiff_resolution_of_screens_or_without_unit_tells_nothing(tmp_path: Path, resolution, unit) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=resolution, resolutionunit=unit)
    assert read_pixel_size(tmp_path / "a.tif") is None


def test_tiff_without_tags_tells_nothing(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.tif")
    assert read_pixel_size(tmp_path / "a.tif") is None


@pytest.mark.parametrize(("unit", "factor"), [("µm", 1), ("nm", 1e-3), ("mm", 1e3)])
def test_ome_tiff(tmp_path: Path, unit: str, factor: float) -> None:
    facts = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    facts |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", PIXELS, metadata=facts)
    size = read_pixel_size(tmp_path / "a.ome.tif")
    assert size is not None
    assert (size.y_um, size.x_um, size.source) == (pytest.approx(0.5 * factor), pytest.approx(0.25 * factor), "OME-XML")


def test_ome_xml_without_unit_is_in_micrometres_and_with_a_strange_one_tells_nothing() -> None:
    assert from_ome_xml('<Pixels PhysicalSizeX="2" PhysicalSizeY="3"/>') == PixelSize(3, 2, "OME-XML")
    strange = '<Pixels PhysicalSizeX="2" PhysicalSizeY="3" PhysicalSizeXUnit="pixel" PhysicalSizeYUnit="pixel"/>'
    assert from_ome_xml(strange) is None
    assert from_ome_xml('<Pixels PhysicalSizeX="2"/>') is None


def test_aperio(tmp_path: Path) -> None:
    description = "Aperio Image Library v10\r\n46000x32914|AppMag = 20|MPP = 0.4990|Left = 25.6"
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, description=description, metadata=None)
    assert read_pixel_size(tmp_path / "a.tif") == PixelSize(0.499, 0.499, "Aperio MPP")
    assert from_aperio("AppMag = 20") is None


def test_imagej(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, imagej=True, resolution=(4, 2), metadata={"unit": "micron"})
    assert read_pixel_size(tmp_path / "a.tif") == PixelSize(0.5, 0.25, "ImageJ")


@pytest.mark.parametrize(("ending", "source"), [("png", "PNG resolution"), ("bmp", "BMP resolution")])
def test_pictures(tmp_path: Path, ending: str, source: str) -> None:
    image = Image.fromarray(PIXELS)
    image.save(tmp_path / f"a.{ending}", dpi=(254, 508))
    size = read_pixel_size(tmp_path / f"a.{ending}")
    assert size is not None
    assert (size.y_um, size.x_um) == (pytest.approx(50, rel=1e-3), pytest.approx(100, rel=1e-3))
    assert size.source == source
    image.save(tmp_path / f"b.{ending}", dpi=(96, 96))
    assert read_pixel_size(tmp_path / f"b.{ending}") is None
    image.save(tmp_path / f"c.{ending}")
    assert read_pixel_size(tmp_path / f"c.{ending}") is None


@pytest.mark.parametrize("ending", ["nii.gz", "mha", "nrrd"])
def test_medical_formats(tmp_path: Path, ending: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(PIXELS)
    image.SetSpacing((0.1, 0.2))
    sitk.WriteImage(image, str(tmp_path / f"a.{ending}"))
    size = read_pixel_size(tmp_path / f"a.{ending}")
    assert size is not None
    assert (size.y_um, size.x_um) == (pytest.approx(200), pytest.approx(100))
    image.SetSpacing((1, 1))
    sitk.WriteImage(image, str(tmp_path / f"b.{ending}"))
    assert read_pixel_size(tmp_path / f"b.{ending}") is None


@pytest.mark.parametrize(
    ("kind", "keyword"), [("secondary capture", "NominalScannedPixelSpacing"), ("CT", "PixelSpacing")]
)
def test_dicom(tmp_path: Path, kind: str, keyword: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(PIXELS[None])
    image.SetSpacing((0.25, 0.5, 1))
    if kind == "CT":
        image.SetMetaData("0008|0016", "1.2.840.10008.5.1.4.1.1.2")
    sitk.WriteImage(image, str(tmp_path / "a.dcm"))
    assert read_pixel_size(tmp_path / "a.dcm") == PixelSize(500, 250, f"DICOM {keyword}")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.nii.gz", "a.dcm", "a", "a.txt"])
def test_broken_and_missing_files_tell_nothing(tmp_path: Path, name: str) -> None:
    assert read_pixel_size(tmp_path / name) is None
    (tmp_path / name).write_bytes(b"II*\0broken")
    assert read_pixel_size(tmp_path / name) is None


@given(st.floats(), st.floats())
def test_only_possible_sizes_are_told(y: float, x: float) -> None:
    size = pixel_size(y, x, "test")
    assert (size is not None) == (0 < y <= 10_000 and 0 < x <= 10_000)


def test_customary_values() -> None:
    assert from_dpi(300, 300, "test") is None
    assert from_dpi(0, 0, "test") is None
    assert from_spacing_mm(1, 1, "test") is None
    assert from_spacing_mm(1, 0.5, "test") == PixelSize(1000, 500, "test")
