"""medt_export: a trained model as one file, or as a folder of stock nnU-Net."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medt_pipeline.commands._run import SUCCESS, make_parser, run
from medt_pipeline.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from medt_pipeline.core.workspace import Workspace
    from medt_pipeline.inference.models import Ensemble


PREVIEW_SIDE = 512
"""Longer side of the preview in pixels, at most."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Write a trained model as one file with which medt_predict -m works on any machine. It takes the recipe of\n"
        "medt_find_best or, where there is none, all trained folds of the configuration 2d. No name of a case or\n"
        "patient goes into it. --nnunet and --onnx write a model, or such a file, for stock nnU-Net and for ONNX.",
        "medt_export 101 -o glands.medt --licence 'CC BY 4.0'",
    )
    parser.add_argument("source", metavar="ID|FILE", help="id of a data set with a trained fold, or a model file")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="model file to write, ending in .medt")
    parser.add_argument("--nnunet", type=Path, metavar="DIR", help="new folder for a model of stock nnU-Net")
    parser.add_argument("--onnx", type=Path, metavar="DIR", help="new folder for ONNX graphs, with model.json")
    parser.add_argument("--no-mirroring", action="store_true", help="no mirror images in the graphs: up to 4 × faster")
    parser.add_argument(
        "--precision",
        choices=("float32", "float16", "int8"),
        default="float32",
        help="of the graphs; not written where an image gets another mask",
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="images like those to come, on which --precision is tried"
    )
    parser.add_argument("-c", "--configuration", metavar="NAME", help="this configuration instead of the recipe")
    parser.add_argument("-f", "--folds", nargs="+", metavar="FOLD", help="default: all trained folds")
    parser.add_argument("--licence", metavar="TEXT|FILE", help="terms of use, or a text file that holds them")
    parser.add_argument("--preview", type=Path, metavar="IMAGE", help="a picture to show; without what its file says")
    return run(parser, _export, arguments)


def _export(options: argparse.Namespace) -> int:
    from_file = not options.source.isdigit()
    _refuse_contradictions(options, from_file)
    if options.output is not None:
        licence, preview = _licence(options.licence), _preview(options.preview)

    from medt_pipeline.core.workspace import Workspace
    from medt_pipeline.inference.export import ExportOptions, export_model, write_nnunet_folder

    workspace = Workspace.locate(options.workspace)
    ensemble = _of_file(Path(options.source)) if from_file else _of_workspace(workspace, options)
    if options.output is not None:
        checksum = export_model(ensemble, workspace, options.output, ExportOptions(licence, preview))
        size = options.output.stat().st_size / 1e6
        print(f"{options.output}: {ensemble.name}, {size:.1f} MB, SHA-256 {checksum}")
        print(f"Next: medt_info {options.output}; medt_predict -m {options.output} -i IMAGES -o MASKS")
    if options.nnunet is not None:
        for folder in write_nnunet_folder(ensemble, options.nnunet):
            print(f"Model folder of nnU-Net: {folder}")
    if options.onnx is not None:
        from medt_pipeline.core.images import list_images
        from medt_pipeline.inference.onnx_export import export_onnx

        images = list_images(options.images) if options.images is not None else []
        for file in export_onnx(ensemble, options.onnx, not options.no_mirroring, options.precision, images):
            print(f"Graph: {file}; what is to be done before and after: {file.with_name('model.json')}")
    return SUCCESS


def _refuse_contradictions(options: argparse.Namespace, from_file: bool) -> None:
    if options.output is None and options.nnunet is None and options.onnx is None:
        raise UserError("There is nothing to write; name a model file with -o or a folder with --nnunet or --onnx.")
    if options.no_mirroring and options.onnx is None:
        raise UserError("--no-mirroring is for the graphs of --onnx; leave it out.")
    if options.onnx is None and (options.precision != "float32" or options.images is not None):
        raise UserError("--precision and --images are for the graphs of --onnx; leave them out.")
    if (options.precision != "float32") != (options.images is not None):
        raise UserError("--precision float16 or int8 and --images go together: masks of images are compared.")
    if from_file and options.output is not None:
        raise UserError(f"{options.source} is a model file already; copy it, or unpack it with --nnunet.")
    if from_file and (options.configuration or options.folds):
        raise UserError("-c and -f choose among trained folds, but a model file has its recipe; leave them out.")
    if options.output is None and (options.licence or options.preview):
        raise UserError("--licence and --preview go into a model file; name it with -o.")
    if options.output is not None and options.output.suffix.lower() != ".medt":
        raise UserError(f"The model file must end in .medt, got {options.output.name!r}.")


def _of_file(path: Path) -> Ensemble:
    from medt_pipeline.inference.model_file import open_model_file
    from medt_pipeline.inference.packed_model import ensemble_in

    return ensemble_in(open_model_file(path))


def _of_workspace(workspace: Workspace, options: argparse.Namespace) -> Ensemble:
    from medt_pipeline.inference.models import find_ensemble
    from medt_pipeline.training.run import parse_fold

    folds = tuple(parse_fold(fold) for fold in options.folds) if options.folds else None
    return find_ensemble(workspace, int(options.source), options.configuration, folds)


def _licence(given: str | None) -> str | None:
    if given is None or not Path(given).is_file():
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{given} is no text in UTF-8; save it as one, or give the terms as text.") from None


def _preview(path: Path | None) -> np.ndarray | None:
    if path is None:
        return None
    from medt_pipeline.core.images import read_image
    from medt_pipeline.core.overlays import smaller_rgb8

    return smaller_rgb8(read_image(path), PREVIEW_SIDE)
