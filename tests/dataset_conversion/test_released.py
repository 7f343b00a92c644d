"""Files by their names, pairs and tables of released sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.problems import Problems
from medt_pipeline.dataset_conversion.released import (
    chosen_labels,
    files_in,
    keep_pairs,
    numbered,
    read_table,
    require_listed,
)


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_files_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "in", "b_1.png", "a_1.png", "a_1.txt", "._a_1.png", "x.png")
    (tmp_path / "in" / "c_1.png").mkdir()
    found = files_in(tmp_path / "in", r"([a-z]_\d)\.png", "pictures")
    assert found == {"a_1": tmp_path / "in" / "a_1.png", "b_1": tmp_path / "in" / "b_1.png"}
    with pytest.raises(UserError, match="holds none of the pictures"):
        files_in(tmp_path / "in", r"(\d)\.bmp", "pictures")
    with pytest.raises(UserError, match="folder of pictures"):
        files_in(tmp_path / "absent", r"(\d)\.bmp", "pictures")


def test_pairs() -> None:
    images, masks = ({name: Path(f"{kind}_{name}") for name in names} for kind, names in (("i", "cab"), ("m", "bcd")))
    problems = Problems()
    assert keep_pairs(images, masks, False, problems) == (["b", "c"], ())
    with pytest.raises(UserError, match=r"2 files have no counterpart \(image i_a, mask m_d\)"):
        problems.raise_if_any()
    assert keep_pairs(images, masks, True, Problems()) == (["b", "c"], ("image i_a: no mask", "mask m_d: no image"))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "t.csv"
    rows = [["Pixel  Size(mm)", "File Name ", "more"], [" 0.1", "a.png ", "x"], [], ["0.2", "b.png", '"y, z"'], ["0.3"]]
    file.write_text("\ufeff" + "\n".join(separator.join(row) for row in rows), encoding="utf-8")
    assert read_table(file, ["filename", "pixel size(mm)"]) == [
        {"filename": "a.png", "pixel size(mm)": "0.1"},
        {"filename": "b.png", "pixel size(mm)": "0.2"},
    ]
    with pytest.raises(UserError, match="lacks the columns patient"):
        read_table(file, ["filename", "patient"])
    with pytest.raises(UserError, match=r"no\.csv is missing"):
        read_table(tmp_path / "no.csv", [])
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file"):
        read_table(file, [])


def test_labels_of_a_choice() -> None:
    labels = {"lesion": "lesion=1,lesion=2", "kinds": numbered(["benign", "malignant"])}
    assert [(label.name, label.value) for label in chosen_labels(labels, "kinds")] == [("benign", 1), ("malignant", 2)]
    with pytest.raises(UserError, match="--classes must be one of lesion, kinds, got 'all'"):
        chosen_labels(labels, "all")


def test_names_that_a_table_lacks() -> None:
    problems = Problems()
    require_listed(["a", "b"], {"a": 1, "c": 2}, Path("t.csv"), problems)
    with pytest.raises(UserError, match=r"t\.csv does not list b;"):
        problems.raise_if_any()
