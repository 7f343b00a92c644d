from __future__ import annotations

import pytest

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json
from medt_pipeline.inference.model_content import plans_content
from medt_pipeline.planning.foreign_plans import require_known_parts
from tests.conftest import Drawn


@pytest.mark.parametrize("configuration", ["2d", "2d_medt", "2d_logo", "2d_gated", "2d_axial", "2d_unet", "2d_resenc"])
def test_what_our_planner_writes_passes(planned: Drawn, configuration: str) -> None:
    plans = plans_content(read_json(planned.preprocessed / "MedTPlans.json"), [configuration])
    require_known_parts(plans, configuration, "a.medt")


def evil(path: str, value: object):
    """Put `value` at `path` of the plans' configuration 2d, or of the plans where `path` begins with /."""

    def change(plans: dict) -> dict:
        place = plans if path.startswith("/") else plans["configurations"]["2d"]
        *steps, last = path.strip("/").split(".")
        for step in steps:
            place = place[step]
        place[last] = value
        return plans

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (evil("architecture.network_class_name", "os.system"), "network 'os.system' is unknown"),
        (evil("architecture._kw_requires_import", ["size"]), "would import 'M'"),
        (evil("architecture.arch_kwargs.image_size", [10**9, 10**9]), "numbers of at most"),
        (evil("preprocessor_name", "Evil"), "preprocessor_name"),
        (evil("normalization_schemes", ["Evil"] * 3), "normalization"),
        (evil("resampling_fn_data", "evil"), "resampling_fn_data"),
        (evil("resampling_fn_data_kwargs", {"evil": 1}), "evil"),
        (evil("patch_size", [10**6, 64]), "patch_size"),
        (evil("patch_size", "64"), "patch_size"),
        (evil("inherits_from", "2d"), "does not stand alone"),
        (evil("medt", {"fixed_size": [0, 10**9]}), "fixed_size"),
        (evil("medt", {"antialiased": "evil"}), "antialiased"),
        (evil("/label_manager", "Evil"), "label_manager"),
        (evil("/image_reader_writer", "Evil"), "image_reader_writer"),
        (evil("/transpose_forward", [2, 1, 0]), "axes are turned"),
    ],
)
def test_plans_that_name_foreign_code_or_absurd_sizes_are_refused(planned: Drawn, change, sentence: str) -> None:
    plans = plans_content(read_json(planned.preprocessed / "MedTPlans.json"), ["2d_unet", "2d"])
    with pytest.raises(UserError, match=sentence) as caught:
        require_known_parts(change(plans), "2d", "a.medt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("plans", [None, [], {}, {"image_reader_writer": "NaturalImage2DIO"}])
def test_what_is_no_plan_is_one_sentence(plans: object) -> None:
    with pytest.raises(UserError, match="The plan in a.medt cannot be used: it is no plan"):
        require_known_parts(plans, "2d", "a.medt")
