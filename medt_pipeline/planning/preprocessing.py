"""nnU-Net's preprocessing in threads instead of a pool of processes, complete or absent."""

from __future__ import annotations

import errno
import functools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from medt_pipeline.core.cluster import Cluster, map_cases
from medt_pipeline.core.files import make_folder, scratch_folder, write_json
from medt_pipeline.core.locks import remove_unfinished
from medt_pipeline.core.manifest import content_hash, versions
from medt_pipeline.core.progress import progress
from medt_pipeline.planning.memory_model import PROCESS_BYTES

FILES = "files"
"""Key of the sizes of arrays, in bytes, in their record."""
LAST_ENDING = ".pkl"
"""Of the file of a case that is put into its place last: with it the case is complete."""
BEGUN, EARLIER = ".begun", "earlier"
IDENTITY_DIGITS = 16
COPIES_OF_IMAGE = 10
"""How often preprocessing holds an image at most, with room for images larger than the median."""


class AntialiasedConfiguration(ConfigurationManager):
    """nnU-Net's reading of a configuration, with another way to reduce images."""

    @property
    def resampling_fn_data(self) -> Callable[..., np.ndarray]:
        """`reduce_by_mean`, and nnU-Net's spline for images that grow."""
        return functools.partial(reduce_by_mean, enlarge=super().resampling_fn_data)


def reduce_by_mean(
    data: np.ndarray, shape: tuple[int, ...], *spacings: Any, enlarge: Callable[..., np.ndarray]
) -> np.ndarray:
    """An image whose pixels are means of the original under a triangle as wide as two of them.

    nnU-Net's spline reads single points: what is finer than a pixel of the result becomes noise. Slides are reduced
    like this too (`core.resampling`).

    Args:
        data: (channels, 1, H, W) float32.
        shape: (1, height, width) of the result.
        spacings: before and after, for `enlarge`.
        enlarge: nnU-Net's function, for images of which a side grows.

    Returns:
        (channels, 1, height, width) float32.
    """
    sides, wanted = data.shape[-2:], (int(shape[-2]), int(shape[-1]))
    if wanted[0] > sides[0] or wanted[1] > sides[1]:
        return enlarge(data, shape, *spacings)
    image = torch.from_numpy(np.ascontiguousarray(data[:, 0]))[None]
    reduced = F.interpolate(image, wanted, mode="bilinear", align_corners=False, antialias=True)
    return reduced[0][:, None].numpy()


class AntialiasingPreprocessor(DefaultPreprocessor):
    """nnU-Net's preprocessing that reduces images by `reduce_by_mean`."""

    def run_case_npy(
        self,
        data: np.ndarray,
        seg: np.ndarray | None,
        properties: dict,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: dict | str,
    ) -> tuple[np.ndarray, np.ndarray, dict]:
        """Arguments and result as nnU-Net's."""
        settings = AntialiasedConfiguration(configuration_manager.configuration)
        return super().run_case_npy(data, seg, properties, plans_manager, settings, dataset_json)


class FixedSizePreprocessor(DefaultPreprocessor):
    """nnU-Net's preprocessing with every image, cropped to what is not zero, resized to one size whatever its aspect.

    nnU-Net resamples to a spacing; a case is therefore given the spacing at which that ends in the fixed size, and the
    way back, which knows the original size, is nnU-Net's own.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(verbose=False)
        self.size = size

    def run_case_npy(
        self,
        data: np.ndarray,
        seg: np.ndarray | None,
        properties: dict,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: dict | str,
    ) -> tuple[np.ndarray, np.ndarray, dict]:
        """Arguments and result as nnU-Net's; the spacing in `properties` is replaced."""
        height, width = crop_to_nonzero(data)[0].shape[-2:]
        down, across = configuration_manager.spacing
        spacing = (properties["spacing"][0], down * self.size[0] / height, across * self.size[1] / width)
        properties["spacing"] = list(spacing)
        return super().run_case_npy(data, seg, properties, plans_manager, configuration_manager, dataset_json)


def make_preprocessor(settings: ConfigurationManager) -> DefaultPreprocessor:
    """The preprocessor of a configuration: nnU-Net's, or what the plan says of a fixed size or of antialiasing."""
    how = how_preprocessed(settings)
    if how["fixed_size"] is not None:
        return FixedSizePreprocessor((int(how["fixed_size"][0]), int(how["fixed_size"][1])))
    if how["antialiased"]:
        return AntialiasingPreprocessor(verbose=False)
    preprocessor: DefaultPreprocessor = settings.preprocessor_class(verbose=False)
    return preprocessor


def preprocessing_record(arrays: Path) -> Path:
    """The file that says how the arrays in the folder `arrays` were made.

    It lies beside them: among them, nnU-Net accepts nothing else.
    """
    return arrays.with_name(f"medt_{arrays.name}.json")


def how_preprocessed(settings: ConfigurationManager) -> dict[str, Any]:
    """What of a configuration decides how its arrays look; JSON-like."""
    keys = ("spacing", "normalization_schemes", "use_mask_for_norm", "resampling_fn_data", "resampling_fn_seg")
    ours = settings.configuration.get("medt", {})
    return {
        **{key: settings.configuration[key] for key in keys},
        "fixed_size": ours.get("fixed_size"),
        "antialiased": bool(ours.get("antialiased", False)),
    }


