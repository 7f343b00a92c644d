from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from medt_pipeline.core.pixel_size import PixelSize
from medt_pipeline.fingerprint.case_facts import ImageFacts, measure_image
from medt_pipeline.fingerprint.plain import from_plain, to_plain
from medt_pipeline.fingerprint.shift import FACTS, TrainingImages, training_images, unlike


def facts(level: float, seed: int, size: tuple[int, int] = (40, 60), channels: int = 1) -> ImageFacts:
    """A noisy picture of a mean level; with three channels a coloured one."""
    rng = np.random.default_rng(seed)
    picture = rng.normal(level, 20, (1, *size)).clip(1, 254)
    if channels == 3:
        picture = np.concatenate([picture, picture / 2, picture / 3])
    return measure_image(picture.astype(np.uint8))


@pytest.fixture(scope="module")
def gray() -> TrainingImages:
    return training_images(facts(100 + seed, seed) for seed in range(20))


def test_ranges_are_percentiles_and_robust_deviations(gray: TrainingImages) -> None:
    values = np.array([facts(100 + seed, seed).intensity[0].mean for seed in range(20)])
    found = gray.ranges["intensity.0.mean"]
    assert found.cases == 20
    assert (found.p01, found.median, found.p99) == pytest.approx(np.percentile(values, (1, 50, 99)), abs=1e-5)
    assert found.deviation == pytest.approx(stats.median_abs_deviation(values, scale="normal"), abs=1e-5)
    assert gray.ranges["size.height_px"].median == pytest.approx(math.log(40))
    assert gray.ranges["size.height_px"].deviation == FACTS["size.height_px"].least


def test_images_like_the_training_are_passed(gray: TrainingImages) -> None:
    assert not any(unlike(facts(100 + seed, 100 + seed), gray) for seed in range(20))


def test_a_bright_image_is_named_with_the_range(gray: TrainingImages) -> None:
    phrases = unlike(facts(230, 0), gray)
    assert any(phrase.startswith("brightness of channel 1 is 0.8") for phrase in phrases)
    assert "in training 0.389 to 0.464" in phrases[0]


def test_both_conditions_of_the_rule_must_hold(gray: TrainingImages) -> None:
    found = gray.ranges["intensity.0.mean"]
    base = facts(110, 3)

    def bright(mean: float) -> list[str]:
        channel = replace(base.intensity[0], mean=mean)
        return [one for one in unlike(replace(base, intensity=(channel,)), gray) if one.startswith("brightness")]

    assert found.p99 < found.median + 4 * found.deviation
    assert not bright(found.median + 3.9 * found.deviation)
    assert bright(found.median + 4.1 * found.deviation)
    # a long tail that the training covers is no alarm, however many deviations it is away
    wide = replace(gray, ranges={**gray.ranges, "intensity.0.mean": replace(found, p99=0.9)})
    assert not unlike(replace(base, intensity=(replace(base.intensity[0], mean=0.89),)), wide)


def test_gray_and_coloured_and_sizes(gray: TrainingImages) -> None:
    assert unlike(facts(110, 0, channels=3), gray)[0] == "it is coloured, all training images are gray"
    colour = training_images(facts(100 + seed, seed, channels=3) for seed in range(10))
    assert unlike(facts(110, 0), colour)[0] == "it is gray, all training images are coloured"
    mixed = training_images([facts(105, seed, channels=1 + 2 * (seed % 2)) for seed in range(10)])
    assert not [one for one in unlike(facts(105, 0), mixed) if one.startswith("it is")]
    assert unlike(facts(110, 0, size=(80, 60)), gray) == ["height in pixels is 80, in training 40 to 40"]
    assert not unlike(facts(110, 0, size=(44, 66)), gray)


def test_sizes_of_pixels_are_compared_where_both_know_them() -> None:
    known = PixelSize(0.5, 0.5, "OME-XML")
    training = training_images(replace(facts(100, seed), pixel_size=known) for seed in range(10))
    assert not unlike(facts(100, 50), training)
    other = replace(facts(100, 50), pixel_size=PixelSize(0.25, 0.25, "OME-XML"))
    assert [one.split(" is ")[0] for one in unlike(other, training)] == [
        "height of a pixel in µm",
        "width of a pixel in µm",
    ]


def test_few_cases_say_nothing() -> None:
    training = training_images(facts(100, seed) for seed in range(4))
    assert unlike(facts(240, 9, channels=3), training) == []
    assert training_images([]).cases == 0


def test_it_survives_json_and_names_no_case(gray: TrainingImages) -> None:
    content = to_plain(gray)
    assert set(content) == {"cases", "gray_share", "ranges"}
    assert set(content["ranges"]) <= set(FACTS)
    restored = from_plain(TrainingImages, content)
    assert unlike(facts(230, 0), restored) == unlike(facts(230, 0), gray)
