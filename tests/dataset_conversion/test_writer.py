"""From any source of pixels to a raw data set: what is kept beside, what is read back, what is left untouched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.cases import Case, read_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.pixel_size import PixelSize
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import writer
from medt_pipeline.dataset_conversion.label_mapping import parse_labels
from medt_pipeline.dataset_conversion.masks import ReadMask
from medt_pipeline.dataset_conversion.problems import Problems
from medt_pipeline.dataset_conversion.registry import source
from medt_pipeline.dataset_conversion.sources import Selection, SourceCase
from medt_pipeline.dataset_conversion.summary import Summary
from medt_pipeline.dataset_conversion.target import Target
from medt_pipeline.dataset_conversion.verification import verify
from medt_pipeline.dataset_conversion.writer import write_dataset

from .drawn import files_of, load, picture


@dataclass(frozen=True)
class DrawnPicture:
    """A picture without any file."""

    seed: int

    @property
    def file(self) -> Path:
        return Path(f"drawn {self.seed}.svs")

    def read(self) -> np.ndarray:
        return picture(self.seed, (20, 30))

    def pixel_size(self) -> PixelSize | None:
        return PixelSize(0.5, 0.25, "drawn") if self.seed else None


@dataclass(frozen=True)
class DrawnMask:
    """Two polygons' worth of pixels, the second over the first, with numbers beyond a byte."""

    number: int
    broken: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        return Path("shapes.xml"), Path("more.xml")

    def read(self, size: tuple[int, int]) -> ReadMask:
        if self.broken:
            raise UserError(self.broken)
        objects = np.zeros(size, np.int64)
        objects[2:12, 3:13], objects[8:16, 9:19] = self.number, self.number + 1
        return ReadMask((objects > 0).astype(np.int32) * 7, objects, ("16 shared pixels given to the later shape",))


def target_in(root: Path, **changed: bool) -> Target:
    return Target(Workspace.locate(root / "ws"), 130, "Shapes", **changed)


def selection(broken: str = "") -> Selection:
    cases = (
        SourceCase("a", DrawnPicture(0), DrawnMask(1), "p1", facts={"grade": "high", "age": 61}),
        SourceCase("b", DrawnPicture(1), DrawnMask(900), "p2"),
        SourceCase("t", DrawnPicture(2), DrawnMask(1, broken), "p3", test=True),
        SourceCase("u", DrawnPicture(3), None, "p4", test=True),
    )
    return Selection(cases, "drawn", "polygons are filled", left_out=("image x.svs: no shapes",))


def write(target: Target, chosen: Selection) -> Summary:
    return write_dataset(chosen, parse_labels("nucleus=7"), source("folder"), target, Problems())


def test_a_source_without_files_keeps_objects_sizes_names_and_facts(tmp_path: Path) -> None:
    target = target_in(tmp_path)
    summary = write(target, selection())
    raw = target.folder
    expected = DrawnMask(900).read((20, 30)).objects
    assert expected is not None
    written = load(raw / "instancesTr" / "b.png")
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_array_equal(load(raw / "labelsTr" / "b.png"), expected > 0)
    assert load(raw / "instancesTr" / "a.png").dtype == np.uint8
    assert sorted(path.name for path in (raw / "instancesTs").iterdir()) == ["t.png"]
    cases = read_cases(raw)
    assert cases["a"] == Case("p1", "drawn 0.svs", "shapes.xml", None, ("more.xml",), {"grade": "high", "age": 61})
    assert cases["b"].pixel_size_um == (0.5, 0.25)
    assert cases["u"].mask is None
    assert (summary.instance_maps, summary.pixel_sizes, summary.test_masks) == (3, 3, 1)
    line = summary.labels[1]
    assert line.objects is not None
    assert (line.masks, line.objects.number, line.objects.smallest, line.objects.largest) == (3, 6, 80, 84)
    assert line.share == pytest.approx(3 * 164 / (3 * 600), abs=1e-6)
    assert summary.repairs == ("shapes.xml: 16 shared pixels given to the later shape",) * 3
    assert json.loads((raw / "medt_conversion.json").read_text()) == json.loads(json.dumps(summary.to_json()))
    text = summary.to_text()
    for words in ("polygons are filled", "6 objects (80 to 84 pixels", "3 instance maps, 3 pixel sizes", "left out"):
        assert words in text
    assert verify(raw).findings == ()


def test_a_check_decides_the_same_and_writes_nothing(tmp_path: Path) -> None:
    checked = write(target_in(tmp_path, check_only=True), selection())
    assert not list(tmp_path.iterdir())
    done = write(target_in(tmp_path), selection())
    assert (checked.labels[1].share, checked.groups, checked.repairs) == (done.labels[1].share, 2, done.repairs)
    before = files_of(tmp_path)
    write(target_in(tmp_path, check_only=True), selection())
    assert files_of(tmp_path) == before
    with pytest.raises(UserError, match="shapes are open"):
        write(target_in(tmp_path, check_only=True), selection("shapes are open"))


def test_a_file_that_does_not_read_back_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = writer.write_png

    def one_bit_flips(file: Path, pixels: np.ndarray) -> None:
        wrong = pixels.copy()
        wrong.flat[7] ^= 1
        good(file, wrong if file.name == "b.png" else pixels)

    monkeypatch.setattr(writer, "write_png", one_bit_flips)
    with pytest.raises(UserError, match=r"b\.png does not read back as it was written"):
        write(target_in(tmp_path), selection())
    assert not list(tmp_path.iterdir())


def test_the_number_of_threads_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for workers in ("1", "5"):
        monkeypatch.setenv("nnUNet_def_n_proc", workers)
        write(target_in(tmp_path / workers), selection())
        written.append(files_of(tmp_path / workers))
    assert written[0] == written[1]


def test_problems_of_pixels_come_in_the_order_of_the_cases(tmp_path: Path) -> None:
    cases = tuple(
        SourceCase(f"c{number}", DrawnPicture(number), DrawnMask(1, f"problem {number}." if number % 3 else ""), "p")
        for number in range(9)
    )
    with pytest.raises(UserError) as caught:
        write(target_in(tmp_path), Selection(cases, "drawn"))
    told = [line for line in str(caught.value).splitlines() if "problem " in line]
    assert told == [f"  - problem {number}." for number in range(9) if number % 3]
