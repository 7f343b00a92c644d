"""Plans of the real data sets against those in plans/reference: a changed rule shows as lines that can be read.

After a change that is meant, write them anew:  python -m tests.planning.test_reference_plans DATA
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medt_pipeline.core.files import read_json
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import registry
from medt_pipeline.dataset_conversion.target import Target
from medt_pipeline.planning.comparison import readable_difference
from medt_pipeline.planning.run import plan_and_preprocess

REFERENCE = Path(__file__).resolve().parents[2] / "plans" / "reference"


SETS = ("glas", "monuseg", "busi", "usgra")


def planned(name: str, source: Path, folder: Path) -> dict[str, Any]:
    """What the planner decided for a real data set on a CPU, without what every plan of nnU-Net holds."""
    workspace = Workspace.locate(folder)
    registry.convert(registry.source(name), Target(workspace, 903, "Reference"), {"src": source})
    plan_and_preprocess(903, workspace.activate(), "cpu", memory_gb=4, quiet=True)
    plans = read_json(workspace.preprocessed / "Dataset903_Reference" / "MedTPlans.json")
    return {"decisions": plans["medt"]["decisions"], "configurations": plans["configurations"]}


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", SETS)
def test_plan_is_as_before(name: str, real_data: Callable[[str], Path], tmp_path: Path) -> None:
    expected = json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))
    differences = readable_difference(expected, planned(name, real_data(name), tmp_path))
    assert not differences, "\n".join(differences)


def write_references(data: Path) -> None:
    """Write all reference plans anew from the data sets below `data`."""
    for name in SETS:
        with tempfile.TemporaryDirectory() as folder:
            content = planned(name, data / name, Path(folder))
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (REFERENCE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_references(Path(sys.argv[1]))
