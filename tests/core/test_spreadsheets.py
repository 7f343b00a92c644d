from __future__ import annotations

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.spreadsheets import plain_cell, text_of, to_csv


@pytest.mark.parametrize("text", ["=A1", "+1", "-1", "@SUM", "\tx"])
def test_formulas(text: str) -> None:
    assert plain_cell(text) == f"'{text}"
    assert plain_cell("a" + text) == "a" + text


@given(st.text())
def test_the_text_of_a_cell_is_found_again(text: str) -> None:
    if not text.startswith("'"):
        assert text_of(plain_cell(text)) == text


def test_names_of_a_table_are_no_formulas_and_its_numbers_stay() -> None:
    frame = pd.DataFrame({"image": ["=1+1", "p1"], "dice": [-0.5, None], "count": pd.array([-3, None], dtype="Int64")})
    assert to_csv(frame) == "image,dice,count\n'=1+1,-0.5,-3\np1,,\n"
    assert to_csv(frame, "%.2f").startswith("image,dice,count\n'=1+1,-0.50,-3\n")
    read = pd.read_csv(io.StringIO(to_csv(frame)))
    assert read["image"].map(text_of).tolist() == ["=1+1", "p1"]
