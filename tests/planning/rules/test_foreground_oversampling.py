from __future__ import annotations

import dataclasses

import pytest

from medt_pipeline.fingerprint.set_images import SizeCount
from medt_pipeline.planning.rules.foreground_oversampling import choose_foreground_oversampling
from medt_pipeline.planning.rules.resolution import Resolution
from tests.planning.summaries import real_summary

CLASS = next(iter(real_summary("glas").classes.values()))


@pytest.mark.parametrize(
    ("height", "pixel_share", "expected"),
    [(256, 0.4, 0.0), (257, 0.0001, 0.0), (400, 0.4, 0.33), (400, 0.009, 0.5), (400, 0.0, 0.0)],
)
def test_share_follows_what_a_patch_may_miss(height: int, pixel_share: float, expected: float) -> None:
    sizes = [SizeCount(height, 384, 3), SizeCount(100, 100, 80)]
    one = dataclasses.replace(CLASS, pixel_share=pixel_share)
    decision = choose_foreground_oversampling(Resolution((128, 192), 2.0, True), sizes, [one])
    assert decision.value == expected


def test_the_rarest_class_decides_and_is_named() -> None:
    rare = dataclasses.replace(CLASS, name="vessel", pixel_share=0.004)
    decision = choose_foreground_oversampling(
        Resolution((128, 192), 1.0, False), [SizeCount(300, 300, 9)], [CLASS, rare]
    )
    assert decision.value == 0.5
    assert "vessel covers 0.40%" in decision.reason
