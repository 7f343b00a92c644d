from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.planning.overrides import Overrides, parse_overrides
from medt_pipeline.planning.presets import load_preset


def refused(*assignments: str) -> list[str]:
    with pytest.raises(UserError) as error:
        parse_overrides(assignments)
    return [line.removeprefix("  - ") for line in str(error.value).splitlines()[1:]]


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("patch_size=256,384", {"patch_size": (256, 384)}),
        (" batch_size = 8 ", {"batch_size": 8}),
        ("learning_rate=1e-3", {"learning_rate": 0.001}),
        ("weight_decay=0", {"weight_decay": 0.0}),
        ("reduction=2.5", {"reduction": 2.5}),
        ("normalization=ZScoreNormalization", {"normalization": ("ZScoreNormalization",)}),
        ("normalization=ZScoreNormalization,ZScoreNormalization", {"normalization": ("ZScoreNormalization",) * 2}),
        ("mirror_axes=1", {"mirror_axes": (1,)}),
        ("mirror_axes=none", {"mirror_axes": ()}),
        ("modality=ultrasound", {"modality": "ultrasound"}),
        ("architecture=AxialUNet", {"architecture": "AxialUNet"}),
        ("configurations=2d,2d_unet", {"configurations": ("2d", "2d_unet")}),
        ("deep_supervision=True", {"deep_supervision": True}),
        ("deep_supervision=false", {"deep_supervision": False}),
        ("folds=3", {"folds": 3}),
        ("passes_over_data=40", {"passes_over_data": 40.0}),
    ],
)
def test_values_are_typed(assignment: str, expected: dict[str, Any]) -> None:
    assert parse_overrides([assignment]).given() == expected


def test_nothing_set() -> None:
    assert parse_overrides([]) == Overrides()
    assert Overrides().given() == {}
    assert Overrides().applied_to(load_preset("paper")) == load_preset("paper")


def test_all_mistakes_are_reported_together() -> None:
    assert refused("patch=3", "batch_size=1.5", "nonsense", "epochs=10", "epochs=20", "modality=xray", "folds=") == [
        "`patch` is not a key (did you mean `patch_size`?).",
        "'nonsense' must be KEY=VALUE, such as batch_size=8.",
        "`epochs` is set twice, to '10' and '20'; keep one.",
        "`batch_size` must be a whole number of at least 1, got '1.5'.",
        "`modality` must be one of histology, ultrasound, other, got 'xray'.",
        "`folds` must be a whole number of at least 2, got ''.",
    ]


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        (["patch_size=250,384", "architecture=MedT"], "the nearest sizes that can are (248, 384) and (252, 384)"),
        (["patch_size=250,384", "architecture=LoGo"], "breaks the rule topology.logo_topology"),
        (["patch_size=8,8"], "`patch_size` must be a list of 2, each a whole number of at least 16, got '8,8'"),
        (["patch_size=256"], "`patch_size` must be a list of 2"),
        (["iterations_per_epoch=9", "passes_over_data=9"], "both set the number of training steps"),
        (["fixed_patch_size=128,128", "patch_size=128,128"], "exclude each other"),
        (["fixed_patch_size=128,128", "reduction=2"], "exclude each other"),
        (["epochs=5", "warmup_epochs=5"], "`warmup_epochs` must be at most 4 with 5 `epochs`, got 5"),
        (["epochs=5", "gates_fixed_epochs=6"], "`gates_fixed_epochs` must be at most 5 with 5 `epochs`, got 6"),
        (["architecture=UNet", "form=published"], "`form` is that of the published networks, which UNet is not"),
        (["mirror_axes=2"], "each entry a whole number of at least 0 and at most 1, got '2'"),
        (["mirror_axes=0,0"], "a list without repetition"),
        (["passes_over_data=none"], "`passes_over_data` must be a number above 0, got 'none'"),
        (["learning_rate=nan"], "`learning_rate` must be a number above 0 and at most 1, got 'nan'"),
        (["deep_supervision=1"], "`deep_supervision` must be true or false, got '1'"),
        (
            ["architecture=ResNet"],
            "MedT-L, MedT, LoGo, GatedAxialUNet, AxialUNet, UNet, ResEncUNet",
        ),
    ],
)
def test_contradictions_name_the_rule(assignments: list[str], sentence: str) -> None:
    found = refused(*assignments)
    assert len(found) == 1
    assert sentence in found[0]


def test_other_architectures_take_patches_without_a_grid() -> None:
    for architecture in ("AxialUNet", "MedT-M"):
        assert parse_overrides(["patch_size=250,384", f"architecture={architecture}"]).patch_size == (250, 384)


def test_a_preset_takes_what_was_set_and_follows() -> None:
    preset = load_preset("default")
    found = parse_overrides(["epochs=12", "batch_size=2", "modality=other"]).applied_to(preset)
    assert found == dataclasses.replace(preset, epochs=12, batch_size=2, warmup_epochs=0, gates_fixed_epochs=0)
    kept = parse_overrides(["epochs=12", "warmup_epochs=3"]).applied_to(preset)
    assert (kept.warmup_epochs, kept.gates_fixed_epochs) == (3, 0)


def test_a_preset_gives_way() -> None:
    paper = load_preset("paper")
    assert parse_overrides(["patch_size=256,256"]).applied_to(paper).fixed_patch_size is None
    assert parse_overrides(["iterations_per_epoch=50"]).applied_to(paper).passes_over_data is None
    assert parse_overrides(["batch_size=8"]).applied_to(paper).passes_over_data == 400


def test_what_contradicts_the_preset_is_refused() -> None:
    with pytest.raises(UserError, match="`warmup_epochs` must be at most 119, as there are 120 `epochs`, got 120"):
        parse_overrides(["warmup_epochs=120"]).applied_to(load_preset("default"))
