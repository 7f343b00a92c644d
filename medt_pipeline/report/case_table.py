"""The table of cases: columns that are worth showing, and cells as text and as values to sort by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from medt_pipeline.report.cases import Case, Order
from medt_pipeline.report.formats import digits, percent


@dataclass(frozen=True)
class Cell:
    """What a cell says, what it is sorted by: "" where nothing is known, and where its text leads to, if anywhere."""

    text: str
    value: str
    link: str = ""


@dataclass(frozen=True)
class Column:
    """A column; `sorted` is the order in which the table comes, None where another column gives it."""

    title: str
    numeric: bool
    cell: Callable[[Case], Cell]
    sorted: Literal["ascending", "descending"] | None = None


@dataclass(frozen=True)
class Row:
    """A case: its number in the page, its name and its cells."""

    number: int
    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Limit:
    """A bound that leaves only the cases that want attention: of which column, and whether "most" or "least"."""

    title: str
    column: int
    direction: Literal["most", "least"]


@dataclass(frozen=True)
class CaseTable:
    """Columns, rows in the order of the cases, and the bound; None where nothing can be bounded."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    limit: Limit | None


def case_table(order: Order) -> CaseTable:
    """Table of at least one case; a column that no case fills is left out."""
    columns = _columns(order)
    rows = tuple(
        Row(number, case.name, tuple(column.cell(case) for column in columns))
        for number, case in enumerate(order.cases, start=1)
    )
    titles = [column.title for column in columns]
    limits: dict[str, tuple[str, Literal["most", "least"]]] = {
        "Dice": ("Dice at most", "most"),
        "estimated Dice": ("Estimated Dice at most", "most"),
        "uncertainty": ("Uncertainty at least", "least"),
        "certainty": ("Certainty at most", "most"),
    }
    limit = None
    if order.by in limits:
        title, direction = limits[order.by]
        limit = Limit(title, titles.index(_measured_title(order)), direction)
    return CaseTable(tuple(columns), rows, limit)


def _columns(order: Order) -> list[Column]:
    cases = order.cases
    grouped = any(case.group != case.name for case in cases)
    columns = [
        Column("Case", False, lambda case: _word(case.name)),
        Column("Rank", True, lambda case: _word(case.rank)),
        Column("Mask file", False, _mask_file),
        Column("Group", False, lambda case: _word(case.group if grouped else None)),
        Column("Fold", True, lambda case: _word(case.fold)),
        Column("Dice", True, lambda case: _score(case.dice)),
        Column("IoU", True, lambda case: _score(case.iou)),
        *_of_classes(cases),
        Column("Estimated Dice", True, lambda case: _score(case.estimated_dice)),
        Column("Certainty", True, lambda case: _score(case.certainty)),
        Column("Uncertainty", True, lambda case: _score(case.mean_uncertainty)),
        Column("Remarks", False, lambda case: _word(", ".join(case.remarks))),
        Column("Reason", False, lambda case: _word(case.reason)),
    ]
    filled = [column for column in columns if any(column.cell(case).text not in ("", "–") for case in cases)]
    ranked = any(case.rank is not None for case in cases)
    by = "Rank" if ranked else _measured_title(order)
    direction = "descending" if by == "Uncertainty" else "ascending"
    return [
        Column(one.title, one.numeric, one.cell, direction if one.title == by else None)  # type: ignore[arg-type]
        for one in filled
    ]


def _of_classes(cases: Sequence[Case]) -> list[Column]:
    """Dice of each of several classes, and area and parts of each class where they were measured."""
    scored = list(dict.fromkeys(label for case in cases for label in case.scores))
    measured = list(dict.fromkeys(label for case in cases for label in case.regions))
    columns = [Column(f"Dice {label}", True, _dice_of(label)) for label in scored] if len(scored) > 1 else []
    for label in measured:
        columns += [Column(f"Area {label}", True, _area_of(label)), Column(f"Parts {label}", True, _parts_of(label))]
    return columns


def _dice_of(label: str) -> Callable[[Case], Cell]:
    return lambda case: _score(case.scores[label].scores.dice if label in case.scores else math.nan)


def _area_of(label: str) -> Callable[[Case], Cell]:
    def cell(case: Case) -> Cell:
        share = case.regions[label].share
        return Cell(percent(share), f"{share:.6f}")

    return cell


def _parts_of(label: str) -> Callable[[Case], Cell]:
    return lambda case: _word(case.regions[label].parts)


def _mask_file(case: Case) -> Cell:
    """The file to open in an editor, where the case is to be reviewed."""
    name = "" if case.rank is None else case.prediction.name
    return Cell(name, name, case.to_open)


def _measured_title(order: Order) -> str:
    titles = {
        "estimated Dice": "Estimated Dice",
        "uncertainty": "Uncertainty",
        "certainty": "Certainty",
        "name": "Case",
    }
    return titles.get(order.by, order.by)


def _word(value: str | int | None) -> Cell:
    text = "" if value is None else str(value)
    return Cell(text, text)


def _score(value: float) -> Cell:
    return Cell(digits(value, 3), "" if math.isnan(value) else f"{value:.6f}")
