from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from medt_pipeline.fingerprint.case_facts import Beside, measure_case
from medt_pipeline.fingerprint.medt_fingerprint import Fingerprint
from medt_pipeline.fingerprint.set_groups import group_cases
from medt_pipeline.fingerprint.summary import summarise
from medt_pipeline.planning.run import _write_folds


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
