"""medt_predict: masks for images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medt_pipeline.commands._run import PARTLY, SUCCESS, add_cluster_option, make_parser, run
from medt_pipeline.core.errors import UserError

if TYPE_CHECKING:
    from medt_pipeline.fingerprint.shift import TrainingImages
    from medt_pipeline.inference.models import Ensemble
    from medt_pipeline.inference.predict import PredictionSummary

MOST_SHOWN = 10
"""Images that are named on the console as unlike those of the training."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Predict a mask for each image (png, bmp, tif, jpg; any name; a folder or one file) with a model file, or\n"
        "with the recipe of medt_find_best or, where there is none, all trained folds of the configuration 2d.\n"
        "Masks are PNG files that hold the labels 0, 1, …; --overlays writes pictures to look at.\n"
        "Whole slides (svs, ndpi, mrxs, pyramidal or OME tif, …) give a label image, GeoJSON for QuPath and areas.",
        "medt_predict -i images -o masks --overlays",
    )
    parser.add_argument(
        "-i", "--input", required=True, metavar="PATH", help="folder of images or slides, or one of them; or a URL"
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the masks, or its URL")
    parser.add_argument("-m", "--model", type=Path, metavar="FILE", help="model file (.medt) of medt_export")
    parser.add_argument("-d", "--dataset", type=int, metavar="ID", help="needed where several data sets are trained")
    parser.add_argument("-c", "--configuration", metavar="NAME", help="this configuration instead of the recipe")
    parser.add_argument("-f", "--folds", nargs="+", metavar="FOLD", help="default: all trained folds")
    parser.add_argument("--no-mirroring", action="store_true", help="four times faster, a little less accurate")
    parser.add_argument("--uncertainty", action="store_true", help="also write maps of where a mask may be wrong")
    parser.add_argument("--overlays", action="store_true", help="also write pictures with contours")
    parser.add_argument("--save-probabilities", action="store_true", help="also write class probabilities (npz)")
    parser.add_argument("--warn-shift", action="store_true", help="say which images are unlike those of the training")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: %(default)s")
    add_cluster_option(parser, "predict")
    _add_slide_options(parser)
    return run(parser, _predict, arguments)


def _add_slide_options(parser: argparse.ArgumentParser) -> None:
    slides = parser.add_argument_group("whole slides")
    slides.add_argument(
        "--microns-per-pixel", type=_size, metavar="UM", help="of level 0, where the slide does not tell"
    )
    slides.add_argument(
        "--training-microns-per-pixel", type=_size, metavar="UM", help="of the training images, where not known"
    )
    slides.add_argument("--whole-slide", action="store_true", help="predict everywhere, not only where tissue is found")


def _size(text: str) -> float:
    """A pixel size in micrometres; what is none is a typing error."""
    value = float(text)
    if not 0 < value <= 1000:
        raise ValueError(text)
    return value


def _predict(options: argparse.Namespace) -> int:
    from medt_pipeline.core.cluster import parse_cluster
    from medt_pipeline.core.remote import place_of
    from medt_pipeline.core.slides import list_slides
    from medt_pipeline.inference.inputs import list_inputs

    # Before anything slow is loaded.
    source, target = place_of(options.input), place_of(options.output)
    slides = list_slides(source) if isinstance(source, Path) else []
    if slides and (options.on is not None or not isinstance(target, Path)):
        raise UserError("--on and URLs are for pictures; whole slides are predicted here, into a folder.")
    if options.on is not None:
        parse_cluster(options.on)
    if not slides:
        list_inputs(source)
    ensemble, training_images = _of_file(options) if options.model else _of_workspace(options)

    from medt_pipeline.core.overlays import draw_overlay
    from medt_pipeline.inference.predict import PredictionOptions, predict_images
    from medt_pipeline.training.device import choose_device

    if options.warn_shift and training_images is None:
        raise UserError("--warn-shift needs the facts of the training images, which are not known here; leave it out.")
    print(f"Predicting with {ensemble.name}{' as medt_find_best chose' if ensemble.recipe else ''}.")
    if slides and options.warn_shift:
        raise UserError("--warn-shift is for pictures; leave it out for whole slides.")
    if slides:
        return _predict_slides(slides, ensemble, options)
    summary = predict_images(
        source,
        target,
        ensemble,
        choose_device(options.device, elsewhere=options.on is not None),
        PredictionOptions(
            mirror=not options.no_mirroring,
            save_probabilities=options.save_probabilities,
            uncertainty=options.uncertainty,
            draw_overlay=draw_overlay if options.overlays else None,
            training_images=training_images if options.warn_shift else None,
        ),
        options.on,
    )
    print(f"{len(summary.masks)} masks in {target} ({summary.seconds:.1f} s).")
    _warn_of_shift(summary)
    for name, reason in summary.failed.items():
        print(f"not predicted: {name}: {reason}", file=sys.stderr)
    return PARTLY if summary.failed else SUCCESS


def _predict_slides(slides: Sequence[Path], ensemble: Ensemble, options: argparse.Namespace) -> int:
    from medt_pipeline.slides.predict import SlideOptions, predict_slides
    from medt_pipeline.training.device import choose_device

    if options.uncertainty or options.save_probabilities:
        raise UserError("--uncertainty and --save-probabilities are for pictures; leave them out for whole slides.")
    summary = predict_slides(
        slides,
        Path(options.output),
        ensemble,
        choose_device(options.device),
        SlideOptions(
            microns_per_pixel=options.microns_per_pixel,
            training_microns_per_pixel=options.training_microns_per_pixel,
            whole_slide=options.whole_slide,
            mirror=not options.no_mirroring,
            tell=lambda sentence: print(sentence, flush=True),
        ),
    )
    print(f"{len(summary.areas)} slides in {options.output} ({summary.seconds:.1f} s).")
    for name, reason in summary.failed.items():
        print(f"not predicted: {name}: {reason}", file=sys.stderr)
    return PARTLY if summary.failed else SUCCESS


def _of_file(options: argparse.Namespace) -> tuple[Ensemble, TrainingImages | None]:
    if options.dataset is not None or options.configuration or options.folds or options.workspace:
        raise UserError("-m names the model already; leave out -d, -c, -f and --workspace.")

    from medt_pipeline.inference.model_file import open_model_file

    file = open_model_file(options.model)

    from medt_pipeline.inference.packed_model import ensemble_in

    return ensemble_in(file), file.training_images


def _of_workspace(options: argparse.Namespace) -> tuple[Ensemble, TrainingImages | None]:
    from medt_pipeline.core.workspace import Workspace

    workspace = Workspace.locate(options.workspace).activate()

    from medt_pipeline.fingerprint.medt_fingerprint import known_fingerprint
    from medt_pipeline.fingerprint.shift import training_images
    from medt_pipeline.inference.models import find_ensemble
    from medt_pipeline.training.run import parse_fold

    folds = tuple(parse_fold(fold) for fold in options.folds) if options.folds else None
    ensemble = find_ensemble(workspace, options.dataset, options.configuration, folds)
    fingerprint = known_fingerprint(workspace.preprocessed / ensemble.models[0].dataset_name)
    return ensemble, None if fingerprint is None else training_images(fingerprint.cases.values())


def _warn_of_shift(summary: PredictionSummary) -> None:
    different = {name: phrases for name, phrases in summary.unlike.items() if phrases}
    if different:
        print(
            f"warning: {len(different)} of {len(summary.unlike)} images are unlike those of the training, so their "
            "masks may be worse than the model's scores say (medt_shift.csv):",
            file=sys.stderr,
        )
    for name, phrases in list(different.items())[:MOST_SHOWN]:
        print(f"  {name}: {'; '.join(phrases)}", file=sys.stderr)
    if len(different) > MOST_SHOWN:
        print(f"  … and {len(different) - MOST_SHOWN} more", file=sys.stderr)
