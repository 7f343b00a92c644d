from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from medt_pipeline.commands import train
from medt_pipeline.core.errors import UserError
from medt_pipeline.training.launch import group_variables, launch, parse_devices
from tests.conftest import DATASET_NAME, Drawn
from tests.training.test_training import MODEL, shorten


def test_devices_are_of_one_kind_there_and_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert parse_devices("cpu, CPU") == ("cpu", "cpu")
    assert parse_devices("1,0") == ("1", "0")
    for text, sentence in (("cpu,0", "such as 0,1"), ("0,0", "twice"), ("0,2", "no CUDA device 2; this machine has 2")):
        with pytest.raises(UserError, match=sentence):
            parse_devices(text)


def test_processes_share_what_the_user_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7,5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    variables = group_variables(1, ("0", "2"), 1234)
    assert variables["CUDA_VISIBLE_DEVICES"] == "4,5"
    assert (variables["RANK"], variables["WORLD_SIZE"], variables["MASTER_PORT"]) == ("1", "2", "1234")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert group_variables(0, ("cpu",) * 4, 1)["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert group_variables(0, ("cpu",) * 4, 1)["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["901", "cv", "--jobs", "2", "--devices", "cpu,cpu"], "--jobs has no place beside it"),
        (["901", "fold0", "--device", "cpu", "--devices", "cpu,cpu"], "--device has no place beside it"),
        (["901", "fold0", "--devices", "gpu"], "must be numbers of CUDA devices"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(arguments) == 2
    assert sentence in capsys.readouterr().err


def start(drawn: Drawn, *options: str) -> subprocess.Popen[str]:
    """`medt_train 901 fold0` in two processes on the CPU."""
    command = [sys.executable, "-m", "medt_pipeline.commands.train", "901", "fold0", "--devices", "cpu,cpu", *options]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, "--workspace", str(drawn.root)], env=variables, text=True, **pipes)


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ("sys.exit(2)", "time.sleep(60)", 2),
        ("time.sleep(60)", "sys.exit(3)", 3),
        ("pass", "pass", 0),
        ("time.sleep(60)", "os.kill(os.getpid(), signal.SIGKILL)", None),
    ],
)
def test_a_process_that_was_stopped_is_not_taken_for_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str, status: int | None
) -> None:
    lines = ("import os, signal, sys, time", "if os.environ['RANK'] == '0':", f"    {first}", "else:", f"    {second}")
    (tmp_path / "one_of_two.py").write_text("\n".join(lines))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if status is not None:
        assert launch("one_of_two", [], ("cpu", "cpu")) == status
    else:
        with pytest.raises(UserError, match="device number 1 was killed by signal 9"):
            launch("one_of_two", [], ("cpu", "cpu"))


def test_processes_that_an_interruption_ended_are_not_taken_for_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        "import os, signal, time",
        "signal.signal(signal.SIGINT, signal.SIG_DFL)",
        "os.kill(os.getpid(), signal.SIGINT) if os.environ['RANK'] == '0' else time.sleep(60)",
    )
    (tmp_path / "one_of_two.py").write_text("\n".join(lines))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    sleep = time.sleep

    def interrupted(seconds: float) -> None:
        sleep(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        launch("one_of_two", [], ("cpu", "cpu"))


@pytest.mark.slow
def test_a_group_that_is_stopped_goes_on_to_the_result_of_one_that_was_not(planned: Drawn, tmp_path: Path) -> None:
    small = planned.copy(tmp_path / "stopped", "results")
    shorten(small, epochs=8, gates_fixed_epochs=1)
    whole = small.copy(tmp_path / "whole")
    undisturbed = start(whole)
    printed, told = undisturbed.communicate(timeout=900)
    assert undisturbed.returncode == 0, told
    assert printed.count("Held-out cases of fold 0") == 1
    fold = small.workspace.results / MODEL / "fold_0"
    stopped = start(small)
    while not (fold / "checkpoint_best.pth").exists() and stopped.poll() is None:
        time.sleep(0.05)
    stopped.send_signal(signal.SIGTERM)
    _, told = stopped.communicate(timeout=900)
    assert stopped.returncode == 130, told
    assert told.count("go on with the same command and --resume") == 1
    assert (fold / "checkpoint_latest.pth").exists()
    assert not [path for path in fold.rglob("*") if ".part" in path.name]
    resumed = start(small, "--resume")
    _, told = resumed.communicate(timeout=900)
    assert resumed.returncode == 0, told
    weights, others = (
        torch.load(drawn.workspace.results / MODEL / "fold_0" / "checkpoint_final.pth", weights_only=True)
        for drawn in (whole, small)
    )
    assert weights["logging"]["train_losses"] == others["logging"]["train_losses"]
    for name, value in weights["network_weights"].items():
        assert torch.equal(value, others["network_weights"][name]), name
    assert json.loads((fold / "medt_run.json").read_text())["devices"] == 2


@pytest.mark.slow
def test_more_devices_than_patches_are_refused_once(planned: Drawn, tmp_path: Path) -> None:
    small = planned.copy(tmp_path / "workspace", "results")
    file = small.preprocessed / "MedTPlans.json"
    plans = json.loads(file.read_text())
    plans["configurations"]["2d"]["batch_size"] = 1
    file.write_text(json.dumps(plans))
    refused = start(small)
    _, told = refused.communicate(timeout=900)
    assert refused.returncode == 2
    assert told.count("error:") == 1
    assert "A step has 1 patches, which 2 devices cannot share" in told
    assert not list((small.workspace.results / DATASET_NAME).rglob("*.pth"))


RESTARTED = """
import os, time
import torch
from medt_pipeline.training.group import Group, joined
again, rank = os.environ["TORCHELASTIC_RESTART_COUNT"] != "0", os.environ["RANK"]
if again and rank == "0":
    time.sleep(3)
with joined(torch.device("cpu")):
    Group().wait()
    if not again and rank == "1":
        os._exit(9)
    Group().wait()
"""


def test_processes_that_torchrun_starts_again_do_not_look_for_the_old_ones(tmp_path: Path) -> None:
    """The second finds what the first left in torchrun's store before it was ended, and used to wait for it."""
    (tmp_path / "script.py").write_text(RESTARTED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1"]
    command += ["--master-port", str(port), str(tmp_path / "script.py")]
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=300, capture_output=True)
