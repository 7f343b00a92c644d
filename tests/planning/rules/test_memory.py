from __future__ import annotations

from medt_pipeline.planning.rules.memory import choose_memory, choose_recomputation


def test_memory_is_a_share_of_the_device_unless_it_was_set() -> None:
    assert choose_memory(None, 16, "cpu").value == 8
    assert choose_memory(None, 80, "gpu").value == 72
    assert "90% of the 80.0 GB of this GPU" in choose_memory(None, 80, "gpu").reason
    assert choose_memory(3, 16, "cpu").value == 3
    assert "as it was set" in choose_memory(3, 16, "cpu").reason


def test_attention_is_computed_again_only_where_too_few_patches_fit() -> None:
    assert not choose_recomputation(2, 2, 2, 4).value
    decision = choose_recomputation(1, 3, 2, 4)
    assert decision.value
    assert "1 patch a step" in decision.reason
    assert "3 patches where attention is computed again" in decision.reason
