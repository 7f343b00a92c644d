"""Images that show the same: whom they are grouped with, and what is said about them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.near_duplicates import thumbnail
from medt_pipeline.dataset_conversion.duplicates import find_duplicates, groups_of
from medt_pipeline.dataset_conversion.inspection import ImageFacts, Inspected, MaskFacts
from medt_pipeline.dataset_conversion.masks import MaskFile
from medt_pipeline.dataset_conversion.pictures import PictureFile
from medt_pipeline.dataset_conversion.sources import SourceCase
from medt_pipeline.demo.drawing import draw_ultrasound


def gray(seed: int) -> np.ndarray:
    return draw_ultrasound(np.random.default_rng(seed), 96, 128)[0]


def inspected(
    name: str,
    image: np.ndarray,
    mask: str = "same",
    group: str | None = None,
    test: bool = False,
    facts: Mapping[str, str | float] | None = None,
) -> Inspected:
    case = SourceCase(name, PictureFile(Path(name)), MaskFile(Path(name)), group, test, facts or {})
    size = image.shape[0], image.shape[1]
    about = ImageFacts(size, image.dtype, False, False, str(hash(image.tobytes())), thumbnail(image))
    return Inspected(case, about, MaskFacts(size, False, {0: 1}, frozenset(), mask))


def test_equal_and_alike_images_share_a_group_through_each_other() -> None:
    one, brighter = gray(0), (gray(0) * 0.8).astype(np.uint8)
    cases = [
        inspected("d", brighter),
        inspected("a", one),
        inspected("b", gray(1)),
        inspected("c", one),
        inspected("e", gray(2)),
    ]
    found = find_duplicates(cases)
    assert [(one.names, one.exact) for one in found] == [(("a", "c"), True), (("a", "c", "d"), False)]
    assert groups_of(cases, found) == {"d": "a", "a": "a", "b": "b", "c": "a", "e": "e"}
    assert [one.explain() for one in found] == ["a = c", "a ~ c ~ d"]


def test_flat_images_are_equal_though_nothing_can_be_compared() -> None:
    flat = np.full((20, 20), 7, np.uint8)
    cases = [inspected("a", flat), inspected("b", flat.copy()), inspected("c", np.full((20, 20), 8, np.uint8))]
    assert groups_of(cases, find_duplicates(cases)) == {"a": "a", "b": "a", "c": "c"}


def test_declared_groups_stay() -> None:
    cases = [inspected("a", gray(0), group="p1"), inspected("b", gray(0), group="p2")]
    found = find_duplicates(cases)
    assert groups_of(cases, found) == {"a": "p1", "b": "p2"}
    assert "different groups" in found[0].explain()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"mask": "other"}, "a = b; their masks differ"),
        ({"test": True}, "some are for training, some for testing"),
        ({"facts": {"class": "malignant"}}, "the source says different things of them (class: benign, malignant)"),
    ],
)
def test_contradictions_are_told(changed: dict[str, object], sentence: str) -> None:
    cases = [
        inspected("a", gray(0), facts={"class": "benign", "frame": 1}),
        inspected("b", gray(0), **{"facts": {"class": "benign", "frame": 2}} | changed),  # type: ignore[arg-type]
    ]
    explained = find_duplicates(cases)[0].explain()
    assert sentence in explained
    assert "frame" not in explained


def test_nothing_and_no_duplicates() -> None:
    assert find_duplicates([]) == []
    cases = [inspected("a", gray(0)), inspected("b", gray(1))]
    assert find_duplicates(cases) == []
