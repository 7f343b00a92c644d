from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medt_pipeline.core.cases import read_cases, write_cases
from medt_pipeline.core.errors import UserError
from medt_pipeline.planning.overrides import parse_overrides
from medt_pipeline.planning.run import plan_and_preprocess
from tests.conftest import DATASET_ID, DATASET_NAME, Drawn


@pytest.fixture(scope="module")
def plans(planned: Drawn) -> dict:
    return json.loads((planned.preprocessed / "MedTPlans.json").read_text())


def test_every_decision_stands_in_the_plans_with_its_reason(plans: dict) -> None:
    decisions = plans["medt"]["decisions"]
    assert {"patch size and resolution", "batch size", "training length"} <= {one["name"] for one in decisions}
    for decision in decisions:
        assert decision["reason"].endswith(".")
        assert decision["facts"]
        module, function = decision["rule"].split(".")
        rules = __import__(f"medt_pipeline.planning.rules.{module}", fromlist=[function])
        assert callable(getattr(rules, function))


def test_the_pixel_size_of_the_images_stands_in_the_plans(converted: Drawn, plans: dict, tmp_path: Path) -> None:
    assert plans["medt"]["pixel_size_um"] is None
    drawn = converted.copy(tmp_path / "workspace", "preprocessed", "results")
    raw = drawn.workspace.raw / DATASET_NAME
    write_cases(raw, {name: replace(case, pixel_size_um=(0.5, 0.4)) for name, case in read_cases(raw).items()})
    plan_and_preprocess(DATASET_ID, drawn.workspace.activate(), "cpu", quiet=True)
    assert json.loads((drawn.preprocessed / "MedTPlans.json").read_text())["medt"]["pixel_size_um"] == [0.5, 0.4]


@pytest.mark.parametrize("configuration", ["2d", "2d_medt", "2d_logo", "2d_gated", "2d_axial", "2d_unet", "2d_resenc"])
def test_stock_nnunet_reads_the_plans_and_makes_every_network(plans: dict, configuration: str) -> None:
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    settings = PlansManager(plans).get_configuration(configuration)
    network = get_network_from_plans(
        settings.network_arch_class_name,
        settings.network_arch_init_kwargs,
        settings.network_arch_init_kwargs_req_import,
        3,
        2,
        deep_supervision=False,
    )
    assert network(torch.zeros(2, 3, *settings.patch_size)).shape == (2, 2, *settings.patch_size)
    assert settings.data_identifier == "MedTPlans_2d"
    assert settings.preprocessor_class.__name__ == "DefaultPreprocessor"


def test_preprocessed_arrays_equal_stock_nnunets(planned: Drawn, plans: dict) -> None:
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    raw = planned.workspace.raw / DATASET_NAME
    manager = PlansManager(plans)
    dataset_json = json.loads((raw / "dataset.json").read_text())
    case = "p02_1"
    image, labels, _ = DefaultPreprocessor(verbose=False).run_case(
        [str(raw / "imagesTr" / f"{case}_0000.png")],
        str(raw / "labelsTr" / f"{case}.png"),
        manager,
        manager.get_configuration("2d"),
        dataset_json,
    )
    stored_image, stored_labels, _, properties = nnUNetDatasetBlosc2(
        str(planned.preprocessed / "MedTPlans_2d")
    ).load_case(case)
    assert np.array_equal(stored_image[:], image)
    assert np.array_equal(stored_labels[:], labels)
    assert len(properties["class_locations"][1]) > 0


def test_patients_are_not_split(planned: Drawn) -> None:
    splits = json.loads((planned.preprocessed / "splits_final.json").read_text())
    assert len(splits) == 5
    for split in splits:
        assert not {case[:3] for case in split["train"]} & {case[:3] for case in split["val"]}


def test_planning_again_gives_the_same_files(planned: Drawn, tmp_path: Path) -> None:
    again = planned.copy(tmp_path / "again")
    before = (again.preprocessed / "MedTPlans.json").read_bytes()
    plan_and_preprocess(DATASET_ID, again.workspace.activate(), "cpu", quiet=True)
    assert (again.preprocessed / "MedTPlans.json").read_bytes() == before
    assert not list(again.preprocessed.glob("*.part"))


