"""Which mask value becomes which label: pure rules, decided over a whole data set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from medt_pipeline.core.errors import UserError

MOST_LABELS = 20
"""More distinct values than this are no labels: soft edges, a photograph, or object numbers."""

BACKGROUND = "background"
GRAY_TO_COLOUR = 0x010101
"""Times a gray level: the colour of three equal channels."""


@dataclass(frozen=True)
class FoundValues:
    """What all masks of a data set hold together.

    Attributes:
        counts: pixels of each value; a colour counts as the integer 0xRRGGBB.
        coloured: True where at least one mask is a colour picture; then all values are colours.
        solid: values that fill a 3×3 block somewhere. Soft edges between two classes never do.
        palette: colour ("#RRGGBB") of the indices that come from palette files.
    """

    counts: Mapping[int, int]
    coloured: bool = False
    solid: frozenset[int] = frozenset()
    palette: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeclaredLabel:
    """One `name=value` of --labels; `value` is 0xRRGGBB where `colour` is True, else a gray level or index."""

    name: str
    value: int
    colour: bool = False


@dataclass(frozen=True)
class LabelMapping:
    """The decision: `names[label]`, the label of every mask value, the rule that decided and its reason."""

    names: tuple[str, ...]
    label_of: Mapping[int, int]
    coloured: bool
    rule: str
    reason: str

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Map (H, W) values, as `to_values` gives them, to (H, W) uint8 labels.

        Raises:
            ValueError: a value has no label; `undeclared` tells beforehand.
        """
        known = np.array(sorted(self.label_of), dtype=np.int64)
        labels = np.array([self.label_of[value] for value in known.tolist()], dtype=np.uint8)
        # Most masks are bytes, for which a table is ten times as fast as a search for every pixel.
        looked_up = np.arange(256) if values.dtype == np.uint8 else values.astype(np.int64)
        place = np.minimum(np.searchsorted(known, looked_up), len(known) - 1)
        mapped, unknown = labels[place], known[place] != looked_up
        if values.dtype == np.uint8:
            mapped, unknown = mapped[values], unknown[values]
        if unknown.any():
            raise ValueError("a mask holds a value without a label")
        return mapped

    def undeclared(self, counts: Mapping[int, int]) -> dict[int, int]:
        """The part of `counts` (pixels of each value of one mask) that has no label."""
        return {value: pixels for value, pixels in counts.items() if value not in self.label_of}

    def values_of(self, label: int) -> list[str]:
        """The mask values of one label as text, sorted: ["0"], ["#000000", "#FF0000"]."""
        return [show_value(value, self.coloured) for value in sorted(self.label_of) if self.label_of[value] == label]


def to_values(mask: np.ndarray, coloured: bool) -> np.ndarray:
    """Turn a mask, (H, W) or (H, W, 3), into (H, W) integers: as it is, or 0xRRGGBB in a coloured data set.

    Channels, and gray levels in a coloured data set, must lie in 0 to 255.
    """
    if mask.ndim == 3:
        wide = mask.astype(np.int64)
        return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    return mask.astype(np.int64) * GRAY_TO_COLOUR if coloured else mask


def show_value(value: int, coloured: bool) -> str:
    """A mask value for the reader: "255" or "#FF0000"."""
    return f"#{value:06X}" if coloured else str(value)


def show_histogram(counts: Mapping[int, int], coloured: bool, most: int = 6) -> str:
    """The most frequent values with their share of the pixels: "0: 61.2 %, 255: 30.0 % and 84 more"."""
    total = sum(counts.values())
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    shown = ", ".join(f"{show_value(value, coloured)}: {counts[value] / total:.2%}" for value in ordered[:most])
    return f"{shown} and {len(ordered) - most} more" if len(ordered) > most else shown


def parse_labels(text: str) -> tuple[DeclaredLabel, ...]:
    """Read `name=value,…` where a value is a whole number or #RRGGBB; a name given again adds a value to it.

    Raises:
        UserError: the text has another form, a value has two names, or a name is reserved.
    """
    declared = [_parse_label(part.strip()) for part in text.split(",") if part.strip()]
    if not declared:
        raise UserError("--labels is empty; write name=value pairs such as background=0,gland=255.")
    values = [(label.value, label.colour) for label in declared]
    for label, value in zip(declared, values, strict=True):
        if values.count(value) > 1:
            raise UserError(
                f"--labels names the value {show_value(*value)} twice, once {label.name!r}; give it one name."
            )
    return tuple(declared)


def _parse_label(part: str) -> DeclaredLabel:
    match = re.fullmatch(r"([^=#]+)=(?:(-?\d+)|#([0-9A-Fa-f]{6}))", part)
    if not match:
        raise UserError(f"--labels holds {part!r}; each part must be name=value with a whole number or #RRGGBB.")
    name = match[1].strip()
    if name.lower() == BACKGROUND:
        name = BACKGROUND
    if name.lower() == "ignore":
        raise UserError(
            "--labels uses the name 'ignore', which nnU-Net keeps for pixels without truth; choose another."
        )
    return DeclaredLabel(name, int(match[2]) if match[2] else int(match[3], 16), colour=not match[2])


