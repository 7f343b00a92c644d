"""From whole slides to label images, polygons, areas and pictures, in memory that does not grow with the slide."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import atomic_path, make_folder, read_json, write_json
from medt_pipeline.core.images import stem_of
from medt_pipeline.core.manifest import environment
from medt_pipeline.core.overlays import draw_regions, legend, line_width
from medt_pipeline.core.parallel import ordered_map
from medt_pipeline.core.progress import progress, refresh_interval
from medt_pipeline.core.slides import Slide, Window, open_slide
from medt_pipeline.evaluation.labels import make_labels
from medt_pipeline.inference.models import Ensemble, OpenModel, expected_channels, open_ensemble
from medt_pipeline.postprocessing.recipe import PostProcessing, smooth_probabilities
from medt_pipeline.slides.areas import ClassArea, measure_areas, write_areas
from medt_pipeline.slides.geojson import write_geojson
from medt_pipeline.slides.label_image import write_label_image
from medt_pipeline.slides.objects import find_pieces, join, on_slides, write_pieces
from medt_pipeline.slides.polygons import require_packages
from medt_pipeline.slides.probabilities import SlideNetwork, block_patches, block_probabilities, lay_out, needed_window
from medt_pipeline.slides.scales import Scale, choose_scale
from medt_pipeline.slides.tissue import Tissue, find_tissue
from medt_pipeline.slides.work import Work, open_work, work_key

RECORD_ENDING = "_slide.json"
BLOCK_BYTES = 512 * 2**20
"""Memory for the probabilities of one block."""
SIDE_STEP, SMALLEST_SIDE, LARGEST_SIDE = 512, 1024, 4096
SAMPLES, SAMPLE_SIDE = 64, 128
"""Squares of tissue, and their side in pixels, that tell the mean and range of a slide."""
THUMBNAIL_LINE = 2
"""Width in pixels of contours: objects of a slide are small on its thumbnail."""

Place = tuple[int, int]


@dataclass(frozen=True)
class SlideOptions:
    """How to predict slides.

    Attributes:
        microns_per_pixel: of level 0, where the file does not tell, or tells wrongly.
        training_microns_per_pixel: of the training images, where the model does not know it.
        whole_slide: predict everywhere instead of where tissue is found.
        mirror: average over mirror images.
        block_side: pixels of the blocks in which is predicted; None fits them into `BLOCK_BYTES`.
        quiet: show no progress.
        tell: takes the sentences on what was decided, as soon as it is.
    """

    microns_per_pixel: float | None = None
    training_microns_per_pixel: float | None = None
    whole_slide: bool = False
    mirror: bool = True
    block_side: int | None = None
    quiet: bool = False
    tell: Callable[[str], None] = lambda sentence: None


@dataclass
class SlideSummary:
    """What was predicted.

    Attributes:
        areas: by slide.
        failed: slide → why it could not be predicted.
        seconds: wall time.
    """

    areas: dict[str, list[ClassArea]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class SlideModel:
    """What predicts a slide.

    Attributes:
        members: models whose probabilities are averaged.
        names: class by label, without the background.
        channels: of the training images, 1 or 3.
        recipe: what is done to the labels.
        microns_per_pixel: of the training images; None where the plan does not tell.
    """

    members: tuple[OpenModel, ...]
    names: Mapping[int, str]
    channels: int
    recipe: PostProcessing = field(default_factory=PostProcessing)
    microns_per_pixel: float | None = None

    @property
    def classes(self) -> int:
        """Number of labels, background included."""
        return max(self.names) + 1


@dataclass
class Stopwatch:
    """Wall time by stage, since the last one ended; of what is done again after an interruption, this time's alone."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=lambda: time.monotonic())

    def lap(self, stage: str) -> None:
        """The stage ends now."""
        now = time.monotonic()
        self.seconds[stage], self._last = now - self._last, now


def predict_slides(
    slides: Sequence[Path], target: Path, ensemble: Ensemble, device: torch.device, options: SlideOptions
) -> SlideSummary:
    """Predict slides into the folder `target`: NAME.ome.tif, NAME.geojson, NAME_thumbnail.jpg, NAME_slide.json of each,
    and a table of areas.

    A slide that was interrupted goes on with its next block, and one that is done is not predicted again. A slide that
    cannot be read does not stop the others.

    Raises:
        UserError: a package is missing, two slides share a name, `target` cannot be written, or the model cannot
            predict slides.
    """
    require_packages()
    names = [name_of(slide) for slide in slides]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"Several slides are called {twice}, so their results would share a name; rename one.")
    make_folder(target)
    started = time.monotonic()
    model = open_slide_model(ensemble, device, options.mirror)
    summary = SlideSummary()
    for name, slide in zip(names, slides, strict=True):
        try:
            summary.areas[name] = predict_slide(slide, target, model, options)
        except UserError as error:
            summary.failed[slide.name] = str(error)
    if summary.areas:
        write_areas(target, summary.areas)
    summary.seconds = time.monotonic() - started
    return summary


