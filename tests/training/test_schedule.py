from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.training.progress import TrainingProgress, format_seconds
from medt_pipeline.training.schedule import ClockLR, TrainingClock, learning_rate


class Time:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.value = 100.0

    def __call__(self) -> float:
        return self.value


def make_clock(**arguments) -> TrainingClock:
    return TrainingClock(**{"iterations_per_epoch": 10, "warmup_share": 0.1, "epochs": 20, "now": Time(), **arguments})


@given(st.floats(0, 1), st.floats(0, 1))
def test_learning_rate_stays_between_zero_and_the_initial_one(progress: float, warmup: float) -> None:
    assert 0 <= learning_rate(1e-3, progress, warmup) <= 1e-3


def test_learning_rate_rises_then_falls_to_zero_by_epochs() -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    clock = make_clock()
    scheduler = ClockLR(optimizer, 1e-3, clock)
    rates = []
    for clock.iteration in range(201):
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    peak = rates.index(max(rates))
    assert peak == 20
    assert rates[0] == pytest.approx(1e-5)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == 0


def test_with_a_budget_the_schedule_follows_the_time() -> None:
    clock = make_clock(epochs=10**6, budget=50.0)
    clock.start()
    clock.now.value += 25
    clock.iteration = 3
    assert clock.progress() == pytest.approx(0.5)
    assert clock.seconds_left() == pytest.approx(25)
    assert not clock.budget_is_spent()
    clock.now.value += 25
    assert clock.budget_is_spent()
    assert clock.progress() == 1


def test_seconds_of_earlier_sessions_count() -> None:
    clock = make_clock(budget=50.0, seconds=45.0)
    clock.start()
    clock.now.value += 5
    assert clock.budget_is_spent()


def test_a_short_budget_has_its_warm_up_too() -> None:
    clock = make_clock(epochs=10**6, budget=50.0)
    clock.start()
    clock.now.value += 5
    assert clock.warmup() == pytest.approx(1)


def test_words_are_shown_until_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrainingProgress(TrainingClock(1, 0.0, 2), "fold 0")
    progress.tell("preparing")
    progress.after_step(0.5, epoch=0)
    progress.close()
    shown = capsys.readouterr().err
    assert "preparing" in shown
    assert shown.rindex("loss 0.500") > shown.rindex("preparing")


def test_progress_says_epoch_loss_dice_and_time_left() -> None:
    clock = make_clock()
    clock.start()
    progress = TrainingProgress(clock, "fold 0", quiet=True)
    clock.iteration, clock.now.value = 50, 130.0
    progress.after_step(0.5, epoch=5)
    progress.dice = 0.75
    assert progress.text(epoch=5) == "epoch 6/20, loss 0.500, pseudo Dice 0.750, 1:30 left"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3725, "1:02:05")])
def test_seconds_as_text(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
