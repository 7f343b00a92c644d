"""CSV files as spreadsheets save them."""

from __future__ import annotations

from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.tables import read_rows


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_blanks_and_byte_order_mark(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "t.csv"
    text = f'a {separator} b\r\n\r\n{separator}\r\n"c,d;e\tf"{separator}g\r\n'
    file.write_bytes(text.encode("utf-8-sig"))
    assert read_rows(file, (2,), "x and y") == [["a", "b"], ["c,d;e\tf", "g"]]


def test_wrong_files(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,b\na,b,c,d\n")
    with pytest.raises(UserError, match=r"t.csv has 4 columns in row 2; two or three are needed: x, y and z"):
        read_rows(file, (2, 3), "x, y and z")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file in UTF-8"):
        read_rows(file, (2,), "x and y")
