"""A few broken files of every format; `python -m tests.fuzz` tries thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from medt_pipeline.core.errors import UserError
from tests.fuzz.formats import FORMATS, Format
from tests.fuzz.trial import attempt, broken, seeds_of

FILES = 25
FIRST = 10_000
"""Other files than those of the table."""


@pytest.mark.parametrize("name", FORMATS)
def test_broken_files_are_answered_or_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    form = FORMATS[name]
    for part in ("seeds", "broken"):
        (tmp_path / part).mkdir()
    seeds = seeds_of(form, tmp_path / "seeds")
    assert seeds
    trials = [attempt(form, broken(form, seeds, FIRST + number, tmp_path / "broken")) for number in range(FILES)]
    assert not [trial.reason for trial in trials if trial.outcome == "failed"]
    assert any(trial.outcome == "refused" for trial in trials), "nothing was broken"


def test_what_is_neither_an_answer_nor_a_sentence_is_a_failure(tmp_path: Path) -> None:
    def read(path: Path) -> None:
        content = path.read_text()
        if content == "sentence":
            raise UserError("This cannot be read; replace it.")
        if content == "traceback":
            raise KeyError("x")

    form = Format(".txt", lambda folder: None, read)
    outcomes = {}
    for content in ("fine", "sentence", "traceback"):
        path = tmp_path / "a.txt"
        path.write_text(content)
        outcomes[content] = attempt(form, path)
    assert {content: trial.outcome for content, trial in outcomes.items()} == {
        "fine": "answered",
        "sentence": "refused",
        "traceback": "failed",
    }
    assert outcomes["traceback"].reason.startswith("KeyError: 'x'")
