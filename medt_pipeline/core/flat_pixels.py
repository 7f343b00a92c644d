"""Pixels that lie behind a header in one piece, as MetaImage and NRRD keep them."""

from __future__ import annotations

import zlib
from math import prod
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError


def header_problem(path: Path, error: Exception) -> UserError:
    """What to raise for a header of which a field is missing (KeyError) or says what cannot be (ValueError, …)."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return UserError(f"{path} cannot be read as an image ({reason[:200]}); replace it or leave it out.")


def read_flat_pixels(path: Path, start: int, shape: tuple[int, ...], dtype: np.dtype, compressed: bool) -> np.ndarray:
    """The pixels in the byte order of this machine.

    Args:
        start: byte at which they begin; they take the rest of the file.
        shape: of the result.
        dtype: as they are written.
        compressed: by zlib or gzip; no more is unpacked than the shape needs.

    Raises:
        ValueError, zlib.error: there are fewer or more than the shape needs, or they are not packed so.
    """
    wanted = prod(shape) * dtype.itemsize
    with path.open("rb") as file:
        file.seek(start)
        if compressed:
            either = 32 + zlib.MAX_WBITS
            content = zlib.decompressobj(either).decompress(file.read(), wanted + 1)
        else:
            content = file.read(wanted + 1)
    if len(content) != wanted:
        raise ValueError(f"{len(content)} bytes of pixels instead of {wanted}")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))
