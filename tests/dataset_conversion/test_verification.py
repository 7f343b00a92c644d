"""The check of raw data sets: a sound one is sound, and every fault is named with what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import glas
from medt_pipeline.dataset_conversion.target import Target
from medt_pipeline.dataset_conversion.verification import fix, verify

from .drawn import draw_glas, files_of, load, picture, save, square

SOUND: dict[str, Any] = {
    "channel_names": {"0": "R", "1": "G", "2": "B"},
    "labels": {"background": 0, "lesion": 1},
    "numTraining": 3,
    "file_ending": ".png",
}


def describe(raw: Path, **changed: Any) -> None:
    content = {key: value for key, value in (SOUND | changed).items() if value is not None}
    (raw / "dataset.json").write_text(json.dumps(content))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A sound data set as anybody may have written it for stock nnU-Net: three cases, one of them for testing too."""
    folder = tmp_path / "Dataset050_Other"
    for seed, name in enumerate(("a", "b", "c_0001")):
        save(folder / "imagesTr" / f"{name}_0000.png", picture(seed))
        save(folder / "labelsTr" / f"{name}.png", square(1))
    save(folder / "imagesTs" / "t_0000.png", picture(9))
    describe(folder)
    return folder


def test_a_sound_data_set(raw: Path) -> None:
    found = verify(raw)
    assert (found.training_cases, found.test_cases, found.findings) == (3, 1, ())
    assert found.to_text() == "Dataset050_Other: 3 training cases, 1 test case, no problems"


def test_what_we_convert_is_sound(tmp_path: Path) -> None:
    target = Target(Workspace.locate(tmp_path / "ws"), 101, "GlaS")
    glas.convert(draw_glas(tmp_path / "glas"), target)
    assert verify(target.folder).findings == ()


def pixels(path: str, values: np.ndarray) -> Callable[[Path], object]:
    return lambda raw: save(raw / path, values)


def palette_labels(raw: Path) -> None:
    image = Image.fromarray(square(1), mode="P")
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.save(raw / "labelsTr" / "a.png")


