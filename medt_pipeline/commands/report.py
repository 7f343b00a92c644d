"""medt_report: results as one page to show."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from medt_pipeline.commands._run import SUCCESS, make_parser, positive, run
from medt_pipeline.core.errors import UserError

MEGABYTES = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Write one HTML page that opens without a network: of a data set its data, plan, learning curves, scores,\n"
        "ranking and held-out cases; of a folder of predicted masks the masks. Images are drawn into it, so treat it\n"
        "as you treat them.",
        "medt_report 101\n  medt_report masks -i images",
    )
    parser.add_argument("source", metavar="ID|MASKS", help="id of a data set, or folder of predicted masks")
    parser.add_argument(
        "-c", "--configuration", metavar="NAME", help="held-out cases of this configuration instead of the recipe's"
    )
    parser.add_argument("-i", "--images", type=Path, metavar="PATH", help="images of the masks, where they moved")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: medt_report.html in the results")
    parser.add_argument(
        "--megabytes", type=positive, default=MEGABYTES, metavar="MB", help="largest size (default: %(default)s)"
    )
    return run(parser, _report, arguments)


def _report(options: argparse.Namespace) -> int:
    of_data_set = options.source.isdecimal()
    if of_data_set and options.images:
        raise UserError("-i goes with a folder of masks; the images of a data set are known.")
    if not of_data_set and options.configuration:
        raise UserError("-c goes with the id of a data set, not with a folder of masks.")

    from medt_pipeline.core.workspace import Workspace
    from medt_pipeline.report.data_set import report_data_set
    from medt_pipeline.report.masks import report_masks

    if of_data_set:
        workspace = Workspace.locate(options.workspace)
        written = report_data_set(
            int(options.source), workspace, options.configuration, options.output, options.megabytes
        )
    else:
        written = report_masks(Path(options.source), options.images, options.output, options.megabytes)
    print(f"Report of {written.cases} cases: {written.file} ({written.size / 1e6:.1f} MB)")
    if written.left_out:
        print(f"{len(written.left_out)} pictures of {written.side} pixels did not fit; --megabytes allows more.")
    return SUCCESS
