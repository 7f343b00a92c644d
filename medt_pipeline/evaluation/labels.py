"""Which label values are scored, under which names, and where that was learnt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import read_json

BACKGROUND = 0
MOST_FOUND_VALUES = 32
"""More values than this without a declaration are taken for gray values or instance numbers, not for classes."""


@dataclass(frozen=True)
class Labels:
    """The classes of a data set.

    Attributes:
        foreground: value by class name, without the background, in the order of the values.
        ignore: value whose pixels in the reference are not scored, None where there is none.
        source: where this was declared, for messages and tables.
    """

    foreground: dict[str, int]
    ignore: int | None
    source: str

    def unknown(self, values: Iterable[int]) -> list[int]:
        """Those of `values` that mean nothing here, sorted."""
        return sorted(set(values) - {BACKGROUND, self.ignore, *self.foreground.values()})

    def __str__(self) -> str:
        names = {"background": BACKGROUND, **self.foreground}
        if self.ignore is not None:
            names["ignore"] = self.ignore
        return ", ".join(f"{name}={value}" for name, value in names.items())


def declared_labels(reference: Path, predictions: Path) -> Labels | None:
    """Labels of nnU-Net's dataset.json in `predictions`, in `reference` or above it; None where none of them has one.

    Raises:
        UserError: the first one found declares no labels, or regions of several labels.
    """
    for folder in (predictions, reference, reference.absolute().parent):
        file = folder / "dataset.json"
        if file.is_file():
            content = read_json(file)
            return make_labels(content.get("labels") if isinstance(content, dict) else None, str(file))
    return None


def make_labels(declared: object, source: str) -> Labels:
    """Check a table name → value, with "background" and "ignore" as in nnU-Net.

    Raises:
        UserError: it is no such table, two names share a value, or no class is left beside the background.
    """
    if not isinstance(declared, dict) or not declared:
        raise UserError(f"{source} declares no labels; give them with --labels name=value,….")
    wrong = [name for name, value in declared.items() if not isinstance(value, int) or value < 0]
    if wrong:
        raise UserError(
            f"{source} gives the label {wrong[0]} as {declared[wrong[0]]!r}, but one whole number was expected "
            "(regions of several labels are not scored); give the labels with --labels name=value,…."
        )
    if len(set(declared.values())) < len(declared):
        raise UserError(f"{source} gives one value to two labels ({declared}); every label needs its own.")
    ignore = declared.get("ignore")
    foreground = {str(name): value for name, value in declared.items() if value not in (BACKGROUND, ignore)}
    if not foreground:
        raise UserError(f"{source} declares no label beside the background, so there is nothing to score.")
    return Labels(dict(sorted(foreground.items(), key=lambda item: item[1])), ignore, source)


def found_labels(in_reference: set[int], in_predictions: set[int]) -> Labels:
    """Labels where none are declared: every value but 0 is a class, named by its value.

    Raises:
        UserError: the two sides hold different values throughout (0/255 against 0/1), too many values to be classes,
            or nothing but background.
    """
    reference, predictions = in_reference - {BACKGROUND}, in_predictions - {BACKGROUND}
    both = reference | predictions
    if not both:
        raise UserError("All masks are empty, and no labels are declared; give them with --labels name=value,….")
    if len(both) > MOST_FOUND_VALUES:
        raise UserError(
            f"The masks hold {len(both)} different values, too many to be classes; "
            "declare the labels with --labels name=value,… or save the masks without smoothing."
        )
    if reference and predictions and not reference & predictions:
        raise UserError(
            f"The references hold the values {_listed(reference)} but the predictions {_listed(predictions)}, "
            "so nothing can agree; save both with the same values."
        )
    return Labels({str(value): value for value in sorted(both)}, None, "the values found in the masks")


def _listed(values: set[int]) -> str:
    return ", ".join(str(value) for value in sorted(values))
