"""Planning and preprocessing of one data set as a library call."""

from __future__ import annotations

import contextlib
import importlib
import io
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medt_pipeline.core.cases import Case, read_cases
from medt_pipeline.core.cluster import Cluster, connected
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path, make_folder, read_json, require_folder, write_json
from medt_pipeline.core.locks import planning_locked, remove_unfinished
from medt_pipeline.core.manifest import content_hash
from medt_pipeline.core.parallel import worker_count
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.fingerprint.case_facts import Beside
from medt_pipeline.fingerprint.extraction import ReadCase, extract_fingerprint
from medt_pipeline.fingerprint.medt_fingerprint import (
    FINGERPRINT_FILE,
    Fingerprint,
    read_fingerprint,
    write_fingerprint,
)
from medt_pipeline.fingerprint.summary import Problem
from medt_pipeline.planning.decisions import Decision
from medt_pipeline.planning.overrides import Overrides
from medt_pipeline.planning.presets import DeviceKind, Preset, load_preset
from medt_pipeline.planning.rules.folds import Split, choose_folds

if TYPE_CHECKING:
    from nnunetv2.imageio.base_reader_writer import BaseReaderWriter

    from medt_pipeline.planning.cost_model import Throughput

SPLITS_FILE = "splits_final.json"
INSTANCES_FOLDER = "instancesTr"
LABELS_FOLDER = "gt_segmentations"
MOST_SHOWN = 10
"""Cases that are named one by one when they are left out."""


@dataclass(frozen=True)
class PlanSummary:
    """What planning decided and where it lies.

    Attributes:
        dataset_name: e.g. "Dataset101_GlaS".
        plans_file: the plans.
        decisions: every decision with its reason.
        notes: what the user should know beside the decisions.
        left_out: cases that could not be used; they are in no fold and not preprocessed.
        costs: what training and predicting will take, as `cost_model.cost_record` tells it.
    """

    dataset_name: str
    plans_file: Path
    decisions: list[Decision]
    notes: list[str]
    left_out: list[Problem]
    costs: dict[str, Any]


def plan_and_preprocess(
    dataset_id: int,
    workspace: Workspace,
    device_kind: DeviceKind,
    memory_gb: float | None = None,
    preset: str = "default",
    quiet: bool = False,
    strict: bool = False,
    overrides: Overrides | None = None,
    device_gb: float | None = None,
    on: str | None = None,
    throughput: Throughput | None = None,
) -> PlanSummary:
    """Fingerprint, plan, divide into folds and preprocess the data set `dataset_id`.

    A case that cannot be used (unreadable, sizes that do not fit, undeclared labels) is left out and named.

    Args:
        dataset_id: id in the workspace's raw folder.
        workspace: an activated workspace.
        device_kind: what the training will run on.
        memory_gb: memory for training; None: a share of what the device has.
        preset: name of the preset in `plans/`.
        quiet: show no progress.
        strict: refuse, before anything is written, where a case would be left out.
        overrides: what the user set in place of the rules.
        device_gb: memory of the device in GB; None: that of this machine.
        on: a Ray cluster, as `core.cluster.parse_cluster` reads it, that measures and preprocesses the cases; all its
            machines see the workspace under the same path.
        throughput: of the device that will train, as `cost_model.measure_throughput` finds it; None: costs are told
            without hours.

    Raises:
        UserError: the data set does not exist, is not consistent or holds no case that can be used; or another process
            plans it or trains on it; or the cluster cannot do its part.
    """
    overrides = overrides or Overrides()
    numbers = overrides.applied_to(load_preset(preset))
    name = workspace.dataset_name(dataset_id)
    with planning_locked(workspace, name), connected(on) as cluster:
        return _plan(
            name, workspace, device_kind, memory_gb, numbers, quiet, strict, overrides, device_gb, cluster, throughput
        )


