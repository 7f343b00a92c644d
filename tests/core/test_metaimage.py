from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import read_image
from medt_pipeline.core.metaimage import metaimage_reader


@pytest.fixture
def header(tmp_path: Path) -> bytes:
    """A whole file; what replaces its lines below made ITK write behind its memory or read another's."""
    path = tmp_path / "whole.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.arange(20, dtype=np.uint8).reshape(1, 4, 5)), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("line", "other", "message"),
    [
        (b"NDims = 3", b"NDims = 99999999999999999999", "not 2, 3 or 4"),
        (b"NDims = 3", b"NDims = -1", "not 2, 3 or 4"),
        (b"NDims = 3", b"Comment = 3", "NDims = nothing"),
        (b"NDims = 3", b"NDims = 3\nNDims = 4", "two lines NDims"),
        (b"DimSize = 5 4 1", b"DimSize = 5 4 1 1 1 1 1", "dimsize cannot be"),
        (b"Offset = 0 0 0", b"Offset = 0", "offset cannot be"),
        (b"NDims = 3", b"NDims = 3\nElementNumberOfChannels = 4000000", "elementnumberofchannels cannot be"),
        (b"ElementDataFile = LOCAL", b"ElementDataFile = other.raw", "does not hold its own pixels"),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else value,
)
def test_impossible_headers_are_refused(tmp_path: Path, header: bytes, line: bytes, other: bytes, message: str) -> None:
    assert line in header
    path = tmp_path / "broken.mha"
    path.write_bytes(header.replace(line, other))
    with pytest.raises(UserError, match=message):
        metaimage_reader(path)
    with pytest.raises(UserError, match=message):
        read_image(path)


def test_a_sound_one_is_read(tmp_path: Path, header: bytes) -> None:
    assert metaimage_reader(tmp_path / "whole.mha").GetSize() == (5, 4, 1)
    np.testing.assert_array_equal(read_image(tmp_path / "whole.mha"), np.arange(20).reshape(4, 5))
