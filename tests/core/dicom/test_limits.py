"""Codestreams measured against the libraries that wrote them."""

from __future__ import annotations

from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset

from medt_pipeline.core.dicom.limits import check_compressed, codestream_form, frame_bytes, frame_count
from medt_pipeline.core.errors import UserError
from tests.drawn_dicom import coloured, jpeg, ramp

ENCODERS = {
    "JPEG": lambda frame: imagecodecs.jpeg8_encode(frame),
    "JPEG-LS": lambda frame: imagecodecs.jpegls_encode(frame),
    "JPEG-2000": lambda frame: imagecodecs.jpeg2k_encode(frame, codecformat="j2k"),
    "JPEG-Pillow": jpeg,
}


@pytest.mark.parametrize("encoder", ENCODERS)
@given(height=st.integers(8, 40), width=st.integers(8, 40))
def test_size_of_a_codestream(encoder: str, height: int, width: int) -> None:
    for pixels, samples in ((ramp(size=(height, width))[0], 1), (coloured(size=(height, width))[0], 3)):
        assert codestream_form(ENCODERS[encoder](pixels)) == (height, width, samples)


def test_progressive_with_comments() -> None:
    buffer = BytesIO()
    Image.fromarray(ramp()[0]).save(
        buffer, format="JPEG", progressive=True, comment=b"x" * 300, exif=b"Exif\0\0" + b"y"
    )
    assert codestream_form(buffer.getvalue()) == (24, 36, 1)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51"]))
def test_any_bytes_tell_a_size_or_none(data: bytes, start: bytes) -> None:
    form = codestream_form(start + data)
    assert form is None or len(form) == 3


def header(**elements: object) -> Dataset:
    made = Dataset()
    made.Rows, made.Columns, made.SamplesPerPixel, made.BitsAllocated = 24, 36, 1, 8
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize(
    ("told", "number"), [(None, 1), ("", 1), ("7", 7), (0, 0), ("-3", -3)], ids=["absent", "empty", "7", "0", "-3"]
)
def test_number_of_frames(told: object, number: int) -> None:
    assert frame_count(header() if told is None else header(NumberOfFrames=told)) == number


def test_bytes_of_a_frame() -> None:
    assert frame_bytes(header()) == 864
    assert frame_bytes(header(BitsAllocated=1, Rows=3, Columns=3)) == 9 / 8
    assert frame_bytes(header(SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422")) == 1728


def test_codestreams_that_are_refused() -> None:
    whole = ENCODERS["JPEG-LS"](ramp()[0])
    check_compressed(whole + b"\0", header(), False, "a")
    for frame, sentence in (
        (whole[:-30], "cut off or broken"),
        (b"no codestream \xff\xd9", "cut off or broken"),
        (b"\0" * (np.prod((24, 36)) * 2 + 70_000), "larger than its pixels"),
        (ENCODERS["JPEG-LS"](coloured()[0]), "36×24 pixels of 3 samples"),
    ):
        with pytest.raises(UserError, match=sentence):
            check_compressed(frame, header(), False, "a")
    check_compressed(b"any bytes", header(), True, "a")