def decide_labels(found: FoundValues, declared: Sequence[DeclaredLabel] = ()) -> LabelMapping:
    """Decide the label of every value; the first rule that fits counts, and none guesses.

    1. declared: --labels says it; 0 or black is background unless another value is.
    2. colours: at most 20 colours; black, else the most frequent one, is background, the others follow sorted.
    3. labels: consecutive numbers 0..K, K < 20, are kept.
    4. binary: 0 and 255 become background and foreground.
    5. gray levels: at most 20 values with 0 among them are numbered in ascending order.

    Raises:
        UserError: the values fit none, or no pixel is foreground. The sentence shows the histogram and what to type.
    """
    if declared:
        mapping = _declared(found, declared)
    elif found.coloured:
        mapping = _colours(found)
    else:
        mapping = _gray_levels(found)
    if not any(mapping.label_of.get(value) for value in found.counts):
        raise UserError(
            f"No mask has a foreground pixel (values: {show_histogram(found.counts, found.coloured)}), "
            "so there is nothing to learn; check the masks, --labels and --threshold."
        )
    return mapping


def _declared(found: FoundValues, declared: Sequence[DeclaredLabel]) -> LabelMapping:
    pairs = [(label.name, declared_value(label, found.coloured)) for label in declared]
    if all(name != BACKGROUND for name, _ in pairs):
        pairs.insert(0, (BACKGROUND, 0))
    names = (BACKGROUND, *dict.fromkeys(name for name, _ in pairs if name != BACKGROUND))
    label_of = {value: names.index(name) for name, value in pairs if value is not None}
    if len(label_of) < sum(value is not None for _, value in pairs):
        raise UserError("--labels gives one value two names (0 is background unless another value is); name it once.")
    return LabelMapping(names, label_of, found.coloured, "declared", "labels as declared")


def declared_value(label: DeclaredLabel, coloured: bool) -> int | None:
    """The value in the form of the masks; None for a colour that gray ones cannot hold."""
    if coloured:
        return label.value if label.colour else label.value * GRAY_TO_COLOUR
    if not label.colour:
        return label.value
    gray, rest = divmod(label.value, GRAY_TO_COLOUR)
    return None if rest else gray


def _colours(found: FoundValues) -> LabelMapping:
    if len(found.counts) > MOST_LABELS:
        raise UserError(
            f"The masks hold {len(found.counts)} colours ({show_histogram(found.counts, True)}), so soft edges or a "
            "lossy format have blurred the classes, or these are photographs; save them with one pure colour a class."
        )
    _refuse_soft_edges(found)
    background = 0 if 0 in found.counts else max(found.counts, key=lambda value: (found.counts[value], -value))
    why = "black is background" if background == 0 else "no mask has black, so the most frequent colour is background"
    return _numbered(found, background, "colours", f"{why}; the other colours follow in the order of their codes")


def _gray_levels(found: FoundValues) -> LabelMapping:
    values = sorted(found.counts)
    if len(values) > MOST_LABELS:
        raise UserError(
            f"The masks hold {len(values)} distinct values ({show_histogram(found.counts, False)}), too many for "
            "labels. Soft edges? --threshold 127 makes all above 127 foreground. Numbered objects? --instances. "
            "Classes? Name each value with --labels."
        )
    if values[0] != 0:
        names = (BACKGROUND, "class1", "class2")
        example = ",".join(f"{name}={value}" for name, value in zip(names, values, strict=False))
        raise UserError(
            f"The lowest value of the masks is {values[0]}, not 0 (all: {show_histogram(found.counts, False)}), so it "
            f"is unclear which one is background; say it, for example --labels {example}."
        )
    if values == list(range(len(values))):
        return _numbered(found, 0, "labels", "the masks hold consecutive numbers from 0, which are kept")
    if values == [0, 255]:
        return _numbered(found, 0, "binary", "the masks hold 0 and 255 only")
    if 1 in found.counts and 255 in found.counts:
        raise UserError(
            f"The masks hold both 1 and 255 (values: {show_histogram(found.counts, False)}): some files may store 0/1 "
            "and others 0/255, or 255 may mark pixels to be left out. Say what they mean, for example "
            "--labels background=0,foreground=1,foreground=255."
        )
    _refuse_soft_edges(found)
    return _numbered(found, 0, "gray levels", "the gray levels are numbered in ascending order")


def _refuse_soft_edges(found: FoundValues) -> None:
    """Two values fill areas and others only lines: the lines are blurred edges, not classes."""
    lines = sorted(set(found.counts) - found.solid)
    if lines and len(found.solid) >= 2:
        shown = ", ".join(show_value(value, found.coloured) for value in lines[:6])
        threshold = "" if found.coloured else " Soft edges? --threshold 127 makes all above 127 foreground."
        raise UserError(
            f"The masks hold values that never fill 3×3 pixels ({shown}; all: "
            f"{show_histogram(found.counts, found.coloured)}).{threshold} Real classes? Name each value with --labels."
        )


def _numbered(found: FoundValues, background: int, rule: str, reason: str) -> LabelMapping:
    ordered = [background, *sorted(value for value in found.counts if value != background)]
    names = tuple(f"class{label}" for label in range(1, len(ordered))) if len(ordered) > 2 else ("foreground",)
    label_of = {value: label for label, value in enumerate(ordered)}
    return LabelMapping((BACKGROUND, *names), label_of, found.coloured, rule, reason)
