"""medt_convert: bring a released data set or your own images into the raw format of nnU-Net."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medt_pipeline.commands._run import SUCCESS, USER_MISTAKE, add_common_options, make_parser, run
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.workspace import Workspace
from medt_pipeline.dataset_conversion import registry

ADD, CORRECTIONS = "--add-corrections", "corrections"
_TYPES = {"text": str, "number": int, "decimal": float, "path": Path}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser(
        "Convert images and masks to a raw data set that nnU-Net and medt_pipeline read.",
        "medt_convert folder --images photos --masks outlines -d 110 -n Mine\n"
        "  medt_convert --add-corrections CORRECTED --reviewed MASKS -d 110",
    )
    parser.add_argument("--list", action="store_true", help="list the sources, their terms and how to get them")
    parser.add_argument(ADD, metavar="CORRECTED", help=f"add corrected masks to a data set: see {CORRECTIONS} --help")
    parser.set_defaults(source=None, run=_convert)
    subparsers = parser.add_subparsers(metavar="SOURCE", title="sources (medt_convert SOURCE --help tells more)")
    for source in registry.SOURCES:
        _add_source(subparsers, source)
    _add_corrections(subparsers)
    _add_verify(subparsers)
    given = sys.argv[1:] if arguments is None else list(arguments)
    return run(parser, lambda options: options.run(options), _as_subcommand(given))


def _as_subcommand(arguments: list[str]) -> list[str]:
    """`--add-corrections CORRECTED …`, in any place, as `corrections CORRECTED …`."""
    place = next((place for place, one in enumerate(arguments) if one.partition("=")[0] == ADD), None)
    if place is None:
        return arguments
    _, equals, folder = arguments[place].partition("=")
    value = [folder] if equals else arguments[place + 1 : place + 2]
    return [CORRECTIONS, *value, *arguments[:place], *arguments[place + 2 - bool(equals) :]]


def _add_source(subparsers: argparse._SubParsersAction, source: registry.Source) -> None:
    named = source.default_name
    example = f"medt_convert {source.key} {source.example} -d 101" + ("" if named else " -n Mine")
    parser = subparsers.add_parser(
        source.key,
        help=f"{source.title}: {source.task}",
        description=f"Convert {source.title}.\nFiles: {source.obtain}.\nTerms: {source.terms}.",
        epilog=f"Example:\n  {example}",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(source=source)
    _add_options(parser, source)
    parser.add_argument(
        "-d", "--dataset-id", type=int, required=True, metavar="ID", help="number of the data set, 1 to 999"
    )
    name_help = f"its name; default: {named}" if named else "its name: letters, digits, - and _"
    parser.add_argument("-n", "--name", default=named, required=named is None, metavar="NAME", help=name_help)
    parser.add_argument("--overwrite", action="store_true", help="replace a data set of this id and name")
    parser.add_argument("--check", action="store_true", help="only look and tell; write nothing")
    add_common_options(parser, inherited=True)


def _add_options(parser: argparse.ArgumentParser, source: registry.Source) -> None:
    excluding: dict[str, Any] = {}
    for option in (*source.inputs, *source.options):
        if option.excludes and option.excludes not in excluding:
            excluding[option.excludes] = parser.add_mutually_exclusive_group()
        place = excluding.get(option.excludes, parser)
        if option.kind == "switch":
            place.add_argument(option.flag, action="store_true", help=option.help)
            continue
        default = f" (default: {option.choices[0]})" if option.choices else ""
        settings: dict[str, Any] = {"type": _TYPES[option.kind], "help": option.help + default}
        if option.choices:
            settings |= {"choices": option.choices, "default": option.choices[0]}
        if option.metavar:
            settings["metavar"] = option.metavar
        if option.flag.startswith("-"):
            settings["required"] = option.required
            place.add_argument(option.flag, **settings)
        else:
            place.add_argument(option.keyword, **settings | {"metavar": option.flag})


def _add_corrections(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        CORRECTIONS,
        help="add corrected masks to a raw data set as training cases (after medt_review)",
        description="Add corrected masks with their images to a raw data set as training cases, all or none.\n"
        "Masks: pictures of any program (png, bmp, tif, nii, mha, nrrd, npy), GeoJSON of QuPath, LabelMe or\n"
        "Aperio XML, each named as its image but for the ending.",
        epilog=f"Example:\n  medt_convert {ADD} CORRECTED --reviewed MASKS -d 101",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_correct)
    parser.add_argument("corrected", type=Path, metavar="CORRECTED", help="folder of corrected masks")
    parser.add_argument(
        "-d", "--dataset-id", type=int, required=True, metavar="ID", help="number of the data set, 1 to 999"
    )
    parser.add_argument(
        "--reviewed", type=Path, metavar="MASKS", help="folder that medt_predict wrote: it tells images and model"
    )
    parser.add_argument("--images", type=Path, metavar="PATH", help="folder of the images, where that does not tell it")
    parser.add_argument(
        "--groups",
        metavar="REGEX|CSV",
        help="patients: a regular expression on the name, or a CSV file with the columns name, group; default: each "
        "image its own",
    )
    parser.add_argument(
        "--labels",
        metavar="NAME=VALUE,…",
        help="what values (name=value, name=#RRGGBB) or classes (name=CLASS) mean that the data set does not know",
    )
    parser.add_argument(
        "--replace", action="store_true", help="cases that are there already get the corrected mask in place of theirs"
    )
    parser.add_argument("--check", action="store_true", help="only look and tell; write nothing")
    add_common_options(parser, inherited=True)


def _correct(options: argparse.Namespace) -> int:
    from medt_pipeline.dataset_conversion.corrections import CorrectionOptions, add_corrections
    from medt_pipeline.dataset_conversion.enlarging import ADDED_SHEET
    from medt_pipeline.dataset_conversion.target import Target, mend

    workspace = Workspace.locate(options.workspace)
    if not options.check:
        mend(workspace, options.dataset_id)
    name = workspace.dataset_name(options.dataset_id).partition("_")[2]
    target = Target(workspace, options.dataset_id, name, overwrite=True, check_only=options.check)
    wanted = CorrectionOptions(options.reviewed, options.images, options.labels, options.groups, options.replace)
    print(add_corrections(options.corrected, target, wanted).to_text())
    if options.check:
        print("Only checked; nothing was written.")
        return SUCCESS
    print(f"  look at     {target.folder / ADDED_SHEET}")
    print(f"Next: medt_plan_and_preprocess -d {options.dataset_id}{_workspace_option(options)}")
    return SUCCESS


def _add_verify(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "verify",
        help="check a raw data set, also one that was not made here",
        description="Check every file of a raw data set and tell all problems; exit status 2 if there are any.",
        epilog="Example:\n  medt_convert verify -d 101",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_verify)
    parser.add_argument(
        "-d", "--dataset-id", type=int, required=True, metavar="ID", help="number of the data set, 1 to 999"
    )
    parser.add_argument(
        "--fix", action="store_true", help="mend what can be mended: 0/255 masks, missing _0000, numTraining"
    )
    add_common_options(parser, inherited=True)


def _verify(options: argparse.Namespace) -> int:
    from medt_pipeline.dataset_conversion.verification import fix, verify

    workspace = Workspace.locate(options.workspace)
    raw = workspace.raw / workspace.dataset_name(options.dataset_id)
    verification = verify(raw)
    if options.fix and verification.fixable:
        print(verification.to_text())
        print(f"Mended: {fix(verification)} of {len(verification.findings)}. What remains:")
        verification = verify(raw)
    print(verification.to_text())
    if verification.fixable:
        command = f"medt_convert verify -d {options.dataset_id}{_workspace_option(options)} --fix"
        print(f"{len(verification.fixable)} of these can be mended: {command}")
    return USER_MISTAKE if verification.findings else SUCCESS


def _workspace_option(options: argparse.Namespace) -> str:
    return f" --workspace {options.workspace}" if options.workspace else ""


def _convert(options: argparse.Namespace) -> int:
    if options.list:
        print(registry.to_text())
        return SUCCESS
    if options.source is None:
        raise UserError(f"Please name a source: {', '.join(source.key for source in registry.SOURCES)}.")
    from medt_pipeline.dataset_conversion.target import Target

    workspace = Workspace.locate(options.workspace)
    target = Target(workspace, options.dataset_id, options.name, options.overwrite, options.check)
    summary = registry.convert(options.source, target, vars(options))
    print(summary.to_text())
    if options.check:
        print("Only checked; nothing was written.")
        return SUCCESS
    print(f"  written to  {target.folder}")
    print(f"  look at     {target.folder / 'contact_sheet.png'}")
    print(f"Next: medt_plan_and_preprocess -d {options.dataset_id}{_workspace_option(options)}")
    return SUCCESS