def test_own_folds_are_kept_and_said(planned: Drawn, tmp_path: Path) -> None:
    again = planned.copy(tmp_path / "again")
    cases = sorted(
        path.name[: -len("_0000.png")] for path in (again.workspace.raw / DATASET_NAME / "imagesTr").iterdir()
    )
    own = [{"train": cases[2:], "val": cases[:2]}, {"train": cases[:2], "val": cases[2:]}]
    (again.preprocessed / "splits_final.json").write_text(json.dumps(own))
    summary = plan_and_preprocess(DATASET_ID, again.workspace.activate(), "cpu", quiet=True)
    assert json.loads((again.preprocessed / "splits_final.json").read_text()) == own
    assert any("Kept the 2 folds" in note for note in summary.notes)


def test_folds_of_an_earlier_planning_give_way(planned: Drawn, tmp_path: Path) -> None:
    again = planned.copy(tmp_path / "again")
    overrides = parse_overrides(["folds=3"])
    summary = plan_and_preprocess(DATASET_ID, again.workspace.activate(), "cpu", quiet=True, overrides=overrides)
    assert len(json.loads((again.preprocessed / "splits_final.json").read_text())) == 3
    assert not any("Kept" in note for note in summary.notes)
    folds = next(decision for decision in summary.decisions if decision.name == "folds")
    assert folds.value["count"] == 3


def test_folds_of_other_cases_are_replaced(planned: Drawn, tmp_path: Path) -> None:
    again = planned.copy(tmp_path / "again")
    (again.preprocessed / "splits_final.json").write_text('[{"train": ["gone"], "val": ["p01_0"]}]')
    plan_and_preprocess(DATASET_ID, again.workspace.activate(), "cpu", quiet=True)
    assert len(json.loads((again.preprocessed / "splits_final.json").read_text())) == 5


def test_less_memory_gives_smaller_batches_or_patches(converted: Drawn, tmp_path: Path) -> None:
    lean = converted.copy(tmp_path / "lean")
    shutil.rmtree(lean.workspace.preprocessed, ignore_errors=True)
    plan_and_preprocess(DATASET_ID, lean.workspace.activate(), "cpu", memory_gb=0.78, quiet=True)
    settings = json.loads((lean.preprocessed / "MedTPlans.json").read_text())["configurations"]["2d"]
    assert np.prod(settings["patch_size"]) < 64 * 96


def test_a_fixed_size_holds_for_every_image_and_masks_come_back_in_theirs(planned: Drawn, tmp_path: Path) -> None:
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from medt_pipeline.core.images import read_image, read_mask, write_png

    mixed = planned.copy(tmp_path / "mixed")
    raw = mixed.workspace.raw / DATASET_NAME
    for file in (raw / "imagesTr" / "p02_1_0000.png", raw / "labelsTr" / "p02_1.png"):
        write_png(file, read_image(file)[:40, :80] if "images" in str(file) else read_mask(file)[:40, :80])
    overrides = parse_overrides(["fixed_patch_size=64,64"])
    plan_and_preprocess(DATASET_ID, mixed.workspace.activate(), "cpu", quiet=True, overrides=overrides)
    arrays = nnUNetDatasetBlosc2(str(mixed.preprocessed / "MedTPlans_2d"))
    assert {arrays.load_case(case)[0].shape for case in arrays.identifiers} == {(3, 1, 64, 64)}
    _, labels, _, properties = arrays.load_case("p02_1")
    manager = PlansManager(json.loads((mixed.preprocessed / "MedTPlans.json").read_text()))
    dataset_json = json.loads((mixed.preprocessed / "dataset.json").read_text())
    logits = torch.nn.functional.one_hot(torch.from_numpy(labels[0].astype(np.int64)), 2).permute(3, 0, 1, 2) * 9.0
    back = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, manager, manager.get_configuration("2d"), manager.get_label_manager(dataset_json), properties
    )
    truth = read_mask(raw / "labelsTr" / "p02_1.png")
    assert back.shape == (1, 40, 80)
    assert (back[0] == truth).mean() > 0.97


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda raw: (raw / "dataset.json").unlink(), "dataset.json is missing"),
        (lambda raw: (raw / "dataset.json").write_text("{"), "is not valid JSON"),
        (lambda raw: (raw / "labelsTr" / "p01_0.png").unlink(), "1 label maps are missing"),
        (lambda raw: (raw / "imagesTr" / "p01_0_0000.png").unlink(), "says numTraining 10, but imagesTr holds 9"),
    ],
)
def test_broken_raw_data_is_named(converted: Drawn, tmp_path: Path, break_it, sentence: str) -> None:
    broken = converted.copy(tmp_path / "broken")
    break_it(broken.workspace.raw / DATASET_NAME)
    with pytest.raises(UserError, match=sentence):
        plan_and_preprocess(DATASET_ID, broken.workspace.activate(), "cpu", quiet=True)


