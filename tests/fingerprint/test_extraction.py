from __future__ import annotations

import json

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.fingerprint.extraction import extract_fingerprint
from tests.conftest import DATASET_NAME, Drawn


def test_agrees_with_nnunets_extractor(planned: Drawn) -> None:
    """Shapes and spacings exactly; intensities to the error of nnU-Net's sample."""
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

    raw = planned.workspace.raw / DATASET_NAME
    ours = json.loads((planned.preprocessed / "dataset_fingerprint.json").read_text())
    samples = []
    for index, label in enumerate(sorted((raw / "labelsTr").iterdir())):
        image = raw / "imagesTr" / f"{label.stem}_0000.png"
        shape, spacing, intensities, _, _ = DatasetFingerprintExtractor.analyze_case(
            [str(image)], str(label), NaturalImage2DIO, 100_000
        )
        assert ours["shapes_after_crop"][index] == list(shape)
        assert ours["spacings"][index] == list(spacing)
        samples.append(intensities)
    for channel in range(3):
        sampled = np.concatenate([of_case[channel] for of_case in samples])
        properties = ours["foreground_intensity_properties_per_channel"][str(channel)]
        assert properties["mean"] == pytest.approx(sampled.mean(), abs=0.5)
        assert properties["std"] == pytest.approx(sampled.std(), abs=0.5)
        assert properties["median"] == pytest.approx(np.median(sampled), abs=1)


def test_all_masks_empty_falls_back_to_all_pixels() -> None:
    image = np.arange(12.0).reshape(1, 1, 3, 4)
    found = extract_fingerprint(["a"], lambda name: (image, np.zeros((1, 1, 3, 4)), (999, 1, 1)), 1, quiet=True)
    assert found.nnunet["foreground_intensity_properties_per_channel"]["0"]["max"] == 11


@pytest.mark.parametrize(
    ("shape", "labels", "sentence"),
    [
        ((1, 2, 3, 4), (1, 2, 3, 4), "not a 2D image"),
        ((1, 1, 3, 4), (1, 1, 3, 5), "3 × 4 pixels but its label map 3 × 5"),
    ],
)
def test_what_does_not_fit_is_named(shape, labels, sentence) -> None:
    with pytest.raises(UserError, match=sentence):
        extract_fingerprint(["a"], lambda name: (np.ones(shape), np.ones(labels), (1, 1, 1)), 1, quiet=True)


def test_mixed_channels_are_named() -> None:
    channels = {"a": 3, "b": 1}

    def read(name: str):
        return np.ones((channels[name], 1, 3, 4)), np.ones((1, 1, 3, 4)), (1, 1, 1)

    with pytest.raises(UserError, match="a has 3 channels but b has 1"):
        extract_fingerprint(["a", "b"], read, 1, quiet=True)


def read_some(broken: dict[str, str]):
    """A reader of random cases that fails for those in `broken`."""

    def read(name: str):
        if broken.get(name) == "unreadable":
            raise UserError(f"Case {name} cannot be read.")
        image = np.random.default_rng(ord(name)).integers(0, 256, (1, 1, 20, 30)).astype(np.float32)
        if broken.get(name) == "nan":
            image[0, 0, 3, 3] = np.nan
        labels = np.zeros((1, 1, 20, 30), np.uint8)
        labels[..., 5:10, 5:10] = 1
        return image, labels[..., :-1] if broken.get(name) == "size" else labels, (999.0, 1.0, 1.0)

    return read


def test_broken_cases_are_left_out_of_both_fingerprints() -> None:
    broken = {"b": "unreadable", "d": "nan", "e": "size"}
    found = extract_fingerprint(list("abcdef"), read_some(broken), 2, quiet=True)
    without = extract_fingerprint(list("acf"), read_some({}), 1, quiet=True)
    assert found.nnunet == without.nnunet
    assert found.fingerprint.cases == without.fingerprint.cases
    assert [problem.case for problem in found.problems] == list("bde")
    reasons = [problem.reason for problem in found.problems]
    assert "cannot be read" in reasons[0]
    assert "Case d cannot be used: the image holds 1 values that are no numbers" in reasons[1]
    assert "20 × 30 pixels but its label map 20 × 29" in reasons[2]


def test_all_broken_is_an_error() -> None:
    with pytest.raises(UserError, match="None of the 2 cases can be used. Case a cannot be read"):
        extract_fingerprint(["a", "b"], read_some({"a": "unreadable", "b": "nan"}), 1, quiet=True)


def test_every_case_is_read_once() -> None:
    read, names = read_some({}), []

    def counted(name: str):
        names.append(name)
        return read(name)

    extract_fingerprint(list("abcd"), counted, 2, quiet=True)
    assert sorted(names) == list("abcd")


def test_a_defect_is_no_problem_of_the_data() -> None:
    def read(name: str):
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError):
        extract_fingerprint(["a"], read, 1, quiet=True)
