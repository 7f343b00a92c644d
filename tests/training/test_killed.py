"""The real command, killed without warning at random moments, against one that was left alone."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import DATASET_NAME, Drawn
from tests.training.test_training import shorten

KILLS = 5


def command(drawn: Drawn) -> subprocess.Popen[bytes]:
    """`medt_train 901 cv` in a process of its own."""
    arguments = [sys.executable, "-m", "medt_pipeline.commands.train", "901", "cv", "--workspace", str(drawn.root)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(arguments, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def table(drawn: Drawn) -> object:
    return json.loads((drawn.workspace.results / DATASET_NAME / "medt_cross_validation.json").read_text())


def checkpoints(drawn: Drawn) -> int:
    """Number and age of checkpoints, which changes when one is written."""
    return sum(file.stat().st_mtime_ns for file in drawn.workspace.results.rglob("checkpoint_*.pth"))


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_in_the_table_of_an_undisturbed_run(planned: Drawn, tmp_path: Path) -> None:
    small = planned.copy(tmp_path / "killed", "results")
    shorten(small, epochs=36, gates_fixed_epochs=0)
    splits = small.preprocessed / "splits_final.json"
    splits.write_text(json.dumps(json.loads(splits.read_text())[:2]))
    whole = small.copy(tmp_path / "whole")
    undisturbed = command(whole)
    _, said = undisturbed.communicate(timeout=600)
    assert undisturbed.returncode == 0, said.decode()
    rng = random.Random(5)
    for _ in range(KILLS):
        before, running = checkpoints(small), command(small)
        # Until it is at work, whatever the machine takes to begin, and then a random moment on.
        while checkpoints(small) == before and running.poll() is None:
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 2))
        running.kill()
        running.communicate()
    assert not (small.workspace.results / DATASET_NAME / "medt_cross_validation.json").exists()
    last = command(small)
    _, said = last.communicate(timeout=600)
    assert last.returncode == 0, said.decode()
    assert table(small) == table(whole)
