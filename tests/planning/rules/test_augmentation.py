from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.fingerprint.set_stain import StainSummary
from medt_pipeline.fingerprint.set_ultrasound import UltrasoundSummary
from medt_pipeline.fingerprint.spread import Spread
from medt_pipeline.planning.rules.augmentation import AugmentationPolicy, choose_augmentation

BUSI = UltrasoundSummary(270, 1.0, 0.03, 0.48, 8.39, 0.33, 0.081, -1.63, 0.981, 0.359, 0.974)
GLAS = StainSummary(
    cases=85,
    cases_with_vectors=85,
    haematoxylin=(0.487, 0.829, 0.276),
    eosin=(0.152, 0.951, 0.271),
    stain_angle_deg=20.2,
    haematoxylin_reference_angle_deg=11.0,
    eosin_reference_angle_deg=10.2,
    haematoxylin_deviation_deg=Spread(85, 1.6, 3.8, 9.3),
    eosin_deviation_deg=Spread(85, 1.4, 5.2, 18.2),
    haematoxylin_mean=Spread(85, 0.21, 0.29, 0.38),
    eosin_mean=Spread(85, 0.18, 0.24, 0.3),
    haematoxylin_p99=Spread(85, 0.536, 0.793, 1.093),
    eosin_p99=Spread(85, 0.403, 0.479, 0.609),
    tissue_share=0.49,
    background_share=0.14,
    background_level=0.93,
    deviations_deg={},
)


def test_other_images_are_varied_as_nnunet_does() -> None:
    decision = choose_augmentation("other", None, None, 100)
    assert decision.value == AugmentationPolicy("none", (0, 1), None)


def test_glas_is_turned_freely_and_jittered_as_far_as_its_slides_differ() -> None:
    decision = choose_augmentation("histology", GLAS, None, 100)
    policy = decision.value
    assert (policy.kind, policy.mirror_axes, policy.rotation_deg) == ("histology", (0, 1), 180)
    assert (policy.spatial_probability, policy.border) == (0.7, "mirror")
    assert "70% of the patches are turned and as many zoomed" in decision.reason
    assert policy.stain_vectors == (GLAS.haematoxylin, GLAS.eosin)
    assert policy.stain_scale[0] == pytest.approx(math.log(1.093 / 0.536) / 2, abs=1e-3)
    assert policy.stain_scale[1] == pytest.approx(math.log(0.609 / 0.403) / 2, abs=1e-3)
    assert policy.stain_angle_deg == pytest.approx(20.2 / 4)
    assert "1.43 and 1.23 times" in decision.reason
    assert "85 stained cases" in decision.reason
    assert decision.facts["haematoxylin_p99"] == [0.536, 0.793, 1.093]


def test_uniform_slides_get_the_least_jitter_and_odd_ones_no_more_than_the_most() -> None:
    same = Spread(85, 0.5, 0.5, 0.5)
    uniform = replace(
        GLAS,
        haematoxylin_p99=same,
        eosin_p99=Spread(85, 0.0, 0.5, 9.0),
        haematoxylin_deviation_deg=Spread(85, 0, 0, 0),
        eosin_deviation_deg=None,
    )
    policy = choose_augmentation("histology", uniform, None, 100).value
    assert (policy.stain_scale, policy.stain_angle_deg) == ((0.1, 0.1), 1.0)
    wild = replace(GLAS, haematoxylin_p99=Spread(85, 0.01, 0.5, 9.0), stain_angle_deg=60.0)
    policy = choose_augmentation("histology", wild, None, 100).value
    assert (policy.stain_scale[0], policy.stain_angle_deg) == (0.4, 6.0)


@pytest.mark.parametrize("stain", [None, replace(GLAS, haematoxylin=None, eosin=None)])
def test_without_stains_published_vectors_are_jittered(stain: StainSummary | None) -> None:
    decision = choose_augmentation("histology", stain, None, 100)
    assert decision.value.stain_vectors == AugmentationPolicy.stain_vectors
    assert "no stains were measured" in decision.reason


