"""Two processes against one that has the whole batch: the real trainer, 20 steps, on a CPU."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.training import run
from medt_pipeline.training.group import Group
from medt_pipeline.training.seeding import seed_generators
from medt_pipeline.training.trainer import nnUNetTrainerMedT
from tests.conftest import DATASET_NAME, Drawn

PROCESSES, STEPS, PATCH = 2, 20, (32, 48)
IGNORED = 2
"""The label of pixels that do not count."""
CONFIGURATIONS = {"2d": (2, False), "2d_medt": (3, False), "2d_unet": (3, True)}
"""By name, patches of a step and whether some pixels are to be ignored. The first has a loss at several sizes, the
second batch normalisation, also of the similarities, and gates that are freed on the way."""


def edit(preprocessed: Path) -> None:
    """Plans with these batches, and with a label to be ignored."""
    file = preprocessed / "MedTPlans.json"
    plans = json.loads(file.read_text())
    schedule = {"iterations_per_epoch": 10, "validation_iterations_per_epoch": 1, "epochs": 2, "gates_fixed_epochs": 1}
    for name, (batch, _) in CONFIGURATIONS.items():
        one = plans["configurations"][name]
        one |= {"batch_size": batch, "batch_dice": batch == 3, "patch_size": list(PATCH)}
        # Depths are drawn by each process.
        one["architecture"]["arch_kwargs"].pop("stochastic_depth", None)
        if "image_size" in one["architecture"]["arch_kwargs"]:
            one["architecture"]["arch_kwargs"]["image_size"] = list(PATCH)
        inherited = plans["configurations"]["2d"]["medt"]
        one["medt"] = {**inherited, **one.get("medt", {})}
        one["medt"]["schedule"] = {**inherited["schedule"], **schedule, "optimizer": "SGD", "learning_rate": 1e-3}
    file.write_text(json.dumps(plans))


def batches(trainer: nnUNetTrainerMedT, ignores: bool) -> Iterator[dict]:
    """This process's part of the same random batches, whatever the number of processes."""
    rng = np.random.default_rng(7)
    whole = trainer.configuration_manager.batch_size
    shares = [len(part) for part in np.array_split(np.arange(whole), trainer.group.size)]
    here = slice(sum(shares[: trainer.group.rank]), sum(shares[: trainer.group.rank + 1]))
    assert trainer.batch_size == shares[trainer.group.rank]
    scales = trainer._get_deep_supervision_scales() or [[1.0, 1.0]]
    while True:
        data = torch.from_numpy(rng.normal(1, 1, (whole, 3, *PATCH)).astype(np.float32))
        target = (data.mean(1, keepdim=True) > 1.2).to(torch.int16)
        if ignores:
            target[0, :, 5:20] = IGNORED
        targets = [target[:, :, :: round(1 / down), :: round(1 / across)][here] for down, across in scales]
        yield {"data": data[here], "target": targets if trainer.enable_deep_supervision else targets[0]}


def losses_and_weights(preprocessed: Path, configuration: str, results: Path) -> dict:
    """Train with the batches above; losses of each step and validation, and all weights and running statistics."""
    group = Group()
    plans, dataset_json = read_json(preprocessed / "MedTPlans.json"), read_json(preprocessed / "dataset.json")
    ignores = CONFIGURATIONS[configuration][1]
    if ignores:
        dataset_json["labels"]["ignore"] = IGNORED
    seed_generators(3)
    trainer = run._make_trainer(plans, configuration, 0, dataset_json, torch.device("cpu"), False)
    trainer.output_folder = str(results)
    trainer.get_dataloaders = lambda: (batches(trainer, ignores), batches(trainer, ignores))  # type: ignore[method-assign]
    steps = []
    original = trainer.train_step
    trainer.train_step = lambda batch: steps.append(original(batch)) or steps[-1]  # type: ignore[method-assign]
    with run._console_to(None):
        trainer.run_training()
    mean = torch.tensor([float(one["loss"]) for one in steps], dtype=torch.float64) / group.size
    if group.size > 1:
        distributed.all_reduce(mean)
    logged = trainer.logger.local_logger.my_fantastic_logging
    return {
        "losses": mean,
        "train": logged["train_losses"],
        "validation": logged["val_losses"],
        "dice": logged["mean_fg_dice"],
        "weights": trainer.plain_network().state_dict(),
    }


def _process(rank: int, root: Path, meeting: str) -> None:
    from medt_pipeline.core.workspace import Workspace

    torch.set_num_threads(1)
    workspace = Workspace.locate(root).activate()
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=PROCESSES)
    for name in CONFIGURATIONS:
        folder = root / f"{name}_{rank}"
        folder.mkdir()
        found = losses_and_weights(workspace.preprocessed / DATASET_NAME, name, folder)
        torch.save(found, root / f"{name}_{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def in_two(planned: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawn]:
    """A copy of the data set, with what two processes made of each configuration, in float32 on every CPU."""
    root = tmp_path_factory.mktemp("group")
    copy = planned.copy(root / "workspace", "results")
    edit(copy.preprocessed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
        multiprocessing.spawn(_process, (copy.root, str(root / "meeting")), nprocs=PROCESSES)
        yield copy


@pytest.mark.slow
@pytest.mark.parametrize("configuration", list(CONFIGURATIONS))
def test_two_processes_train_as_one_with_the_whole_batch(in_two: Drawn, tmp_path: Path, configuration: str) -> None:
    in_two.workspace.activate()
    expected = losses_and_weights(in_two.preprocessed, configuration, tmp_path)
    first, second = (
        torch.load(in_two.root / f"{configuration}_{rank}.pt", weights_only=False) for rank in range(PROCESSES)
    )
    assert len(expected["losses"]) == STEPS
    # Rounding differs from the first step on, and training makes more of it with each step.
    torch.testing.assert_close(first["losses"][:5], expected["losses"][:5], rtol=0, atol=2e-6)
    torch.testing.assert_close(first["losses"], expected["losses"], rtol=0, atol=1e-4)
    for key in ("train", "validation", "dice"):
        assert first[key] == pytest.approx(expected[key], abs=5e-4)
    for name, value in expected["weights"].items():
        torch.testing.assert_close(first["weights"][name], value, rtol=1e-3, atol=1e-3, msg=name)
        assert torch.equal(first["weights"][name], second["weights"][name]), name
    written = {rank: list((in_two.root / f"{configuration}_{rank}").glob("*.pth")) for rank in range(PROCESSES)}
    assert written[0]
    assert not written[1]


def test_alone_it_decides_and_waits_for_nobody() -> None:
    group = Group()
    assert (group.rank, group.size, group.is_first) == (0, 1, True)
    assert group.by_first(lambda: 5) == 5
    with pytest.raises(UserError, match="no"):
        group.by_first(_refuse)
    group.agree()
    group.wait()
    assert group.now() <= group.now()


def _refuse() -> None:
    raise UserError("no")
