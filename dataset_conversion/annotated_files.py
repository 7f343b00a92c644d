"""Annotation files as the masks of a data set: which classes they hold in all, and a mask for every image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medt_pipeline.core.errors import UserError

from .annotations.aperio_xml import read_aperio_xml
from .annotations.coco import CocoFile
from .annotations.geojson import read_geojson
from .annotations.labelme import read_labelme
from .annotations.mask import AnnotatedMask
from .annotations.reading import Annotations
from .class_names import ClassDecision, decide_classes
from .masks import MaskSource
from .problems import Problems

READERS: Mapping[str, Callable[[Path], Annotations]] = {
    "labelme": read_labelme,
    "geojson": read_geojson,
    "aperio": read_aperio_xml,
}
"""By the key of `mask_formats.FORMATS`; each reads the annotations of one picture."""


@dataclass(frozen=True)
class NamedMasks:
    """Masks whose classes are told apart by names: pairs of image and mask, and what was decided about the classes."""

    pairs: tuple[tuple[Path, MaskSource], ...]
    classes: ClassDecision


def from_files(format: str, pairs: Sequence[tuple[Path, Path]], labels: str | None, problems: Problems) -> NamedMasks:
    """One file a picture: each is read once for its classes, and again when its turn comes, so no shapes pile up.

    Files that cannot be read are left out and told in `problems`.

    Raises:
        UserError: the classes are in doubt (`class_names.decide_classes`), with all else that is in `problems`.
    """
    read = READERS[format]
    found: Counter[str] = Counter()
    readable = []
    for image, file in pairs:
        with problems.collecting():
            found.update(shape.name for shape in read(file).shapes)
            readable.append((image, file))
    classes = _decide({name: found[name] for name in sorted(found)}, labels, problems)
    masks = [(image, AnnotatedMask(file, partial(read, file), classes.label_of)) for image, file in readable]
    return NamedMasks(tuple(masks), classes)


def from_coco(
    file: Path, content: CocoFile, pairs: Sequence[tuple[Path, str]], labels: str | None, problems: Problems
) -> NamedMasks:
    """One file for all: pairs of image and picture in the file; categories keep the order of their ids.

    Raises:
        UserError: as for `from_files`.
    """
    found = Counter(shape.name for _, picture in pairs for shape in content.pictures[picture].shapes)
    classes = _decide({name: found[name] for name in content.categories if found[name]}, labels, problems)
    masks = [
        (image, AnnotatedMask(file, partial(_same, content.pictures[picture]), classes.label_of, picture))
        for image, picture in pairs
    ]
    return NamedMasks(tuple(masks), classes)


def _decide(found: Mapping[str, int], labels: str | None, problems: Problems) -> ClassDecision:
    if not found:
        problems.raise_if_any()
    try:
        return decide_classes(found, labels, "shape")
    except UserError as error:
        problems.add(str(error))
        problems.raise_if_any()
        raise


def _same(annotations: Annotations) -> Annotations:
    return annotations