def preprocess(
    dataset: dict[str, dict[str, Any]],
    plans: dict[str, Any],
    configuration: str,
    dataset_json: dict[str, Any],
    target: Path,
    threads: int,
    quiet: bool = False,
    cluster: Cluster | None = None,
) -> None:
    """Write preprocessed arrays of all cases to `target`, replacing it when all are written.

    Interrupted or killed, it leaves a hidden folder beside `target`, with which the next call for the same files and
    settings goes on; a call for others removes it. The caller keeps other processes from `target`.

    The arrays are those of nnU-Net's DefaultPreprocessor, which starts a pool of processes that costs more than the
    work itself for small images; resampling, compression and reading leave Python's lock, so threads do.

    Args:
        dataset: case → {"images": [paths], "label": path}, as nnU-Net lists it.
        plans: content of the plans file.
        configuration: name of the configuration.
        dataset_json: content of dataset.json.
        target: folder nnUNet_preprocessed/<data set>/<data identifier>.
        threads: cases at once.
        quiet: show no progress.
        cluster: preprocesses instead of this process; all its machines see raw and preprocessed data under one path.

    Raises:
        OSError: an array cannot be written, for example because the disk is full.
        UserError: the cluster lost tasks too often, or no machine has the memory for one.
    """
    settings = PlansManager(plans).get_configuration(configuration)
    with _begun_folder(target, _identity(dataset, settings, dataset_json)) as begun:
        arrays = make_folder(begun / "arrays")
        job = PreprocessingJob(dataset, plans, configuration, dataset_json, arrays)
        work = functools.partial(preprocess_cases, job=job)
        steps = map_cases(work, list(dataset), threads, cluster, _memory(settings), "Preprocess")
        for _ in progress(steps, "Preprocess ", len(dataset), "case", quiet):
            pass
        preprocessing_record(target).unlink(missing_ok=True)
        # Moved, not deleted in its place: a folder that lacks some of its arrays would pass for complete.
        if target.exists():
            target.rename(begun / EARLIER)
        arrays.rename(target)
    write_json(preprocessing_record(target), {**how_preprocessed(settings), FILES: _sizes(target)})


@contextmanager
def _begun_folder(target: Path, identity: str) -> Iterator[Path]:
    """A hidden folder beside `target`, the same again after an interruption; removed at the end and after errors."""
    begun = target.with_name(f".{target.name}.{identity}{BEGUN}")
    forget_begun(target.parent, f"{target.name}.", begun)
    remove_unfinished(make_folder(begun))
    shutil.rmtree(begun / EARLIER, ignore_errors=True)
    try:
        yield begun
    except KeyboardInterrupt:
        raise
    except BaseException:
        forget_begun(target.parent, f"{target.name}.")
        raise
    forget_begun(target.parent, f"{target.name}.")


def forget_begun(folder: Path, of: str = "", kept: Path | None = None) -> None:
    """Remove from nnUNet_preprocessed/<data set> what calls have begun that will not come again.

    Args:
        folder: of the data set.
        of: how the names of the arrays' folders begin for which something was begun.
        kept: is left.
    """
    for begun in folder.glob(f".{of}*{BEGUN}"):
        if begun != kept:
            shutil.rmtree(begun, ignore_errors=True)


def _identity(dataset: dict[str, dict[str, Any]], settings: ConfigurationManager, dataset_json: dict[str, Any]) -> str:
    """Of all that decides the arrays: the same files, as far as sizes and times tell, settings and versions."""

    def facts(file: str) -> list[Any]:
        status = Path(file).stat()
        return [file, status.st_size, status.st_mtime_ns]

    files = {case: [facts(str(file)) for file in (*one["images"], one["label"])] for case, one in dataset.items()}
    told = {"files": files, "how": how_preprocessed(settings), "dataset": dataset_json, "versions": versions()}
    return content_hash(told)[:IDENTITY_DIGITS]


@dataclass(frozen=True)
class PreprocessingJob:
    """What preprocessing a case takes beside its name: arguments of `preprocess`, and the folder of the arrays."""

    dataset: dict[str, dict[str, Any]]
    plans: dict[str, Any]
    configuration: str
    dataset_json: dict[str, Any]
    arrays: Path


def preprocess_cases(cases: Sequence[str], job: PreprocessingJob) -> list[str]:
    """Write the arrays of some cases, each complete or absent, but for those that are there; gives back their names.

    Two processes may do the same cases at once, as where a machine only seemed to be lost.

    Raises:
        OSError: an array cannot be written.
    """
    manager = PlansManager(job.plans)
    settings = manager.get_configuration(job.configuration)
    preprocessor = make_preprocessor(settings)
    for case in cases:
        last = job.arrays / f"{case}{LAST_ENDING}"
        if last.exists():
            continue
        images, label = job.dataset[case]["images"], job.dataset[case]["label"]
        with scratch_folder(job.arrays.parent, "case") as scratch:
            try:
                preprocessor.run_case_save(str(scratch / case), images, label, manager, settings, job.dataset_json)
            except RuntimeError as error:
                # Blosc2 reports a full disk as an array that cannot be created.
                if "creating the NDArray" in str(error):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job.arrays / case)) from error
                raise
            for file in sorted(scratch.iterdir(), key=lambda file: file.name == last.name):
                file.replace(job.arrays / file.name)
    return list(cases)


def _memory(settings: ConfigurationManager) -> int:
    """Bytes that a process takes for an image of median size in the numbers of float64 that resampling makes of it."""
    height, width = settings.configuration["median_image_size_in_voxels"][-2:]
    numbers = height * width * (len(settings.normalization_schemes) + 1)
    return PROCESS_BYTES["cpu"] + int(COPIES_OF_IMAGE * 8 * numbers)


def changed_files(arrays: Path, record: dict[str, Any]) -> list[str]:
    """Names of files that the `record` of the folder `arrays` knows and that are missing or of another size there."""
    there = _sizes(arrays)
    return [name for name, size in record.get(FILES, {}).items() if there.get(name) != size]


def _sizes(arrays: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in sorted(arrays.iterdir())}
