"""medt_convert: bring a released data set or your own images into the raw format of nnU-Net."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from medt_pipeline.commands._run import SUCCESS, add_common_options, make_parser, run
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import registry

if TYPE_CHECKING:
    from medt_pipeline.dataset_conversion.summary import Summary
    from medt_pipeline.dataset_conversion.target import Target

_LABELS_HELP = "what the mask values mean: name=value,… or name=#RRGGBB,…; any other value is an error"
_GROUPS_HELP = "patients: a regular expression on the name, or a CSV file with the columns name, group"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser(
        "Convert images and masks to a raw data set that nnU-Net and medt_pipeline read.",
        "medt_convert folder --images photos --masks outlines -d 110 -n Mine",
    )
    parser.add_argument("--list", action="store_true", help="list the sources, their terms and how to get them")
    parser.set_defaults(source=None)
    subparsers = parser.add_subparsers(metavar="SOURCE", title="sources (medt_convert SOURCE --help tells more)")
    for source in registry.SOURCES:
        _add_source(subparsers, source)
    return run(parser, _convert, arguments)


def _add_source(subparsers: argparse._SubParsersAction, source: registry.Source) -> None:
    parser = subparsers.add_parser(
        source.key,
        help=f"{source.title}: {source.task}",
        description=f"Convert {source.title}.\nFiles: {source.obtain}.\nTerms: {source.terms}.",
        epilog=f"Example:\n  {_example(source)}",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(source=source)
    if source.key == "folder":
        _add_folder_options(parser)
    else:
        parser.add_argument("folder", type=Path, metavar="SRC", help="the folder with the files")
    named = source.default_name
    parser.add_argument(
        "-d", "--dataset-id", type=int, required=True, metavar="ID", help="number of the data set, 1 to 999"
    )
    name_help = f"its name; default: {named}" if named else "its name: letters, digits, - and _"
    parser.add_argument("-n", "--name", default=named, required=named is None, metavar="NAME", help=name_help)
    parser.add_argument(
        "--skip-unpaired", action="store_true", help="leave out images without mask and masks without image"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a data set of this id and name")
    add_common_options(parser, inherited=True)


def _add_folder_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="folder of images: png, bmp, tif, jpg"
    )
    parser.add_argument("--masks", type=Path, required=True, metavar="DIR", help="folder of masks: png, bmp, tif")
    parser.add_argument("--labels", metavar="NAME=VALUE,…", help=_LABELS_HELP)
    parser.add_argument("--groups", metavar="REGEX|CSV", help=_GROUPS_HELP)
    masks = parser.add_mutually_exclusive_group()
    masks.add_argument(
        "--threshold", type=int, metavar="N", help="mask values above N are foreground, all others background"
    )
    masks.add_argument("--instances", action="store_true", help="every nonzero mask value is one object of one class")


def _example(source: registry.Source) -> str:
    if source.key == "folder":
        return 'medt_convert folder --images images --masks masks -d 110 -n Mine --groups "^(P[0-9]+)_"'
    return f"medt_convert {source.key} SRC -d 101" + ("" if source.default_name else " -n Name")


def _convert(options: argparse.Namespace) -> int:
    if options.list:
        print(registry.to_text())
        return SUCCESS
    if options.source is None:
        raise UserError(f"Please name a source: {', '.join(source.key for source in registry.SOURCES)}.")
    from medt_pipeline.dataset_conversion.target import Target

    target = Target(Workspace.locate(options.workspace), options.dataset_id, options.name, options.overwrite)
    summary = _call(options, target)
    print(summary.to_text())
    print(f"  written to  {target.folder}")
    workspace = f" --workspace {options.workspace}" if options.workspace else ""
    print(f"Next: medt_plan_and_preprocess -d {options.dataset_id}{workspace}")
    return SUCCESS


def _call(options: argparse.Namespace, target: Target) -> Summary:
    if options.source.key != "folder":
        module = import_module(f"medt_pipeline.dataset_conversion.{options.source.module}")
        summary: Summary = module.convert(options.folder, target, options.skip_unpaired)
        return summary
    from medt_pipeline.dataset_conversion.folder import FolderOptions, convert

    facts = FolderOptions(options.labels, options.groups, options.threshold, options.instances, options.skip_unpaired)
    return convert(options.images, options.masks, target, facts)
