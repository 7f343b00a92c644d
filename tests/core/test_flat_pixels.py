"""Pixels behind a header, plain or packed in either way; files that end early or late."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medt_pipeline.core.flat_pixels import read_flat_pixels

PIXELS = np.arange(24).reshape(2, 4, 3)
PACKERS: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "zlib": zlib.compress, "gzip": gzip.compress}


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", ">f4"])
@pytest.mark.parametrize("packed", PACKERS)
def test_pixels_come_back_in_the_order_of_this_machine(tmp_path: Path, packed: str, dtype: str) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"header" + PACKERS[packed](PIXELS.astype(dtype).tobytes()))
    found = read_flat_pixels(file, 6, PIXELS.shape, np.dtype(dtype), packed != "plain")
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, PIXELS)


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize(("shape", "said"), [((25,), "24 bytes of pixels instead of 25"), ((23,), "24 bytes")])
def test_too_few_and_too_many_are_refused(tmp_path: Path, packed: str, shape: tuple[int, ...], said: str) -> None:
    file = tmp_path / "a"
    file.write_bytes(PACKERS[packed](PIXELS.astype("u1").tobytes()))
    with pytest.raises(ValueError, match=said):
        read_flat_pixels(file, 0, shape, np.dtype("u1"), packed != "plain")


def test_what_is_not_packed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(range(24)))
    with pytest.raises(zlib.error):
        read_flat_pixels(file, 0, (24,), np.dtype("u1"), compressed=True)