def name_of(slide: Path) -> str:
    """Name of a slide's results: that of its file without ending, .ome.tif being one."""
    return stem_of(slide).removesuffix(".ome")


def open_slide_model(ensemble: Ensemble, device: torch.device, mirror: bool) -> SlideModel:
    """The ensemble with its networks in memory.

    Raises:
        UserError: as for `open_ensemble`; the labels are regions, or the images have other than 1 or 3 channels.
    """
    dataset_json = ensemble.models[0].dataset_json()
    labels = make_labels(dataset_json["labels"], f"The model of {ensemble.name}").foreground
    if max(labels.values()) > np.iinfo(np.uint8).max:
        raise UserError(f"{ensemble.name} has labels above 255, which a slide's label image does not hold.")
    channels = expected_channels(dataset_json)
    if channels not in (1, 3):
        raise UserError(f"{ensemble.name} was trained on images of {channels} channels, but slides have 1 or 3.")
    members = open_ensemble(ensemble, device, mirror)
    size = members[0].predictors[0].plans_manager.plans.get("medt", {}).get("pixel_size_um")
    return SlideModel(
        members,
        {value: name for name, value in labels.items()},
        channels,
        ensemble.recipe.postprocessing if ensemble.recipe else PostProcessing(),
        math.sqrt(size[0] * size[1]) if size else None,
    )


def predict_slide(path: Path, target: Path, model: SlideModel, options: SlideOptions) -> list[ClassArea]:
    """Predict one slide into the folder `target`, and return the areas of its classes.

    Raises:
        UserError: it cannot be read, does not tell the size of its pixels where that is needed, or has colours that the
            model does not know.
    """
    watch = Stopwatch()
    slide, name = open_slide(path), name_of(path)
    of_training = options.training_microns_per_pixel or model.microns_per_pixel
    scale = choose_scale(slide, options.microns_per_pixel, of_training)
    options.tell(scale.sentence)
    side = options.block_side or side_of(model.classes)
    settings = {"scale": vars(scale), "side": side, "whole": options.whole_slide, "recipe": model.recipe.to_json()}
    key = work_key(slide, model.members, {**settings, "names": {str(one): name for one, name in model.names.items()}})
    done = _finished(target, name, key)
    if done is not None:
        options.tell(f"{path.name} is done already; delete {name}{RECORD_ENDING} to predict it again.")
        return done
    tissue = find_tissue(slide, options.whole_slide)
    options.tell(f"{path.name}: {tissue.share:.0%} is tissue ({tissue.rule}).")
    work = open_work(target / f".{name}.work", key, slide.size_at(scale.factor), side)
    watch.lap("tissue")
    _predict_blocks(slide, scale, tissue, model, work, options)
    watch.lap("labels")
    _find_objects(tissue, model, work, name, options)
    watch.lap("objects")
    areas = _write_results(slide, scale, tissue, model, work, target / name)
    watch.lap("results")
    _write_record(target, name, key, [scale.sentence, tissue.rule], tissue, areas, watch.seconds)
    work.remove()
    return areas