def _plan(
    name: str,
    workspace: Workspace,
    device_kind: DeviceKind,
    memory_gb: float | None,
    numbers: Preset,
    quiet: bool,
    strict: bool,
    overrides: Overrides,
    device_gb: float | None,
    cluster: Cluster | None,
    throughput: Throughput | None,
) -> PlanSummary:
    """`plan_and_preprocess` when no other process works with the plan."""
    raw = require_folder(workspace.raw / name, "raw data")
    dataset_json = _read_dataset_json(raw)
    dataset = _list_training_cases(raw, dataset_json)
    threads = worker_count()
    known = read_cases(raw)
    reader, beside = _reader(dataset, dataset_json), _beside(raw, dataset, known)
    with ThreadPoolExecutor(1) as beside_images:
        beside_images.submit(_import_planner)
        found = extract_fingerprint(list(dataset), reader, threads, quiet, _classes(dataset_json), beside, cluster)
    # nnU-Net's planner imports torch; whoever only wants the functions below need not wait for it.
    from medt_pipeline.planning.cost_model import COSTS_FILE, bytes_of, cost_record, costs_of_plan
    from medt_pipeline.planning.planner import PLANS_NAME, MedTPlanner
    from medt_pipeline.planning.preprocessing import forget_begun, preprocess

    if strict and found.problems:
        raise UserError(f"{_left_out(found.problems)}\nRepair them, or plan without --strict to leave them out.")
    preprocessed = make_folder(workspace.preprocessed / name)
    _remove_unfinished(preprocessed)
    write_json(preprocessed / "dataset_fingerprint.json", found.nnunet)
    write_fingerprint(preprocessed, found.fingerprint)
    dataset = {case: dataset[case] for case in found.fingerprint.cases}
    left_out = [problem.case for problem in found.problems]
    planner = MedTPlanner(name, memory_gb, device_kind, device_gb, numbers, found.fingerprint.summary, overrides)
    planner.restrict_to(dataset)
    plans_file = preprocessed / f"{PLANS_NAME}.json"
    earlier = _planned_folds(plans_file)
    folds, notes = _write_folds(raw, preprocessed, found.fingerprint, left_out, bool(known), numbers.folds, earlier)
    planner.decisions.append(_in_plan(folds))
    plans = planner.plan_experiment()
    # nnU-Net copied that of the raw data, which counts the cases that are left out.
    write_json(preprocessed / "dataset.json", {**dataset_json, "numTraining": len(dataset)})
    _copy_labels(dataset, dataset_json, preprocessed / LABELS_FOLDER)
    # Last, because a training asks for the arrays.
    for configuration in ("2d", "2d_whole"):
        if configuration in plans["configurations"]:
            identifier = plans["configurations"][configuration]["data_identifier"]
            preprocess(dataset, plans, configuration, dataset_json, preprocessed / identifier, threads, quiet, cluster)
    forget_begun(preprocessed)
    count, cases = max(len(folds.value), 1), found.fingerprint.cases
    costs = costs_of_plan(plans, planner.steps, cases, count, len(dataset_json["labels"]), preprocessed)
    # That of an earlier planning, which is no part of what is stored.
    (preprocessed / COSTS_FILE).unlink(missing_ok=True)
    record = cost_record(costs, throughput, len(cases), bytes_of(raw) + bytes_of(preprocessed))
    write_json(preprocessed / COSTS_FILE, record)
    if found.problems:
        notes.insert(0, _left_out(found.problems))
    return PlanSummary(name, plans_file, planner.decisions, notes, found.problems, record)


def preprocess_planned(dataset_id: int, workspace: Workspace, quiet: bool = False, on: str | None = None) -> Path:
    """Check the plans that a user edited by hand, derive again what depends on the edits, and preprocess by them.

    Fingerprint, folds and cases stay as they were planned.

    Args:
        dataset_id: a planned data set.
        workspace: an activated workspace.
        quiet: show no progress.
        on: as for `plan_and_preprocess`.

    Returns:
        The plans file.

    Raises:
        UserError: the data set is not planned, or the plans contradict themselves; nothing is written then.
    """
    from medt_pipeline.planning.cost_model import COSTS_FILE
    from medt_pipeline.planning.edited import consistent, require_memory
    from medt_pipeline.planning.planner import PLANS_NAME
    from medt_pipeline.planning.preprocessing import forget_begun, preprocess

    name = workspace.dataset_name(dataset_id)
    raw, preprocessed = require_folder(workspace.raw / name, "raw data"), workspace.preprocessed / name
    plans_file = preprocessed / f"{PLANS_NAME}.json"
    if not plans_file.exists():
        raise UserError(f"{name} is not planned yet; run medt_plan_and_preprocess -d {dataset_id}.")
    with planning_locked(workspace, name), connected(on) as cluster:
        _remove_unfinished(preprocessed)
        plans, dataset_json = read_json(plans_file), _read_dataset_json(raw)
        for configuration in plans["configurations"]:
            plans = consistent(plans, configuration, str(plans_file))
        main = [one for one in ("2d", "2d_whole") if one in plans["configurations"]]
        for configuration in main:
            require_memory(plans, configuration, dataset_json)
        usable = set(read_fingerprint(preprocessed).cases)
        dataset = {case: files for case, files in _list_training_cases(raw, dataset_json).items() if case in usable}
        for configuration in main:
            target = preprocessed / plans["configurations"][configuration]["data_identifier"]
            preprocess(dataset, plans, configuration, dataset_json, target, worker_count(), quiet, cluster)
        forget_begun(preprocessed)
        write_json(plans_file, plans)
        # Of the plan before it was edited.
        (preprocessed / COSTS_FILE).unlink(missing_ok=True)
    return plans_file