def test_busi_keeps_its_depth_axis() -> None:
    decision = choose_augmentation("ultrasound", None, BUSI, 100)
    policy = decision.value
    assert (policy.kind, policy.mirror_axes, policy.rotation_deg) == ("ultrasound", (1,), 15)
    # Outside a sector it is black as it is.
    assert (policy.spatial_probability, policy.border) == (0.7, "black")
    assert policy.gain_log == pytest.approx(math.sqrt(3) * 0.081 / 0.33, abs=1e-3)
    # Speckle of this strength has half of the variance that an SNR of 8.39 tells of.
    assert (policy.speckle_strength * math.sqrt(4 / math.pi - 1)) ** 2 == pytest.approx(0.5 / 8.39**2, rel=1e-2)
    assert policy.depth_log == pytest.approx(1.63 / 3, abs=1e-3)
    assert "98% of the images get darker with depth and 97% are brighter above" in decision.reason
    assert decision.facts["gain_std"] == 0.081


@pytest.mark.parametrize(
    ("darker", "brighter", "axes"),
    [(0.8, 0.1, (1,)), (0.1, 0.8, (1,)), (0.79, 0.79, (0, 1)), (0.0, 0.0, (0, 1))],
)
def test_the_depth_axis_counts_only_if_the_data_say_so(darker: float, brighter: float, axes: tuple) -> None:
    measured = replace(BUSI, darker_with_depth_share=darker, upper_brighter_share=brighter)
    policy = choose_augmentation("ultrasound", None, measured, 100).value
    assert policy.mirror_axes == axes
    assert policy.rotation_deg == (15 if axes == (1,) else None)


def test_facts_that_are_missing_leave_usual_strengths() -> None:
    unknown = replace(BUSI, speckle_snr=None, gain=None, gain_std=None, depth_slope=None)
    decision = choose_augmentation("ultrasound", None, unknown, 100)
    usual = AugmentationPolicy(kind="ultrasound", mirror_axes=(1,), rotation_deg=15, spatial_probability=0.7)
    assert decision.value == usual
    assert "SNR unknown" in decision.reason
    assert choose_augmentation("ultrasound", None, None, 100).value == usual


@pytest.mark.parametrize("modality", ["histology", "ultrasound", "other"])
def test_policies_survive_the_plans_file(modality) -> None:
    decision = choose_augmentation(modality, GLAS, BUSI, 100)
    assert AugmentationPolicy.from_plan(json.loads(json.dumps(asdict(decision.value)))) == decision.value
    json.dumps(decision.facts)


def test_all_faults_of_a_plan_are_named_together() -> None:
    record = asdict(AugmentationPolicy()) | {
        "kind": "mri",
        "mirror_axes": [2],
        "rotation_deg": 200,
        "spatial_probability": -1,
        "border": "white",
        "gain_probability": 1.5,
        "gain_log": "much",
        "stain_scale": [0.1],
        "stain_vectors": [[1, 0, 0], ["a", 0, 0]],
        "colour": 1,
    }
    with pytest.raises(UserError) as caught:
        AugmentationPolicy.from_plan(record)
    names = ("kind", "mirror_axes", "rotation_deg", "spatial_probability", "border", "gain_probability", "gain_log")
    for name in (*names, "stain_scale", "stain_vectors"):
        assert f"`{name}`" in str(caught.value)
    assert "unknown key 'colour'" in str(caught.value)


def test_the_rule_needs_no_torch() -> None:
    script = "import sys, medt_pipeline.planning.rules.augmentation; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_few_ultrasound_images_have_rectangles_exchanged() -> None:
    few, enough = (choose_augmentation("ultrasound", None, BUSI, cases) for cases in (29, 30))
    assert (few.value.cutmix_probability, enough.value.cutmix_probability) == (0.5, 0)
    assert "So few cases (29)" in few.reason
    assert few.facts["cases"] == 29
    assert replace(few.value, cutmix_probability=0.0) == enough.value
    assert choose_augmentation("histology", GLAS, None, 10).value.cutmix_probability == 0
