"""nnU-Net's preprocessing in threads instead of a pool of processes, complete or absent."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from medt_pipeline.core.files import make_folder
from medt_pipeline.core.progress import progress


def preprocess(
    dataset: dict[str, dict[str, Any]],
    plans: dict[str, Any],
    configuration: str,
    dataset_json: dict[str, Any],
    target: Path,
    threads: int,
    quiet: bool = False,
) -> None:
    """Write preprocessed arrays of all cases to `target`, replacing it when all are written.

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
    """
    manager = PlansManager(plans)
    settings = manager.get_configuration(configuration)
    preprocessor: DefaultPreprocessor = settings.preprocessor_class(verbose=False)
    unfinished = target.with_name(target.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    make_folder(unfinished)

    def process(case: str) -> None:
        files = dataset[case]
        preprocessor.run_case_save(
            str(unfinished / case), files["images"], files["label"], manager, settings, dataset_json
        )

    try:
        with ThreadPoolExecutor(threads) as pool:
            list(progress(pool.map(process, dataset), "Preprocess ", len(dataset), "case", quiet))
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
