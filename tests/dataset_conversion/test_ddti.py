"""DDTI, drawn small: JSON in XML."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medt_pipeline.core.errors import UserError

from .drawn import picture
from .drawn_releases import convert

BOX = [(10, 8), (40, 8), (40, 30), (10, 30)]
SMALL = [(50, 10), (58, 10), (58, 20), (50, 20)]


def regions(*rings: list[tuple[int, int]]) -> str:
    return json.dumps(
        [{"points": [{"x": x, "y": y} for x, y in ring], "annotation": {}, "regionType": "freehand"} for ring in rings]
    )


def case(path: Path, marks: dict[int, list[str]], tirads: str = "4a") -> None:
    texts = "".join(
        f"<mark><image>{image}</image><svg>{text}</svg></mark>" for image, all_ in marks.items() for text in all_
    )
    path.write_text(f"<case><number>{path.stem}</number><tirads>{tirads}</tirads>{texts}</case>")


def draw(root: Path) -> Path:
    root.mkdir()
    for seed, name in enumerate(("1_1", "1_2", "2_1", "10_1", "10_2")):
        Image.fromarray(picture(seed, (48, 64))).save(root / f"{name}.jpg", quality=95)
    case(root / "1.xml", {1: [regions(BOX)], 2: [regions(BOX), regions(SMALL)]})
    case(root / "2.xml", {1: [regions(BOX)[:-15]]}, tirads="")
    case(root / "10.xml", {1: [regions(BOX, SMALL)], 2: ["[]"]}, tirads="2")
    return root


def box(ring: list[tuple[int, int]]) -> np.ndarray:
    mask = np.zeros((48, 64), dtype=bool)
    (left, top), (right, bottom) = ring[0], ring[2]
    mask[top:bottom, left:right] = True
    return mask


def test_outlines_cases_and_what_is_left_out(tmp_path: Path) -> None:
    done = convert("ddti", draw(tmp_path / "DDTI"), tmp_path)
    np.testing.assert_array_equal(done.label("1_1"), box(BOX))
    for name in ("1_2", "10_1"):
        np.testing.assert_array_equal(done.label(name), box(BOX) | box(SMALL))
        assert sorted(np.unique(done.objects(name))) == [0, 1, 2]
    assert done.groups == {"1_1": "1", "1_2": "1", "10_1": "10"}
    assert done.cases["1_2"].facts == {"TI-RADS": "4a"}
    assert done.summary.left_out == ("2_1.jpg (outlines that break off)", "10_2.jpg (without outlines)")


def test_files_that_are_no_annotation(tmp_path: Path) -> None:
    source = draw(tmp_path / "DDTI")
    (source / "1.xml").write_text('<!DOCTYPE x [<!ENTITY a "aaaa">]><case>&a;</case>')
    (source / "2.xml").write_text("<case><mark>")
    with pytest.raises(UserError, match=r"(?s)1\.xml holds a document type.*2\.xml is not valid XML"):
        convert("ddti", source, tmp_path)
    case(source / "1.xml", {1: ['[{"points": [{"x": "left", "y": 3}]}]']})
    case(source / "2.xml", {1: [regions(BOX)]})
    with pytest.raises(UserError, match=r"1\.xml, image 1: the outlines are no regions"):
        convert("ddti", source, tmp_path)
