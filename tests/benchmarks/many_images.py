"""Plans, preprocesses and predicts more and more images of 800 × 540, and prints time and memory of each step.

    python -m tests.benchmarks.many_images --folder /tmp/many                     100, 1,000 and 10,000 images
    python -m tests.benchmarks.many_images --folder /tmp/many --images 100 1000 --interrupt

Images are drawn at an eighth of the size and enlarged, with speckle of full size, five a patient; they are drawn
once, and larger sets begin with the smaller ones. A network of one epoch of the smallest set, exported to a model
file, predicts all sets: it is small, and what it finds does not matter here. Every command runs in a process of its
own with one thread; seconds are those of the processor, with all processes that it started, so that other programs do
not count, and memory is the largest peak of one process (ru_maxrss).

With `--interrupt` planning and prediction are killed once (SIGKILL) in the middle of their files, and the rows are
those of both runs together: time that the first lost is in them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from medt_pipeline.core.images import write_png
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.demo.ultrasound import draw_scanner, draw_ultrasound
from tests.peak_memory import peak_bytes

SIZE = (540, 800)
"""Height and width."""
ENLARGED = 8
OF_PATIENT = 5
SPECKLE = 0.15
"""Standard deviation of the factor on each pixel."""
DATASET = 910
SMALL = ("--set", "architecture=MedT-S", "--set", "patch_size=96,144")
"""A network that takes little of the time: what is measured is the way of the images."""
IN_A_SECOND = 2
"""How often an interrupted command's files are counted."""


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="needs 1 MB an image")
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--interrupt", action="store_true", help="kill planning and prediction once")
    options = parser.parse_args()
    folder = options.folder.absolute()
    draw(folder / "drawn", max(options.images))
    model = folder / "model.medt"
    print("| images | step | CPU seconds | by image | peak memory, GB |\n|---|---|---|---|---|", flush=True)
    for count in options.images:
        for step, seconds, peak in measured(folder, count, model, options.interrupt):
            print(f"| {count:,} | {step} | {seconds:.0f} | {seconds / count:.3f} | {peak:.2f} |", flush=True)
    return 0


def draw(folder: Path, count: int) -> None:
    """Write images/p0000_0.png and masks/p0000_0.png for `count` images, but for those that are there."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    left = [number for number in range(count) if not (folder / "masks" / f"{name_of(number)}.png").exists()]
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(draw_one, folder), left, chunksize=16))


def name_of(number: int) -> str:
    """Of an image: patient, and image of the patient."""
    return f"p{number // OF_PATIENT:04d}_{number % OF_PATIENT}"


def draw_one(folder: Path, number: int) -> None:
    """Write an image, and its mask last."""
    patient, image = divmod(number, OF_PATIENT)
    scanner = draw_scanner(np.random.default_rng([0, patient]))
    rng = np.random.default_rng([1, patient, image])
    small, mask = draw_ultrasound(rng, SIZE[0] // ENLARGED, SIZE[1] // ENLARGED, scanner)
    enlarged = np.asarray(Image.fromarray(small).resize(SIZE[::-1], Image.Resampling.BICUBIC), dtype=np.float32)
    speckle = 1 + SPECKLE * rng.standard_normal(SIZE, dtype=np.float32)
    picture = np.clip(enlarged * (speckle if enlarged.ndim == 2 else speckle[..., None]), 0, 255).astype(np.uint8)
    write_png(folder / "images" / f"{name_of(number)}.png", picture)
    enlarged_mask = Image.fromarray(mask * np.uint8(255)).resize(SIZE[::-1], Image.Resampling.NEAREST)
    write_png(folder / "masks" / f"{name_of(number)}.png", np.asarray(enlarged_mask))


def measured(folder: Path, count: int, model: Path, interrupt: bool) -> list[tuple[str, float, float]]:
    """(step, CPU seconds, peak in GB) of converting, planning and predicting the first `count` images."""
    of_set, workspace, masks = folder / f"images_{count}", folder / f"workspace_{count}", folder / f"masks_{count}"
    for old in (of_set, workspace, masks):
        shutil.rmtree(old, ignore_errors=True)
    for kind in ("images", "masks"):
        (of_set / kind).mkdir(parents=True)
        for number in range(count):
            os.link(folder / "drawn" / kind / f"{name_of(number)}.png", of_set / kind / f"{name_of(number)}.png")
    at = ["--workspace", str(workspace)]
    labels = ["--labels", "background=0,lesion=255", "--groups", r"^(p\d+)", "-d", str(DATASET), "--name", "Many"]
    files = ["--images", str(of_set / "images"), "--masks", str(of_set / "masks")]
    convert = ["convert", "folder", *files, *labels, *at]
    plan = ["plan_and_preprocess", "-d", str(DATASET), "--device", "cpu", *SMALL, *at]
    predict = ["predict", "-m", str(model), "-i", str(of_set / "images"), "-o", str(masks), "--device", "cpu"]

    half = count // 2 if interrupt else None
    preprocessed = Workspace.locate(workspace).preprocessed
    rows = [("convert", *run(convert)), ("plan and preprocess", *run(plan, preprocessed, "*_seg.b2nd", half))]
    if not model.exists():
        run(["train", str(DATASET), "fold0", "--epochs", "1", "--device", "cpu", *at])
        run(["export", str(DATASET), "-f", "0", "-o", str(model), *at])
    return [*rows, ("predict", *run(predict, masks, "*.png", half))]


def run(
    arguments: list[str], written: Path | None = None, files: str = "", killed_at: int | None = None
) -> tuple[float, float]:
    """(CPU seconds, peak in GB) of a command, with what it started.

    Args:
        arguments: name of its module, and its command line.
        written, files: folder that it writes to, and which of the files below are counted.
        killed_at: kill it first when there are so many, and begin again.
    """
    name, *rest = arguments
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    script = f"import sys; from medt_pipeline.commands.{name} import main; sys.exit(main())"
    seconds = peak = 0.0
    for kill_at in (killed_at, None) if killed_at is not None else (None,):
        process = subprocess.Popen(
            [sys.executable, "-c", script, *rest], env={**os.environ, **one_thread}, stdout=subprocess.DEVNULL
        )
        ended, status, usage = os.wait4(process.pid, 0 if kill_at is None else os.WNOHANG)
        while not ended:
            time.sleep(1 / IN_A_SECOND)
            if written is not None and sum(1 for _ in written.rglob(files)) >= (kill_at or 0):
                # Popen would take its end away from wait4.
                os.kill(process.pid, signal.SIGKILL)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        expected = 0 if kill_at is None else -signal.SIGKILL
        if os.waitstatus_to_exitcode(status) != expected:
            code = os.waitstatus_to_exitcode(status)
            raise SystemExit(f"medt_{' '.join(arguments)} ended with {code}, not {int(expected)}")
        seconds += usage.ru_utime + usage.ru_stime
        peak = max(peak, peak_bytes(usage) / 1e9)
    return seconds, peak


if __name__ == "__main__":
    sys.exit(main())
