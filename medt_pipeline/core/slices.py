"""One 2D picture in the formats of volumes and arrays: NIfTI, MetaImage, NRRD, NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from medt_pipeline.core.errors import UserError, reason_of
from medt_pipeline.core.metaimage import read_metaimage_header, read_metaimage_pixels
from medt_pipeline.core.nrrd import read_nrrd_header, read_nrrd_pixels

MEDICAL_ENDINGS = (".nii.gz", ".nii", ".mha", ".nrrd")
"""Those whose header tells the size of a pixel, or says that it is unknown."""

SLICE_ENDINGS = (*MEDICAL_ENDINGS, ".npy")
"""Endings that `read_slice` accepts, in lower case."""

_Read = TypeVar("_Read")

MOST_VALUES = 2**29
"""Numbers in one file: 13,000 pixels squared in three channels."""


def read_slice(path: Path) -> np.ndarray:
    """Read (H, W), or (H, W, C) where the file holds C values a pixel, as stored.

    Columns are the first axis of NIfTI, MetaImage and NRRD and rows the second; nothing is turned by the direction in
    the header. Axes of length 1 are dropped. Real numbers become integers if all are whole, booleans 0 and 255.

    Raises:
        UserError: the file is missing, broken, too large, holds Python objects, several slices or layers of segments;
            the pixels of a MetaImage or NRRD lie in another file.
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


def _read_nrrd(path: Path) -> np.ndarray:
    header = read_nrrd_header(path)
    require_size((*header.shape, header.channels), path)
    if header.layers:
        raise UserError(
            f"{path} holds {header.channels} layers of segments that may overlap; "
            "export the segmentation as a label map."
        )
    return _one_slice(read_nrrd_pixels(path, header), path, header.channels > 1)


def _read_npy(path: Path) -> np.ndarray:
    # mapped first: a header that claims more than the file holds is refused before memory is asked for
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    require_size(values.shape, path)
    return _one_slice(np.array(values), path, values.ndim > 2 and values.shape[-1] in (3, 4))


_READERS = {
    ".nii": _read_nifti,
    ".gz": _read_nifti,
    ".mha": _read_metaimage,
    ".nrrd": _read_nrrd,
    ".npy": _read_npy,
}


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a slice lie: millimetres along x (to the left), y (to the back) and z, as in ITK.

    Attributes:
        first: position of the first pixel, (3,).
        steps: from a pixel to the next in its row and to the next in its column, (2, 3).
    """

    first: tuple[float, ...]
    steps: tuple[tuple[float, ...], ...]

    def is_close(self, other: Grid) -> bool:
        """Whether both lie at the same place, but for a thousandth."""
        return all(
            np.allclose(one, its, atol=1e-3) for one, its in ((self.first, other.first), (self.steps, other.steps))
        )


def read_grid(path: Path) -> Grid | None:
    """What the header of a NIfTI, MetaImage or NRRD of one slice tells of its place.

    None for other files, and where the header tells nothing or cannot be read.
    """
    readers = {".nii": _nifti_axes, ".gz": _nifti_axes, ".mha": _metaimage_axes, ".nrrd": _nrrd_axes}
    reader = readers.get(path.suffix.lower())
    try:
        axes = None if reader is None else reader(path)
    # as for `read_slice`, which tells what is wrong with the file
    except Exception:
        return None
    if axes is None:
        return None
    lengths, first, steps = axes
    plane = _axes_of_plane(lengths)
    if len(plane) != 2:
        return None
    return Grid(_in_space(first), tuple(_in_space(steps[axis]) for axis in plane))


_Axes = tuple[Sequence[int], Sequence[float], Sequence[Sequence[float]]]
"""Length of each axis, fastest first, position of the first pixel, and the step along each axis."""


def _nifti_axes(path: Path) -> _Axes:
    import nibabel

    volume: Any = nibabel.load(path)
    to_itk = np.diag([-1.0, -1.0, 1.0]) @ volume.affine[:3]
    return volume.shape[:3], to_itk[:, 3].tolist(), to_itk[:, :3].T.tolist()


def _metaimage_axes(path: Path) -> _Axes:
    header = read_metaimage_header(path)
    axes = len(header.shape)
    numbers = np.asarray(header.placement)
    directions, spacing = numbers[axes : axes + axes**2].reshape(axes, axes), numbers[-axes:]
    return header.shape[::-1], numbers[:axes].tolist(), (directions * spacing[:, None]).tolist()


def _nrrd_axes(path: Path) -> _Axes | None:
    header = read_nrrd_header(path)
    return None if header.steps is None else (header.shape[::-1], header.first, header.steps)


def _axes_of_plane(lengths: Sequence[int]) -> list[int]:
    """Axes that are left when those of length 1 are dropped, the last first, until there are two."""
    plane = list(range(len(lengths)))
    for axis in reversed(range(len(lengths))):
        if len(plane) > 2 and lengths[axis] == 1:
            plane.remove(axis)
    return plane


def _in_space(vector: Sequence[float]) -> tuple[float, ...]:
    """A vector of a plane as one in space."""
    return (*map(float, vector), 0.0, 0.0)[:3]


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