def side_of(classes: int) -> int:
    """Side of the blocks in which is predicted, so that their probabilities fit into `BLOCK_BYTES`.

    A pixel takes three numbers of 4 bytes a class (logits, probabilities, their sum), weights, and colours twice.
    """
    side = math.sqrt(BLOCK_BYTES / (12 * classes + 16))
    return min(max(int(side) // SIDE_STEP * SIDE_STEP, SMALLEST_SIDE), LARGEST_SIDE)


def _predict_blocks(
    slide: Slide, scale: Scale, tissue: Tissue, model: SlideModel, work: Work, options: SlideOptions
) -> None:
    """Write the labels of all blocks with tissue that are not there yet; the next is read while one is predicted."""
    size = work.labels.size
    networks = lay_out(model.members, size, lambda: _sample(slide, scale, tissue, size))
    margin = math.ceil(4 * model.recipe.smoothing) + 1 if model.recipe.smoothing else 0

    def touches(window: Window) -> bool:
        return tissue.touches(window, size)

    def read(place: Place) -> tuple[Place, Window, np.ndarray]:
        shown = needed_window(networks, work.labels.window(place).grown(margin, size))
        return place, shown, _channels(slide.read(shown, scale.factor), model.channels, slide)

    there = [place for place in work.labels.places() if touches(work.labels.window(place))]
    todo = [place for place in there if not work.labels.file(place).exists()]
    if 0 < len(todo) < len(there):
        options.tell(f"{slide.path.name} goes on: {len(there) - len(todo)} of {len(there)} blocks are done.")
    windows = [work.labels.window(place).grown(margin, size) for place in todo]
    patches = sum(len(block_patches(network, window, touches)) for network in networks for window in windows)
    description = f"Predict {slide.path.name}"
    interval = refresh_interval()
    with tqdm(total=patches, desc=description, unit="patch", disable=options.quiet, mininterval=interval) as bar:
        for place, shown, picture in ordered_map(read, todo, workers=1):
            window = work.labels.window(place)
            outer = window.grown(margin, size)
            probabilities = block_probabilities(networks, picture, shown, outer, touches, bar.update)
            labels = _to_labels(probabilities, networks, model.recipe.smoothing)[window.within(outer)]
            work.labels.write(place, np.where(tissue.inside(window, size), labels, 0).astype(np.uint8))


def _to_labels(probabilities: np.ndarray, networks: Sequence[SlideNetwork], smoothing: float) -> np.ndarray:
    if smoothing:
        return smooth_probabilities(probabilities, smoothing)
    manager = networks[0].predictor.label_manager
    return np.asarray(manager.convert_probabilities_to_segmentation(probabilities))


def _channels(picture: np.ndarray, channels: int, slide: Slide) -> np.ndarray:
    if channels == 3:
        return picture
    if (picture != picture[..., :1]).any():
        raise UserError(f"{slide.path} is a colour slide, but the model was trained on gray images.")
    return picture[..., :1]


def _sample(slide: Slide, scale: Scale, tissue: Tissue, size: tuple[int, int]) -> np.ndarray:
    """(pixels, 3) of squares of tissue, evenly spread over it."""
    places = np.argwhere(tissue.mask)
    chosen = places[np.linspace(0, len(places) - 1, min(SAMPLES, len(places))).astype(int)]
    squares = []
    for place in chosen:
        middle = [
            int((one + 0.5) * side / length) for one, side, length in zip(place, size, tissue.mask.shape, strict=True)
        ]
        window = Window(middle[0], middle[1], middle[0] + 1, middle[1] + 1).grown(SAMPLE_SIDE // 2, size)
        squares.append(slide.read(window, scale.factor).reshape(-1, 3))
    return np.concatenate(squares)


def _find_objects(tissue: Tissue, model: SlideModel, work: Work, name: str, options: SlideOptions) -> None:
    """Write final labels and pieces of objects of all blocks with tissue that are not there yet."""
    recipe = on_slides(model.recipe)
    todo = [
        place
        for place in work.objects.places()
        if tissue.touches(work.objects.window(place), work.objects.size) and not work.pieces(place).exists()
    ]
    for place in progress(todo, f"Objects of {name}", len(todo), "block", options.quiet):
        final, pieces = find_pieces(work.labels, work.objects.window(place), recipe, model.classes)
        for level, store in enumerate(work.finals):
            store.write(place, final[:: 2**level, :: 2**level])
        write_pieces(work.pieces(place), pieces)


def _write_results(
    slide: Slide, scale: Scale, tissue: Tissue, model: SlideModel, work: Work, stem: Path
) -> list[ClassArea]:
    split = [label for label in model.recipe.splitting if label in model.names]
    objects = join(work.objects, work.pieces, split)
    file = stem.with_name(f"{stem.name}.geojson")
    write_geojson(file, objects, model.names, split, slide.factors(scale.factor))
    file = stem.with_name(f"{stem.name}.ome.tif")
    write_label_image(file, work.finals, stem.name, scale.microns_per_pixel)
    with atomic_path(stem.with_name(f"{stem.name}_thumbnail.jpg")) as temporary:
        Image.fromarray(_thumbnail(tissue, model, work)).save(temporary, quality=90)
    height, width = work.labels.size
    return measure_areas(objects, model.names, scale.microns_per_pixel, tissue.share * height * width)


def _thumbnail(tissue: Tissue, model: SlideModel, work: Work) -> np.ndarray:
    """The slide's thumbnail with the contours of the labels."""
    shape = tissue.picture.shape[:2]
    store = [one for level, one in enumerate(work.finals) if level == 0 or min(one.size) >= min(shape)][-1]
    labels = store.read(Window(0, 0, *store.size))
    rows, columns = (
        ((np.arange(short) + 0.5) * long / short).astype(int) for short, long in zip(shape, store.size, strict=True)
    )
    drawn = draw_regions(tissue.picture, labels[np.ix_(rows, columns)], THUMBNAIL_LINE)
    return np.concatenate([drawn, legend(drawn.shape[1], line_width(shape), dict(model.names), with_reference=False)])


def _finished(target: Path, name: str, key: str) -> list[ClassArea] | None:
    """The areas of a slide whose results are there and were made by the same work."""
    record = target / f"{name}{RECORD_ENDING}"
    results = [target / f"{name}{ending}" for ending in (".ome.tif", ".geojson", "_thumbnail.jpg")]
    if not record.exists() or not all(file.exists() for file in results):
        return None
    content = read_json(record)
    return [ClassArea(**area) for area in content["areas"]] if content.get("key") == key else None


def _write_record(
    target: Path,
    name: str,
    key: str,
    decisions: list[str],
    tissue: Tissue,
    areas: Sequence[ClassArea],
    seconds: dict[str, float],
) -> None:
    content: dict[str, Any] = {
        **environment(),
        "key": key,
        "decisions": decisions,
        "tissue_share": round(tissue.share, 4),
        "areas": [asdict(area) for area in areas],
        "seconds": {stage: round(one, 1) for stage, one in seconds.items()},
    }
    write_json(target / f"{name}{RECORD_ENDING}", content)
