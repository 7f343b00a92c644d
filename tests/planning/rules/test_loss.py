from __future__ import annotations

import pytest

from medt_pipeline.planning.rules.loss import choose_batch_dice, choose_deep_supervision
from tests.planning.summaries import real_summary


@pytest.mark.parametrize("name", ["glas", "busi"])
def test_dice_is_counted_over_the_batch_with_the_facts(name: str) -> None:
    summary = real_summary(name)
    decision = choose_batch_dice(list(summary.classes.values()), summary.empty_masks)
    assert decision.value
    assert f"{summary.empty_masks} masks are empty" in decision.reason


@pytest.mark.parametrize(("patch_size", "expected"), [((64, 192), True), ((32, 192), False), ((512, 512), True)])
def test_deep_supervision_needs_a_patch_with_lower_resolutions(patch_size: tuple[int, int], expected: bool) -> None:
    decision = choose_deep_supervision(patch_size)
    assert decision.value is expected
    assert str(min(patch_size)) in decision.reason
