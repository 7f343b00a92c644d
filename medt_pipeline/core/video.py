"""Frames of a video file, one at a time, by FFmpeg within limits; PyAV brings it and is optional."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medt_pipeline.core.errors import UserError, reason_of

VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg")
"""Files that are taken for videos, in lower case."""
MOST_PIXELS = 2**25
"""Rows × columns of one frame, as for DICOM."""
MOST_FRAMES = 216_000
"""Frames of one file: two hours at 30 frames a second."""

OLDEST_PYAV = (17, 1)
"""Older ones end the process on MPEG files that are opened with options."""

_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,asf,mpeg,mpegvideo"
"""What a file may be: play lists and the like, which name other files and hosts, are not among them."""
_LIMITS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none", "max_pixels": str(MOST_PIXELS)}
_WITH_EDIT_LISTS = "mov"
"""Containers that may hide some of the frames that they count."""
_LATE_FRAMES = 2.5
"""Frames by which a video may be shorter than its container says: times are rounded."""


@dataclass(frozen=True)
class Video:
    """What a video file tells of its first stream of pictures.

    Attributes:
        frames: None where the file does not tell.
        rate: frames a second, in the mean; None where the file does not tell.
    """

    file: Path
    height: int
    width: int
    frames: int | None
    rate: float | None


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame as (H, W, 3) RGB or, where the video is stored as gray, (H, W) uint8.

    Attributes:
        seconds: since the first frame; None where the file does not tell.
    """

    picture: np.ndarray
    seconds: float | None


def import_pyav(what: str) -> Any:
    """PyAV; `what` needs it, for the message.

    Raises:
        UserError: it is not installed, or too old.
    """
    try:
        import av  # optional, and takes 0.2 s to load
    except ImportError:
        raise UserError(f"{what} takes PyAV, which is not installed: pip install medt_pipeline[video].") from None
    if tuple(int(part) for part in av.__version__.split(".")[:2]) < OLDEST_PYAV:
        raise UserError(
            f"{what} takes a newer PyAV than {av.__version__}, which ends the process on some files: "
            "pip install --upgrade medt_pipeline[video]."
        )
    return av


def read_video(path: Path) -> Video:
    """What the file tells of its pictures; its first frame is looked for, and no other.

    Raises:
        UserError: PyAV is not installed; the file is missing, broken, cut off, of a kind that is not read, without
            pictures, or beyond the limits.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        frame = next(container.decode(stream), None)
        if frame is None:
            raise UserError(f"{path} holds no frames; leave it out.")
        height, width = _upright(frame, frame.to_ndarray(format="gray")).shape
        return Video(path, height, width, stream.frames or None, float(rate) if rate else None)


def read_video_frames(path: Path) -> Iterator[VideoFrame]:
    """All frames in the order in which they are shown, turned as the file says; one is in memory at a time.

    Raises:
        UserError: as for `read_video`; or, when the frame is asked for: it is broken, or the file is cut off before it.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        first = shape = last = None
        packets = number = 0
        for packet in container.demux(stream):
            packets += packet.size > 0
            for frame in packet.decode():
                number += 1
                _check_frame(frame, packet, number, path)
                first = frame.time if first is None else first
                last = None if first is None or frame.time is None else frame.time - first
                shown = VideoFrame(_picture(frame), last)
                shape = shape or shown.picture.shape
                if shown.picture.shape != shape:
                    raise UserError(f"{path} changes the size of its frames at frame {number}; cut it there.")
                yield shown
        _check_end(container, stream, packets, last, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open container, which has a stream of pictures within the limits; what FFmpeg raises becomes a UserError."""
    av = import_pyav(f"Reading the video {path.name}")
    if not path.is_file():
        raise UserError(f"{path} is missing or no file.")
    try:
        # an open file, so that FFmpeg takes no name for an address
        with path.open("rb") as file, av.open(file, options=_LIMITS) as container:
            _check_container(container, path)
            yield container
    except UserError:
        raise
    except (av.FFmpegError, ValueError, OSError, MemoryError, OverflowError, EOFError) as error:
        reason = getattr(error, "strerror", None) or reason_of(error)
        raise UserError(f"{path} cannot be read as a video ({reason}); export it again or leave it out.") from None


def _check_container(container: Any, path: Path) -> None:
    if not container.streams.video:
        raise UserError(f"{path} holds no pictures or is cut off; export it again or leave it out.")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise UserError(f"{path} is compressed in a way that the installed FFmpeg does not know; export it as MP4.")
    width, height = stream.codec_context.width, stream.codec_context.height
    if not 0 < width * height <= MOST_PIXELS:
        raise UserError(
            f"{path} claims frames of {width}×{height} pixels; frames of up to {MOST_PIXELS} pixels are read."
        )
    if stream.frames > MOST_FRAMES:
        raise UserError(f"{path} claims {stream.frames} frames; up to {MOST_FRAMES} are read: cut it in parts.")
    if any(entry.pos + entry.size > path.stat().st_size for entry in stream.index_entries):
        raise UserError(f"{path} lacks frames that its index tells; it is cut off: export it again or leave it out.")
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}


def _check_frame(frame: Any, packet: Any, number: int, path: Path) -> None:
    if number > MOST_FRAMES:
        raise UserError(f"{path} holds more than {MOST_FRAMES} frames; cut it in parts.")
    if frame.is_corrupt or packet.is_corrupt:
        raise UserError(f"Frame {number} of {path} is broken; export it again or leave it out.")
    if not 0 < frame.width * frame.height <= MOST_PIXELS:
        raise UserError(f"Frame {number} of {path} has {frame.width}×{frame.height} pixels, more than are read.")


def _check_end(container: Any, stream: Any, packets: int, last: float | None, path: Path) -> None:
    """Refuse a video that ended before its container says; one of several streams may be the shorter."""
    told = 0 if _WITH_EDIT_LISTS in container.format.name else stream.frames
    alone, rate = len(container.streams) == 1, stream.average_rate
    missing = 0.0
    if alone and not told and container.duration and last is not None and rate:
        missing = (container.duration / 1e6 - last) * float(rate)
    if packets < told or missing > _LATE_FRAMES:
        raise UserError(f"{path} ends before the time that it tells; it is cut off: export it again or leave it out.")
    if not packets:
        raise UserError(f"{path} holds no frames; leave it out.")


def _picture(frame: Any) -> np.ndarray:
    kind = "gray" if frame.format.name.startswith("gray") else "rgb24"
    return _upright(frame, frame.to_ndarray(format=kind))


def _upright(frame: Any, picture: np.ndarray) -> np.ndarray:
    """The picture turned, counter-clockwise as FFmpeg counts, by the quarters that a camera noted."""
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90) % 4))
