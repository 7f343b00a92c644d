"""Masks of one picture a class: `a_gland.png` and `a_lumen.png`, or `gland/a.png` and `lumen/a.png`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import list_images, stem_of

from .label_mapping import to_values
from .masks import MOST_OBJECTS, MaskFile, MaskReading, ReadMask
from .pairing import pair, possible_stems
from .problems import some

AS_STORED = MaskReading()
_SEPARATOR = re.compile(r"[ _.-]")

ClassFiles = dict[str, Path]
"""The file of every class of one image."""


@dataclass(frozen=True)
class ClassMatching:
    """The outcome: the files of every image that has any, what stayed alone, and what fits more than once."""

    files_of: Mapping[Path, ClassFiles]
    images_alone: tuple[Path, ...]
    masks_alone: tuple[Path, ...]
    ambiguous: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Number of files of every class, sorted by its name."""
        classes = [name for files in self.files_of.values() for name in files]
        return {name: classes.count(name) for name in sorted(set(classes))}


def match_class_files(images: Sequence[Path], masks: Sequence[Path]) -> ClassMatching:
    """Match masks whose name is that of an image, a separator (blank, `_`, `.` or `-`), and the class.

    Of several images the one with the longest name counts.
    """
    by_stem = {stem_of(image): image for image in images}
    found = []
    alone = []
    for mask in masks:
        split = next((split for split in _splits(stem_of(mask)) if split[0] in by_stem), None)
        if split:
            found.append((by_stem[split[0]], split[1], mask))
        else:
            alone.append(mask)
    return _matching(images, found, alone, ())


def match_class_folders(images: Sequence[Path], folders: Sequence[Path]) -> ClassMatching:
    """Match the masks in the folder of every class by stem, as `pairing.pair` does."""
    found = []
    alone: list[Path] = []
    ambiguous: list[str] = []
    for folder in folders:
        pairing = pair(images, list_images(folder))
        found += [(image, folder.name, mask) for image, mask in pairing.pairs]
        alone += pairing.masks_alone
        ambiguous += pairing.ambiguous
    return _matching(images, found, alone, tuple(dict.fromkeys(ambiguous)))


def _matching(
    images: Sequence[Path], found: list[tuple[Path, str, Path]], alone: list[Path], ambiguous: tuple[str, ...]
) -> ClassMatching:
    files_of: dict[Path, ClassFiles] = defaultdict(dict)
    twice = []
    for image, name, mask in found:
        if files_of[image].setdefault(name, mask) != mask:
            twice.append(f"the image {image.name} has two masks of {name}: {files_of[image][name].name}, {mask.name}")
    return ClassMatching(
        {image: files_of[image] for image in sorted(files_of)},
        tuple(image for image in images if image not in files_of),
        tuple(alone),
        (*ambiguous, *twice),
    )


def _splits(stem: str) -> Iterator[tuple[str, str]]:
    """Name of the image and class, the longest name first."""
    for separator in reversed(list(_SEPARATOR.finditer(stem))):
        if separator.start() and separator.end() < len(stem):
            yield stem[: separator.start()], stem[separator.end() :]


def looks_like_class_files(images: Sequence[Path], masks: Sequence[Path]) -> bool:
    """Whether masks can only be one file a class.

    None may fit an image as a whole mask does, all must fit as a file of a class, no class may be a mere number (an
    object's or a second annotator's), and either all are of one class or some image has two.
    """
    stems = {stem_of(image) for image in images}
    if any(stems & set(possible_stems(stem_of(mask))) for mask in masks):
        return False
    matching = match_class_files(images, masks)
    classes = matching.counts()
    if matching.masks_alone or any(name.isdecimal() for name in classes):
        return False
    return len(classes) == 1 or any(len(files) > 1 for files in matching.files_of.values())


def looks_like_class_folders(images: Sequence[Path], folders: Sequence[Path]) -> bool:
    """Whether some image has masks in two of the folders; else they may be parts of the data set."""
    return any(len(files) > 1 for files in match_class_folders(images, folders).files_of.values())


@dataclass(frozen=True, eq=False)
class ClassFilesMask:
    """The masks of all classes of one image, laid over each other.

    Attributes:
        files_of: the file of every class that is there.
        label_of: the label of every class that counts, in the order in which they are laid.
        ordered: the order was said by the user: later classes lie on earlier ones. Else overlaps are refused.
        reading: the threshold of soft edges, or that nonzero values are numbers of objects.
    """

    files_of: Mapping[str, Path]
    label_of: Mapping[str, int]
    ordered: bool = False
    reading: MaskReading = AS_STORED

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of the classes that count, else all."""
        return tuple(self.files_of[name] for name in self._counted) or tuple(self.files_of.values())

    @property
    def _counted(self) -> list[str]:
        return [name for name in self.label_of if name in self.files_of]

    def read(self, size: tuple[int, int]) -> ReadMask:
        """Labels (H, W), and with `reading.instances` the objects of all classes, numbered through.

        Raises:
            UserError: a file cannot be read, differs in size, or holds more than background and one value; classes
                overlap and their order is not said; there are too many objects.
        """
        values = np.zeros(size, dtype=np.uint8)
        objects = np.zeros(size, dtype=np.int64) if self.reading.instances else None
        covered = 0
        for name in self._counted:
            path = self.files_of[name]
            inside, numbers = self._read_class(path, size)
            shared = int(np.count_nonzero(values[inside]))
            if shared and not self.ordered:
                raise UserError(
                    f"{path} and the masks of other classes share {shared} pixels; say which class lies on which with "
                    f"--labels {','.join(self.label_of)}, the last one on top."
                )
            covered += shared
            values[inside] = self.label_of[name]
            if objects is not None and numbers is not None:
                objects[inside] = numbers[inside] + objects.max()
        repairs = (f"{covered} pixels of several classes given to the one on top",) if covered else ()
        return ReadMask(values, None if objects is None else self._narrow(objects), repairs)

    def _read_class(self, path: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        read = MaskFile(path, self.reading).read(size)
        found = to_values(read.values, coloured=False)
        if found.shape != size:
            raise UserError(
                f"{path} has {found.shape[1]}×{found.shape[0]} pixels, but the image has {size[1]}×{size[0]}; "
                "they must have the same size."
            )
        different = np.unique(found)
        if len(different) > 2 or (len(different) == 2 and different[0] != 0):
            raise UserError(
                f"{path} holds the values {some(list(map(str, different.tolist())))}, but a mask of one class "
                "needs 0 and one other. Soft edges? --threshold 127. Numbered objects? --instances."
            )
        return found != 0, read.objects

    def _narrow(self, objects: np.ndarray) -> np.ndarray:
        # a class on top may hide all of an object
        numbers, places = np.unique(objects, return_inverse=True)
        if len(numbers) > MOST_OBJECTS + 1:
            raise UserError(f"{self.files[0]} and its other classes hold more than {MOST_OBJECTS} objects.")
        return (places.reshape(objects.shape) + (numbers[0] != 0)).astype(np.uint16)
