"""Stand-ins that lead to nobody, and identifiers where they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import uid

from medt_pipeline.clips.identity import read_identity
from medt_pipeline.core.errors import UserError
from tests.drawn_dicom import draw_clip, draw_segmentation, ramp

SUM, OTHER = "a" * 64, "b" * 64


def test_uids(tmp_path: Path) -> None:
    written = draw_clip(tmp_path / "a", ramp(0, 2))
    kept = read_identity(tmp_path / "a", SUM, keep=True)
    assert kept.uid("StudyInstanceUID") == written.StudyInstanceUID
    hidden = read_identity(tmp_path / "a", SUM, keep=False)
    stand_in = hidden.uid("StudyInstanceUID")
    assert stand_in == hidden.uid("StudyInstanceUID") != written.StudyInstanceUID
    assert uid.UID(stand_in).is_valid
    assert len({stand_in, hidden.uid("SOPInstanceUID"), read_identity(tmp_path / "a", OTHER, False).uid("x")}) == 3
    assert hidden.stand_in != read_identity(tmp_path / "a", OTHER, keep=False).stand_in


def test_a_uid_that_is_none_gets_a_stand_in(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a", ramp(0, 2), StudyInstanceUID=None)
    assert read_identity(tmp_path / "a", SUM, keep=True).uid("StudyInstanceUID").startswith("2.25.")


@pytest.mark.parametrize(("name", "told"), [("Musterfrau_1", False), ("IM_7", True), ("scan PID7734421", False)])
def test_names_of_results(tmp_path: Path, name: str, told: bool) -> None:
    draw_clip(tmp_path / "a", ramp(0, 2))
    hidden = read_identity(tmp_path / "a", SUM, keep=False)
    assert hidden.result_name(name) == (name if told else f"clip_{hidden.stand_in}")
    assert read_identity(tmp_path / "a", SUM, keep=True).result_name(name) == name


@pytest.mark.parametrize(("value", "may"), [("NO", False), ("YES", True), (None, True)])
def test_text_in_the_picture(tmp_path: Path, value: str | None, may: bool) -> None:
    draw_clip(tmp_path / "a", ramp(0, 2), **({"BurnedInAnnotation": value} if value else {}))
    assert read_identity(tmp_path / "a", SUM, keep=False).may_show_text is may


def test_segmentations_are_no_clips(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a", ramp(0, 1))
    mask = ramp(0, 1) > 100
    draw_segmentation(tmp_path / "b", tmp_path / "a", mask[..., None].astype("uint8"), ["x"])
    with pytest.raises(UserError, match="is a segmentation in DICOM, no clip"):
        read_identity(tmp_path / "b", SUM, keep=False)
