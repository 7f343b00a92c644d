from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import write_png
from medt_pipeline.demo.histology import draw_histology
from medt_pipeline.demo.ultrasound import draw_ultrasound
from medt_pipeline.fingerprint.case_facts import Beside, find_pixel_size, measure_case
from medt_pipeline.fingerprint.plain import from_plain, to_plain

RNG = np.random.default_rng(0)
PLAIN = (999.0, 1.0, 1.0)


def test_gray_images_have_ultrasound_facts_and_coloured_ones_stains() -> None:
    gray, mask = draw_ultrasound(np.random.default_rng(0), 96, 128)
    colour, glands = draw_histology(np.random.default_rng(0), 96, 128)
    ultrasound = measure_case("u", gray[None].astype(np.float32), mask, PLAIN, (1,)).facts
    as_rgb = measure_case("r", np.stack([gray] * 3).astype(np.float32), mask, PLAIN, (1,)).facts
    histology = measure_case("h", colour.transpose(2, 0, 1).astype(np.float32), glands, PLAIN, (1,)).facts
    assert ultrasound.stain is as_rgb.stain is histology.ultrasound is None
    assert ultrasound.ultrasound == as_rgb.ultrasound
    assert histology.stain.haematoxylin is not None
    assert (ultrasound.fold_group, ultrasound.near_duplicate_group, ultrasound.group) == ("u", "u", None)
    assert ultrasound.foreground_share == pytest.approx(mask.mean())
    assert not ultrasound.mask_is_empty


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 16, 16), np.float32),
        np.full((3, 16, 16), 255, np.float32),
        np.full((1, 1, 1), 7, np.float32),
        RNG.integers(0, 256, (1, 16, 16)).astype(np.float32),
        RNG.integers(0, 65536, (1, 40, 40)).astype(np.uint16),
        RNG.integers(0, 4096, (2, 33, 41)).astype(np.float32),
        RNG.integers(0, 256, (4, 20, 300)).astype(np.float32),
        RNG.normal(size=(1, 30, 30)).astype(np.float32),
        RNG.normal(size=(3, 30, 30)),
        RNG.integers(-1000, 3000, (1, 30, 30)).astype(np.int32),
    ],
    ids=lambda image: f"{image.shape}-{image.dtype}",
)
@pytest.mark.parametrize("label", [0, 1])
def test_odd_images_can_be_measured(image: np.ndarray, label: int) -> None:
    labels = np.full(image.shape[1:], label)
    facts = measure_case("a", image, labels, PLAIN, (1, 2)).facts
    assert facts.mask_is_empty == (label == 0)
    assert facts.objects["2"].is_absent
    assert to_plain(from_plain(type(facts), to_plain(facts))) == to_plain(facts)


@pytest.mark.slow
def test_a_large_image_can_be_measured() -> None:
    image = np.zeros((3, 4000, 6000), np.float32)
    image[:, 1000:3000, 1000:4000] = RNG.integers(0, 256, (3, 2000, 3000))
    labels = np.zeros((4000, 6000), np.uint8)
    labels[2000:2500, 2000:2500] = 1
    facts = measure_case("a", image, labels, PLAIN, (1,)).facts
    assert (facts.size.border_top_px, facts.size.border_right_px) == (1000, 2000)
    assert facts.objects["1"].diameter_px.p50 == pytest.approx(500 * np.sqrt(4 / np.pi))


def test_what_is_no_number_is_named() -> None:
    image = np.zeros((1, 16, 16))
    image[0, 0, 0] = np.nan
    with pytest.raises(UserError, match="no numbers"):
        measure_case("a", image, np.zeros((16, 16)), PLAIN, (1,))


def test_instances_are_read(tmp_path: Path) -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[2:10, 2:18] = 1
    instances = labels.copy()
    instances[2:10, 10:18] = 2
    write_png(tmp_path / "a.png", instances)
    image = RNG.integers(0, 256, (1, 20, 20)).astype(np.float32)
    facts = measure_case("a", image, labels, PLAIN, (1,), Beside(instances=tmp_path / "a.png")).facts
    assert (facts.objects["1"].count, facts.objects["1"].touching_count) == (2, 2)
    write_png(tmp_path / "b.png", instances[:10])
    with pytest.raises(UserError, match=r"b.png has the shape \(10, 20\)"):
        measure_case("a", image, labels, PLAIN, (1,), Beside(instances=tmp_path / "b.png"))


def test_pixel_size_is_the_recorded_one_then_the_readers_then_the_files(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png", dpi=(254, 254))
    files = (tmp_path / "missing.png", tmp_path / "a.png")
    recorded = find_pixel_size((999, 0.5, 0.25), Beside(pixel_size_um=(3, 2), images=files))
    assert (recorded.y_um, recorded.x_um, recorded.source) == (3, 2, "medt_cases.json")
    from_reader = find_pixel_size((999, 0.5, 0.25), Beside(images=files))
    assert (from_reader.y_um, from_reader.x_um) == (500, 250)
    assert find_pixel_size(PLAIN, Beside(images=files)).y_um == pytest.approx(100, rel=1e-3)
    assert find_pixel_size(PLAIN, Beside()) is None
