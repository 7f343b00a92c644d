from __future__ import annotations

import json
from pathlib import Path

import pytest

from medt_pipeline.core.cases import CASES_FILE, Case, read_cases, write_cases
from medt_pipeline.core.errors import UserError


def test_back_and_forth(tmp_path: Path) -> None:
    cases = {"b": Case("p1", "b.png", "b_mask.png"), "a": Case("p1", "a.tif", None, (0.5, 0.25))}
    write_cases(tmp_path, cases)
    assert read_cases(tmp_path) == cases
    written = json.loads((tmp_path / CASES_FILE).read_text())["cases"]
    assert list(written) == ["a", "b"]
    assert written["a"]["pixel_size_um"] == [0.5, 0.25]
    assert "pixel_size_um" not in written["b"]


def test_absent_is_empty(tmp_path: Path) -> None:
    assert read_cases(tmp_path) == {}


@pytest.mark.parametrize(
    "content", ['{"cases": {"a": {}}}', '{"cases": {"a": {"group": "", "image": "", "pixel_size_um": ["x"]}}}', "[]"]
)
def test_broken_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / CASES_FILE).write_text(content)
    with pytest.raises(UserError, match="is not a table of cases"):
        read_cases(tmp_path)
