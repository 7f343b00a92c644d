from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medt_pipeline.training.checkpoint import read_checkpoint
from medt_pipeline.training.tensorboard_sink import TensorBoardSink
from tests.conftest import Drawn
from tests.training.test_training import MODEL

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the package tensorboard is not installed"
)


def read_events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of all scalars by tag, read by TensorBoard itself."""
    events = event_accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_reads_the_values_and_the_seconds_of_epochs(tmp_path: Path) -> None:
    sink = TensorBoardSink(tmp_path)
    for epoch, loss in enumerate((0.5, 0.25)):
        sink.log("epoch_start_timestamps", 1e9 + 10 * epoch, epoch)
        sink.log("train_losses", loss, epoch)
        sink.log("epoch_end_timestamps", 1e9 + 10 * epoch + 4, epoch)
    # Without closing: a training that is killed leaves its epochs behind.
    assert read_events(tmp_path) == {"train_losses": [(0, 0.5), (1, 0.25)], "epoch_seconds": [(0, 4), (1, 4)]}
    sink.close()


def test_an_epoch_that_is_trained_again_counts_once(tmp_path: Path) -> None:
    first, second = TensorBoardSink(tmp_path), TensorBoardSink(tmp_path)
    for epoch in range(3):
        first.log("train_losses", 1.0, epoch)
    first.close()
    for epoch in (1, 2):
        second.log("train_losses", 0.5, epoch)
    second.close()
    assert read_events(tmp_path) == {"train_losses": [(0, 1.0), (1, 0.5), (2, 0.5)]}


def test_nothing_is_written_before_the_first_value(tmp_path: Path) -> None:
    sink = TensorBoardSink(tmp_path)
    sink.log("epoch_start_timestamps", 1e9, 0)
    sink.close()
    assert not list(tmp_path.iterdir())


def test_a_training_writes_what_nnunet_logs(trained: Drawn) -> None:
    fold = trained.workspace.results / MODEL / "fold_0"
    logging = read_checkpoint(fold / "checkpoint_final.pth", torch.device("cpu"))["logging"]
    events = read_events(fold)
    for key in ("train_losses", "val_losses", "lrs", "mean_fg_dice", "ema_fg_dice"):
        steps, values = zip(*events[key], strict=True)
        assert steps == (0, 1)
        assert values == pytest.approx(logging[key], rel=1e-5, nan_ok=True)
    assert [value for _, value in events["dice_per_class_or_region/class_1"]] == pytest.approx(
        [one[0] for one in logging["dice_per_class_or_region"]], rel=1e-5, nan_ok=True
    )
