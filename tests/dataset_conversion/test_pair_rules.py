"""Pairs that the owner declares: by a regular expression, or by a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.pair_rules import pair_by_pattern, pair_by_table

PATTERN = r"^(.*)_(?:img|mask)$"


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


def test_pattern() -> None:
    images = paths("b_img.png", "a_img.jpg", "c_img.png", "odd.png")
    masks = paths("a_mask.nii.gz", "b_mask.png", "d_mask.png")
    pairing = pair_by_pattern(PATTERN, images, masks)
    assert pairing.pairs == ((images[1], masks[0]), (images[0], masks[1]))
    assert pairing.images_alone == (images[3], images[2])
    assert pairing.masks_alone == (masks[2],)
    assert pairing.ambiguous == ()


def test_pattern_that_finds_several() -> None:
    pairing = pair_by_pattern(r"(\d+)", paths("a1.png", "b1.png"), paths("m1.png", "n1.png", "m1.bmp"))
    assert pairing.ambiguous == (
        "--pair finds several images for '1': a1.png, b1.png",
        "--pair finds several masks for '1': m1.png, n1.png, m1.bmp",
    )


@pytest.mark.parametrize(("pattern", "message"), [("(", "no regular expression"), ("_img$", "needs a group")])
def test_wrong_patterns(pattern: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pair_by_pattern(pattern, [], [])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    for folder, names in (("images", ("x1.png", "sub/x2.png")), ("masks", ("y1.png", "y2.json"))):
        for name in names:
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).touch()
    return tmp_path / "pairs.csv", tmp_path / "images", tmp_path / "masks"


@pytest.mark.parametrize("header", ["", "image,mask\n", "Image,Mask,Patient\n"])
def test_table(folders: tuple[Path, Path, Path], header: str) -> None:
    table, images, masks = folders
    table.write_text(f"{header}x1.png,y2.json\nsub/x2.png,y1.png,P7\n")
    pairing, groups = pair_by_table(table, images, masks)
    assert pairing.pairs == ((images / "sub/x2.png", masks / "y1.png"), (images / "x1.png", masks / "y2.json"))
    assert groups == {images / "sub/x2.png": "P7"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no image"),
        ("image,mask\n", "lists no image"),
        ("x1.png\n", "has 1 column in row 1; two or three are needed: image, mask and perhaps group"),
        ("x1.png,y9.png\nx9.png,y1.png\n", r"files that do not exist: .*y9.png, .*x9.png"),
        ("x1.png,\n", "files that do not exist"),
        ("x1.png,y1.png\nx1.png,y2.json\n", "lists the image x1.png twice"),
        ("x1.png,y1.png\nsub/x2.png,y1.png\n", "lists the mask y1.png twice"),
    ],
)
def test_wrong_tables(folders: tuple[Path, Path, Path], text: str, message: str) -> None:
    table, images, masks = folders
    table.write_text(text)
    with pytest.raises(UserError, match=message):
        pair_by_table(table, images, masks)
