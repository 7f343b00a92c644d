from __future__ import annotations

from pathlib import Path

import pytest

from medt_pipeline.core.workspace import Workspace
from tests.report.drawn_results import NAME, add_results, draw_workspace

GROUPS = {f"p{number // 2}_{number % 2}": f"p{number // 2}" for number in range(12)}


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
