"""Bounds on files of strangers."""

from __future__ import annotations

from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.dataset_conversion.annotations import reading


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a": NaN}', "NaN is no number"),
        ("{", "is not valid JSON"),
        ("1" * 5000, "is not valid JSON"),
    ],
    ids=["deep", "NaN", "cut off", "long number"],
)
def test_hostile_json(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        reading.load_json(path)
    assert str(path) in str(raised.value)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(UserError, match="is not valid JSON"):
        reading.load_json(path)


def test_large_and_absent_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="does not exist or is a folder"):
        reading.load_json(tmp_path)
    monkeypatch.setattr(reading, "MOST_BYTES", 5)
    path = tmp_path / "a.json"
    path.write_text("123456")
    with pytest.raises(UserError, match="split it into several files"):
        reading.load_json(path)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9", None, 10**9, float("inf")])
def test_lengths(value: object) -> None:
    with pytest.raises(UserError, match=r"a.json, image 1: .* is no number of pixels"):
        reading.to_length(value, Path("a.json"), "image 1")
    assert reading.to_length(640.0, Path("a.json"), "image 1") == 640


@pytest.mark.parametrize("values", [[], [[]], ()])
def test_no_points(values: object) -> None:
    assert reading.to_points(values, Path("a.json"), "shape 1").shape == (0, 2)


def test_huge_whole_numbers() -> None:
    with pytest.raises(UserError, match="not all numbers"):
        reading.to_points([[10**400, 1]], Path("a.json"), "shape 1")