def _remove_unfinished(preprocessed: Path) -> None:
    for folder in (preprocessed, preprocessed / LABELS_FOLDER):
        remove_unfinished(folder)


def _left_out(problems: Sequence[Problem]) -> str:
    """All problems with a line each: how many cases are left out, and why."""
    shown = "".join(f"\n  - {problem.reason}" for problem in problems[:MOST_SHOWN])
    more = f"\n  and {len(problems) - MOST_SHOWN} more in {FINGERPRINT_FILE}" if len(problems) > MOST_SHOWN else ""
    return f"{len(problems)} case{'s' if len(problems) > 1 else ''} cannot be used:{shown}{more}"


def _import_planner() -> None:
    """What takes seconds of one core to load is loaded while images are read; nothing may be forked meanwhile."""
    for name in ("medt_pipeline.planning.planner", "medt_pipeline.planning.preprocessing", "torch._dynamo"):
        importlib.import_module(name)


def _read_dataset_json(raw: Path) -> dict[str, Any]:
    content = read_json(raw / "dataset.json")
    missing = [key for key in ("channel_names", "labels", "numTraining", "file_ending") if key not in content]
    if missing:
        raise UserError(f"{raw / 'dataset.json'} lacks {', '.join(missing)}; convert the data set with medt_convert.")
    return content


def _list_training_cases(raw: Path, dataset_json: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Case → files, as nnU-Net's get_filenames_of_train_images_and_targets gives them, with missing files named."""
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    require_folder(raw / "imagesTr", "training images")
    dataset = get_filenames_of_train_images_and_targets(str(raw), dict(dataset_json))
    if not dataset:
        raise UserError(f"{raw / 'imagesTr'} holds no images ending in _0000{dataset_json['file_ending']}.")
    missing = [files["label"] for files in dataset.values() if not Path(files["label"]).is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} label maps are missing, the first is {missing[0]}; convert the data set again."
        )
    if len(dataset) != dataset_json["numTraining"]:
        raise UserError(
            f"dataset.json of {raw.name} says numTraining {dataset_json['numTraining']}, but imagesTr holds "
            f"{len(dataset)} cases; correct it or convert the data set again."
        )
    return {str(name): files for name, files in dataset.items()}


def _reader(dataset: Mapping[str, Mapping[str, Any]], dataset_json: Mapping[str, Any]) -> ReadCase:
    """Reading of a case with nnU-Net's reader for this data set, with broken files and undeclared labels named."""
    import numpy as np

    reader = _reader_class(dataset, dataset_json)()
    declared = _declared_labels(dataset_json)

    def read(name: str) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
        files = dataset[name]
        try:
            image, properties = reader.read_images(files["images"])
            labels, _ = reader.read_seg(files["label"])
        # nnU-Net's readers raise whatever their libraries raise.
        except Exception as error:
            raise UserError(
                f"Case {name} cannot be read ({error}); replace {files['images'][0]} and its label."
            ) from error
        # Counting is ten times as fast as sorting, which np.unique does.
        present = np.flatnonzero(np.bincount(labels.ravel().astype(np.uint16)))
        undeclared = sorted({int(value) for value in present} - declared)
        if undeclared:
            raise UserError(
                f"{files['label']} holds the values {undeclared[:5]}, which dataset.json does not declare; "
                "convert the masks with medt_convert folder."
            )
        return image, labels, tuple(properties["spacing"])

    return read


def _reader_class(dataset: Mapping[str, Mapping[str, Any]], dataset_json: Mapping[str, Any]) -> type[BaseReaderWriter]:
    """nnU-Net's reader for this data set: the first that can read a case."""
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

    for files in dataset.values():
        # It prints, tracebacks too, while it tries.
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.suppress(RuntimeError),
        ):
            return determine_reader_writer_from_dataset_json(dict(dataset_json), files["images"][0])
    raise UserError(
        f"None of the {len(dataset)} images can be read as {dataset_json['file_ending']}; convert the data set again."
    )


