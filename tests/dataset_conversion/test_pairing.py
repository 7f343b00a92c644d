"""Names: which mask belongs to which image, what a case is called, which cases belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.case_names import unique_case_names
from medt_pipeline.dataset_conversion.groups import declared_groups
from medt_pipeline.dataset_conversion.pairing import pair, split_shared_folder


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.jpg", "a.png"),
        ("a.png", "a_mask.png"),
        ("benign (1).png", "benign (1)_mask.png"),
        ("a.png", "a_Segmentation.tif"),
        ("a.png", "mask_a.png"),
        ("a.png", "a-gt.png"),
        ("train_1.bmp", "train_1_anno.bmp"),
        ("a_0000.png", "a.png"),
        ("a_0000.png", "a_label.png"),
        ("a_mask_1.png", "a_mask_1.png"),
    ],
)
def test_fitting_names(image: str, mask: str) -> None:
    pairing = pair(paths(image), paths(mask))
    assert pairing.pairs == ((Path(image), Path(mask)),)


@pytest.mark.parametrize("mask", ["A.png", "amask.png", "a_b.png", "a_mask_b.png"])
def test_names_that_do_not_fit(mask: str) -> None:
    pairing = pair(paths("a.png"), paths(mask))
    assert (pairing.images_alone, pairing.masks_alone) == ((Path("a.png"),), (Path(mask),))


def test_the_exact_name_wins_over_a_word_taken_off() -> None:
    pairing = pair(paths("a.png", "a_seg.png"), paths("a.png", "a_seg.png"))
    assert [(image.name, mask.name) for image, mask in pairing.pairs] == [("a.png",) * 2, ("a_seg.png",) * 2]


def test_two_candidates_are_never_chosen_from() -> None:
    assert pair(paths("a.png"), paths("a_mask.png", "a_mask_1.png")).ambiguous == (
        "the image a.png has several masks: a_mask.png, a_mask_1.png",
    )
    twins = pair(paths("a.bmp", "a.png"), paths("a.png"))
    assert twins.ambiguous == ("several images are named a: a.bmp, a.png",)
    assert not twins.images_alone


def test_one_folder_with_both() -> None:
    images, masks = split_shared_folder(paths("a.png", "a_mask.png", "b_mask.png", "c.png"))
    assert [path.name for path in images] == ["a.png", "b_mask.png", "c.png"]
    assert [path.name for path in masks] == ["a_mask.png"]


@pytest.mark.parametrize(
    ("stems", "names"),
    [
        (["a", "b-1_x"], ["a", "b-1_x"]),
        (["benign (1)"], ["benign__1_"]),
        (["a_0000", "b.c"], ["a", "b_c"]),
        (["患者一", "患者二"], ["___", "____2"]),
        (["a b", "a_b"], ["a_b_2", "a_b"]),
        (["a", "A", "a_0000"], ["a", "A_2", "a_3"]),
        (["_0000"], ["_0000"]),
    ],
)
def test_case_names(stems: list[str], names: list[str]) -> None:
    assert unique_case_names(stems) == names


@given(st.lists(st.text("aA_0 é", min_size=1, max_size=6), unique=True, max_size=8))
def test_case_names_are_valid_and_differ_on_every_file_system(stems: list[str]) -> None:
    names = unique_case_names(stems)
    assert len({name.lower() for name in names}) == len(stems)
    assert all(name.replace("_", "a").isascii() and " " not in name and name for name in names)


def test_groups_from_a_pattern() -> None:
    stems = ["P1_a", "P1_b", "P2_a"]
    assert declared_groups(r"^(P\d)_", stems)[0] == {"P1_a": "P1", "P1_b": "P1", "P2_a": "P2"}
    assert declared_groups(r"P\d", stems)[0]["P2_a"] == "P2"
    with pytest.raises(UserError, match=r"1 of 3 names do not fit .*: P2_a"):
        declared_groups("^(P1)_", stems)
    with pytest.raises(UserError, match="no regular expression"):
        declared_groups("(", stems)


@pytest.mark.parametrize("text", ["name,group\na,1\nb.png,2\nother,3\n", "a;1\nb;2\n", "\ufeffa\t1\n\nb\t2"])
def test_groups_from_a_table(tmp_path: Path, text: str) -> None:
    file = tmp_path / "groups.csv"
    file.write_text(text, encoding="utf-8")
    assert declared_groups(str(file), ["a", "b"])[0] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,1\n", "1 of 2 names have no group in .*: b"),
        ("a,1\nb,\n", "have no group in .*: b"),
        ("a,1\nb,2\na,3\n", "lists a twice, in the groups '1' and '3'"),
        ("a,1,x\nb,2,x\n", "3 columns in row 1"),
    ],
)
def test_tables_of_groups_with_holes(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "groups.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=sentence):
        declared_groups(str(file), ["a", "b"])
    with pytest.raises(UserError, match="does not exist"):
        declared_groups(str(tmp_path / "absent.csv"), ["a"])
