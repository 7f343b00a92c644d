"""Values to labels: the rules alone, then through files of every kind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion.folder import FolderOptions, convert
from medt_pipeline.dataset_conversion.label_mapping import DeclaredLabel, FoundValues, decide_labels, parse_labels
from medt_pipeline.dataset_conversion.target import Target

from .drawn import blocks, load, picture, save

COLOURS = [(0, 0, 0), (255, 0, 0), (0, 200, 0), (10, 20, 250), (255, 255, 0)]
"""By label; sorted by code the order is another, so that a converter that numbers by appearance fails."""


def found(*values: int, coloured: bool = False, lines: tuple[int, ...] = ()) -> FoundValues:
    counts = {value: 100 - place for place, value in enumerate(values)}
    return FoundValues(counts, coloured, frozenset(values) - set(lines))


@pytest.mark.parametrize(
    ("values", "rule", "expected"),
    [
        ((0, 255), "binary", {0: 0, 255: 1}),
        ((0, 1), "labels", {0: 0, 1: 1}),
        ((2, 0, 1), "labels", {0: 0, 1: 1, 2: 2}),
        ((0, 128), "gray levels", {0: 0, 128: 1}),
        ((0, 255, 128), "gray levels", {0: 0, 128: 1, 255: 2}),
    ],
)
def test_gray_levels(values: tuple[int, ...], rule: str, expected: dict[int, int]) -> None:
    mapping = decide_labels(found(*values))
    assert (mapping.rule, mapping.label_of) == (rule, expected)


def test_names_without_declaration() -> None:
    assert decide_labels(found(0, 255)).names == ("background", "foreground")
    assert decide_labels(found(0, 1, 2)).names == ("background", "class1", "class2")


def test_black_is_background_even_where_rare() -> None:
    mapping = decide_labels(found(0xFF0000, 0x00FF00, 0, coloured=True))
    assert mapping.label_of == {0: 0, 0x00FF00: 1, 0xFF0000: 2}


def test_without_black_the_most_frequent_colour_is_background() -> None:
    mapping = decide_labels(found(0xFFFFFF, 0x00FF00, 0x0000FF, coloured=True))
    assert mapping.label_of == {0xFFFFFF: 0, 0x0000FF: 1, 0x00FF00: 2}
    assert "most frequent" in mapping.reason


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (found(*range(21)), "21 distinct values .*--threshold 127.*--instances"),
        (found(0, 64, 255, lines=(64,)), r"never fill 3×3 pixels \(64; .*--threshold"),
        (found(0, 0xFF0000, 0x7F0000, coloured=True, lines=(0x7F0000,)), "never fill 3×3 pixels .#7F0000"),
        (found(*range(0, 0x150000, 0x010000), coloured=True), "21 colours"),
        (found(1, 2), "lowest value of the masks is 1, not 0 .*--labels background=1,class1=2"),
        (found(255), "lowest value of the masks is 255"),
        (found(0, 1, 255), "both 1 and 255"),
        (found(0), "No mask has a foreground pixel"),
        (found(0, -1), "lowest value of the masks is -1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_be_a_guess_is_refused(values: FoundValues, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        decide_labels(values)


def test_twenty_values_are_still_labels() -> None:
    assert decide_labels(found(*range(20))).label_of == {value: value for value in range(20)}


def test_declared_labels() -> None:
    mapping = decide_labels(found(0, 10, 20, 30), parse_labels("wall=20, lumen=10,wall=30"))
    assert mapping.names == ("background", "wall", "lumen")
    assert mapping.label_of == {0: 0, 20: 1, 30: 1, 10: 2}
    assert mapping.undeclared({0: 5, 10: 1, 99: 3}) == {99: 3}


def test_declared_colours_and_gray_meet() -> None:
    declared = parse_labels("Background=#ffffff,a=#FF0000,b=0")
    assert declared[0] == DeclaredLabel("background", 0xFFFFFF, colour=True)
    mapping = decide_labels(found(0xFFFFFF, 0xFF0000, coloured=True), declared)
    assert mapping.label_of == {0xFFFFFF: 0, 0xFF0000: 1, 0: 2}
    assert decide_labels(found(0, 255), parse_labels("a=#FFFFFF")).label_of == {0: 0, 255: 1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        ("gland", "name=value"),
        ("gland=#12", "name=value"),
        ("a=1,b=1", "twice"),
        ("ignore=3", "ignore"),
    ],
)
def test_malformed_declarations(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_labels(text)


def test_zero_declared_as_a_class_needs_a_background() -> None:
    with pytest.raises(UserError, match="two names"):
        decide_labels(found(0, 1), parse_labels("gland=0"))


def test_apply_refuses_unknown_values() -> None:
    mapping = decide_labels(found(0, 255))
    for value in (-1, 7, 256):
        with pytest.raises(ValueError, match="without a label"):
            mapping.apply(np.array([[0, value]]))


def write_mask(folder: Path, form: str, labels: np.ndarray) -> None:
    """Store `labels` (at most 5 of them) as a mask of a form that people use."""
    colours = np.array(COLOURS, dtype=np.uint8)
    if form == "palette":
        image = Image.fromarray(labels, mode="P")
        image.putpalette(colours.ravel().tolist())
        image.save(folder / "a.png")
    elif form == "palette tif":
        table = np.zeros((3, 256), dtype=np.uint16)
        table[:, : len(colours)] = colours.T.astype(np.uint16) * 257
        tifffile.imwrite(folder / "a.tif", labels, photometric="palette", colormap=table)
    elif form == "1-bit":
        Image.fromarray(labels > 0).save(folder / "a.png")
    elif form == "white is zero":
        tifffile.imwrite(folder / "a.tif", np.where(labels > 0, 0, 255).astype(np.uint8), photometric="miniswhite")
    elif form == "16-bit tif":
        tifffile.imwrite(folder / "a.tif", labels.astype(np.uint16))
    elif form == "float tif":
        tifffile.imwrite(folder / "a.tif", labels.astype(np.float32))
    else:
        pixels = {
            "labels": labels,
            "0 and 255": (labels > 0).astype(np.uint8) * 255,
            "gray levels": labels * 60,
            "three equal channels": np.repeat(labels[..., None] * 60, 3, axis=2),
            "colours": colours[labels],
            "opaque alpha": np.concatenate([colours[labels], np.full((*labels.shape, 1), 255, np.uint8)], axis=2),
        }[form]
        save(folder / ("a.bmp" if form == "labels" else "a.png"), pixels)


COLOUR_LABELS = ",".join(f"class{label}=#{r:02X}{g:02X}{b:02X}" for label, (r, g, b) in enumerate(COLOURS) if label)
FORMS = {
    "labels": None,
    "palette": None,
    "palette tif": None,
    "16-bit tif": None,
    "float tif": None,
    "gray levels": None,
    "three equal channels": None,
    "colours": COLOUR_LABELS,
    "opaque alpha": COLOUR_LABELS,
    "0 and 255": None,
    "1-bit": None,
    "white is zero": None,
}
BINARY = ("0 and 255", "1-bit", "white is zero")


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_round_trip_of_every_form(form: str, data: st.DataObject) -> None:
    classes = data.draw(st.integers(1, len(COLOURS) - 1))
    shape = (data.draw(st.integers(2, 5)), data.draw(st.integers(2, 5)))
    count = shape[0] * shape[1]
    drawn = data.draw(st.lists(st.integers(0, classes), min_size=count, max_size=count))
    # every label must occur: a label that no mask holds cannot be known
    cells = np.array([*range(classes + 1), *drawn][: max(count, classes + 1)], dtype=np.uint8)
    labels = blocks(cells[None] if len(cells) != count else cells.reshape(shape))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        save(root / "images" / "a.png", picture(0, labels.shape))
        (root / "masks").mkdir()
        write_mask(root / "masks", form, labels)
        target = Target(Workspace.locate(root / "ws"), 1, "Drawn")
        convert(root / "images", root / "masks", target, FolderOptions(labels=FORMS[form]))
        expected = (labels > 0).astype(np.uint8) if form in BINARY else labels
        np.testing.assert_array_equal(load(target.folder / "labelsTr" / "a.png"), expected)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, 254), seed=st.integers(0, 1000))
def test_threshold_and_instances_on_any_values(cut: int, seed: int) -> None:
    mask = picture(seed, channels=1)
    mask[0, 0], mask[0, 1] = 0, 255
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        save(root / "images" / "a.png", picture(seed))
        save(root / "masks" / "a.png", mask)
        workspace = Workspace.locate(root / "ws")
        thresholded, objects = Target(workspace, 1, "Cut"), Target(workspace, 2, "Objects")
        convert(root / "images", root / "masks", thresholded, FolderOptions(threshold=cut))
        convert(root / "images", root / "masks", objects, FolderOptions(instances=True))
        np.testing.assert_array_equal(load(thresholded.folder / "labelsTr" / "a.png"), mask > cut)
        np.testing.assert_array_equal(load(objects.folder / "labelsTr" / "a.png"), mask > 0)
        np.testing.assert_array_equal(load(objects.folder / "instancesTr" / "a.png"), mask)
