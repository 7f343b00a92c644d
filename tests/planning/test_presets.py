from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.network.topology import MIN_SIDE
from medt_pipeline.planning.presets import LEAST_SIDE, Preset, load_preset, preset_from, preset_names

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT: dict[str, Any] = json.loads((REPOSITORY / "plans" / "default.json").read_text(encoding="utf-8"))


def refused(**changes: Any) -> str:
    with pytest.raises(UserError) as error:
        preset_from({**DEFAULT, **changes}, "mine.json")
    return str(error.value)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid(name: str) -> None:
    preset = load_preset(name)
    assert preset.configurations
    assert isinstance(preset.configurations, tuple)


def test_there_are_three() -> None:
    assert preset_names() == ["default", "fast", "paper"]


@pytest.mark.parametrize("name", ["default", "fast"])
def test_default_and_fast_keep_the_defaults_of_the_keys_that_they_do_not_name(name: str) -> None:
    preset = load_preset(name)
    assert (preset.optimizer, preset.loss, preset.augmentation, preset.form) == ("AdamW", "dice_ce", "auto", "formula")
    assert (preset.fixed_patch_size, preset.passes_over_data, preset.deep_supervision) == (None, None, None)
    assert (preset.foreground_oversampling, preset.batch_dice, preset.schedule) == (None, None, "poly")
    assert preset.configurations == ("2d", "2d_whole", "2d_unet")


def test_paper_is_the_published_recipe() -> None:
    """train.py, utils.py and the README's command of github.com/jeya-maria-jose/Medical-Transformer."""
    paper = load_preset("paper")
    assert paper.fixed_patch_size == (128, 128)
    assert paper.form == "published"
    assert (paper.optimizer, paper.learning_rate, paper.weight_decay) == ("Adam", 1e-3, 1e-5)
    assert (paper.schedule, paper.warmup_epochs, paper.gates_fixed_epochs) == ("constant", 0, 10)
    assert (paper.batch_size, paper.epochs, paper.passes_over_data) == (4, 400, 400)
    assert (paper.loss, paper.augmentation, paper.foreground_oversampling) == ("ce", "flips_horizontal", 0)


def test_all_mistakes_are_reported_together_with_what_is_allowed() -> None:
    content = {**DEFAULT, "batch_size": "four", "optimizer": "adam", "epoch": 3, "patch_pixels": {"cpu": 400}}
    del content["folds"]
    with pytest.raises(UserError) as error:
        preset_from(content, "mine.json")
    lines = str(error.value).splitlines()
    assert lines[0] == "mine.json is not a preset; 5 things to mend:"
    assert sorted(lines[1:]) == [
        "  - `batch_size` must be a whole number of at least 1, got 'four'.",
        "  - `epoch` is not a key (did you mean `epochs`?).",
        "  - `folds` is missing; it must be a whole number of at least 2.",
        "  - `optimizer` must be one of AdamW, Adam, SGD, got 'adam'.",
        "  - `patch_pixels.gpu` is missing; it must be a whole number of at least 256.",
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"min_steps": 50_000}, "`min_steps` must be at most `max_steps` (40000), got 50000"),
        ({"warmup_epochs": 120}, "`warmup_epochs` must be at most 119, as there are 120 `epochs`, got 120"),
        ({"gates_fixed_epochs": 121}, "`gates_fixed_epochs` must be at most 120, as there are 120 `epochs`, got 121"),
        ({"configurations": []}, "`configurations` must name one at least"),
        ({"configurations": ["2d", "2d"]}, "`configurations` must be a list without repetition"),
        ({"configurations": ["3d"]}, "each entry one of 2d, 2d_whole, 2d_unet"),
        ({"fixed_patch_size": [128, 8]}, "each a whole number of at least 16, or null, got [128, 8]"),
        ({"fixed_patch_size": [130, 126]}, "breaks the rule topology.logo_topology: image_size (130, 126)"),
        ({"learning_rate": 0}, "`learning_rate` must be a number above 0 and at most 1, got 0"),
        ({"foreground_oversampling": 1.5}, "`foreground_oversampling` must be a number of at least 0 and at most 1"),
        ({"passes_over_data": 0}, "`passes_over_data` must be a number above 0, or null, got 0"),
        ({"max_share_of_pixels_per_step": 2}, "must be a number above 0 and at most 1, got 2"),
        ({"patch_pixels": {"cpu": 100, "gpu": 24576}}, "`patch_pixels.cpu` must be a whole number of at least 256"),
    ],
)
def test_what_is_out_of_range_or_contradicts_itself(changes: dict[str, Any], sentence: str) -> None:
    message = refused(**changes)
    assert sentence in message
    assert "1 thing to mend" in message


@pytest.mark.parametrize("name", [one.name for one in dataclasses.fields(Preset)])
def test_no_key_takes_anything(name: str) -> None:
    assert f"`{name}` must be " in refused(**{name: {"nothing": "like this"}}) or name == "patch_pixels"


def test_every_key_is_described() -> None:
    text = (REPOSITORY / "docs" / "reference" / "presets.md").read_text(encoding="utf-8")
    assert not [one.name for one in dataclasses.fields(Preset) if f"| `{one.name}` |" not in text]


def test_unknown_preset_names_the_known() -> None:
    with pytest.raises(UserError, match="There is no preset 'fancy'; choose one of: default, fast, paper"):
        load_preset("fancy")


def test_the_shortest_side_is_the_networks() -> None:
    assert LEAST_SIDE == MIN_SIDE


def test_importing_and_loading_needs_no_torch() -> None:
    code = (
        "import sys; import medt_pipeline.planning.overrides, medt_pipeline.planning.comparison;"
        "import medt_pipeline.planning.rules.normalization, medt_pipeline.planning.rules.folds;"
        "from medt_pipeline.planning.presets import load_preset; load_preset('default'); print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
