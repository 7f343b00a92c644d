from __future__ import annotations

import pytest

from medt_pipeline.planning.presets import DeviceKind
from medt_pipeline.planning.rules.network import choose_network


@pytest.mark.parametrize(
    ("cases", "kind", "expected"),
    [
        (5, "gpu", "MedT-M"),
        (5000, "cpu", "MedT-M"),
        (199, "gpu", "MedT-M"),
        (200, "gpu", "MedT-L"),
    ],
)
def test_size_follows_device_and_cases(cases: int, kind: DeviceKind, expected: str) -> None:
    decision = choose_network(cases, kind)
    assert decision.value == expected
    assert decision.reason.startswith(f"{expected}: ")


def test_few_cases_bring_the_advice_to_train_a_unet_too() -> None:
    assert "2d_unet" in choose_network(29, "cpu").reason
    assert "2d_unet" not in choose_network(30, "cpu").reason
