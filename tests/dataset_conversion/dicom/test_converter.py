"""From drawn DICOM to a raw data set: pixels, sizes, names, and not a word of whose the images are."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from medt_pipeline.commands.convert import main
from medt_pipeline.core.cases import read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion.dicom.converter import DicomOptions, convert
from medt_pipeline.dataset_conversion.dicom.patients import SALT_FILE
from medt_pipeline.dataset_conversion.summary import Summary
from medt_pipeline.dataset_conversion.target import Target
from tests.dataset_conversion.drawn import files_of, load, save
from tests.drawn_dicom import (
    ACCESSION,
    BIRTH,
    ID,
    LOSSLESS,
    NAME,
    coloured,
    draw_clip,
    draw_report,
    draw_segmentation,
    ramp,
    region,
)

SIZE = (24, 36)
BOX = (4, 6, 19, 29)


def squares(frames: int = 1, where: int = 6) -> np.ndarray:
    """(frames, H, W) with a square that moves."""
    masks = np.zeros((frames, *SIZE), np.uint8)
    for index in range(frames):
        masks[index, where : where + 8, 8 + index : 16 + index] = 1
    return masks


def target_in(root: Path, overwrite: bool = False, check_only: bool = False) -> Target:
    return Target(Workspace.locate(root / "ws"), 7, "US", overwrite, check_only)


def draw_source(root: Path, **elements: object) -> Path:
    """A clip of four frames, two of them marked, and an image of another patient, with DICOM segmentations."""
    source = root / "src"
    regions = [region(BOX, (0.02, 0.01))]
    draw_clip(source / "IM1", ramp(0, 4), SequenceOfUltrasoundRegions=regions, **elements)
    draw_clip(source / "IM2.dcm", ramp(9), PixelSpacing=[0.3, 0.4], PatientID="another", **elements)
    masks = squares(4)
    masks[[0, 2]] = 0
    draw_segmentation(source / "seg1", source / "IM1", masks[..., None], ["nerve"])
    draw_segmentation(source / "seg2", source / "IM2.dcm", squares()[..., None], ["nerve"])
    return source


def converted(root: Path, source: Path, **options: object) -> tuple[Summary, Path]:
    target = target_in(root)
    return convert(source, target, DicomOptions(**options)), target.folder


def cases_by_frame(folder: Path) -> dict[str, str]:
    """Names without the hash of the patient, which is another in every run, to whole names."""
    return {re.sub(r"^p[0-9a-f]{10}_", "", name): name for name in read_cases(folder)}


def image(folder: Path, name: str) -> np.ndarray:
    return load(folder / "imagesTr" / f"{name}_0000.png")


def label(folder: Path, name: str) -> np.ndarray:
    return load(folder / "labelsTr" / f"{name}.png")


def test_pixels_masks_and_sizes(tmp_path: Path) -> None:
    summary, folder = converted(tmp_path, draw_source(tmp_path))
    cases = cases_by_frame(folder)
    assert sorted(cases) == ["001", "001_f0002", "001_f0004"]
    drawn, marked = ramp(0, 4), squares(4)
    for index in (1, 3):
        np.testing.assert_array_equal(image(folder, cases[f"001_f{index + 1:04d}"]), drawn[index])
        np.testing.assert_array_equal(label(folder, cases[f"001_f{index + 1:04d}"]), marked[index])
    np.testing.assert_array_equal(image(folder, cases["001"]), ramp(9)[0])
    known = read_cases(folder)
    assert known[cases["001_f0002"]].pixel_size_um == (200, 100)
    assert known[cases["001"]].pixel_size_um == (300, 400)
    assert known[cases["001_f0002"]].group == known[cases["001_f0004"]].group != known[cases["001"]].group
    dataset = json.loads((folder / "dataset.json").read_text())
    assert dataset["labels"] == {"background": 0, "nerve": 1}
    assert dataset["channel_names"] == {"0": "gray"}
    assert "2 frames without a mask in clips that have some were left alone" in summary.notes


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_every_compression(tmp_path: Path, syntax: str) -> None:
    drawn = ramp(3, 2)
    draw_clip(tmp_path / "src" / "a", drawn, None, *LOSSLESS[syntax])
    draw_segmentation(tmp_path / "src" / "b", tmp_path / "src" / "a", squares(2)[..., None], ["x"])
    _, folder = converted(tmp_path, tmp_path / "src")
    for index, name in enumerate(sorted(read_cases(folder))):
        np.testing.assert_array_equal(image(folder, name), drawn[index])
        np.testing.assert_array_equal(label(folder, name), squares(2)[index])


def test_gray_stored_as_colours_becomes_gray(tmp_path: Path) -> None:
    gray = ramp(4, 2)
    chroma = np.full_like(gray, 128)
    draw_clip(tmp_path / "src" / "a", np.stack([gray, chroma, chroma], axis=-1), "YBR_FULL")
    draw_clip(tmp_path / "src" / "b", np.repeat(ramp(5)[..., None], 3, axis=3))
    draw_segmentation(tmp_path / "src" / "sa", tmp_path / "src" / "a", squares(2)[..., None], ["x"])
    draw_segmentation(tmp_path / "src" / "sb", tmp_path / "src" / "b", squares()[..., None], ["x"])
    summary, folder = converted(tmp_path, tmp_path / "src")
    assert summary.channels == "gray"
    shown = [image(folder, name) for name in read_cases(folder)]
    for frame in (*gray, ramp(5)[0]):
        assert any(np.array_equal(frame, one) for one in shown)


def test_a_banner_is_cut_with_its_mask(tmp_path: Path) -> None:
    banner = coloured(1)[:, :4]
    drawn = np.repeat(ramp(0)[..., None], 3, axis=3)
    drawn[:, :4] = banner
    source = tmp_path / "src"
    draw_clip(source / "a", drawn, SequenceOfUltrasoundRegions=[region(BOX, (0.02, 0.01))], BurnedInAnnotation="YES")
    draw_segmentation(source / "s", source / "a", squares()[..., None], ["x"])
    summary, folder = converted(tmp_path, source, crop_region=True)
    (name,) = read_cases(folder)
    np.testing.assert_array_equal(image(folder, name), ramp(0)[0, 4:20, 6:30])
    np.testing.assert_array_equal(label(folder, name), squares()[0, 4:20, 6:30])
    assert summary.channels == "gray"
    assert any("the patient's name in the pixels, says the header: 1 clip" in note for note in summary.notes)


def test_what_cannot_be_cut(tmp_path: Path) -> None:
    source = draw_source(tmp_path)
    with pytest.raises(UserError, match=r"1 file without an ultrasound region to cut to \(IM2.dcm\)"):
        converted(tmp_path, source, crop_region=True)
    summary, folder = converted(tmp_path, source, crop_region=True, skip_unpaired=True)
    assert len(read_cases(folder)) == 2
    assert "1 file without an ultrasound region to cut to" in summary.left_out
    draw_segmentation(source / "seg1", source / "IM1", squares(4, where=15)[..., None], ["nerve"])
    with pytest.raises(UserError, match="seg1 marks 24 pixels outside of the region"):
        convert(source, target_in(tmp_path, overwrite=True), DicomOptions(crop_region=True, skip_unpaired=True))


def test_every_other_marked_frame(tmp_path: Path) -> None:
    source = draw_source(tmp_path)
    _, folder = converted(tmp_path, source, every=2)
    assert sorted(cases_by_frame(folder)) == ["001", "001_f0002"]


def test_frames_without_a_mask_can_count_as_empty(tmp_path: Path) -> None:
    summary, folder = converted(tmp_path, draw_source(tmp_path), unmarked_empty=True)
    cases = cases_by_frame(folder)
    assert sorted(cases) == ["001", "001_f0001", "001_f0002", "001_f0003", "001_f0004"]
    assert not label(folder, cases["001_f0003"]).any()
    assert summary.empty_masks == 2


@pytest.mark.parametrize(
    ("group_by", "groups"), [("patient", {"1 2", "3"}), ("study", {"1 3", "2"}), ("clip", {"1", "2", "3"})]
)
def test_groups(tmp_path: Path, group_by: str, groups: set[str]) -> None:
    source = tmp_path / "src"
    for number, (patient, study) in enumerate((("A1", "1.2.1"), ("A1", "1.2.2"), ("B1", "1.2.1")), start=1):
        draw_clip(source / f"{number}", ramp(number), PatientID=patient, StudyInstanceUID=study)
        save(source / f"{number}_mask.png", squares()[0] * 255)
    _, folder = converted(tmp_path, source, group_by=group_by, key=tmp_path / "key.csv")
    files = {row["case"]: row["file"] for row in csv.DictReader((tmp_path / "key.csv").open())}
    together: dict[str, list[str]] = {}
    for name, case in read_cases(folder).items():
        together.setdefault(case.group, []).append(files[name])
    assert {" ".join(sorted(members)) for members in together.values()} == groups


def test_mask_pictures_beside_the_clips_or_in_a_folder(tmp_path: Path) -> None:
    draw_clip(tmp_path / "src" / "a", ramp(0, 3))
    draw_clip(tmp_path / "src" / "b.dcm", ramp(1))
    for folder in ("src", "masks"):
        save(tmp_path / folder / "a_f0003.png", squares(3)[2] * 255)
        save(tmp_path / folder / "b.png", squares()[0] * 255)
    _, beside = converted(tmp_path / "one", tmp_path / "src")
    _, apart = converted(tmp_path / "two", tmp_path / "src", masks=tmp_path / "masks", labels="background=0,nerve=255")
    for folder in (beside, apart):
        np.testing.assert_array_equal(label(folder, cases_by_frame(folder)["001_f0003"]), squares(3)[2])
    assert json.loads((apart / "dataset.json").read_text())["labels"] == {"background": 0, "nerve": 1}


def test_a_folder_of_masks_in_the_source(tmp_path: Path) -> None:
    source = tmp_path / "src"
    draw_clip(source / "a", ramp(0, 2))
    draw_clip(source / "masks" / "a.dcm", squares(2))
    _, folder = converted(tmp_path, source, masks=source / "masks")
    np.testing.assert_array_equal(label(folder, cases_by_frame(folder)["001_f0002"]), squares(2)[1])
    with pytest.raises(UserError, match="--masks is the source itself"):
        converted(tmp_path, source, masks=source)


def test_an_archive(tmp_path: Path) -> None:
    source = draw_source(tmp_path)
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for path in sorted(source.iterdir()):
            archive.write(path, f"DICOM/{path.name}")
    _, folder = converted(tmp_path, tmp_path / "export.zip")
    assert len(read_cases(folder)) == 3


def test_ultrasound_of_devices(tmp_path: Path) -> None:
    """Files of pydicom: a JPEG clip of 30 frames and a still with a palette, both with their regions."""
    for name in ("examples_ybr_color.dcm", "examples_palette.dcm"):
        (tmp_path / "src").mkdir(exist_ok=True)
        (tmp_path / "src" / name).write_bytes(Path(get_testdata_file(name, download=False)).read_bytes())
    for name, size in (("examples_ybr_color_12", (240, 320)), ("examples_palette", (350, 800))):
        mask = np.zeros(size, np.uint8)
        mask[150:200, 170:230] = 255
        save(tmp_path / "masks" / f"{name}.png", mask)
    summary, folder = converted(tmp_path, tmp_path / "src", masks=tmp_path / "masks", crop_region=True)
    assert summary.sizes == {"236×209": 1, "680×290": 1}
    sizes = sorted(case.pixel_size_um[0] for case in read_cases(folder).values() if case.pixel_size_um)
    assert sizes == pytest.approx([262.288, 510.497], abs=1e-3)


# What is said of patients ---------------------------------------------------------------------------------------------

WORDS = [ID, BIRTH, ACCESSION, "1943-07-17", "Allwissend", *NAME.split("^")]


def told(text: str) -> list[str]:
    return [word for word in WORDS if word.lower() in text.lower()]


def draw_telling_source(root: Path) -> Path:
    """The same, in folders and files that are named after the patient."""
    source = root / "src"
    folder = source / f"{NAME} {BIRTH}"
    draw_clip(folder / f"{ID}_1", ramp(0, 2), SequenceOfUltrasoundRegions=[region(BOX, (0.02, 0.01))])
    draw_clip(folder / "IM2.dcm", ramp(1))
    draw_report(folder / f"{ACCESSION}.sr")
    (folder / "Musterfrau.txt").write_text(ID)
    draw_segmentation(folder / "seg1", folder / f"{ID}_1", squares(2)[..., None], ["nerve"])
    draw_segmentation(folder / "seg2", folder / "IM2.dcm", squares()[..., None], ["nerve"])
    return source


def test_nothing_tells_the_patient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = draw_telling_source(tmp_path)
    workspace = tmp_path / "ws"
    command = ["dicom", str(source), "-d", "7", "-n", "US", "--workspace", str(workspace), "--crop-region"]
    assert main([*command, "--skip-unpaired"]) == 0
    said = capsys.readouterr()
    assert told(said.out + said.err) == []
    assert "1 file: no DICOM" in said.out
    written = files_of(workspace)
    assert len([name for name in written if name.endswith("_0000.png")]) == 2
    assert told(" ".join(written)) == []
    for content in written.values():
        assert told(content.decode("latin-1")) == []
    for path in workspace.rglob("*.png"):
        with Image.open(path) as picture:
            assert picture.info == {}


def _cut_off(folder: Path) -> None:
    (folder / f"{ID}_1").write_bytes((folder / f"{ID}_1").read_bytes()[:-40])


def _lonely(folder: Path) -> None:
    draw_clip(folder / f"{NAME}.dcm", ramp(7))


def _other_masks(folder: Path) -> None:
    for name in ("seg1", "seg2"):
        (folder / name).unlink()
    save(folder / f"{ID}_1_9.png", squares()[0])
    save(folder / "IM2.png", squares()[0, :9])


def _telling_label(folder: Path) -> None:
    draw_segmentation(folder / "seg2", folder / "IM2.dcm", squares()[..., None], ["cyst of Musterfrau"])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_cut_off, "1728 make|holds 1688 bytes of pixels"),
        (_lonely, r"1 file without a mask \(\*\*\*^\*\*\* \*\*\*/\*\*\*^\*\*\*.dcm\)".replace("^", r"\^")),
        (_other_masks, r"marks frame 9, but \*\*\*.*/\*\*\*_1 has the frames 1 to 2"),
        (_telling_label, "/seg2 has a segment whose label holds the name or id of the patient"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_messages_do_not_tell_the_patient(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: object, sentence: str
) -> None:
    source = draw_telling_source(tmp_path)
    spoil(source / f"{NAME} {BIRTH}")
    assert main(["dicom", str(source), "-d", "7", "-n", "US", "--workspace", str(tmp_path / "ws")]) == 2
    said = capsys.readouterr()
    assert re.search(sentence, said.err)
    assert told(said.out + said.err) == []
    assert not (tmp_path / "ws").exists()


def test_problems_of_pixels_name_the_file_and_the_frame(tmp_path: Path) -> None:
    source = tmp_path / "src"
    draw_clip(source / "P" / "a", ramp(0, 3))
    for number in (1, 2, 3):
        save(source / "P" / f"a_{number}.png", squares()[0, : 24 - (number == 2)] * 255)
    with pytest.raises(UserError, match=r"frame 2 of P/a has 36×24 pixels, but its mask P/a_2.png has 36×23"):
        converted(tmp_path, source)


def test_two_runs_agree_in_every_byte(tmp_path: Path) -> None:
    source = draw_source(tmp_path)
    _, folder = converted(tmp_path, source)
    first = files_of(folder)
    (source / "IM1").rename(source / "renamed")
    convert(source, target_in(tmp_path, overwrite=True))
    second = files_of(folder)
    notes = json.loads(second["medt_conversion.json"])["notes"]
    assert any("older data set was replaced" in note for note in notes)
    assert {name: one for name, one in first.items() if name != "medt_conversion.json"} == {
        name: one for name, one in second.items() if name != "medt_conversion.json"
    }
    convert(source, target_in(tmp_path, overwrite=True))
    assert files_of(folder) == second


def test_another_data_set_has_other_names(tmp_path: Path) -> None:
    source = draw_source(tmp_path)
    _, one = converted(tmp_path / "one", source)
    _, two = converted(tmp_path / "two", source)
    assert set(read_cases(one)).isdisjoint(read_cases(two))
    assert json.loads((one / SALT_FILE).read_text())["salt"] != json.loads((two / SALT_FILE).read_text())["salt"]


def test_the_key_leads_back(tmp_path: Path) -> None:
    source = draw_source(tmp_path)
    _, folder = converted(tmp_path, source, key=tmp_path / "key.csv")
    rows = list(csv.DictReader((tmp_path / "key.csv").open()))
    assert {(row["file"], row["frame"]) for row in rows} == {("IM1", "2"), ("IM1", "4"), ("IM2.dcm", "1")}
    assert {row["case"] for row in rows} == set(read_cases(folder))


def test_a_key_does_not_travel_with_the_data_set(tmp_path: Path) -> None:
    source = draw_source(tmp_path)
    inside = tmp_path / "ws" / "raw" / "key.csv"
    with pytest.raises(UserError, match="would lie among the data sets"):
        converted(tmp_path, source, key=inside)
    with pytest.raises(UserError, match="does not exist"):
        converted(tmp_path, source, key=tmp_path / "nowhere" / "key.csv")


# What is wrong --------------------------------------------------------------------------------------------------------


def test_a_check_writes_nothing(tmp_path: Path) -> None:
    summary = convert(
        draw_source(tmp_path), target_in(tmp_path, check_only=True), DicomOptions(key=tmp_path / "key.csv")
    )
    assert summary.training_cases == 3
    assert not (tmp_path / "ws").exists()
    assert not (tmp_path / "key.csv").exists()


def test_nothing_to_convert(tmp_path: Path) -> None:
    draw_report(tmp_path / "src" / "a")
    with pytest.raises(UserError, match=r"no ultrasound images in DICOM \(1 file: Comprehensive SR Storage"):
        converted(tmp_path, tmp_path / "src")
    with pytest.raises(UserError, match="--every must be 1 or more, got 0"):
        converted(tmp_path, tmp_path / "src", every=0)
    with pytest.raises(UserError, match="folder of masks, .*, does not exist"):
        converted(tmp_path, tmp_path / "src", masks=tmp_path / "none")


def test_all_problems_are_told_together(tmp_path: Path) -> None:
    source = draw_source(tmp_path)
    draw_clip(source / "alone", ramp(3))
    draw_clip(source / "broken", ramp(4))
    (source / "broken").write_bytes((source / "broken").read_bytes()[:-9])
    draw_clip(tmp_path / "elsewhere", ramp(5))
    draw_segmentation(source / "stray", tmp_path / "elsewhere", squares()[..., None], ["nerve"])
    with pytest.raises(UserError) as caught:
        converted(tmp_path, source)
    message = str(caught.value)
    assert message.startswith("3 problems; nothing was written")
    assert "broken holds 855 bytes of pixels" in message
    assert "There is 1 file without a mask (alone)" in message
    assert "1 file without a clip, though they are masks (stray)" in message
    assert str(tmp_path) not in message
