"""Files sorted by what they hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.dicom.files import files_below, scan, stem_of
from medt_pipeline.dataset_conversion.problems import Problems
from tests.drawn_dicom import draw_clip, draw_report, draw_segmentation, ramp


def test_recognised_by_content(tmp_path: Path) -> None:
    draw_clip(tmp_path / "1.2.840.77", ramp())
    draw_clip(tmp_path / "deep" / "er" / "photo.txt", ramp(1, 3))
    draw_segmentation(tmp_path / "seg", tmp_path / "1.2.840.77", np.ones((1, 24, 36, 1), np.uint8), ["x"])
    draw_report(tmp_path / "report")
    draw_report(tmp_path / "raw", uid.UltrasoundImageStorage)
    draw_clip(tmp_path / "ct", ramp(), SOPClassUID=uid.CTImageStorage)
    shutil.copy(get_testdata_file("dicomdirtests/DICOMDIR", download=False), tmp_path / "DICOMDIR")
    (tmp_path / ".hidden").mkdir()
    draw_clip(tmp_path / ".hidden" / "a", ramp(2))
    (tmp_path / "a.dcm").write_text("not at all")
    problems = Problems()
    found = scan(tmp_path, problems)
    problems.raise_if_any()
    assert {clip.relative.as_posix() for clip in found.clips} == {"1.2.840.77", "deep/er/photo.txt"}
    assert {clip.clip.frames for clip in found.clips} == {1, 3}
    assert found.segmentations == [tmp_path / "seg"]
    assert found.others == [tmp_path / "a.dcm"]
    assert found.left_out == [
        "1 file: CT Image Storage, no ultrasound image",
        "1 file: Comprehensive SR Storage, no ultrasound image",
        "1 file: Media Storage Directory Storage, no ultrasound image",
        "1 file: Ultrasound Image Storage without pixels",
    ]
    assert {"musterfrau", "pid7734421"} <= found.words


def test_what_a_clip_tells(tmp_path: Path) -> None:
    written = draw_clip(tmp_path / "a.dcm", ramp(), BurnedInAnnotation="YES")
    found = scan(tmp_path, Problems()).clips[0]
    assert (found.instance, found.study, found.stem) == (written.SOPInstanceUID, written.StudyInstanceUID, "a")
    assert found.patient == ("patient", "", "PID7734421")
    assert found.burned_in


def test_copies_count_once_and_impostors_not_at_all(tmp_path: Path) -> None:
    written = draw_clip(tmp_path / "a", ramp())
    shutil.copy(tmp_path / "a", tmp_path / "b")
    problems = Problems()
    found = scan(tmp_path, problems)
    problems.raise_if_any()
    assert [clip.relative.name for clip in found.clips] == ["a"]
    assert found.left_out == ["1 file: copy of another file"]
    draw_clip(tmp_path / "c", ramp(3), SOPInstanceUID=written.SOPInstanceUID)
    scan(tmp_path, problems)
    with pytest.raises(UserError, match="/c and .*/a differ but claim to be the same instance"):
        problems.raise_if_any()


def test_all_broken_files_are_told(tmp_path: Path) -> None:
    for name in "ab":
        draw_clip(tmp_path / name, ramp())
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-50])
    problems = Problems()
    assert not scan(tmp_path, problems).clips
    with pytest.raises(UserError, match="2 problems"):
        problems.raise_if_any()


def test_stems() -> None:
    names = {
        "a.dcm": "a",
        "a.DICOM": "a",
        "1.2.3": "1.2.3",
        "a.nii.gz": "a",
        "a_mask.PNG": "a_mask",
        "IM.0001": "IM.0001",
    }
    assert {name: stem_of(Path(name)) for name in names} == names


def test_files_below(tmp_path: Path) -> None:
    for name in ("b", "a/c", "a/.d", ".e/f"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)] == ["a/c", "b"]
