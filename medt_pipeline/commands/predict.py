"""medt_predict: masks for images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
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
        "Whole slides (svs, ndpi, mrxs, pyramidal or OME tif, …) give a label image, GeoJSON for QuPath and areas.\n"
        "Clips (DICOM, mp4, avi, …) give masks of all frames, a video with contours, and areas over time.",
        "medt_predict -i images -o masks --overlays",
    )
    parser.add_argument(
        "-i", "--input", required=True, metavar="PATH", help="folder of images, slides or clips, or one; or images' URL"
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
    _add_clip_options(parser)
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


def _add_clip_options(parser: argparse.ArgumentParser) -> None:
    clips = parser.add_argument_group("clips")
    clips.add_argument(
        "--smooth-frames",
        type=_window,
        metavar="off|N",
        help="average probabilities over N frames (odd); default: as medt_find_best chose, else off",
    )
    clips.add_argument(
        "--keep-identifiers", action="store_true", help="write patient and study of a DICOM clip into its results"
    )


def _window(text: str) -> int:
    """A number of frames with one in the middle, 1 for "off"; what is none is a typing error."""
    value = 1 if text == "off" else int(text)
    if value < 1 or value % 2 == 0:
        raise ValueError(text)
    return value


def _size(text: str) -> float:
    """A pixel size in micrometres; what is none is a typing error."""
    value = float(text)
    if not 0 < value <= 1000:
        raise ValueError(text)
    return value


def _predict(options: argparse.Namespace) -> int:
    from medt_pipeline.core.clips import open_clip
    from medt_pipeline.core.remote import place_of

    # before anything slow is loaded
    options.input, options.output = place_of(options.input), place_of(options.output)
    slides, clips = _slides_and_clips(options)
    with_images = _wants_images(slides, clips, options)
    if clips and options.input.is_file():
        open_clip(options.input)
    ensemble, training_images = _of_file(options) if options.model else _of_workspace(options)
    if options.warn_shift and training_images is None:
        raise UserError("--warn-shift needs the facts of the training images, which are not known here; leave it out.")
    print(f"Predicting with {ensemble.name}{' as medt_find_best chose' if ensemble.recipe else ''}.")
    statuses = [
        *([_predict_slides(slides, ensemble, options)] if slides else []),
        *([_predict_images(ensemble, training_images, options)] if with_images else []),
        *([_predict_clips(clips, ensemble, options)] if clips else []),
    ]
    return max(statuses)


def _slides_and_clips(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    from medt_pipeline.core.clips import list_clips
    from medt_pipeline.core.cluster import parse_cluster
    from medt_pipeline.core.slides import list_slides

    if options.on is not None:
        parse_cluster(options.on)
    if not isinstance(options.input, Path):
        return [], []
    slides, clips = list_slides(options.input), list_clips(options.input)
    if (slides or clips) and (options.on is not None or not isinstance(options.output, Path)):
        raise UserError("--on and URLs are for pictures; slides and clips are predicted here, into a folder.")
    return slides, clips


def _wants_images(slides: Sequence[Path], clips: Sequence[Path], options: argparse.Namespace) -> bool:
    """Whether images are to be predicted: beside clips those that are there, beside slides none, else there must be."""
    from medt_pipeline.core.images import list_images
    from medt_pipeline.inference.inputs import list_inputs

    among_clips = bool(clips) and options.input.is_dir() and bool(list_images(options.input))
    with_images = not slides and (not clips or among_clips)
    if with_images:
        list_inputs(options.input)
    elif options.uncertainty or options.save_probabilities or options.warn_shift:
        what = "whole slides" if slides else "clips"
        raise UserError(
            f"--uncertainty, --save-probabilities and --warn-shift are for pictures; leave them out for {what}."
        )
    return with_images


def _predict_images(ensemble: Ensemble, training_images: TrainingImages | None, options: argparse.Namespace) -> int:
    from medt_pipeline.core.overlays import draw_overlay
    from medt_pipeline.inference.predict import PredictionOptions, predict_images
    from medt_pipeline.training.device import choose_device

    summary = predict_images(
        options.input,
        options.output,
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
    print(f"{len(summary.masks)} masks in {options.output} ({summary.seconds:.1f} s).")
    _warn_of_shift(summary)
    return _tell_failed(summary.failed)


def _predict_clips(clips: Sequence[Path], ensemble: Ensemble, options: argparse.Namespace) -> int:
    from medt_pipeline.clips.predict import ClipOptions, predict_clips
    from medt_pipeline.training.device import choose_device

    summary = predict_clips(
        clips,
        options.output,
        ensemble,
        choose_device(options.device),
        ClipOptions(
            smooth_frames=options.smooth_frames,
            keep_identifiers=options.keep_identifiers,
            mirror=not options.no_mirroring,
            tell=lambda sentence: print(sentence, flush=True),
        ),
    )
    if options.input.is_file() and summary.failed:
        raise UserError(next(iter(summary.failed.values())))
    frames = sum(summary.frames.values())
    print(f"{len(summary.frames)} clips ({frames} frames) in {options.output} ({summary.seconds:.1f} s).")
    return _tell_failed(summary.failed)


def _tell_failed(failed: Mapping[str, str]) -> int:
    """Say on standard error what was not predicted; the exit status."""
    for name, reason in failed.items():
        print(f"not predicted: {name}: {reason}", file=sys.stderr)
    return PARTLY if failed else SUCCESS


def _predict_slides(slides: Sequence[Path], ensemble: Ensemble, options: argparse.Namespace) -> int:
    from medt_pipeline.slides.predict import SlideOptions, predict_slides
    from medt_pipeline.training.device import choose_device

    summary = predict_slides(
        slides,
        options.output,
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
    return _tell_failed(summary.failed)


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
