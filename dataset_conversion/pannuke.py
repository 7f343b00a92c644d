"""PanNuke: nuclei of five kinds in nineteen tissues, in the layout of the Warwick archives: stacks of all images.

Source: Gamper et al., arXiv 2003.10778, and `torch_em/data/datasets/histopathology/pannuke.py` of
https://github.com/constantinpape/torch-em.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.pixel_size import PixelSize

from .masks import MOST_OBJECTS, ReadMask
from .problems import Problems, some
from .registry import source as registered
from .released import NO_PATIENTS, chosen_labels, numbered
from .sources import Selection, SourceCase
from .summary import Summary
from .target import Target
from .writer import write_dataset

CLASSES = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")
"""In the order of the first five channels of the masks; the sixth is the background."""
LABELS = {"nucleus": "nucleus=1", "kinds": numbered(CLASSES)}
"""By `classes`."""
READING = "every object in the five channels of the kinds counts"


@dataclass(frozen=True)
class StackPicture:
    """One image, (H, W, 3), of a stack (N, H, W, 3) in a NumPy file; its numbers are real, but whole and 0 to 255."""

    path: Path
    index: int

    @property
    def file(self) -> Path:
        """The stack."""
        return self.path

    def read(self) -> np.ndarray:
        """(H, W, 3) uint8.

        Raises:
            UserError: as for `open_stack`; the image holds other numbers.
        """
        image = np.asarray(open_stack(self.path, 3)[self.index])
        if not ((image >= 0) & (image <= 255) & (image == np.floor(image))).all():
            raise UserError(f"{self.path}: image {self.index} holds numbers that are not 0, 1, … 255.")
        return image.astype(np.uint8)

    def pixel_size(self) -> PixelSize | None:
        """None: the file does not tell it."""
        return None


@dataclass(frozen=True)
class StackMask:
    """The nuclei of one image of a stack (N, H, W, 6): object numbers in a channel for each kind, then background.

    Attributes:
        kinds: the number of the kind as value, 1 to 5, instead of 1.
    """

    path: Path
    index: int
    kinds: bool

    @property
    def files(self) -> tuple[Path, ...]:
        """The stack."""
        return (self.path,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """Kinds (or 1) beside objects that are numbered through all kinds; of two kinds in a pixel the first counts.

        Raises:
            UserError: as for `open_stack`.
        """
        channels = np.asarray(open_stack(self.path, len(CLASSES) + 1)[self.index, ..., : len(CLASSES)])
        values = np.zeros(channels.shape[:2], dtype=np.uint8)
        objects = np.zeros(channels.shape[:2], dtype=np.int64)
        contested = 0
        for kind in range(len(CLASSES)):
            numbers = channels[..., kind]
            contested += int(((numbers != 0) & (values != 0)).sum())
            free = (numbers != 0) & (values == 0)
            _, order = np.unique(numbers[free], return_inverse=True)
            objects[free] = objects.max() + 1 + order
            values[free] = kind + 1 if self.kinds else 1
        if objects.max() > MOST_OBJECTS:
            raise UserError(f"{self.path}: image {self.index} holds more than {MOST_OBJECTS} objects.")
        told = (f"image {self.index}: {contested} pixels of two kinds given to the first",) if contested else ()
        return ReadMask(values, objects, told)


def open_stack(path: Path, channels: int) -> np.ndarray:
    """A NumPy file of shape (N, H, W, `channels`), mapped and not read.

    Raises:
        UserError: it is missing, broken, or of another form.
    """
    try:
        stack = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; unpack the archive again.") from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} cannot be read as a NumPy file ({error}); unpack the archive again.") from None
    if stack.ndim != 4 or stack.shape[3] != channels or stack.dtype.kind not in "uif":
        raise UserError(f"{path} holds {stack.dtype} of shape {stack.shape}, not N images of {channels} channels.")
    return stack


def convert(source: Path, target: Target, classes: str = "nucleus") -> Summary:
    """Convert all folds below SRC: images/foldN/images.npy, images/foldN/types.npy and masks/foldN/masks.npy.

    All images are for training; their fold and tissue are kept as facts. The release tells no patients.

    Args:
        classes: "nucleus" for one label, "kinds" for five.

    Raises:
        UserError: the folder is not that of PanNuke, or its files have problems, all told together.
    """
    with target.opened(source, "PanNuke") as folder:
        problems, labels = Problems(), chosen_labels(LABELS, classes)
        selection = select(folder, classes == "kinds")
        return write_dataset(selection, labels, registered("pannuke"), target, problems)


def select(root: Path, kinds: bool) -> Selection:
    """Find the cases of all folds.

    Raises:
        UserError: there is no fold, a fold is there twice, or its files do not fit together.
    """
    stacks = sorted(root.rglob("images/fold*/images.npy"))
    folds = [path.parent.name for path in stacks]
    if not stacks or len(set(folds)) < len(folds):
        found = f"; it holds {some(folds)}" if folds else ""
        raise UserError(f"{root} must hold each fold of PanNuke once, such as Fold 1/images/fold1/images.npy{found}.")
    return Selection(tuple(case for path in stacks for case in _fold(path, kinds)), NO_PATIENTS, READING)


def _fold(images: Path, kinds: bool) -> list[SourceCase]:
    fold = images.parent.name
    masks = images.parents[2] / "masks" / fold / "masks.npy"
    number = len(open_stack(images, 3))
    tissues = _tissues(images.with_name("types.npy"), number)
    if len(open_stack(masks, len(CLASSES) + 1)) != number:
        raise UserError(f"{masks} does not hold as many masks as {images} images; unpack the archive again.")
    return [
        SourceCase(
            f"{fold}_{index:04d}",
            StackPicture(images, index),
            StackMask(masks, index, kinds),
            facts={"fold": fold, "tissue": tissues[index]},
        )
        for index in range(number)
    ]


def _tissues(path: Path, number: int) -> Sequence[str]:
    try:
        types = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read as a NumPy file ({error}); unpack the archive again.") from None
    if types.shape != (number,) or types.dtype.kind != "U":
        raise UserError(f"{path} does not name a tissue for each of the {number} images; unpack the archive again.")
    return [str(name) for name in types]