def test_broken_cases_are_named_and_left_out(planned: Drawn, tmp_path: Path) -> None:
    from medt_pipeline.core.images import write_png

    broken = planned.copy(tmp_path / "broken")
    raw = broken.workspace.raw / DATASET_NAME
    (raw / "imagesTr" / "p01_0_0000.png").write_bytes(b"broken")
    write_png(raw / "labelsTr" / "p02_0.png", np.full((64, 96), 255, np.uint8))
    summary = plan_and_preprocess(DATASET_ID, broken.workspace.activate(), "cpu", quiet=True)
    assert [problem.case for problem in summary.left_out] == ["p01_0", "p02_0"]
    assert "2 cases cannot be used:" in summary.notes[0]
    assert "Case p01_0 cannot be read" in summary.notes[0]
    assert "p02_0.png holds the values [255]" in summary.notes[0]
    good = {f"p{patient:02d}_{image}" for patient in range(1, 6) for image in range(2)} - {"p01_0", "p02_0"}
    splits = json.loads((broken.preprocessed / "splits_final.json").read_text())
    assert {case for split in splits for case in split["val"]} == good
    assert all(set(split["train"]) | set(split["val"]) == good for split in splits)
    assert {path.stem for path in (broken.preprocessed / "gt_segmentations").iterdir()} == good
    assert {path.stem for path in (broken.preprocessed / "MedTPlans_2d").glob("*.pkl")} == good
    fingerprint = json.loads((broken.preprocessed / "dataset_fingerprint.json").read_text())
    assert len(fingerprint["spacings"]) == 8
    assert json.loads((broken.preprocessed / "dataset.json").read_text())["numTraining"] == 8
    ours = json.loads((broken.preprocessed / "medt_fingerprint.json").read_text())
    assert set(ours["cases"]) == good
    assert [problem["case"] for problem in ours["summary"]["problems"]] == ["p01_0", "p02_0"]


def test_own_folds_are_kept_without_broken_cases(planned: Drawn, tmp_path: Path) -> None:
    again = planned.copy(tmp_path / "again")
    cases = sorted(path.stem for path in (again.workspace.raw / DATASET_NAME / "labelsTr").iterdir())
    own = [{"train": cases[3:], "val": cases[:3]}, {"train": cases[:3], "val": cases[3:]}]
    (again.preprocessed / "splits_final.json").write_text(json.dumps(own))
    (again.workspace.raw / DATASET_NAME / "imagesTr" / f"{cases[1]}_0000.png").write_bytes(b"broken")
    plan_and_preprocess(DATASET_ID, again.workspace.activate(), "cpu", quiet=True)
    kept = json.loads((again.preprocessed / "splits_final.json").read_text())
    assert kept[0] == {"train": cases[3:], "val": [cases[0], cases[2]]}


def test_strict_refuses_before_anything_is_written(converted: Drawn, tmp_path: Path) -> None:
    broken = converted.copy(tmp_path / "broken", "preprocessed")
    (broken.workspace.raw / DATASET_NAME / "imagesTr" / "p01_0_0000.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="1 case cannot be used:\n  - Case p01_0 cannot be read"):
        plan_and_preprocess(DATASET_ID, broken.workspace.activate(), "cpu", quiet=True, strict=True)
    assert not broken.preprocessed.exists()


@pytest.mark.parametrize("named", [True, False])
def test_the_first_case_may_be_the_broken_one(converted: Drawn, tmp_path: Path, named: bool) -> None:
    """nnU-Net chooses its reader by the first image, unless dataset.json names one."""
    broken = converted.copy(tmp_path / "broken", "preprocessed")
    raw = broken.workspace.raw / DATASET_NAME
    (raw / "imagesTr" / "p01_0_0000.png").write_bytes(b"broken")
    if not named:
        dataset = json.loads((raw / "dataset.json").read_text())
        del dataset["overwrite_image_reader_writer"]
        (raw / "dataset.json").write_text(json.dumps(dataset))
    summary = plan_and_preprocess(DATASET_ID, broken.workspace.activate(), "cpu", quiet=True)
    assert [problem.case for problem in summary.left_out] == ["p01_0"]


def test_no_readable_case_is_an_error(converted: Drawn, tmp_path: Path) -> None:
    broken = converted.copy(tmp_path / "broken", "preprocessed")
    for image in (broken.workspace.raw / DATASET_NAME / "imagesTr").iterdir():
        image.write_bytes(b"broken")
    with pytest.raises(UserError, match="None of the 10 cases can be used. Case p01_0 cannot be read"):
        plan_and_preprocess(DATASET_ID, broken.workspace.activate(), "cpu", quiet=True)
