from __future__ import annotations

import json
from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.fingerprint.medt_fingerprint import FINGERPRINT_FILE, read_fingerprint, write_fingerprint
from tests.conftest import Drawn


def test_the_file_of_a_planned_data_set(planned: Drawn, tmp_path: Path) -> None:
    text = (planned.preprocessed / FINGERPRINT_FILE).read_text()
    content = json.loads(text)
    assert set(content) == {"version", "cases", "summary"}
    assert "NaN" not in text
    assert "Infinity" not in text
    fingerprint = read_fingerprint(planned.preprocessed)
    write_fingerprint(tmp_path, fingerprint)
    assert (tmp_path / FINGERPRINT_FILE).read_text() == text
    assert set(fingerprint.cases) == {f"p{patient:02d}_{image}" for patient in range(1, 6) for image in range(2)}
    summary = fingerprint.summary
    assert (summary.cases, summary.problems, summary.channels) == (10, [], 3)
    assert summary.groups.declared == summary.groups.fold_groups == 5
    assert summary.stain.cases_with_vectors == 10
    assert summary.classes["1"].name == "gland"
    assert fingerprint.cases["p01_0"].group == "p01"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is not a fingerprint of version 1"),
        ('{"version": 0}', "is not a fingerprint of version 1"),
        ('{"version": 1, "cases": {}}', "is not a fingerprint .KeyError: 'summary'"),
        ('{"version": 1, "cases": {"a": 3}, "summary": {}}', "is not a fingerprint"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / FINGERPRINT_FILE).write_text(content)
    with pytest.raises(UserError, match=sentence):
        read_fingerprint(tmp_path)
    with pytest.raises(UserError, match="is missing"):
        read_fingerprint(tmp_path / "nowhere")
