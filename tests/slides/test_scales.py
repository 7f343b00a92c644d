"""A slide is read at the scale of the training images, or what is done instead is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.slides import open_slide
from medt_pipeline.slides.scales import choose_scale
from tests.slides.drawn_slides import DrawnSlide


@pytest.mark.parametrize(
    ("in_file", "told", "of_training", "factor", "microns", "sentence"),
    [
        (0.25, None, 0.5, 2.0, 0.5, "read at 0.5 µm a pixel, as the model was trained (0.25 at level 0)"),
        (0.25, 0.5, 0.5, 1.0, 0.5, "(0.5 at level 0)"),
        (None, 0.2, 0.5, 2.5, 0.5, "(0.2 at level 0)"),
        (0.5, None, 0.50001, 1.0, 0.50001, "as the model was trained"),
        (0.25, None, None, 1.0, 0.25, "read at level 0 (pixels of 0.25 µm), since the model does not know"),
        (None, None, None, 1.0, None, "read at level 0 (pixels of unknown size)"),
    ],
)
def test_scales(
    tmp_path: Path,
    in_file: float | None,
    told: float | None,
    of_training: float | None,
    factor: float,
    microns: float | None,
    sentence: str,
) -> None:
    slide = open_slide(DrawnSlide((64, 64), 30).write(tmp_path / "a.tif", levels=1, microns=in_file))
    scale = choose_scale(slide, told, of_training)
    assert scale.factor == pytest.approx(factor)
    assert scale.microns_per_pixel == (None if microns is None else pytest.approx(microns))
    assert sentence in scale.sentence


def test_what_cannot_be_compared_is_asked_for(tmp_path: Path) -> None:
    slide = open_slide(DrawnSlide((64, 64), 30).write(tmp_path / "a.tif", levels=1, microns=None))
    with pytest.raises(UserError, match=r"a\.tif does not tell .* trained at 0\.5 µm .* --microns-per-pixel"):
        choose_scale(slide, None, 0.5)
    with pytest.raises(UserError, match="too far apart"):
        choose_scale(slide, 0.25, 500.0)
