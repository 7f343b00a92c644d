"""Regions and pixel sizes as the standard defines them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from medt_pipeline.core.dicom.geometry import header_pixel_size, tissue_region
from medt_pipeline.core.pixel_size import PixelSize
from medt_pipeline.core.pixel_size_of_files import read_pixel_size
from tests.drawn_dicom import draw_clip, ramp, region


def header(*regions: Dataset, **elements: object) -> Dataset:
    made = Dataset()
    made.Rows, made.Columns = 100, 200
    if regions:
        made.SequenceOfUltrasoundRegions = list(regions)
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def test_the_largest_tissue_region_counts() -> None:
    regions = (
        region((0, 0, 99, 199), (0.5, 0.5), kind=2),
        region((0, 0, 99, 199), (0.5, 0.5), form=2),
        region((10, 0, 49, 99), (0.01, 0.02)),
        region((10, 100, 59, 199), (0.03, 0.04)),
    )
    found = tissue_region(header(*regions))
    assert found is not None
    assert (found.top, found.left, found.bottom, found.right, found.area) == (10, 100, 60, 200, 5000)
    assert header_pixel_size(header(*regions, PixelSpacing=[9, 9])) == PixelSize(300, 400, "DICOM ultrasound region")


def test_corners_outside_are_moved_to_the_border() -> None:
    found = tissue_region(header(region((0, 0, 100, 200), (0.1, 0.1))))
    assert found is not None
    assert (found.bottom, found.right) == (100, 200)


@pytest.mark.parametrize("box", [(50, 0, 40, 99), (100, 0, 120, 50), (0, 200, 50, 260)])
def test_regions_without_pixels_do_not_count(box: tuple[int, int, int, int]) -> None:
    assert tissue_region(header(region(box, (0.1, 0.1)))) is None


def test_a_region_without_corners_does_not_count() -> None:
    broken = region((0, 0, 9, 9), (0.1, 0.1))
    del broken.RegionLocationMaxX1
    assert tissue_region(header(broken)) is None


def test_the_sign_of_a_step_is_its_direction() -> None:
    size = header_pixel_size(header(region((0, 0, 9, 9), (-0.02, 0.01))))
    assert size is not None
    assert (size.y_um, size.x_um) == pytest.approx((200, 100))


@pytest.mark.parametrize(
    ("delta", "unit"),
    [((0.1, 0.1), 4), ((0, 0.1), 3), ((5, 5), 3), (([0.1, 0.2], 0.1), 3)],
    ids=["seconds", "none", "5 cm", "two"],
)
def test_spacing_stands_in_for_a_region_that_tells_nothing(delta: tuple[float, float], unit: int) -> None:
    useless = region((0, 0, 9, 9), delta, unit=unit)
    assert header_pixel_size(header(useless)) is None
    found = header_pixel_size(header(useless, PixelSpacing=[0.2, 0.1], ImagerPixelSpacing=[0.4, 0.3]))
    assert found == PixelSize(200, 100, "DICOM PixelSpacing")
    assert header_pixel_size(header(useless, ImagerPixelSpacing=[0.4, 0.3])) == PixelSize(
        400, 300, "DICOM ImagerPixelSpacing"
    )


@pytest.mark.parametrize("spacing", [None, 0.1, [0, 0], [0.1, 0.1, 0.1], [0.1, ""]])
def test_spacings_that_are_none(spacing: object) -> None:
    assert header_pixel_size(header(PixelSpacing=spacing)) is None


@given(st.floats(1e-4, 0.9), st.floats(1e-4, 0.9))
def test_centimetres_become_micrometres(y_cm: float, x_cm: float) -> None:
    size = header_pixel_size(header(region((0, 0, 9, 9), (y_cm, x_cm))))
    assert size is not None
    assert (size.y_um / 1e4, size.x_um / 1e4) == pytest.approx((y_cm, x_cm))


def test_from_a_file(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a.dcm", ramp(), SequenceOfUltrasoundRegions=[region((0, 0, 9, 9), (0.02, 0.01))])
    assert read_pixel_size(tmp_path / "a.dcm") == PixelSize(200, 100, "DICOM ultrasound region")
