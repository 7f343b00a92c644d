import hashlib
import re

import numpy as np
import pytest
from scipy import ndimage

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image, read_mask
from medt_pipeline.demo.drawing import draw_histology, draw_ultrasound, write_drawn_set

KINDS = {"ultrasound": draw_ultrasound, "histology": draw_histology}
SEEDS = range(8)


@pytest.fixture(scope="module", params=KINDS)
def drawn(request):
    """Kind, and eight pairs of image and mask, each of its own patient."""
    draw = KINDS[request.param]
    return request.param, [draw(np.random.default_rng(seed), 96, 128) for seed in SEEDS]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 64), (70, 131), (131, 70)], ids="{0[0]}x{0[1]}".format)
def test_shapes_and_types(kind, size):
    image, mask = KINDS[kind](np.random.default_rng(0), *size)
    assert image.shape == ((*size, 3) if kind == "histology" else size)
    assert (image.dtype, mask.dtype, mask.shape) == (np.uint8, np.uint8, size)
    assert set(np.unique(mask)) == {0, 1}


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides(kind):
    draw = KINDS[kind]
    first, again, other = (draw(np.random.default_rng(seed), 64, 80) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("kind", KINDS)
def test_too_small_is_refused(kind):
    with pytest.raises(ValueError, match="got 63 × 200"):
        KINDS[kind](np.random.default_rng(0), 63, 200)


def _best_threshold_dice(grays, masks):
    """Best mean Dice of one range of gray values for all images, found by trying ranges of 16 steps."""
    edges = range(0, 257, 16)
    best = 0.0
    for low in edges:
        for high in range(low + 16, 257, 16):
            found = [(gray >= low) & (gray < high) for gray in grays]
            dice = [2 * (f & (m > 0)).sum() / (f.sum() + m.sum()) for f, m in zip(found, masks, strict=True)]
            best = max(best, float(np.mean(dice)))
    return best


def test_no_threshold_solves_it(drawn):
    kind, pairs = drawn
    masks = [mask for _, mask in pairs]
    views = [[image for image, _ in pairs]]
    if kind == "histology":
        views = [[image[..., channel] for image, _ in pairs] for channel in range(3)]
        views.append([np.ptp(image, axis=-1) for image, _ in pairs])
    for grays in views:
        smooth = [ndimage.gaussian_filter(gray, 2) for gray in grays]
        assert _best_threshold_dice(grays, masks) < 0.7
        assert _best_threshold_dice(smooth, masks) < 0.75


def test_ultrasound_is_a_dark_lesion_in_a_sector():
    for seed in SEEDS:
        image, mask = draw_ultrasound(np.random.default_rng(seed), 160, 208)
        assert ndimage.label(mask)[1] == 1
        assert 0.01 < mask.mean() < 0.25
        assert not image[:5, :30].any()
        assert not image[:5, -30:].any()
        ring = ndimage.binary_dilation(mask, iterations=8) & ~ndimage.binary_dilation(mask, iterations=2)
        assert image[mask > 0].mean() < image[ring & (image > 0)].mean() - 15


def test_histology_has_glands_with_a_pale_lumen_within_dark_nuclei():
    for seed in SEEDS:
        image, mask = draw_histology(np.random.default_rng(seed), 160, 208)
        glands, count = ndimage.label(mask)
        assert 1 <= count <= 6
        assert 0.02 < mask.mean() < 0.7
        red = image[..., 0].astype(float)
        depth = ndimage.distance_transform_edt(np.pad(mask, 40, mode="edge"))[40:-40, 40:-40]
        largest = glands == np.bincount(glands.ravel())[1:].argmax() + 1
        rim, middle = largest & (depth > 2) & (depth < 9), largest & (depth > 0.85 * depth[largest].max())
        assert red[rim].mean() < red[mask == 0].mean() < red[middle].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_one_patient_look_alike(kind, tmp_path):
    write_drawn_set(tmp_path, kind, patients=8, images_per_patient=3, size=(96, 128))

    def mean_colour(name):
        picture, mask = read_image(tmp_path / "images" / name), read_mask(tmp_path / "masks" / name)
        inside = (picture.reshape(96, 128, -1).max(-1) > 0) & (mask == 0)
        return np.atleast_1d(picture[inside].mean(0))

    colours = np.array([[mean_colour(f"p0{patient}_{image}.png") for image in range(3)] for patient in range(1, 9)])
    within, between = colours.std(1).mean(), colours.mean(1).std(0).mean()
    assert between > 1.5 * within


def _digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("kind", KINDS)
def test_written_set(kind, tmp_path):
    write_drawn_set(tmp_path / "a", kind, patients=4, images_per_patient=2, size=(64, 72), seed=5)
    written = _digest(tmp_path / "a")
    names = [f"p0{patient}_{image}.png" for patient in (1, 2, 3, 4) for image in (0, 1)]
    held_out = ["p05_0.png", "p05_1.png"]
    expected = {f"{folder}/{name}" for folder in ("images", "masks") for name in names}
    expected |= {f"test/{folder}/{name}" for folder in ("images", "masks") for name in held_out}
    assert set(written) == expected
    assert len(set(written.values())) == len(expected)
    assert len({re.match(r"^(p\d+)", name)[1] for name in names + held_out}) == 5
    for name in names:
        mask = read_mask(tmp_path / "a" / "masks" / name)
        assert set(np.unique(mask)) == {0, 255}
        assert read_image(tmp_path / "a" / "images" / name).shape[:2] == mask.shape == (64, 72)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes_and_a_larger_set_begins_alike(kind, tmp_path):
    for folder, patients, seed in (("a", 2, 5), ("b", 2, 5), ("larger", 3, 5), ("other", 2, 6)):
        write_drawn_set(tmp_path / folder, kind, patients, images_per_patient=1, size=(64, 64), seed=seed)
    first, again, larger, other = (_digest(tmp_path / folder) for folder in ("a", "b", "larger", "other"))
    assert first == again
    assert all(larger[name] == digest for name, digest in first.items() if not name.startswith("test"))
    assert first["images/p01_0.png"] != other["images/p01_0.png"]
    write_drawn_set(tmp_path / "a", kind, patients=2, images_per_patient=1, size=(64, 64), seed=5)
    assert _digest(tmp_path / "a") == first


def test_another_set_in_the_folder_is_not_mixed_in(tmp_path):
    write_drawn_set(tmp_path, "ultrasound", patients=2, images_per_patient=1, size=(64, 64))
    before = _digest(tmp_path)
    with pytest.raises(UserError, match=r"holds other images \(p02_0\.png\)"):
        write_drawn_set(tmp_path, "ultrasound", patients=1, images_per_patient=1, size=(64, 64), seed=9)
    assert _digest(tmp_path) == before


@pytest.mark.parametrize(("patients", "images"), [(0, 1), (80, 1), (1, 0)])
def test_numbers_out_of_range_are_refused(patients, images, tmp_path):
    with pytest.raises(UserError, match=f"got {patients} and {images}"):
        write_drawn_set(tmp_path, "ultrasound", patients, images)
