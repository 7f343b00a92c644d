from __future__ import annotations

from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.known_labels import known_labels, require_known

ONE = {"background": 0, "gland": 1}
TWO = {"background": 0, "gland": 1, "lumen": 2}
RED, GREEN = 0xFF0000, 0x00FF00
FILE = Path("a.png")


def labels(content: dict, counts: list[int], coloured: bool = False, text: str | None = None) -> dict[int, int]:
    mapping = known_labels(content, text).mapping(dict.fromkeys(counts, 5), coloured, FILE)
    return {value: mapping.label_of[value] for value in counts}


@pytest.mark.parametrize(
    ("content", "counts", "coloured", "text", "expected"),
    [
        (ONE, [0, 1], False, None, {0: 0, 1: 1}),
        (TWO, [0, 2], False, None, {0: 0, 2: 2}),
        (TWO, [0], False, None, {0: 0}),
        (ONE, [0, 255], False, None, {0: 0, 255: 1}),
        (ONE, [255], False, None, {255: 1}),
        (ONE, [0, RED], True, None, {0: 0, RED: 1}),
        (TWO, [0, RED, GREEN], True, "lumen=#FF0000,gland=#00FF00", {0: 0, RED: 2, GREEN: 1}),
        (TWO, [0, 100, 200], False, "gland=200,lumen=100", {0: 0, 100: 2, 200: 1}),
        (TWO, [7, 0], False, "background=7,gland=0", {7: 0, 0: 1}),
    ],
    ids=str,
)
def test_values_that_are_understood(content, counts, coloured, text, expected) -> None:
    assert labels(content, counts, coloured, text) == expected


@pytest.mark.parametrize(
    ("content", "counts", "coloured", "text", "sentence"),
    [
        (ONE, [0, 2], False, None, r"a\.png holds the value 2, but the data set knows 0 \(background\), 1 \(gland\)"),
        (ONE, [0, 1, 255], False, None, "holds the values 1, 255"),
        (TWO, [0, 255], False, None, "holds the value 255"),
        (ONE, [0, RED, GREEN], True, None, "holds the values #00FF00, #FF0000"),
        (TWO, [0, 3], False, "gland=1", r"holds the value 3, which --labels does not name"),
        (TWO, [0, 1], False, "nerve=1", "--labels names nerve, but the data set has background, gland, lumen"),
        (TWO, [0, 1], False, "nerve=Nerve", "--labels names nerve"),
    ],
    ids=str,
)
def test_values_that_are_not(content, counts, coloured, text, sentence) -> None:
    with pytest.raises(UserError, match=sentence):
        labels(content, counts, coloured, text)


def test_classes_of_annotations() -> None:
    assert known_labels(ONE, None).of_class == {"": 1, "background": 0, "gland": 1}
    assert known_labels(TWO, None).of_class == TWO
    known = known_labels(TWO, "gland=Tumour,lumen=9")
    assert known.of_class == {**TWO, "Tumour": 1}
    require_known({"gland", "Tumour"}, known, FILE)
    with pytest.raises(UserError, match=r"a\.png holds shapes of Tumor, no class, but the data set has gland, lumen"):
        require_known({"Tumor", ""}, known, FILE)


def test_regions_have_values_but_no_single_label() -> None:
    known = known_labels({"background": 0, "whole": [1, 2], "core": 2}, None)
    assert known.values == {0, 1, 2}
    assert known.names == {"background": 0, "core": 2}
    assert known.mapping({0: 3, 1: 2}, False, FILE).label_of == {0: 0, 1: 1}
