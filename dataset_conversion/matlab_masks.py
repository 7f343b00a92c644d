"""Object numbers and classes of nuclei in MATLAB files, as Warwick releases them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.io import loadmat, whosmat

from medt_pipeline.core.errors import UserError

from .masks import ReadMask, number_objects

OBJECTS = "inst_map"
READING = f"every object of {OBJECTS} counts"

MOST_VALUES = 2**28
"""Numbers in one array: the largest tile of these sets has 2,000 pixels squared."""
_NUMBERS = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


@dataclass(frozen=True)
class MatlabMask:
    """The objects of a .mat file.

    Attributes:
        classes: where their classes stand: "type_map" is an array of the size of the picture; "class" is a list in
            the order of the list "id". "" gives every object the value 1.
    """

    path: Path
    classes: Literal["", "type_map", "class"] = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """Classes (or 1) as values beside the object numbers; pixels of an object without a class are told.

        Raises:
            UserError: as for `read_arrays`; an array has another form than the layout says.
        """
        wanted = {"": [], "type_map": ["type_map"], "class": ["id", "class"]}[self.classes]
        arrays = dict(zip([OBJECTS, *wanted], read_arrays(self.path, [OBJECTS, *wanted]), strict=True))
        if arrays[OBJECTS].ndim != 2:
            raise UserError(f"{self.path}: {OBJECTS} is no picture, but has the shape {arrays[OBJECTS].shape}.")
        objects = number_objects(arrays[OBJECTS], self.path)
        if not self.classes:
            return ReadMask((objects != 0).astype(np.uint8), objects)
        if self.classes == "type_map":
            kinds = self._of_pixels(arrays["type_map"], objects)
        else:
            kinds = self._of_objects(arrays["id"].ravel(), arrays["class"].ravel(), arrays[OBJECTS])
        values = np.where(objects != 0, kinds, 0)
        lost = int(((objects != 0) & (values == 0)).sum())
        repairs = (f"{lost} pixels of objects have no class and are background",) if lost else ()
        return ReadMask(values, objects, repairs)

    def _of_pixels(self, kinds: np.ndarray, objects: np.ndarray) -> np.ndarray:
        if kinds.shape != objects.shape:
            raise UserError(f"{self.path}: type_map has the shape {kinds.shape}, but {OBJECTS} {objects.shape}.")
        return kinds

    def _of_objects(self, numbers: np.ndarray, kinds: np.ndarray, objects: np.ndarray) -> np.ndarray:
        if len(numbers) != len(kinds):
            raise UserError(f"{self.path} lists {len(numbers)} objects, but {len(kinds)} classes.")
        order = np.argsort(numbers)
        known, listed = numbers[order], np.append(kinds[order], 0)
        place = np.searchsorted(known, objects)
        found = place < len(known)
        found[found] = known[place[found]] == objects[found]
        return listed[np.where(found, place, len(kinds))]


def read_arrays(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """Arrays of whole numbers in a MATLAB file, as int64; nothing else in the file is read.

    Raises:
        UserError: the file is missing, broken or of MATLAB 7.3; an array is absent, too large, or holds other things
            than whole numbers.
    """
    try:
        held = {name: (shape, kind) for name, shape, kind in whosmat(str(path), appendmat=False)}
        for name in names:
            shape, kind = held.get(name, ((), ""))
            if kind not in _NUMBERS or prod(shape) > MOST_VALUES:
                raise UserError(f"{path} holds no numbers {name!r} of bearable size; take it from the archive.")
        content = loadmat(str(path), appendmat=False, variable_names=list(names))
    except FileNotFoundError:
        raise UserError(f"{path} is missing.") from None
    except UserError:
        raise
    except NotImplementedError:
        raise UserError(f"{path} is a file of MATLAB 7.3, but the release holds version 5; save it with -v7.") from None
    # The reader raises whatever the broken byte makes it raise: MatReadError, ValueError, zlib.error, TypeError, …
    except Exception as error:
        raise UserError(f"{path} cannot be read as a MATLAB file ({error}); take it from the archive.") from None
    arrays = [np.asarray(content[name]) for name in names]
    for name, array in zip(names, arrays, strict=True):
        if not (np.isfinite(array).all() and (array == np.floor(array)).all()):
            raise UserError(f"{path}: {name} holds values that are not whole numbers.")
    return [array.astype(np.int64) for array in arrays]
