from __future__ import annotations

import json
from pathlib import Path

import pytest

from medt_pipeline.core.workspace import Workspace
from medt_pipeline.inference.find_best import find_best
from medt_pipeline.report.data_set import report_data_set
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn
from tests.report.drawn_results import NAME, add_results, draw_workspace

GROUPS = {f"p{number // 2}_{number % 2}": f"p{number // 2}" for number in range(12)}

SCRIPT = "<script>alert(1)</script>"
QUOTE = "\" onload=alert(1) x='"
IMAGE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Twelve cases of six patients, with two folds of `2d` and one of `2d_unet`; not to be changed."""
    workspace = draw_workspace(tmp_path_factory.mktemp("results"), GROUPS)
    add_results(workspace, NAME, "2d")
    add_results(workspace, NAME, "2d_unet", worse=2, folds=(0,))
    return workspace


@pytest.fixture
def fresh(tmp_path: Path) -> Workspace:
    """The same for a test of its own, with the folds of `2d` only."""
    workspace = draw_workspace(tmp_path / "workspace", GROUPS)
    add_results(workspace, NAME, "2d")
    return workspace


@pytest.fixture(scope="session")
def selected(planned: Drawn, tmp_path_factory: pytest.TempPathFactory) -> tuple[Drawn, dict]:
    """A planned set with two configurations that medt_find_best chose among, and what it wrote."""
    drawn = planned.copy(tmp_path_factory.mktemp("selected") / "workspace", "results")
    for configuration, worse in (("2d", 0.0), ("2d_unet", 2.0)):
        add_results(drawn.workspace, DATASET_NAME, configuration, worse, folds=range(5))
    return drawn, find_best(DATASET_ID, drawn.workspace.activate(), quiet=True).content


@pytest.fixture(scope="session")
def evil_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a data set in which every word that comes from a file is markup."""
    groups = {IMAGE: SCRIPT, f"{QUOTE} {{{{ 7 * 7 }}}}": QUOTE, "c": IMAGE, "d": "d"}
    workspace = draw_workspace(tmp_path_factory.mktemp("evil"), groups, label=SCRIPT)
    add_results(workspace, NAME, "2d<b>")
    raw, preprocessed = workspace.raw / NAME, workspace.preprocessed / NAME
    conversion = {"source": SCRIPT, "terms": QUOTE, "notes": [IMAGE], "groups": 3, "group_rule": SCRIPT}
    (raw / "medt_conversion.json").write_text(json.dumps(conversion))
    decision = {"name": SCRIPT, "value": {SCRIPT: QUOTE}, "rule": IMAGE, "reason": SCRIPT, "facts": {QUOTE: [IMAGE]}}
    (preprocessed / "MedTPlans.json").write_text(json.dumps({"medt": {"decisions": [decision]}}))
    for run in (workspace.results / NAME).glob("*/fold_*/medt_run.json"):
        run.write_text(json.dumps({"device": SCRIPT, "seed": IMAGE, "packages": {"torch": SCRIPT}}))
    return report_data_set(905, workspace, quiet=True).file
