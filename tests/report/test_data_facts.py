from __future__ import annotations

import json
from pathlib import Path

from medt_pipeline.core.files import read_json
from medt_pipeline.fingerprint.medt_fingerprint import known_fingerprint
from medt_pipeline.report.data_facts import describe_data
from tests.conftest import DATASET_NAME, Drawn


def test_facts_of_a_planned_set(planned: Drawn) -> None:
    raw = planned.workspace.raw / DATASET_NAME
    fingerprint = known_fingerprint(planned.preprocessed)
    assert fingerprint is not None
    facts = describe_data(raw, fingerprint, read_json(planned.preprocessed / "dataset.json"))
    lines = dict(facts.lines)
    assert facts.title == "Drawn"
    assert lines["Training images"] == "10"
    assert lines["Sizes in pixels"] == "96 × 64 (10)"
    assert lines["Patients or other groups"].startswith("5 (")
    assert [(one.name, one.value) for one in facts.classes] == [("gland", "1")]
    assert facts.classes[0].objects > 10
    assert facts.notes == ()


def test_a_set_of_plain_nnunet_says_what_is_not_known(tmp_path: Path) -> None:
    dataset_json = {"channel_names": {"0": "T1"}, "numTraining": 3, "labels": {"background": 0, "x": 1}}
    facts = describe_data(tmp_path / "Dataset007_Plain", None, dataset_json)
    assert facts.title == "Plain"
    assert dict(facts.lines) == {"Training images": "3", "Channels": "T1"}
    assert facts.classes == ()
    assert "medt_fingerprint.json is missing" in facts.notes[0]


def test_many_notes_are_cut(tmp_path: Path) -> None:
    (tmp_path / "medt_conversion.json").write_text(json.dumps({"notes": [f"note {i}" for i in range(20)], "groups": 4}))
    facts = describe_data(tmp_path, None, {})
    assert facts.notes[0] == "note 0"
    assert len(facts.notes) == 9
    assert facts.notes[-1] == "and 13 more"
    assert ("Patients or other groups", "4") in facts.lines


def test_a_fingerprint_of_another_version_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "medt_fingerprint.json").write_text('{"version": 0}')
    assert known_fingerprint(tmp_path) is None
