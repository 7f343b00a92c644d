"""The summary and the parts it is made of, on small drawn cases with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from medt_pipeline.core.pixel_size import PixelSize
from medt_pipeline.demo.histology import Stain, draw_histology
from medt_pipeline.demo.ultrasound import draw_ultrasound
from medt_pipeline.fingerprint.case_facts import Beside, MeasuredCase, measure_case
from medt_pipeline.fingerprint.set_groups import group_cases
from medt_pipeline.fingerprint.set_images import SizeCount, summarise_pixel_size
from medt_pipeline.fingerprint.stain import angle_deg
from medt_pipeline.fingerprint.summary import Problem, Summary, summarise

CLASSES = {1: "tumour", 2: "vessel"}


def case(
    name: str, image: np.ndarray, labels: np.ndarray, group: str | None = None, size: tuple[float, float] | None = None
) -> MeasuredCase:
    return measure_case(name, image.astype(np.float32), labels, (999, 1, 1), CLASSES, Beside(group, size))


def summary_of(cases: dict[str, MeasuredCase], problems: tuple[Problem, ...] = ()) -> Summary:
    grouped, pairs = group_cases(cases)
    return summarise(grouped, CLASSES, pairs, problems)


def ultrasound(name: str, seed: int, group: str | None = None, shape: tuple[int, int] = (96, 128)) -> MeasuredCase:
    image, mask = draw_ultrasound(np.random.default_rng(seed), *shape)
    return case(name, image[None], mask, group)


def test_classes_are_weighted_by_pixels() -> None:
    rng = np.random.default_rng(0)
    small, large = np.zeros((20, 20), int), np.zeros((40, 40), int)
    small[2:12, 2:12], large[5:25, 5:25] = 1, 1
    large[30:35, 30:35] = 2
    cases = {
        "a": case("a", rng.integers(0, 256, (1, 20, 20)), small),
        "b": case("b", rng.integers(0, 256, (1, 40, 40)), large),
        "c": case("c", rng.integers(0, 256, (1, 40, 40)), np.zeros((40, 40), int)),
    }
    summary = summary_of(cases)
    tumour, vessel = summary.classes["1"], summary.classes["2"]
    assert (tumour.name, vessel.name) == ("tumour", "vessel")
    assert tumour.pixel_share == pytest.approx(500 / 3600)
    assert vessel.pixel_share == pytest.approx(25 / 3600)
    assert summary.class_imbalance == pytest.approx(20)
    assert summary.background_share == pytest.approx(1 - 525 / 3600)
    assert tumour.present_case_share == pytest.approx(2 / 3)
    assert (tumour.objects, tumour.objects_per_case) == (2, 1)
    sides = np.array([10, 20]) * np.sqrt(4 / np.pi)
    assert tumour.diameter_px.p50 == pytest.approx(sides.mean())
    assert tumour.diameter_px.area_weighted == pytest.approx(sides[1])
    assert tumour.diameter_share_of_side == pytest.approx(np.median(sides / [20, 40]))
    assert tumour.touching_share is None
    assert summary.empty_masks == 1
    assert summary.sizes == [SizeCount(40, 40, 2), SizeCount(20, 20, 1)]
    assert summary.numbers["objects.1.count"].cases == 3
    assert summary.numbers["objects.1.diameter_px.p50"].cases == 2
    assert summary.flags["mask_is_empty"] == pytest.approx(1 / 3)
    assert summary.bit_depths == {"8": 3}


def test_all_masks_empty() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16))
    summary = summary_of({"a": case("a", image, np.zeros((16, 16), int))}, (Problem("b", "b is broken."),))
    assert summary.class_imbalance is None
    assert summary.background_share == 1
    assert summary.classes["1"].diameter_px is None
    assert summary.classes["1"].objects_per_case is None
    assert summary.problems == [Problem("b", "b is broken.")]
    assert "objects.1.diameter_px.p50" not in summary.numbers


def test_ultrasound_and_groups() -> None:
    cases = {
        "a": ultrasound("a", 0, "p1"),
        "b": ultrasound("b", 1, "p1"),
        "c": ultrasound("c", 0, "p2"),
        "d": ultrasound("d", 2, "p3"),
    }
    grouped, pairs = group_cases(cases)
    assert [(pair.first, pair.second, pair.crosses_groups) for pair in pairs] == [("a", "c", True)]
    assert {name: one.facts.near_duplicate_group for name, one in grouped.items()} == {
        "a": "a",
        "b": "b",
        "c": "a",
        "d": "d",
    }
    assert {name: one.facts.fold_group for name, one in grouped.items()} == {"a": "a", "b": "a", "c": "a", "d": "d"}
    summary = summarise(grouped, CLASSES, pairs, ())
    groups = summary.groups
    assert (groups.declared, groups.fold_groups, groups.largest_fold_group) == (3, 2, 3)
    assert (groups.near_duplicate_groups, groups.pairs_across_groups) == ([["a", "c"]], 1)
    assert (summary.gray_case_share, summary.stain) == (1, None)
    assert summary.ultrasound.cases == 4
    assert summary.ultrasound.darker_with_depth_share == 1
    assert summary.ultrasound.fan_share == 1
    gains = [one.facts.ultrasound.gain for one in cases.values()]
    assert summary.ultrasound.gain_std == pytest.approx(np.std(gains))
    assert summary.intensity[0].std_of_means == pytest.approx(
        np.std([one.facts.intensity[0].mean for one in cases.values()])
    )


def test_groups_that_are_not_known() -> None:
    groups = summary_of({"a": ultrasound("a", 0), "b": ultrasound("b", 1)}).groups
    assert (groups.declared, groups.fold_groups, groups.pairs_across_groups) == (None, 2, 0)


def test_stains_and_their_spread() -> None:
    usual = Stain((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), 1.0, 245)
    odd = Stain((0.45, 0.80, 0.40), (0.25, 0.90, 0.35), 1.0, 245)
    cases = {}
    for seed, stain in enumerate([usual, usual, usual, odd]):
        image, mask = draw_histology(np.random.default_rng(seed), 128, 160, stain)
        cases[str(seed)] = case(str(seed), image.transpose(2, 0, 1), mask)
    stain = summary_of(cases).stain
    assert (stain.cases, stain.cases_with_vectors) == (4, 4)
    assert angle_deg(stain.haematoxylin, usual.haematoxylin) < 8
    assert angle_deg(stain.eosin, usual.eosin) < 8
    assert max(stain.deviations_deg, key=stain.deviations_deg.__getitem__) == "3"
    assert stain.deviations_deg["3"] > 2 * stain.haematoxylin_deviation_deg.median
    assert stain.haematoxylin_mean.cases == 4


def test_coloured_images_without_tissue() -> None:
    image = np.zeros((3, 32, 32))
    image[0] = 250
    image[1:] = 210
    stain = summary_of({"a": case("a", image, np.zeros((32, 32), int))}).stain
    assert (stain.cases, stain.cases_with_vectors, stain.haematoxylin, stain.deviations_deg) == (1, 0, None, {})


def test_pixel_sizes() -> None:
    assert summarise_pixel_size([None, None]) is None
    same = summarise_pixel_size([PixelSize(0.5, 0.5, "a"), None, PixelSize(0.51, 0.5, "a")])
    assert (same.known_cases, same.differs, same.sources) == (2, False, {"a": 2})
    assert summarise_pixel_size([PixelSize(0.5, 0.5, "a"), PixelSize(0.25, 0.25, "b")]).differs
