from __future__ import annotations

import pytest

from medt_pipeline.core.spreadsheets import plain_cell


@pytest.mark.parametrize("text", ["=A1", "+1", "-1", "@SUM", "\tx"])
def test_formulas(text: str) -> None:
    assert plain_cell(text) == f"'{text}"
    assert plain_cell("a" + text) == "a" + text
