"""Clips: which files are some, what they tell of themselves, and their frames, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import files_of_kind
from medt_pipeline.core.images import IMAGE_ENDINGS, ending_of
from medt_pipeline.core.pixel_size import PixelSize
from medt_pipeline.core.slides import SCANNER_ENDINGS
from medt_pipeline.core.video import VIDEO_ENDINGS, VideoFrame, read_video, read_video_frames

if TYPE_CHECKING:
    from medt_pipeline.core.dicom.geometry import Region

DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
"""Endings of DICOM files; many have none, and are known by their content."""


@dataclass(frozen=True, eq=False)
class ClipFile:
    """A file with frames; an image in DICOM is a clip of one frame.

    Attributes:
        frames: None where a video does not tell.
        rate: frames a second, in the mean; None where the file does not tell.
        pixel_size: None where the file does not tell.
        region: where a DICOM clip shows tissue; None where it does not tell, and for videos.
        is_dicom: whether it is DICOM; else it is a video.
        read: gives the frames in their order, a few in memory at a time; a frame that is broken raises a UserError.
    """

    path: Path
    height: int
    width: int
    frames: int | None
    rate: float | None
    pixel_size: PixelSize | None
    region: Region | None
    is_dicom: bool
    read: Callable[[], Iterator[VideoFrame]]


def is_clip(path: Path) -> bool:
    """Whether `path` is a clip: a video by its ending, or DICOM by its ending or content."""
    ending = ending_of(path)
    if ending in VIDEO_ENDINGS or ending in DICOM_ENDINGS:
        return True
    if ending in IMAGE_ENDINGS or ending in SCANNER_ENDINGS:
        return False
    # takes 0.3 s to load, which folders of pictures need not wait for
    from medt_pipeline.core.dicom.header import is_dicom

    # who must not read a file learns it when that is to be predicted
    with suppress(UserError):
        return is_dicom(path)
    return False


def list_clips(source: Path) -> list[Path]:
    """The clips among `source` itself or the files directly in it, as `files_of_kind` finds them."""
    return files_of_kind(source, is_clip)


def name_of(path: Path) -> str:
    """The name without the ending of a clip; names made of numbers and dots, as of DICOM, have none."""
    endings = (ending for ending in (*VIDEO_ENDINGS, *DICOM_ENDINGS) if path.name.lower().endswith(ending))
    return path.name[: len(path.name) - len(next(endings, ""))]


def open_clip(path: Path) -> ClipFile:
    """What the file tells of itself; at most its first frame is decoded.

    Raises:
        UserError: it cannot be read: as for `core.video.read_video` and `core.dicom.frames.read_clip`.
    """
    if ending_of(path) in VIDEO_ENDINGS:
        video = read_video(path)
        size = (video.height, video.width)
        return ClipFile(path, *size, video.frames, video.rate, None, None, False, lambda: read_video_frames(path))
    return _open_dicom(path)


def _open_dicom(path: Path) -> ClipFile:
    from medt_pipeline.core.dicom.frames import read_clip, read_frames
    from medt_pipeline.core.dicom.header import read_header
    from medt_pipeline.core.dicom.timing import TIMING_KEYWORDS, frame_times

    clip = read_clip(path)
    times = frame_times(read_header(path, TIMING_KEYWORDS), clip.frames)

    def read() -> Iterator[VideoFrame]:
        for index, picture in enumerate(read_frames(path)):
            yield VideoFrame(picture, None if times is None else times[index])

    # a clip of one frame has no rate
    rate = (clip.frames - 1) / times[-1] if times is not None and times[-1] > 0 else None
    return ClipFile(path, clip.rows, clip.columns, clip.frames, rate, clip.pixel_size, clip.region, True, read)
