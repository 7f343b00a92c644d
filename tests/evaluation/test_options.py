import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.evaluation.options import Tolerance, parse_pixel_size, parse_tolerance


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2px", Tolerance(2.0, "px")), (" 0.5 mm ", Tolerance(0.5, "mm")), (".5px", Tolerance(0.5, "px"))],
)
def test_tolerances(text, expected):
    assert parse_tolerance(text) == expected
    assert parse_tolerance(str(expected)) == expected


@pytest.mark.parametrize("text", ["", "2", "px", "-1px", "2cm", "1e3px", "nanmm"])
def test_tolerances_without_number_or_unit_are_refused(text):
    with pytest.raises(UserError, match="2px or 0.5mm"):
        parse_tolerance(text)


def test_pixel_sizes():
    assert parse_pixel_size("0.1") == (0.1, 0.1)
    assert parse_pixel_size("0.1, 0.25") == (0.1, 0.25)


@pytest.mark.parametrize("text", ["", "0", "-1", "1,2,3", "nan", "inf", "1;2", "a"])
def test_impossible_pixel_sizes_are_refused(text):
    with pytest.raises(UserError, match="pixel size"):
        parse_pixel_size(text)
