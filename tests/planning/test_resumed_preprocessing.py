"""Preprocessing that was interrupted: what is done stays done, unless it is of other files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

from medt_pipeline.planning import preprocessing
from medt_pipeline.planning.run import plan_and_preprocess
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn

CASES = 10
Write = Callable[..., None]


@pytest.fixture
def again(planned: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    # one after another, so that an interruption falls between two
    monkeypatch.setattr("medt_pipeline.planning.run.worker_count", lambda: 1)
    return planned.copy(tmp_path / "again", "results")


def _watched(monkeypatch: pytest.MonkeyPatch, fail_after: int | None, error: BaseException) -> list[str]:
    """Names of the cases that are preprocessed from now on; after so many there is an error."""
    done: list[str] = []
    write: Write = _ORIGINAL

    def watched(self: DefaultPreprocessor, stem: str, *arguments: object) -> None:
        if len(done) == fail_after:
            raise error
        write(self, stem, *arguments)
        done.append(Path(stem).name)

    monkeypatch.setattr(DefaultPreprocessor, "run_case_save", watched)
    return done


_ORIGINAL = DefaultPreprocessor.run_case_save


def _plan(drawn: Drawn) -> None:
    plan_and_preprocess(DATASET_ID, drawn.workspace.activate(), "cpu", quiet=True)


def _arrays(drawn: Drawn) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (drawn.preprocessed / "MedTPlans_2d").iterdir()}


def _begun(drawn: Drawn) -> list[Path]:
    return list(drawn.preprocessed.glob(f".*{preprocessing.BEGUN}"))


def test_it_goes_on_and_ends_in_the_same_arrays(again: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = _arrays(again)
    first = _watched(monkeypatch, 4, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        _plan(again)
    assert len(first) == 4
    assert _arrays(again) == undisturbed, "the earlier arrays stay until there are others"
    second = _watched(monkeypatch, None, KeyboardInterrupt())
    _plan(again)
    assert len(second) == CASES - 4
    assert not set(first) & set(second)
    assert _arrays(again) == undisturbed
    assert not _begun(again)


def test_a_changed_image_begins_anew(again: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    _watched(monkeypatch, 4, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        _plan(again)
    image = next((again.workspace.raw / DATASET_NAME / "imagesTr").iterdir())
    os.utime(image, ns=(1, 1))
    second = _watched(monkeypatch, None, KeyboardInterrupt())
    _plan(again)
    assert len(second) == CASES
    assert not _begun(again)


def test_what_was_begun_for_another_configuration_is_forgotten(again: Drawn) -> None:
    left = again.preprocessed / f".MedTPlans_2d_whole.0123{preprocessing.BEGUN}"
    (left / "arrays").mkdir(parents=True)
    _plan(again)
    assert not _begun(again)


def test_an_error_leaves_nothing(again: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    _watched(monkeypatch, 4, OSError(errno.ENOSPC, "no space"))
    with pytest.raises(OSError, match="no space"):
        _plan(again)
    assert not _begun(again)