def _classes(dataset_json: Mapping[str, Any]) -> dict[int, str]:
    """Name by label value of the foreground; a value in several regions is called after the first."""
    names: dict[int, str] = {}
    for name, values in dataset_json["labels"].items():
        for value in values if isinstance(values, list) else [values]:
            if value != 0 and name != "ignore":
                names.setdefault(int(value), str(name))
    return dict(sorted(names.items()))


def _beside(raw: Path, dataset: Mapping[str, Mapping[str, Any]], known: Mapping[str, Case]) -> dict[str, Beside]:
    """What the converter wrote down about the cases."""

    def of_case(name: str) -> Beside:
        images = tuple(Path(image) for image in dataset[name]["images"])
        instances = raw / INSTANCES_FOLDER / f"{name}.png"
        there = instances if instances.is_file() else None
        if name not in known:
            return Beside(None, None, images, there)
        return Beside(known[name].group, known[name].pixel_size_um, images, there)

    return {name: of_case(name) for name in dataset}


def _declared_labels(dataset_json: Mapping[str, Any]) -> set[int]:
    declared: set[int] = set()
    for value in dataset_json["labels"].values():
        declared.update(value if isinstance(value, list) else [value])
    return declared


def _write_folds(
    raw: Path,
    preprocessed: Path,
    fingerprint: Fingerprint,
    left_out: Sequence[str],
    known: bool,
    wanted: int,
    earlier: str | None = None,
) -> tuple[Decision[list[Split]], list[str]]:
    """Write splits_final.json unless there is one for exactly these cases, and perhaps for those that are left out.

    One whose hash is `earlier` was written by an earlier planning and gives way to what is planned now.

    Returns:
        The folds in force, without cases that are left out, and notes.
    """
    cases = fingerprint.cases
    decision = choose_folds({case: facts.fold_group for case, facts in cases.items()}, wanted, _content(fingerprint))
    notes = []
    if not known:
        notes.append(
            "No groups are known (medt_cases.json is missing), so every image counts as its own patient, but for "
            "near-duplicates."
        )
    target = preprocessed / SPLITS_FILE
    own = raw / SPLITS_FILE if (raw / SPLITS_FILE).exists() else target
    if own.exists() and content_hash(read_json(own)) != earlier:
        existing = [
            {part: [case for case in split[part] if case not in left_out] for part in ("train", "val")}
            for split in read_json(own)
        ]
        covered = [sorted(split["train"] + split["val"]) == sorted(cases) for split in existing]
        if existing != decision.value and covered and all(covered):
            reason = f"Kept the {len(existing)} folds of the existing {own}."
            notes.append(reason + " Delete that file and plan again for folds by group.")
            write_json(target, existing)
            return Decision("folds", existing, "splits_final.json", reason, decision.facts), notes
    write_json(target, decision.value)
    return decision, notes


def _in_plan(folds: Decision[list[Split]]) -> Decision[dict[str, Any]]:
    """The decision as it stands in the plan: the folds themselves are in splits_final.json."""
    value = {"count": len(folds.value), "file": SPLITS_FILE, "sha256": content_hash(folds.value)}
    return Decision(folds.name, value, folds.rule, folds.reason, folds.facts)


def _planned_folds(plans_file: Path) -> str | None:
    """Hash of the folds that an earlier planning chose; None where there was none or it kept a user's."""
    if not plans_file.exists():
        return None
    decisions = read_json(plans_file).get("medt", {}).get("decisions", [])
    chosen = (one for one in decisions if one.get("name") == "folds" and one.get("rule") == "folds.choose_folds")
    return next((one["value"]["sha256"] for one in chosen), None)


def _content(fingerprint: Fingerprint) -> dict[str, dict[str, float]]:
    """By case and class, called "1 (gland)", the share of its pixels."""
    names = {label: f"{label} ({one.name})" for label, one in fingerprint.summary.classes.items()}
    return {
        case: {names[label]: objects.area_share for label, objects in facts.objects.items()}
        for case, facts in fingerprint.cases.items()
    }


def _copy_labels(dataset: Mapping[str, Mapping[str, Any]], dataset_json: Mapping[str, Any], target: Path) -> None:
    """Copy label maps beside the preprocessed arrays, as nnU-Net does, so that training needs no raw data.

    Those of other cases are removed: what was usable once must not be scored without a prediction.
    """
    ending = dataset_json["file_ending"]
    for old in make_folder(target).glob(f"*{ending}"):
        if old.name.removesuffix(ending) not in dataset:
            old.unlink()
    for case, files in dataset.items():
        with atomic_path(target / f"{case}{ending}") as temporary:
            shutil.copyfile(files["label"], temporary)
