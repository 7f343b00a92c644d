"""The review of a folder of predicted masks: a queue as a table, and a page to work through it."""

from __future__ import annotations

import csv
import io
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder, write_text
from medt_pipeline.core.images import stem_of
from medt_pipeline.core.spreadsheets import text_of, to_csv
from medt_pipeline.evaluation.label_maps import read_label_map
from medt_pipeline.inference.predict import SHIFT_TABLE
from medt_pipeline.report.cases import Case, Order
from medt_pipeline.report.masks import NO_ACCURACY, mask_tiles, read_masks, run_facts
from medt_pipeline.report.page import MEGABYTES, PageContent, WrittenReport, write_report
from medt_pipeline.report.review_queue import EmptyMasks, ReviewQueue, certainty, review_queue

QUEUE_TABLE = "medt_review.csv"
PAGE_FILE = "medt_review.html"
SHOWN_FIRST = 9
"""Cases of the queue that the page shows without being asked."""
_COLUMNS = ("rank", "case", "predicted_quality", "reason", "image", "mask")
_DATA_SET = re.compile(r"Dataset(\d{3})_.+")


@dataclass(frozen=True)
class ReviewOptions:
    """What is reviewed and where it is written.

    Attributes:
        top: only so many cases, the worst; None: all.
        empty: whether masks that show nothing come first or last.
        target: the page; None: medt_review.html among the masks. The table lies beside it.
        megabytes: size of the page that is not exceeded.
        quiet: show no progress.
    """

    top: int | None = None
    empty: EmptyMasks = "first"
    target: Path | None = None
    megabytes: float = MEGABYTES
    quiet: bool = False


@dataclass(frozen=True)
class WrittenReview:
    """What was written: the page, the table, the queue that both show, and how corrected masks are sent back."""

    page: WrittenReport
    table: Path
    queue: ReviewQueue
    send_back: str


def review_masks(masks: Path, images: Path | None = None, options: ReviewOptions | None = None) -> WrittenReview:
    """Rank the masks in a folder that medt_predict wrote, the worst first, and write the queue as a table and a page.

    Args:
        masks: the folder.
        images: folder of the images, or the one image; None: as medt_prediction.json beside the masks says.
        options: None for the usual ones.

    Raises:
        UserError: as for `masks.read_masks` and `review_queue.review_queue`; the page cannot be written.
    """
    options = options or ReviewOptions()
    found = read_masks(masks, images, options.quiet)
    cases = [_with_certainty(case) for case in found.cases]
    queue = review_queue(cases, options.top, options.empty, read_shift(masks / SHIFT_TABLE))
    page = options.target or masks / PAGE_FILE
    linked = page.parent.resolve() == masks.resolve()
    shown = tuple(replace(case, to_open=quote(case.prediction.name) if linked else "") for case in queue.cases)
    content = PageContent(
        title=f"Masks to review: {found.title or masks.resolve().name}",
        subtitle=NO_ACCURACY,
        tiles=[("To review", f"{len(queue.cases)} of {queue.of}"), *mask_tiles(found)],
        review={"text": explain(queue, options.empty), "steps": _steps(found.title)},
        runs=run_facts(found.record),
        command="medt_review",
    )
    order = Order(queue.by, shown, {case.name: "" for case in shown[:SHOWN_FIRST]})
    written = write_report(page, content, order, found.labels.foreground, options.megabytes, options.quiet)
    table = make_folder(page.parent) / QUEUE_TABLE
    write_text(table, to_csv(to_frame(queue), "%.4f"))
    return WrittenReview(written, table, queue, _send_back(shlex.quote(str(masks)), found.title))


def _with_certainty(case: Case) -> Case:
    if case.uncertainty is None:
        return case
    shares, mask = read_label_map(case.uncertainty) / 255, read_label_map(case.prediction)
    if shares.shape != mask.shape:
        raise UserError(f"{case.uncertainty} is not of the size of {case.prediction}; predict again.")
    return replace(case, certainty=certainty(shares, mask))


def read_shift(file: Path) -> dict[str, str]:
    """In what images are unlike those of the training, by case, from a medt_shift.csv; {} where there is none.

    Raises:
        UserError: it is no such table.
    """
    if not file.exists():
        return {}
    try:
        rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
        return {stem_of(Path(text_of(row["image"]))): text_of(row["what"]) for row in rows if row["what"]}
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"{file} is not a table of images unlike those of the training ({type(error).__name__}: {error}); "
            "delete it or restore it."
        ) from None


def to_frame(queue: ReviewQueue) -> pd.DataFrame:
    """The queue as a table: rank, case, predicted quality (NaN where unknown), reason, and where its files lie."""
    rows = []
    for case in queue.cases:
        image = "" if case.image is None else str(case.image.resolve())
        rows.append((case.rank, case.name, queue.quality(case), case.reason, image, str(case.prediction.resolve())))
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def explain(queue: ReviewQueue, empty: EmptyMasks) -> str:
    """By what the queue is ranked, and where empty masks stand."""
    by = {
        "estimated Dice": "The Dice that the probabilities of each mask promise, calibrated on cases whose truth is "
        "known, ranks the masks",
        "certainty": "No Dice is estimated, so the certainty ranks the masks: the area of a mask over itself plus the "
        "summed uncertainty of its image",
    }
    place = "Empty masks, of which no quality can be told, come first: look whether something was missed"
    if empty == "last":
        place = "Empty masks, of which no quality can be told, come last"
    return f"{by[queue.by]}, the worst first. {place}."


def _steps(data_set: str) -> list[tuple[str, str]]:
    """What to do, with the command for it or ""."""
    return [
        (
            "Open an image and its mask file in an editor: QuPath, ITK-SNAP, 3D Slicer, or any program that draws "
            f"pictures. {QUEUE_TABLE} names both with their folders.",
            "",
        ),
        (
            "Save the corrected mask under the name of the image into a folder of its own: as a picture of the same "
            "values and size (png, tif, nii.gz, nrrd, mha), or as GeoJSON with the names of the classes. A mask that "
            "is right goes there as it is: it is then confirmed.",
            "",
        ),
        (
            "Add that folder to the training data, where MASKS is the folder that medt_predict wrote:",
            _send_back("MASKS", data_set),
        ),
        ("Plan again, and train on the larger data set:", f"medt_plan_and_preprocess -d {_id_of(data_set)}"),
    ]


def _send_back(masks: str, data_set: str) -> str:
    return f"medt_convert --add-corrections CORRECTED --reviewed {masks} -d {_id_of(data_set)}"


def _id_of(data_set: str) -> str:
    match = _DATA_SET.fullmatch(data_set)
    return str(int(match[1])) if match else "ID"
