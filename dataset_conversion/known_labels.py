"""Masks that must fit the labels of a data set which exists: values and names to its labels, file by file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError

from .class_names import UNNAMED
from .label_mapping import BACKGROUND, DeclaredLabel, LabelMapping, declared_value, parse_labels, show_value
from .problems import some

WHITE = 255
_VALUE = re.compile(r"[^=#]+=(?:-?\d+|#[0-9A-Fa-f]{6})")


@dataclass(frozen=True)
class KnownLabels:
    """Labels of a data set, and what the user said of masks that are to be added to it.

    Attributes:
        values: all that label maps may hold.
        names: value by class name, the background among them; classes that are regions of several values are not.
        declared: what further values mean.
        class_names: names of classes in annotations, and what the data set calls them.
    """

    values: frozenset[int]
    names: Mapping[str, int]
    declared: tuple[DeclaredLabel, ...] = ()
    class_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def only(self) -> int | None:
        """The one label beside the background; None where there are several."""
        foreground = sorted(self.values - {0})
        return foreground[0] if len(foreground) == 1 else None

    @property
    def of_class(self) -> dict[str, int]:
        """Label by the name of a class in annotations; a shape without a class has the only label, if there is one."""
        found = {**self.names, **{name: self.names[known] for name, known in self.class_names.items()}}
        return found if self.only is None else {UNNAMED: self.only, **found}

    def __str__(self) -> str:
        """ "0 (background), 1 (gland)"."""
        names = {value: name for name, value in self.names.items()}
        return ", ".join(f"{value} ({names[value]})" if value in names else str(value) for value in sorted(self.values))

    def mapping(self, counts: Mapping[int, int], coloured: bool, file: Path) -> LabelMapping:
        """The labels of the values of one mask; the first rule that fits counts.

        1. declared: --labels says it; 0 or black is background unless another value is.
        2. labels: all values are labels of the data set, and are kept.
        3. binary: 0 and 255, or black and one colour, in a data set of one class.

        Args:
            counts: pixels of each value; colours as 0xRRGGBB.
            coloured: the values are colours.
            file: the mask, for the message.

        Raises:
            UserError: none fits.
        """
        if self.declared:
            return self._declared(counts, coloured, file)
        if not coloured and counts.keys() <= self.values:
            return self._of({value: value for value in counts}, coloured, "labels")
        others = sorted(counts.keys() - {0})
        if self.only is not None and len(others) == 1 and (coloured or others == [WHITE]):
            return self._of({0: 0, others[0]: self.only}, coloured, "binary")
        raise UserError(
            f"{file} holds {_show(others, coloured)}, but the data set knows {self}; say what they mean with "
            "--labels NAME=VALUE,…."
        )

    def _declared(self, counts: Mapping[int, int], coloured: bool, file: Path) -> LabelMapping:
        label_of = {declared_value(one, coloured): self.names[one.name] for one in self.declared}
        known = {value: label for value, label in label_of.items() if value is not None}
        if 0 not in label_of.values():
            known.setdefault(0, 0)
        unknown = sorted(counts.keys() - known.keys())
        if unknown:
            raise UserError(f"{file} holds {_show(unknown, coloured)}, which --labels does not name; name all values.")
        return self._of(known, coloured, "declared")

    def _of(self, label_of: Mapping[int, int], coloured: bool, rule: str) -> LabelMapping:
        return LabelMapping(tuple(self.names), label_of, coloured, rule, "labels of the data set")


def known_labels(content: Mapping[str, Any], text: str | None) -> KnownLabels:
    """The labels in the "labels" of a dataset.json, and what --labels says of the masks.

    Args:
        content: value, or values of a region, by name.
        text: name=value,… or name=#RRGGBB,… for mask pictures, name=CLASS,… for annotations, where name is one of the
            data set; None: nothing.

    Raises:
        UserError: `text` names a class that the data set does not have, or has another form.
    """
    values = {one for value in content.values() for one in (value if isinstance(value, list) else [value])}
    names = {name: value for name, value in content.items() if isinstance(value, int)}
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    pictures = [part for part in parts if _VALUE.fullmatch(part)]
    declared = parse_labels(",".join(pictures)) if pictures else ()
    classes = {}
    for part in parts:
        if part not in pictures:
            name, _, class_name = (word.strip() for word in part.partition("="))
            classes[class_name or name] = name
    unknown = sorted({*(one.name for one in declared), *classes.values()} - names.keys())
    if unknown:
        raise UserError(f"--labels names {some(unknown)}, but the data set has {some(list(names), 20)}.")
    return KnownLabels(frozenset(map(int, values)), names, declared, classes)


def require_known(classes: Collection[str], known: KnownLabels, file: Path) -> None:
    """Check the names of the classes of the annotations in `file`.

    Raises:
        UserError: the data set has none of a name.
    """
    unknown = sorted(name or "no class" for name in classes if name not in known.of_class)
    if unknown:
        has = some([name for name in known.names if name != BACKGROUND], 20)
        raise UserError(
            f"{file} holds shapes of {some(unknown)}, but the data set has {has}; rename them in the editor, or say "
            "which is which with --labels NAME=CLASS,…."
        )


def _show(values: list[int], coloured: bool) -> str:
    return f"the value{'s' if len(values) > 1 else ''} {some([show_value(value, coloured) for value in values], 6)}"
