"""Outlines against the ellipses that they were drawn from, and the fit against scikit-image's."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from skimage.measure import EllipseModel

from medt_pipeline.dataset_conversion.outlines import Ellipse, fill_closed, fit_ellipse

SIZE = (270, 400)
ellipses = st.builds(
    Ellipse,
    st.tuples(st.floats(125, 145), st.floats(180, 220)),
    st.tuples(st.floats(60, 120), st.floats(60, 120)),
    st.floats(0, math.pi),
)
widths = st.integers(1, 6)


def draw(ellipse: Ellipse, width: int, start: float = 0.0, gap: float = 0.0) -> np.ndarray:
    """The curve as a line of `width` pixels, without the `gap` (in radians) that begins at `start`."""
    angle = np.linspace(start + gap, start + 2 * math.pi, 2000)
    right, down = ellipse.axes[0] * np.cos(angle), ellipse.axes[1] * np.sin(angle)
    x = ellipse.centre[1] + right * math.cos(ellipse.angle) - down * math.sin(ellipse.angle)
    y = ellipse.centre[0] + right * math.sin(ellipse.angle) + down * math.cos(ellipse.angle)
    image = Image.new("L", (SIZE[1], SIZE[0]))
    ImageDraw.Draw(image).line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=255, width=width)
    return np.array(image) > 0


def area(ellipse: Ellipse) -> float:
    return math.pi * ellipse.axes[0] * ellipse.axes[1]


@settings(max_examples=40, deadline=None)
@given(ellipses, widths)
@example(Ellipse((125.0, 180.5), (60.0, 60.0), 0.0), 1)
def test_a_closed_outline_is_filled_to_the_middle_of_its_line(ellipse: Ellipse, width: int) -> None:
    filled = fill_closed(draw(ellipse, width))
    assert filled is not None
    # Pillow puts lines of an even width half a pixel aside, and rounds those of one pixel (0.0043 on the circle).
    assert filled.sum() == pytest.approx(area(ellipse), rel={1: 0.0045}.get(width, 0.004 if width % 2 else 0.01))


@pytest.mark.parametrize(("width", "kept"), [(1, 1), (2, 1), (3, 2), (5, 3)])
def test_the_side_of_the_line(width: int, kept: int) -> None:
    outline = np.zeros((60, 60), dtype=bool)
    outline[5:55, 5:55] = True
    outline[5 + width : 55 - width, 5 + width : 55 - width] = False
    filled = fill_closed(outline)
    assert filled is not None
    expected = np.zeros(60, dtype=bool)
    expected[5 + width - kept : 55 - width + kept] = True
    np.testing.assert_array_equal(filled[30], expected)
    np.testing.assert_array_equal(filled[:, 30], expected)


@settings(max_examples=40, deadline=None)
@given(ellipses, widths, st.floats(0, 2 * math.pi), st.floats(0.2, 2.5))
def test_an_open_outline_is_fitted(ellipse: Ellipse, width: int, start: float, gap: float) -> None:
    outline = draw(ellipse, width, start, gap)
    assert fill_closed(outline) is None
    fitted = fit_ellipse(outline)
    assert fitted is not None
    assert fitted.inside(SIZE).sum() == pytest.approx(area(ellipse), rel=0.02)
    share = 1 - gap / (2 * math.pi)
    assert fitted.drawn_share(outline) == pytest.approx(share, abs=0.04)


@settings(max_examples=40, deadline=None)
@given(st.builds(Ellipse, st.tuples(st.floats(40, 60), st.floats(150, 250)), st.just((110.0, 90.0)), st.floats(0, 3)))
def test_an_outline_cut_by_the_border_is_fitted(ellipse: Ellipse) -> None:
    outline = draw(ellipse, 3)
    assert fill_closed(outline) is None
    fitted = fit_ellipse(outline)
    assert fitted is not None
    assert fitted.inside(SIZE).sum() == pytest.approx(ellipse.inside(SIZE).sum(), rel=0.02)
    np.testing.assert_allclose(sorted(fitted.axes), sorted(ellipse.axes), rtol=0.03)


@settings(max_examples=30, deadline=None)
@given(ellipses, st.floats(0, 2 * math.pi))
def test_the_fit_is_that_of_scikit_image(ellipse: Ellipse, start: float) -> None:
    outline = draw(ellipse, 2, start, 1.0)
    fitted = fit_ellipse(outline)
    assert fitted is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = EllipseModel()
        theirs.estimate(np.argwhere(outline)[:, ::-1].astype(float))
        x, y, a, b, _ = theirs.params
    np.testing.assert_allclose(fitted.centre, (y, x), atol=1e-4)
    np.testing.assert_allclose(sorted(fitted.axes), sorted((a, b)), rtol=1e-5)


def test_what_is_no_ellipse() -> None:
    nothing = np.zeros(SIZE, dtype=bool)
    line, square, short = nothing.copy(), nothing.copy(), draw(Ellipse((135, 200), (100, 80), 0.3), 3, 0.0, 4.5)
    line[100, 50:300] = True
    square[50:200, 50], square[50:200, 200], square[50, 50:200] = True, True, True
    for outline in (nothing, line, square, short):
        assert fill_closed(outline) is None
        assert fit_ellipse(outline) is None
