from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.fingerprint.case_facts import Beside, measure_case
from medt_pipeline.fingerprint.medt_fingerprint import Fingerprint
from medt_pipeline.fingerprint.set_groups import group_cases
from medt_pipeline.fingerprint.summary import summarise
from medt_pipeline.planning.preprocessing import PreprocessingJob, preprocess_cases
from medt_pipeline.planning.run import _list_training_cases, _write_folds, plan_and_preprocess
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn


def fingerprint() -> Fingerprint:
    """Ten patients with an image each, the first two of which are alike; two masks are empty."""
    pictures = [
        np.random.default_rng(max(seed, 1)).normal(size=(12, 12)).repeat(6, 0).repeat(6, 1) for seed in range(10)
    ]
    cases = {}
    for index, picture in enumerate(pictures):
        mask = np.zeros(picture.shape, int)
        mask[: 4 * max(index - 1, 0)] = 1
        image = (np.clip(picture * 50 + 128, 0, 255)).round()[None]
        name = f"case{index}"
        cases[name] = measure_case(name, image, mask, (999, 1, 1), [1], Beside(f"patient{index}"))
    grouped, pairs = group_cases(cases)
    facts = {name: case.facts for name, case in grouped.items()}
    return Fingerprint(facts, summarise(grouped, {1: "gland"}, pairs, []))


def test_folds_come_from_the_fingerprints_groups_and_content(tmp_path: Path) -> None:
    found = fingerprint()
    decision, notes = _write_folds(tmp_path / "raw", tmp_path, found, [], True, 3)
    assert decision.facts["groups"] == 9
    assert any({"case0", "case1"} <= set(split["val"]) for split in decision.value)
    assert decision.facts["groups_with_class"] == {"1 (gland)": 8}
    assert "of the held-out pixels class 1 (gland)" in decision.reason
    assert not notes
    assert json.loads((tmp_path / "splits_final.json").read_text()) == decision.value
    json.dumps(decision.record())


def test_unknown_groups_are_said(tmp_path: Path) -> None:
    _, notes = _write_folds(tmp_path / "raw", tmp_path, fingerprint(), [], False, 3)
    assert notes == [
        "No groups are known (medt_cases.json is missing), so every image counts as its own patient, but for "
        "near-duplicates."
    ]


def arrays_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_a_list_of_cases_that_is_done_twice_leaves_the_same_files(planned: Drawn, tmp_path: Path) -> None:
    planned.workspace.activate()
    raw = planned.workspace.raw / DATASET_NAME
    plans = json.loads((planned.preprocessed / "MedTPlans.json").read_text())
    dataset_json = json.loads((raw / "dataset.json").read_text())
    arrays = tmp_path / "scratch" / "arrays"
    arrays.mkdir(parents=True)
    job = PreprocessingJob(_list_training_cases(raw, dataset_json), plans, "2d", dataset_json, arrays)
    cases = list(job.dataset)[:3]
    # As a process leaves it that dies before the last file of a case.
    (arrays / f"{cases[0]}.b2nd").write_bytes(b"half")
    assert preprocess_cases(cases[:2], job) == cases[:2]
    first = arrays / f"{cases[0]}.pkl"
    written = first.stat().st_mtime_ns
    preprocess_cases(cases, job)
    assert first.stat().st_mtime_ns == written
    expected = arrays_of(planned.preprocessed / "MedTPlans_2d")
    assert arrays_of(arrays) == {name: expected[name] for name in expected if name.startswith(tuple(cases))}
    assert [path.name for path in arrays.parent.iterdir()] == ["arrays"]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_on_a_cluster_plan_and_arrays_are_the_same(planned: Drawn, tmp_path: Path) -> None:
    again = planned.copy(tmp_path / "again", "preprocessed", "results")
    workspace = again.workspace.activate()
    plan_and_preprocess(DATASET_ID, workspace, "cpu", quiet=True, on="ray")
    for folder in (".", "MedTPlans_2d", "gt_segmentations"):
        expected = {file.name: file for file in (planned.preprocessed / folder).iterdir() if file.is_file()}
        found = {file.name: file.read_bytes() for file in (again.preprocessed / folder).iterdir() if file.is_file()}
        assert found == {name: file.read_bytes() for name, file in expected.items()}