def truncated(path: str) -> Callable[[Path], None]:
    def change(raw: Path) -> None:
        content = (raw / path).read_bytes()
        (raw / path).write_bytes(content[: len(content) // 2])

    return change


def renamed(path: str, to: str) -> Callable[[Path], object]:
    return lambda raw: (raw / path).rename(raw / to)


FAULTS: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "no label map": (
        lambda raw: (raw / "labelsTr" / "a.png").unlink(),
        [("imagesTr/a_0000.png", "has no label map labelsTr/a.png")],
    ),
    "no image": (
        lambda raw: (raw / "imagesTr" / "a_0000.png").unlink(),
        [("labelsTr/a.png", "has no image"), ("dataset.json", "says numTraining 3, but there are 2")],
    ),
    "sizes differ": (
        pixels("labelsTr/a.png", square(1, (12, 16))),
        [("labelsTr/a.png", "has 16×12 pixels, but imagesTr/a_0000.png has 15×12")],
    ),
    "gray among RGB": (
        pixels("imagesTr/a_0000.png", picture(0, channels=1)),
        [("imagesTr/a_0000.png", "has 1 channel, but dataset.json names 3")],
    ),
    "alpha": (
        pixels("imagesTr/a_0000.png", picture(0, channels=4)),
        [("imagesTr/a_0000.png", "has 4 channels, the last of which may be transparency")],
    ),
    "undeclared value": (
        pixels("labelsTr/b.png", square(7)),
        [("labelsTr/b.png", "holds 7, but dataset.json declares 0, 1")],
    ),
    "0 and 255": (
        pixels("labelsTr/b.png", square(255)),
        [("labelsTr/b.png", "holds 0 and 255, but dataset.json declares 0 and 1")],
    ),
    "1 and 255": (
        pixels("labelsTr/b.png", np.where(square(), 255, 1).astype(np.uint8)),
        [("labelsTr/b.png", "holds 255, but dataset.json declares 0, 1")],
    ),
    "RGB labels": (
        pixels("labelsTr/b.png", np.stack([square(1)] * 3, 2)),
        [("labelsTr/b.png", "is a colour picture")],
    ),
    "palette labels": (palette_labels, [("labelsTr/a.png", "is a palette picture")]),
    "truncated image": (truncated("imagesTr/a_0000.png"), [("imagesTr/a_0000.png", "cannot be read")]),
    "truncated test image": (truncated("imagesTs/t_0000.png"), [("imagesTs/t_0000.png", "cannot be read")]),
    "truncated label map": (truncated("labelsTr/a.png"), [("labelsTr/a.png", "cannot be read")]),
    "numTraining": (lambda raw: describe(raw, numTraining=7), [("dataset.json", "says numTraining 7")]),
    "missing channel number": (
        renamed("imagesTr/a_0000.png", "imagesTr/a.png"),
        [
            ("imagesTr/a.png", "has no channel number"),
            ("labelsTr/a.png", "has no image"),
            ("dataset.json", "there are 2"),
        ],
    ),
    "channel number on labels": (
        renamed("labelsTr/a.png", "labelsTr/a_0000.png"),
        [("imagesTr/a_0000.png", "has no label map"), ("labelsTr/a_0000.png", "ends in a channel number")],
    ),
    "another ending": (
        renamed("labelsTr/a.png", "labelsTr/a.bmp"),
        [("labelsTr/a.bmp", "does not end in .png"), ("imagesTr/a_0000.png", "has no label map")],
    ),
    "no labels folder": (renamed("labelsTr", "masks"), [("labelsTr", "is missing")]),
    "no description": (lambda raw: (raw / "dataset.json").unlink(), [("dataset.json", "is missing")]),
    "broken description": (lambda raw: (raw / "dataset.json").write_text("{"), [("dataset.json", "not valid JSON")]),
    "keys missing": (lambda raw: describe(raw, labels=None), [("dataset.json", "lacks labels")]),
    "first version": (
        lambda raw: (raw / "dataset.json").write_text('{"modality": {"0": "MRI"}, "labels": {"0": "background"}}'),
        [("dataset.json", "nnU-Net's first version")],
    ),
    "labels turned around": (
        lambda raw: describe(raw, labels={"0": "background"}),
        [("dataset.json", "has labels that are not name: whole number")],
    ),
    "labels with a gap": (
        lambda raw: describe(raw, labels={"background": 0, "lesion": 1, "cyst": 3}),
        [("dataset.json", "declares the labels [0, 1, 3], which are not consecutive")],
    ),
    "no background": (
        lambda raw: describe(raw, labels={"lesion": 0, "cyst": 1}),
        [("dataset.json", "does not declare background")],
    ),
    "jpg": (lambda raw: describe(raw, file_ending=".jpg"), [("dataset.json", "files end in .jpg")]),
    "wrong reader": (
        lambda raw: describe(raw, overwrite_image_reader_writer="SimpleITKIO"),
        [("dataset.json", "names the reader SimpleITKIO, which cannot read .png")],
    ),
    "strangers in medt_cases.json": (
        lambda raw: (raw / "medt_cases.json").write_text('{"cases": {"x": {"group": "1", "image": "x.png"}}}'),
        [("medt_cases.json", "names cases that are not there: x"), ("medt_cases.json", "lacks the groups of a, b")],
    ),
    "instances of another size": (
        pixels("instancesTr/a.png", square(1, (3, 3))),
        [("instancesTr/a.png", "has 3×3 pixels, but labelsTr/a.png has 15×12")],
    ),
    "instances of nobody": (pixels("instancesTr/x.png", square(1)), [("instancesTr/x.png", "belongs to no case")]),
    "a file that dataset.json names": (
        lambda raw: describe(raw, dataset={"a": {"images": ["imagesTr/gone.png"], "label": "labelsTr/a.png"}}),
        [("dataset.json", "gone.png for a, which is missing")],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_named_with_its_file(raw: Path, fault: str) -> None:
    change, expected = FAULTS[fault]
    change(raw)
    before = files_of(raw)
    found = verify(raw)
    for file, sentence in expected:
        assert any(one.file == file and sentence in one.what for one in found.findings), found.to_text()
    assert all(one.remedy for one in found.findings)
    assert all(one.file in found.to_text() and one.what in found.to_text() for one in found.findings)
    assert files_of(raw) == before


def test_all_faults_in_one_go(raw: Path) -> None:
    for fault in ("sizes differ", "truncated test image", "numTraining", "1 and 255", "instances of nobody"):
        FAULTS[fault][0](raw)
    assert len(verify(raw).findings) == 5


@pytest.mark.parametrize("fault", ["0 and 255", "numTraining", "missing channel number", "channel number on labels"])
def test_what_can_be_mended_is_mended(raw: Path, fault: str) -> None:
    sound = files_of(raw)
    FAULTS[fault][0](raw)
    found = verify(raw)
    assert found.fixable
    fix(found)
    assert verify(raw).findings == ()
    after = files_of(raw)
    assert after.keys() == sound.keys()
    np.testing.assert_array_equal(load(raw / "labelsTr" / "b.png"), square(1))


def test_mending_touches_nothing_else(raw: Path) -> None:
    FAULTS["0 and 255"][0](raw)
    FAULTS["1 and 255"][0](raw)
    save(raw / "labelsTr" / "a.png", square(255))
    before = files_of(raw)
    assert fix(verify(raw)) == 1
    after = files_of(raw)
    assert {name for name in before if before[name] != after[name]} == {"labelsTr/a.png"}
    assert [one.file for one in verify(raw).findings] == ["labelsTr/b.png"]


def test_the_number_of_cases_is_not_mended_while_files_are_missing(raw: Path) -> None:
    (raw / "imagesTr" / "a_0000.png").unlink()
    assert not verify(raw).fixable
    (raw / "labelsTr" / "a.png").unlink()
    assert fix(verify(raw)) == 1
    assert json.loads((raw / "dataset.json").read_text()) == SOUND | {"numTraining": 2}


def test_a_rename_never_overwrites(raw: Path) -> None:
    save(raw / "imagesTr" / "a.png", picture(5))
    found = [one for one in verify(raw).findings if one.file == "imagesTr/a.png"]
    assert len(found) == 1
    assert found[0].fix is None
    assert "is there too" in found[0].remedy


def test_the_same_problem_in_many_files_is_one_line(raw: Path) -> None:
    for number in range(30):
        save(raw / "imagesTr" / f"n{number:02d}_0000.png", picture(number))
        save(raw / "labelsTr" / f"n{number:02d}.png", square(255))
    describe(raw, numTraining=33)
    text = verify(raw).to_text()
    assert len(text.splitlines()) == 2
    assert "labelsTr/n00.png" in text
    assert "and 20 more (30 files): holds 0 and 255" in text


def test_ours_agrees_with_nnunet_on_volumes(tmp_path: Path) -> None:
    raw = tmp_path / "Dataset051_Volumes"
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    describe(raw, channel_names={"0": "US"}, numTraining=2, file_ending=".nii.gz")
    for name, spacing in (("a", (0.1, 0.1, 1.0)), ("b", (0.2, 0.1, 1.0))):
        for part, file, values, own in (
            ("imagesTr", f"{name}_0000.nii.gz", picture(1, channels=1), (0.1, 0.1, 1.0)),
            ("labelsTr", f"{name}.nii.gz", square(255), spacing),
        ):
            image = SimpleITK.GetImageFromArray(values[None])
            image.SetSpacing(own)
            SimpleITK.WriteImage(image, str(raw / part / file))
    found = verify(raw)
    assert sorted((one.file, one.what[:20]) for one in found.findings) == [
        ("labelsTr/a.nii.gz", "holds 0 and 255, but"),
        ("labelsTr/b.nii.gz", "has the spacing (0.1"),
        ("labelsTr/b.nii.gz", "holds 0 and 255, but"),
    ]
    fix(found)
    assert [one.file for one in verify(raw).findings] == ["labelsTr/b.nii.gz"]
    assert {path.name for path in (raw / "labelsTr").iterdir()} == {"a.nii.gz", "b.nii.gz"}


def test_cases_that_dataset_json_names_one_by_one(raw: Path) -> None:
    names = {name: {"images": [f"imagesTr/{name}_0000.png"], "label": f"labelsTr/{name}.png"} for name in ("a", "b")}
    describe(raw, dataset=names, numTraining=2)
    assert verify(raw).findings == ()
    save(raw / "labelsTr" / "b.png", square(255))
    assert [one.file for one in verify(raw).findings] == ["labelsTr/b.png"]


def test_regions_and_the_ignore_label_are_declared(raw: Path) -> None:
    describe(raw, labels={"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}, regions_class_order=[1, 2])
    save(raw / "labelsTr" / "a.png", square(3))
    assert verify(raw).findings == ()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 300) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from([*SOUND, "dataset", "modality", "overwrite_image_reader_writer"]), value=ANYTHING)
def test_whatever_stands_in_the_description_is_told_and_not_tripped_over(raw: Path, key: str, value: object) -> None:
    (raw / "dataset.json").write_text(json.dumps(SOUND | {key: value}))
    assert verify(raw).to_text()
    (raw / "dataset.json").write_text(json.dumps(value))
    assert verify(raw).findings


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        verify(tmp_path / "Dataset001_Nothing")
