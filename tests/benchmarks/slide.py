"""Draws slides with known objects, predicts them, and prints what was found, at which memory and in which time.

    python -m tests.benchmarks.slide --folder /tmp/slides                    10, 100 and 1,200 megapixels
    python -m tests.benchmarks.slide --folder /tmp/slides --megapixels 10

The network is a stand-in that thresholds a colour, within nnU-Net's predictor and our sliding window like any other, so
that reading, blending and outlining are measured and not a network. Slides are tiled JPEG pyramids; they are drawn
once, and their results are compared with the ellipses that were drawn. Each slide is predicted in a process of its own,
whose peak of memory is the operating system's (ru_maxrss). Seconds are those of the processor, in all threads of that
process, so that other programs on the machine do not count.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import shapely
from scipy.spatial import cKDTree

from medt_pipeline.slides.predict import SlideOptions, predict_slide
from tests.peak_memory import peak_bytes
from tests.slides.drawn_slides import DrawnSlide, Ring
from tests.slides.stand_in import stand_in

ASPECT = 4 / 3
CELL = 125
"""Pixels for an object and the space around it: 53,000 of them on the largest slide."""
PATCH = (512, 512)
POINTS = 256
"""Of an ellipse: its chords are 0.004 pixels off at most."""


@dataclass(frozen=True)
class Comparison:
    """Found objects beside drawn ones.

    Attributes:
        drawn: number of objects that were drawn; `found`: features in the GeoJSON.
        matched: drawn objects with exactly one feature whose middle is within a pixel, and with as many holes.
        farthest: largest Hausdorff distance in pixels between the outlines of a drawn object and its feature, with
            holes.
        area: of all features over that of all drawn objects.
    """

    drawn: int
    found: int
    matched: int
    farthest: float
    area: float


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for slides and results; needs 4 GB")
    parser.add_argument("--megapixels", type=int, nargs="+", default=[10, 100, 1200])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    titles = ("pixels", "objects found", "matched", "farthest, pixels", "area", "peak memory, GB", "CPU seconds")
    print(f"| {' | '.join(titles)} | by megapixel | stages |")
    print(f"|{'---|' * (len(titles) + 2)}", flush=True)
    for megapixels in options.megapixels:
        drawn = slide_of(megapixels)
        file = options.folder / f"drawn_{megapixels}.tif"
        if not file.exists():
            drawn.write(file.with_suffix(".part.tif"), levels=7, jpeg=True).rename(file)
        print(row(drawn, file, options.folder / f"out_{megapixels}"), flush=True)
    return 0


def slide_of(megapixels: int) -> DrawnSlide:
    """A slide of about so many pixels, 4:3."""
    height = round((megapixels * 1e6 / ASPECT) ** 0.5)
    return DrawnSlide((height, round(height * ASPECT)), CELL, seed=megapixels)


def row(drawn: DrawnSlide, file: Path, target: Path) -> str:
    """Predict a slide in a process of its own, and tell what came out as a row of the table."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        peak = pool.apply(predict, (file, target))
    stages = json.loads((target / f"{file.stem}_slide.json").read_text())["seconds"]
    found = compare(drawn, target / f"{file.stem}.geojson")
    seconds, megapixels = sum(stages.values()), drawn.size[0] * drawn.size[1] / 1e6
    told = ", ".join(f"{stage} {one:.0f}" for stage, one in stages.items())
    return (
        f"| {drawn.size[1]:,} × {drawn.size[0]:,} | {found.found:,} of {found.drawn:,} | {found.matched:,} "
        f"| {found.farthest:.2f} | {found.area:.4f} | {peak:.2f} "
        f"| {seconds:.0f} | {seconds / megapixels:.3f} | {told} |"
    )


def predict(file: Path, target: Path) -> float:
    """Predict a slide; returns the process's peak of memory in GB."""
    options = SlideOptions(tell=lambda text: print(text, file=sys.stderr))
    # the record of the slide then holds the processor's seconds by stage
    with mock.patch("time.monotonic", time.process_time):
        predict_slide(file, target, stand_in(PATCH), options)
    return peak_bytes(resource.getrusage(resource.RUSAGE_SELF)) / 1e9


def compare(drawn: DrawnSlide, geojson: Path) -> Comparison:
    """Compare the features of a file with what was drawn."""
    rings = drawn.rings()
    features = json.loads(geojson.read_text(encoding="utf-8"))["features"]
    polygons = np.array([shapely.from_geojson(json.dumps(one["geometry"])) for one in features])
    truth = np.array([polygon_of(ring) for ring in rings])
    middles = np.array([shapely.envelope(one).centroid.coords[0] for one in polygons]).reshape(-1, 2)
    near = cKDTree(middles).query_ball_point([(ring.x, ring.y) for ring in rings], 1.0)
    pairs = np.array([(place, one[0]) for place, one in enumerate(near) if len(one) == 1]).reshape(-1, 2)
    same = shapely.get_num_interior_rings(truth[pairs[:, 0]]) == shapely.get_num_interior_rings(polygons[pairs[:, 1]])
    off = shapely.hausdorff_distance(shapely.boundary(truth[pairs[:, 0]]), shapely.boundary(polygons[pairs[:, 1]]))
    area = shapely.area(polygons).sum() / shapely.area(truth).sum()
    return Comparison(len(rings), len(polygons), int(same.sum()), float(off.max(initial=0)), float(area))


def polygon_of(ring: Ring) -> shapely.Polygon:
    """A drawn object as a polygon."""
    turn = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    around = np.stack([ring.across * np.cos(turn), ring.down * np.sin(turn)], 1)
    middle = np.array([ring.x, ring.y])
    return shapely.Polygon(middle + around, [middle + ring.hole * around] if ring.hole else None)


if __name__ == "__main__":
    sys.exit(main())
