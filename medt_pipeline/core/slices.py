"""One 2D picture in the formats of volumes and arrays: NIfTI, MetaImage, NumPy."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from medt_pipeline.core.errors import UserError, reason_of
from medt_pipeline.core.metaimage import read_metaimage_header, read_metaimage_pixels

MEDICAL_ENDINGS = (".nii.gz", ".nii", ".mha")
"""Those whose header tells the size of a pixel, or says that it is unknown."""

SLICE_ENDINGS = (*MEDICAL_ENDINGS, ".npy")
"""Endings that `read_slice` accepts, in lower case."""

_Read = TypeVar("_Read")

MOST_VALUES = 2**29
"""Numbers in one file: 13,000 pixels squared in three channels."""


def read_slice(path: Path) -> np.ndarray:
    """Read (H, W), or (H, W, C) where the file holds C values a pixel, as stored.

    Columns are the first axis of NIfTI and MetaImage and rows the second; nothing is turned by the direction in the
    header. Axes of length 1 are dropped. Real numbers become integers if all are whole, booleans 0 and 255.

    Raises:
        UserError: the file is missing, broken, too large, holds Python objects or several slices; the pixels of a
            MetaImage lie in another file.
    """
    return _plain(_read(_READERS[path.suffix.lower()], path), path)


def read_planes(path: Path) -> np.ndarray:
    """Read a MetaImage of two or more slices of one value a pixel as (slices, H, W), as `read_slice` reads one.

    Raises:
        UserError: as for `read_slice`, several slices excepted; the file holds one slice or several values a pixel.
    """
    values, channels = _read(_metaimage, path)
    if values.ndim != 3 or channels != 1 or len(values) < 2:
        raise UserError(f"{path} has the shape {values.shape}; several slices of one value a pixel were expected.")
    return _plain(values, path)


def _read(reader: Callable[[Path], _Read], path: Path) -> _Read:
    try:
        return reader(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing.") from None
    except UserError:
        raise
    # The readers raise whatever the broken byte makes them raise: zlib.error, EOFError, RuntimeError, …
    except Exception as error:
        reason = reason_of(error)
        raise UserError(f"{path} cannot be read as an image ({reason}); replace it or leave it out.") from None


def _read_nifti(path: Path) -> np.ndarray:
    import nibabel  # takes 0.2 s to load and is needed for few sets

    volume: Any = nibabel.load(path)
    require_size(volume.shape, path)
    values = np.asarray(volume.dataobj)
    names = values.dtype.names
    if names:
        # colours are stored as records
        values = np.stack([values[name] for name in names], axis=-1)
    return np.swapaxes(_one_slice(values, path, bool(names)), 0, 1)


def _read_metaimage(path: Path) -> np.ndarray:
    values, channels = _metaimage(path)
    return _one_slice(values, path, channels > 1)


def _metaimage(path: Path) -> tuple[np.ndarray, int]:
    """The array as stored, slices first and channels last, and the number of channels."""
    header = read_metaimage_header(path)
    require_size((*header.shape, header.channels), path)
    return read_metaimage_pixels(path, header), header.channels


def _read_npy(path: Path) -> np.ndarray:
    # mapped first: a header that claims more than the file holds is refused before memory is asked for
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    require_size(values.shape, path)
    return _one_slice(np.array(values), path, values.ndim > 2 and values.shape[-1] in (3, 4))


_READERS = {".nii": _read_nifti, ".gz": _read_nifti, ".mha": _read_metaimage, ".npy": _read_npy}


def read_placement(path: Path) -> tuple[float, ...] | None:
    """Position, direction and spacing in the header of a NIfTI or MetaImage file, to be compared with another's.

    None for other files, and where the header cannot be read; the numbers of the two formats do not compare.
    """
    ending = path.suffix.lower()
    try:
        if ending in (".nii", ".gz"):
            import nibabel

            volume: Any = nibabel.load(path)
            return tuple(volume.affine.ravel().tolist())
        if ending == ".mha":
            return read_metaimage_header(path).placement
    # as for `read_slice`, which tells what is wrong with the file
    except Exception:
        return None
    return None


def require_size(shape: tuple[int, ...], path: Path) -> None:
    """Refuse what a file claims to hold before memory is asked for.

    Raises:
        UserError: `shape` is empty or has more than `MOST_VALUES` numbers.
    """
    if not 0 < prod(shape) <= MOST_VALUES:
        raise UserError(f"{path} claims the shape {shape}, which is empty or more than is safe to read.")


def _one_slice(values: np.ndarray, path: Path, channels: bool) -> np.ndarray:
    """Drop axes of length 1, the last first, until two are left beside that of the channels, which is the last."""
    for axis in reversed(range(values.ndim - channels)):
        if values.ndim > 2 + channels and values.shape[axis] == 1:
            values = values.squeeze(axis)
    if values.ndim != 2 + channels:
        raise UserError(f"{path} has the shape {values.shape}; one slice of gray or RGB pixels was expected.")
    return values


def _plain(values: np.ndarray, path: Path) -> np.ndarray:
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == np.floor(values)).all():
        return values.astype(np.int64)
    if values.dtype.kind not in "iuf":
        raise UserError(f"{path} holds {values.dtype}, not numbers; save the pixels as whole numbers.")
    return values
