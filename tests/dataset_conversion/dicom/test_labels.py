"""Which masks count: segmentations, or pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.dicom.files import scan
from medt_pipeline.dataset_conversion.dicom.labels import Labels, find_labels
from medt_pipeline.dataset_conversion.label_mapping import DeclaredLabel
from medt_pipeline.dataset_conversion.problems import Problems
from tests.dataset_conversion.drawn import save
from tests.drawn_dicom import draw_clip, draw_segmentation, ramp

SIZE = (24, 36)


def found_in(folder: Path, masks: Path | None = None, labels: str | None = None) -> Labels:
    problems = Problems()
    found = find_labels(scan(folder, problems), folder, masks, labels, None, problems)
    problems.raise_if_any()
    return found


def draw(root: Path) -> Path:
    draw_clip(root / "a", ramp(0, 2))
    draw_clip(root / "b", ramp(1))
    masks = np.zeros((2, *SIZE, 2), np.uint8)
    masks[0, 3:9, 3:9, 0] = masks[1, 3:9, 3:9, 1] = 1
    draw_segmentation(root / "sa", root / "a", masks, ["organ", "Tumour"])
    draw_segmentation(root / "sb", root / "b", masks[:1, ..., :1], ["tumour"])
    return root


def test_segmentations_of_several_clips_share_their_classes(tmp_path: Path) -> None:
    labels = found_in(draw(tmp_path))
    assert len(labels.masks) == 3
    assert labels.declared == (DeclaredLabel("background", 0), DeclaredLabel("organ", 1), DeclaredLabel("tumour", 2))
    values = {int(mask.read(SIZE).values.max()) for mask in labels.masks.values()}
    assert values == {1, 2}


def test_two_segmentations_of_one_frame_are_united(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a", ramp())
    for name, label, column in (("s1", "organ", 2), ("s2", "tumour", 12)):
        mask = np.zeros((1, *SIZE, 1), np.uint8)
        mask[0, 3:9, column : column + 6] = 1
        draw_segmentation(tmp_path / name, tmp_path / "a", mask, [label])
    (mask_source,) = found_in(tmp_path).masks.values()
    assert [path.name for path in mask_source.files] == ["s1", "s2"]
    assert sorted(np.unique(mask_source.read(SIZE).values)) == [0, 1, 2]


def test_a_folder_of_segmentations(tmp_path: Path) -> None:
    draw(tmp_path / "src")
    (tmp_path / "masks").mkdir()
    for name in ("sa", "sb"):
        (tmp_path / "src" / name).rename(tmp_path / "masks" / name)
    assert len(found_in(tmp_path / "src", tmp_path / "masks").masks) == 3


def test_a_folder_comes_before_what_the_source_holds(tmp_path: Path) -> None:
    draw(tmp_path / "src")
    save(tmp_path / "masks" / "b.png", np.zeros(SIZE, np.uint8))
    labels = found_in(tmp_path / "src", tmp_path / "masks")
    assert [path.name for mask in labels.masks.values() for path in mask.files] == ["b.png"]
    save(tmp_path / "src" / "b.png", np.zeros(SIZE, np.uint8))
    assert len(found_in(tmp_path / "src").masks) == 3


def test_both_kinds_in_one_folder(tmp_path: Path) -> None:
    draw(tmp_path / "src")
    (tmp_path / "masks").mkdir()
    (tmp_path / "src" / "sa").rename(tmp_path / "masks" / "sa")
    save(tmp_path / "masks" / "b.png", np.zeros(SIZE, np.uint8))
    with pytest.raises(UserError, match="holds DICOM segmentations and other masks; keep one kind"):
        found_in(tmp_path / "src", tmp_path / "masks")


def test_options_of_pictures_do_not_fit_segmentations(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name their labels"):
        found_in(draw(tmp_path), labels="organ=1")


def test_segmentations_of_unknown_clips_stay_alone(tmp_path: Path) -> None:
    draw(tmp_path / "src")
    draw_clip(tmp_path / "c", ramp(5))
    draw_segmentation(tmp_path / "src" / "sc", tmp_path / "c", np.ones((1, *SIZE, 1), np.uint8), ["organ"])
    assert found_in(tmp_path / "src").alone == (tmp_path / "src" / "sc",)


def test_pictures_beside_the_clips_may_be_anything(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a", ramp())
    for name in ("a.png", "viewer/logo.png"):
        save(tmp_path / name, np.zeros(SIZE, np.uint8))
    labels = found_in(tmp_path)
    assert (len(labels.masks), labels.alone) == (1, ())
    assert found_in(tmp_path, tmp_path / "viewer").alone == (tmp_path / "viewer" / "logo.png",)


def test_labels_may_be_the_name_of_another_patient(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a", ramp(0), PatientName="Herz^Anna")
    draw_clip(tmp_path / "b", ramp(1))
    for clip, label in (("a", "Leber"), ("b", "Herz")):
        draw_segmentation(tmp_path / f"s{clip}", tmp_path / clip, np.ones((1, *SIZE, 1), np.uint8), [label])
    assert len(found_in(tmp_path).masks) == 2
    draw_segmentation(tmp_path / "sa", tmp_path / "a", np.ones((1, *SIZE, 1), np.uint8), ["Herz"])
    with pytest.raises(UserError, match="sa has a segment whose label holds the name or id"):
        found_in(tmp_path)


def test_frames_that_do_not_exist(tmp_path: Path) -> None:
    draw_clip(tmp_path / "src" / "a", ramp(0, 3))
    draw_segmentation(tmp_path / "src" / "s", tmp_path / "src" / "a", np.ones((3, *SIZE, 1), np.uint8), ["organ"])
    draw_clip(tmp_path / "src" / "a", ramp(0, 2))
    with pytest.raises(UserError, match="/s marks frame 3, but .*/a has the frames 1 to 2"):
        found_in(tmp_path / "src")
