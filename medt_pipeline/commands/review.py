"""medt_review: which predicted masks a person should look at first."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from medt_pipeline.commands._run import SUCCESS, make_parser, positive, run

MEGABYTES = 15.0
MOST_SHOWN = 5
"""Cases that are named on the console."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Rank masks that medt_predict wrote by their predicted quality, the worst first: by the estimated Dice of\n"
        "medt_find_best's recipe, else by the uncertainty (medt_predict --uncertainty). Writes the queue as a table\n"
        "(medt_review.csv) and as one HTML page with pictures. Corrected masks go back to the training data with\n"
        "medt_convert --add-corrections.",
        "medt_review masks --top 20",
    )
    parser.add_argument("masks", type=Path, metavar="MASKS", help="folder that medt_predict wrote")
    parser.add_argument("-i", "--images", type=Path, metavar="PATH", help="images of the masks, where they moved")
    parser.add_argument("--top", type=_whole, metavar="N", help="only the N that are worst; default: all")
    parser.add_argument(
        "--empty", choices=("first", "last"), default="first", help="where empty masks stand (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: medt_review.html among the masks")
    parser.add_argument(
        "--megabytes", type=positive, default=MEGABYTES, metavar="MB", help="largest size (default: %(default)s)"
    )
    return run(parser, _review, arguments)


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _review(options: argparse.Namespace) -> int:
    from medt_pipeline.report.review import ReviewOptions, review_masks

    wanted = ReviewOptions(options.top, options.empty, options.output, options.megabytes)
    written = review_masks(options.masks, options.images, wanted)
    queue, page = written.queue, written.page
    print(f"{len(queue.cases)} of {queue.of} masks to review, by {queue.by}, the worst first:")
    for case in queue.cases[:MOST_SHOWN]:
        print(f"  {case.rank:4} {case.name}: {case.reason}")
    if len(queue.cases) > MOST_SHOWN:
        print(f"       and {len(queue.cases) - MOST_SHOWN} more")
    print(f"Page: {page.file} ({page.size / 1e6:.1f} MB)")
    if page.left_out:
        print(f"{len(page.left_out)} pictures of {page.side} pixels did not fit; --megabytes allows more.")
    print(f"Table: {written.table}")
    print(f"When masks are corrected in a folder of their own: {written.send_back}")
    return SUCCESS
