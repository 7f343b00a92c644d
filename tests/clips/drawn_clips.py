"""Drawn clips: an ellipse of known area that moves over a gray ground, as DICOM in many forms and as video."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from pydicom import Dataset, uid
from pydicom.uid import UID

from tests.drawn_dicom import draw_clip, jpeg, region, run_lengths

SIZE = (96, 128)
AXES = (22.0, 30.0)
"""Half the height and width of the ellipse, in pixels."""
AREA = math.pi * AXES[0] * AXES[1]
GROUND, OBJECT = 200, 90
"""Gray levels; `tests.slides.stand_in` finds what is darker than its threshold between the two."""
BOX = (4, 6, 91, 121)
"""Top, left, bottom, right of the ultrasound region, its last row and column included."""
DELTA_CM = (0.02, 0.03)
PIXEL_MM2 = 0.2 * 0.3
FRAME_MS = 40.0


def ellipses(frames: int = 5, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(frames, H, W) uint8: its middle goes two pixels to the right with every frame."""
    rows, columns = np.indices(size)
    middles = [(size[0] / 2 - 0.5, size[1] / 2 - 4 + 2 * index) for index in range(frames)]
    inside = [((rows - y) / AXES[0]) ** 2 + ((columns - x) / AXES[1]) ** 2 <= 1 for y, x in middles]
    return np.where(np.stack(inside), OBJECT, GROUND).astype(np.uint8)


def facts(frames: int) -> dict[str, Any]:
    """Elements of an ultrasound clip that tell region, size of a pixel and time."""
    sequence = [region(BOX, DELTA_CM)]
    return {"SequenceOfUltrasoundRegions": sequence, "FrameTime": FRAME_MS, "NumberOfFrames": frames}


def _palette(path: Path, drawn: np.ndarray) -> Dataset:
    """Indices that mean nothing without their palette: the inverse of the levels."""
    table = np.arange(256, dtype=np.uint8)[::-1]
    elements: dict[str, Any] = {}
    for colour in ("Red", "Green", "Blue"):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        elements[f"{colour}PaletteColorLookupTableData"] = table.tobytes()
    return draw_clip(path, 255 - drawn, "PALETTE COLOR", **elements, **facts(len(drawn)))


def _ybr_jpeg(path: Path, drawn: np.ndarray) -> Dataset:
    colours = np.repeat(drawn[..., None], 3, axis=-1)
    syntax = UID(uid.JPEGBaseline8Bit)
    return draw_clip(path, colours, "YBR_FULL_422", syntax, jpeg, **facts(len(drawn)))


def _run_lengths(path: Path, drawn: np.ndarray) -> Dataset:
    return draw_clip(path, drawn, None, UID(uid.RLELossless), run_lengths, **facts(len(drawn)))


def _monochrome(path: Path, drawn: np.ndarray) -> Dataset:
    return draw_clip(path, drawn, **facts(len(drawn)))


DICOM_FORMS: dict[str, Callable[[Path, np.ndarray], Dataset]] = {
    "palette": _palette,
    "YBR-JPEG": _ybr_jpeg,
    "RLE": _run_lengths,
    "monochrome": _monochrome,
}


def draw_video(
    path: Path, drawn: np.ndarray, codec: str = "libx264", rate: int = 25, options: dict[str, str] | None = None
) -> None:
    """Write (frames, H, W) gray or (frames, H, W, 3) RGB as a video; its container follows from the name.

    Args:
        options: of the container.
    """
    colours = drawn if drawn.ndim == 4 else np.repeat(drawn[..., None], 3, axis=-1)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.height, stream.width = colours.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "12"} if codec == "libx264" else {}
        for picture in colours:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def read_video(path: Path) -> np.ndarray:
    """(frames, H, W, 3) RGB by PyAV alone."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
