"""A cluster of two machines, both of them this one, of which one dies while it trains."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.training.cross_validation import cross_validate
from medt_pipeline.training.run import TrainingOptions
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn
from tests.training.test_training import shorten

CPU = torch.device("cpu")


@pytest.fixture
def cluster(ray_alone: Any) -> Iterator[Any]:
    """Two machines of one core each."""
    from ray.cluster_utils import Cluster

    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "memory": 3 * 10**9})
    yield machines
    machines.shutdown()


@pytest.mark.slow
def test_a_machine_that_dies_changes_nothing(cluster: Any, planned: Drawn, tmp_path: Path) -> None:
    small = planned.copy(tmp_path / "cluster", "results")
    shorten(small, epochs=14, gates_fixed_epochs=0)
    splits = small.preprocessed / "splits_final.json"
    splits.write_text(json.dumps(json.loads(splits.read_text())[:3]))
    alone = small.copy(tmp_path / "alone")
    options = TrainingOptions(quiet=True)
    cross_validate(DATASET_ID, alone.workspace.activate(), CPU, ["2d"], options)

    other = cluster.add_node(num_cpus=1, memory=3 * 10**9)
    lines: list[str] = []
    killer = threading.Thread(target=_kill_when_both_work, args=(cluster, other, small))
    killer.start()
    on = f"ray:{cluster.address}"
    found = cross_validate(DATASET_ID, small.workspace.activate(), CPU, ["2d"], options, report=lines.append, on=on)
    killer.join()
    assert len(lines) == 3
    table = f"{DATASET_NAME}/medt_cross_validation.json"
    assert json.loads(found.file.read_text()) == json.loads((alone.workspace.results / table).read_text())


def _kill_when_both_work(cluster: Any, node: Any, small: Drawn) -> None:
    while len(list(small.workspace.results.rglob("checkpoint_latest.pth"))) < 2:
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)


@pytest.mark.slow
def test_what_no_machine_has_is_told(cluster: Any, planned: Drawn, tmp_path: Path) -> None:
    small = planned.copy(tmp_path / "cluster", "results")
    workspace, on = small.workspace.activate(), f"ray:{cluster.address}"
    with pytest.raises(UserError, match="has a GPU for Ray; use --device cpu"):
        cross_validate(DATASET_ID, workspace, torch.device("cuda"), ["2d"], TrainingOptions(quiet=True), on=on)
