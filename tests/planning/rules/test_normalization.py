from __future__ import annotations

import numpy as np
import pytest
from nnunetv2.preprocessing.normalization import default_normalization_schemes as schemes

from medt_pipeline.demo.histology import draw_histology
from medt_pipeline.demo.ultrasound import draw_ultrasound
from medt_pipeline.planning.rules.modality import Modality, choose_modality
from medt_pipeline.planning.rules.normalization import choose_normalization
from tests.planning.summaries import real_summary, summary_of

RGB, RESCALE, Z = "RGBTo01Normalization", "RescaleTo01Normalization", "ZScoreNormalization"


@pytest.mark.parametrize(("name", "scheme"), [("glas", RGB), ("monuseg", RGB), ("busi", Z), ("usgra", Z)])
def test_real_sets(name: str, scheme: str) -> None:
    summary = real_summary(name)
    decision = choose_normalization(summary, choose_modality(summary).value)
    assert decision.value == [scheme] * 3
    assert decision.reason.endswith(".")
    assert decision.facts["bit_depths"] == {"8": summary.cases}


GRAY = [draw_ultrasound(np.random.default_rng(i), 96, 128)[0].astype(float) for i in range(3)]
COLOUR = [draw_histology(np.random.default_rng(i), 96, 128)[0].astype(float) for i in range(3)]
ALPHA = [np.concatenate([one, np.full((*one.shape[:2], 1), 255.0)], -1) for one in COLOUR]


@pytest.mark.parametrize(
    ("images", "modality", "expected"),
    [
        pytest.param(GRAY, "ultrasound", [Z], id="gray"),
        pytest.param([np.stack([one] * 3, -1) for one in GRAY], "ultrasound", [Z] * 3, id="gray as RGB"),
        pytest.param(COLOUR, "histology", [RGB] * 3, id="colour"),
        pytest.param(COLOUR, "other", [RGB] * 3, id="colour, other"),
        pytest.param([np.rint(COLOUR[0] * 0.4), COLOUR[1]], "other", [Z] * 3, id="colour of two exposures"),
        pytest.param([COLOUR[0] * 0.1, COLOUR[1]], "histology", [Z] * 3, id="float colour"),
        pytest.param([np.rint(COLOUR[0] * 0.4), COLOUR[1]], "histology", [RGB] * 3, id="dark histology"),
        pytest.param([one * 257 for one in COLOUR], "histology", [Z] * 3, id="16-bit colour"),
        pytest.param([COLOUR[0], COLOUR[1] * 257], "histology", [Z] * 3, id="8 and 16 bits"),
        pytest.param([one / 255 for one in COLOUR], "histology", [Z] * 3, id="float 0 to 1"),
        pytest.param([one - 1000.5 for one in GRAY], "other", [Z], id="negative float"),
        pytest.param(ALPHA, "other", [Z, Z, Z, RGB], id="RGBA"),
        pytest.param([one * 257 for one in ALPHA], "other", [Z, Z, Z, RESCALE], id="16-bit RGBA"),
        pytest.param([np.zeros((64, 64))] * 2, "other", [RGB], id="black"),
        pytest.param([np.full((64, 64), 60000.0)], "other", [RESCALE], id="constant 16-bit"),
    ],
)
def test_drawn_sets(images: list[np.ndarray], modality: Modality, expected: list[str]) -> None:
    decision = choose_normalization(summary_of(images), modality)
    assert decision.value == expected
    assert decision.reason.endswith(".")
    for image in images:
        for channel, scheme in zip(np.moveaxis(np.atleast_3d(image), -1, 0), decision.value, strict=True):
            found = getattr(schemes, scheme)(False, {}).run(channel.astype(np.float32))
            assert np.isfinite(found).all()
            assert np.abs(found).max() < 50


def test_only_the_constant_channel_is_named() -> None:
    assert "channel 3 is constant" in choose_normalization(summary_of(ALPHA), "other").reason
