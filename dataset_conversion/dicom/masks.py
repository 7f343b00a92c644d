"""Mask pictures of clips: which file, or which page of a stack, belongs to which frame."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from medt_pipeline.core.dicom.frames import read_clip, read_stored_frame
from medt_pipeline.core.dicom.geometry import Region
from medt_pipeline.core.dicom.header import is_dicom
from medt_pipeline.core.dicom.limits import MOST_FRAMES, MOST_PIXELS
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import LOSSLESS_ENDINGS

from ..inspection import show_size
from ..masks import MaskFile, MaskReading, MaskSource, ReadMask
from ..pairing import possible_stems
from ..problems import Problems, count
from .files import FoundClip, stem_of

_NUMBERED = re.compile(r"(.+?)[ _.-]*(?:f|frame)?[ _.-]?(\d+)", re.IGNORECASE)
_TIFF_ENDINGS, _NIFTI_ENDINGS = (".tif", ".tiff"), (".nii", ".nii.gz")


@dataclass(frozen=True)
class StackPage:
    """One frame of a file that holds masks of a whole clip, TIFF, NIfTI or DICOM: a `MaskSource`."""

    path: Path
    index: int
    reading: MaskReading

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """The values as stored, or cut at the threshold.

        Raises:
            UserError: the page cannot be read, or is coloured.
        """
        values = _read_page(self.path, self.index)
        if values.ndim != 2 or not np.issubdtype(values.dtype, np.integer):
            raise UserError(
                f"{self.path} holds {values.dtype} pixels of the shape {values.shape}; save labels as gray."
            )
        threshold = self.reading.threshold
        return ReadMask(values if threshold is None else (values > threshold).astype(np.uint8))


@dataclass(frozen=True)
class NoMark:
    """The mask of a frame on which nothing is marked: a `MaskSource`; `path` is where a mark would stand."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Where a mark would stand."""
        return (self.path,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """Zeros."""
        return ReadMask(np.zeros(size, np.uint8))


@dataclass(frozen=True)
class ClipMask:
    """The mask of a case under the name of the case, cut to the region that its picture is cut to: a `MaskSource`."""

    source: MaskSource
    name: Path
    frame_size: tuple[int, int]
    crop: Region | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The name, since those of files may hold the name of a patient."""
        return (self.name,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """What `source` reads, cut.

        Raises:
            UserError: as `source` raises; it has another size than the frame, or marks pixels that would be cut off.
        """
        read = self.source.read(self.frame_size)
        if self.crop is None:
            return read
        if read.values.shape[:2] != self.frame_size:
            raise UserError(
                f"{self.name} has {show_size(read.values.shape[:2])} pixels, but its clip has "
                f"{show_size(self.frame_size)}; they must have the same size."
            )
        inside = read.values[self.crop.slices()]
        lost = np.count_nonzero(read.values) - np.count_nonzero(inside)
        if lost:
            raise UserError(
                f"{self.name} marks {count(lost, 'pixel')} outside of the region; convert without --crop-region."
            )
        return replace(read, values=inside)


def is_mask_file(path: Path) -> bool:
    """Whether a file that is no DICOM may be a mask, by its ending."""
    return path.name.lower().endswith(LOSSLESS_ENDINGS)


def match_masks(
    masks: Sequence[Path], root: Path, clips: Sequence[FoundClip], reading: MaskReading, problems: Problems
) -> tuple[dict[tuple[str, int], MaskSource], list[Path]]:
    """Find the frame of every mask, by the name of its file.

    A mask belongs to the clip with the same path below its folder, else the same name, else the SOP Instance UID that
    it is named by; words such as mask or label may be added. Of a clip of several frames, a mask is a stack with as
    many pages, or is numbered at its end as DICOM numbers frames, from 1.

    Returns:
        The masks by instance and index of the frame, and the files that belong to no clip. What fits badly goes to
        `problems`.
    """
    clips_of = _names(clips)
    placed: dict[tuple[str, int], MaskSource] = {}
    alone: list[Path] = []
    for path in masks:
        with problems.collecting():
            found = _find(path, root, clips_of)
            if found is None:
                alone.append(path)
                continue
            for place, source in _sources(path, *found, reading):
                if place in placed:
                    raise UserError(f"{path} and {placed[place].files[0]} are masks of one frame; keep one of them.")
                placed[place] = source
    return placed, alone


def _names(clips: Sequence[FoundClip]) -> dict[str, list[FoundClip]]:
    """The clips by the names that a mask may call them."""
    named: dict[str, list[FoundClip]] = defaultdict(list)
    for clip in clips:
        path = (clip.relative.parent / clip.stem).as_posix()
        for name in {path, clip.stem, clip.instance}:
            named[name].append(clip)
    return named


def _find(path: Path, root: Path, clips_of: Mapping[str, Sequence[FoundClip]]) -> tuple[FoundClip, int | None] | None:
    """The clip of a mask, and the number at the end of the mask's name if the clip was found without it."""
    stem, folder = stem_of(path), path.relative_to(root).parent
    numbered = _NUMBERED.fullmatch(stem)
    tries: list[tuple[str, int | None]] = [(name, None) for name in possible_stems(stem)]
    tries += [(name, int(numbered[2])) for name in possible_stems(numbered[1])] if numbered else []
    for name, number in tries:
        for key in ((folder / name).as_posix(), name):
            found = clips_of.get(key, ())
            if len(found) > 1:
                raise UserError(
                    f"{path} fits several clips: {found[0].clip.file} and {found[1].clip.file}; "
                    "put masks into folders as the clips lie in."
                )
            if found:
                return found[0], _trailing_number(stem, name) if number is None else number
    return None


def _trailing_number(stem: str, name: str) -> int | None:
    """The number behind a word such as mask: 7 in a_mask_7 for the clip a."""
    match = re.search(r"\d+$", stem)
    return int(match[0]) if match and not name.endswith(match[0]) else None


def _sources(
    path: Path, clip: FoundClip, number: int | None, reading: MaskReading
) -> Iterator[tuple[tuple[str, int], MaskSource]]:
    frames, pages = clip.clip.frames, _pages(path)
    if pages > 1 or is_dicom(path):
        if pages != frames:
            raise UserError(f"{path} holds {count(pages, 'page')}, but {clip.clip.file} has {count(frames, 'frame')}.")
        yield from (((clip.instance, index), StackPage(path, index, reading)) for index in range(pages))
        return
    if number is None and frames > 1:
        raise UserError(
            f"{path} does not tell which of the {frames} frames of {clip.clip.file} it marks; "
            "end its name in the number of the frame, _0001 for the first."
        )
    index = (number or 1) - 1
    if number == 0 or index >= frames:
        raise UserError(f"{path} marks frame {number}, but {clip.clip.file} has the frames 1 to {frames}.")
    yield (clip.instance, index), MaskFile(path, reading)


def _pages(path: Path) -> int:
    if is_dicom(path):
        return read_clip(path).frames
    with _broken_told(path):
        if path.name.lower().endswith(_NIFTI_ENDINGS):
            *page_shape, pages = (*_nifti(path).shape, 1)[:3]
        elif path.name.lower().endswith(_TIFF_ENDINGS):
            with tifffile.TiffFile(path) as file:
                pages, page_shape = len(file.pages), file.pages[0].shape
        else:
            return 1
    if pages > MOST_FRAMES or prod(page_shape) > MOST_PIXELS:
        raise UserError(f"{path} claims {pages} pages of the shape {page_shape}, which is more than is safe to read.")
    return pages


def _read_page(path: Path, index: int) -> np.ndarray:
    """(H, W) values as stored; single bits as 0 and 255."""
    if is_dicom(path):
        return read_stored_frame(path, index)
    with _broken_told(path):
        if path.name.lower().endswith(_NIFTI_ENDINGS):
            # columns come first, and labels are often stored as real numbers
            image = _nifti(path)
            stored = np.asarray(image.dataobj[:, :, index]).reshape(image.shape[:2]).T
            return stored.astype(np.int64) if np.array_equal(stored, np.round(stored)) else stored
        with tifffile.TiffFile(path) as file:
            page = file.pages[index]
            if prod(page.shape) > MOST_PIXELS:
                raise UserError(f"{path} claims a page of the shape {page.shape}, which is more than is safe to read.")
            stored = page.asarray()
    return stored.astype(np.uint8) * 255 if stored.dtype == bool else stored


def _nifti(path: Path) -> Any:
    """A NIfTI of one frame after the other, (W, H, frames) or (W, H) for one, opened; further axes have length 1."""
    import nibabel  # takes 0.2 s to load and is needed for few sets

    image: Any = nibabel.load(path)
    if any(length != 1 for length in image.shape[3:]):
        raise UserError(f"{path} has the shape {image.shape}; columns, rows and frames were expected.")
    return image


@contextmanager
def _broken_told(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    # tifffile and nibabel raise whatever the broken byte makes them raise
    except Exception:
        raise UserError(f"{path} cannot be read as masks; replace it or leave it out.") from None
