"""Decoded frames against the pixels that were drawn, in every colour space and compression."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file

from medt_pipeline.core.dicom import frames
from medt_pipeline.core.dicom.frames import read_clip, read_frame, read_frames, read_stored_frame
from medt_pipeline.core.errors import UserError
from tests.drawn_dicom import LOSSLESS, coloured, draw_clip, draw_report, jpeg, ramp, region

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
"""pydicom's, which a program that is no test does not get to see."""

PIXELS = {"gray-8": ramp(0, 3), "gray-16": ramp(1, 3, dtype=np.uint16), "rgb": coloured(2, 3)}


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_pixels_come_back(tmp_path: Path, syntax: str, pixels: str) -> None:
    drawn = PIXELS[pixels]
    draw_clip(tmp_path / "a", drawn, None, *LOSSLESS[syntax])
    clip = read_clip(tmp_path / "a")
    assert (clip.frames, clip.rows, clip.columns) == (3, 24, 36)
    for index in (2, 0, 1):
        read = read_frame(tmp_path / "a", index)
        np.testing.assert_array_equal(read, drawn[index])
        assert read.dtype == drawn.dtype


def test_odd_frames_of_single_bytes(tmp_path: Path) -> None:
    drawn = ramp(0, 3, (3, 5))
    for syntax in ("explicit", "big-endian"):
        draw_clip(tmp_path / syntax, drawn, None, *LOSSLESS[syntax])
        for index in range(3):
            np.testing.assert_array_equal(read_frame(tmp_path / syntax, index), drawn[index])


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_monochrome1_is_turned(tmp_path: Path, bits: int) -> None:
    highest = 2**bits - 1
    shown = np.arange(24 * 36).reshape(1, 24, 36) * 4 % (highest + 1)
    stored = (highest - shown).astype(np.uint8 if bits == 8 else np.uint16)
    draw_clip(tmp_path / "a", stored, "MONOCHROME1", BitsStored=bits, HighBit=bits - 1)
    np.testing.assert_array_equal(read_frame(tmp_path / "a", 0), shown[0])
    np.testing.assert_array_equal(read_stored_frame(tmp_path / "a", 0), stored[0])


def palette(bits: int, filled: int) -> tuple[np.ndarray, dict[str, object]]:
    """256 colours (256, 3) as 8 bits, and the elements that hold them in entries of `bits`, of which `filled` count."""
    colours = np.stack([np.arange(256), np.arange(256)[::-1], np.arange(256) // 2], axis=1).astype(np.uint8)
    entries = colours.astype(np.uint16) * (257 if filled == 16 else 1)
    elements: dict[str, object] = {}
    for number, colour in enumerate(("Red", "Green", "Blue")):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        data = entries[:, number].astype("<u2" if bits == 16 else "u1").tobytes()
        elements[f"{colour}PaletteColorLookupTableData"] = data
    return colours, elements


@pytest.mark.parametrize(("bits", "filled"), [(8, 8), (16, 16), (16, 8)])
def test_palette(tmp_path: Path, bits: int, filled: int) -> None:
    colours, elements = palette(bits, filled)
    stored = ramp(3)
    draw_clip(tmp_path / "a", stored, "PALETTE COLOR", **elements)
    read = read_frame(tmp_path / "a", 0)
    np.testing.assert_array_equal(read, colours[stored[0]])
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read_stored_frame(tmp_path / "a", 0), stored[0])


def segmented(segments: list[tuple[int, ...]]) -> dict[str, object]:
    data = b"".join(struct.pack(f"<{len(segment)}H", *segment) for segment in segments)
    elements: dict[str, object] = {}
    for colour in ("Red", "Green", "Blue"):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"Segmented{colour}PaletteColorLookupTableData"] = data
    return elements


def test_segmented_palette(tmp_path: Path) -> None:
    # one entry 0, then a line to 255 × 257 over the 255 others: the gray ramp
    stored = ramp(4)
    draw_clip(tmp_path / "a", stored, "PALETTE COLOR", **segmented([(0, 1, 0), (1, 255, 65535)]))
    np.testing.assert_array_equal(read_frame(tmp_path / "a", 0), np.repeat(stored[0][..., None], 3, axis=2))


@pytest.mark.parametrize(
    "segments",
    [[(0, 1, 0)] + [(1, 65535, 9)] * 40_000, [(0, 1, 0), (2, 65535, 0, 0)]],
    ids=["two thousand million entries", "indirect"],
)
def test_palettes_that_would_not_end(tmp_path: Path, segments: list[tuple[int, ...]]) -> None:
    draw_clip(tmp_path / "a", ramp(), "PALETTE COLOR", **segmented(segments))
    with pytest.raises(UserError, match="palette in segments of a form that is not read"):
        read_frame(tmp_path / "a", 0)


def test_palette_color_without_a_palette(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a", ramp(), "PALETTE COLOR")
    with pytest.raises(UserError, match="no palette that can be read"):
        read_frame(tmp_path / "a", 0)


def test_planes_of_colour(tmp_path: Path) -> None:
    drawn = coloured(5, 2)
    draw_clip(tmp_path / "a", drawn, PlanarConfiguration=1, PixelData=np.moveaxis(drawn, -1, 1).tobytes())
    np.testing.assert_array_equal(read_frame(tmp_path / "a", 1), drawn[1])


def rgb_of(ybr: np.ndarray) -> np.ndarray:
    """Solved from the equations that PS3.3 C.7.6.3.1.2 gives for the other direction."""
    forward = np.array([[0.2990, 0.5870, 0.1140], [-0.1687, -0.3313, 0.5000], [0.5000, -0.4187, -0.0813]])
    rgb = (ybr.astype(float) - [0, 128, 128]) @ np.linalg.inv(forward).T
    return np.clip(np.round(rgb), 0, 255)


def test_ybr_full(tmp_path: Path) -> None:
    ybr = coloured(6)
    draw_clip(tmp_path / "a", ybr, "YBR_FULL")
    np.testing.assert_allclose(read_frame(tmp_path / "a", 0), rgb_of(ybr[0]), atol=1)


def test_ybr_full_422(tmp_path: Path) -> None:
    ybr = coloured(7)
    ybr[..., 1::2, 1:] = ybr[..., ::2, 1:]
    pairs = ybr.reshape(1, 24, 18, 2, 3)
    stored = np.stack([pairs[..., 0, 0], pairs[..., 1, 0], pairs[..., 0, 1], pairs[..., 0, 2]], axis=-1)
    draw_clip(tmp_path / "a", ybr, "YBR_FULL_422", PixelData=stored.tobytes())
    np.testing.assert_allclose(read_frame(tmp_path / "a", 0), rgb_of(ybr[0]), atol=1)


def test_gray_stored_as_ybr_stays_gray(tmp_path: Path) -> None:
    gray = ramp(8)
    ybr = np.stack([gray, np.full_like(gray, 128), np.full_like(gray, 128)], axis=-1)
    draw_clip(tmp_path / "a", ybr, "YBR_FULL")
    np.testing.assert_array_equal(read_frame(tmp_path / "a", 0), np.repeat(gray[0][..., None], 3, axis=2))


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "MONOCHROME2"])
def test_baseline_jpeg_as_pillow_reads_it(tmp_path: Path, photometric: str) -> None:
    drawn = coloured(9, 2) if photometric.startswith("YBR") else ramp(9, 2)
    draw_clip(tmp_path / "a", drawn, photometric, uid.JPEGBaseline8Bit, jpeg)
    for index in (0, 1):
        with Image.open(BytesIO(jpeg(drawn[index]))) as image:
            truth = np.array(image)
        # colours are converted in whole numbers there and in floating point here
        np.testing.assert_allclose(read_frame(tmp_path / "a", index), truth, atol=0 if drawn.ndim == 3 else 2)


@pytest.mark.parametrize("twin", ["SC_rgb_jpeg_gdcm.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"])
def test_two_compressions_of_one_picture(twin: str) -> None:
    """Files of pydicom: run lengths, lossless JPEG in colour, and baseline JPEG in RGB."""
    truth = read_frame(Path(get_testdata_file("SC_rgb_rle.dcm", download=False)), 0)
    read = read_frame(Path(get_testdata_file(twin, download=False)), 0)
    np.testing.assert_allclose(read, truth, atol=0 if "gdcm" in twin else 3)


def test_ultrasound_of_a_device() -> None:
    clip = read_clip(Path(get_testdata_file("examples_ybr_color.dcm", download=False)))
    assert (clip.frames, clip.rows, clip.columns) == (30, 240, 320)
    assert clip.region is not None
    assert (clip.region.top, clip.region.left, clip.region.bottom, clip.region.right) == (31, 84, 240, 320)
    assert clip.pixel_size is not None
    # 0.0510 cm, as the header of the file says
    assert clip.pixel_size.y_um == pytest.approx(510.497, abs=1e-3)


def test_region_and_size_of_a_clip(tmp_path: Path) -> None:
    regions = [region((4, 6, 20, 30), (0.02, 0.01))]
    draw_clip(tmp_path / "a", ramp(), SequenceOfUltrasoundRegions=regions)
    clip = read_clip(tmp_path / "a")
    assert clip.region is not None and clip.region.slices() == (slice(4, 21), slice(6, 31))
    assert clip.pixel_size is not None and (clip.pixel_size.y_um, clip.pixel_size.x_um) == pytest.approx((200, 100))


# What is wrong with a file --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "sentence"),
    [
        ({"Rows": 65535, "Columns": 65535}, "claims frames of 65535×65535 pixels; frames of up to 33554432"),
        ({"Rows": 48}, "holds 864 bytes of pixels where its rows, columns and frames make 1728"),
        ({"Rows": 12}, "holds 864 bytes of pixels where its rows, columns and frames make 432"),
        ({"Rows": 0}, "does not tell its rows and columns"),
        ({"Columns": None}, "does not tell its rows and columns"),
        ({"NumberOfFrames": 2_000_000_000}, "a number of frames that is not between 1 and 20000"),
        ({"NumberOfFrames": 20_000}, "holds 864 bytes of pixels"),
        ({"NumberOfFrames": -1}, "a number of frames that is not between"),
        ({"SamplesPerPixel": 4}, "stores 4 samples a pixel of 8 bits"),
        ({"BitsAllocated": 32}, "1 samples a pixel of 32 bits"),
        ({"PixelRepresentation": 1}, "1 signed samples"),
        ({"PixelData": None}, "holds no pixels"),
    ],
)
def test_headers_that_lie(tmp_path: Path, elements: dict[str, object], sentence: str) -> None:
    draw_clip(tmp_path / "a", ramp(), **elements)
    for read in (read_clip, lambda path: read_frame(path, 0)):
        with pytest.raises(UserError, match=sentence) as caught:
            read(tmp_path / "a")
        assert str(caught.value).startswith(str(tmp_path / "a"))


@pytest.mark.parametrize("syntax", ["JPEG-LS", "JPEG-2000", "JPEG-lossless"])
def test_codestreams_of_another_size_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str
) -> None:
    draw_clip(tmp_path / "a", ramp(size=(48, 72)), None, *LOSSLESS[syntax], Rows=24, Columns=36)
    # called, they would raise something else
    monkeypatch.setattr(frames, "encapsulate", None)
    for decode in ("jpeg8_decode", "jpegls_decode"):
        monkeypatch.setattr(imagecodecs, decode, None)
    with pytest.raises(UserError, match="compressed frames of 72×48 pixels of 1 samples, but its header says 36×24"):
        read_frame(tmp_path / "a", 0)


def test_frames_that_are_not_there(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a", ramp(0, 2), None, *LOSSLESS["JPEG-LS"], NumberOfFrames=3)
    with pytest.raises(UserError, match="has no frame 3 of the 3 that its header tells"):
        read_frame(tmp_path / "a", 2)
    draw_clip(tmp_path / "b", ramp(0, 2))
    with pytest.raises(UserError, match="has 2 frames, so there is no frame 3"):
        read_frame(tmp_path / "b", 2)


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_files_that_are_cut_off(tmp_path: Path, syntax: str) -> None:
    draw_clip(tmp_path / "a", ramp(0, 2), None, *LOSSLESS[syntax])
    whole = (tmp_path / "a").read_bytes()
    for kept in (*range(0, len(whole) - 100, 97), len(whole) - 100):
        (tmp_path / "cut").write_bytes(whole[:kept])
        with pytest.raises(UserError):
            read_clip(tmp_path / "cut")
            read_frame(tmp_path / "cut", 1)


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.filterwarnings("ignore")
def test_broken_bytes_are_refused_or_read_but_never_surprise(tmp_path: Path, syntax: str) -> None:
    regions = [region((4, 6, 20, 30), (0.02, 0.01))]
    draw_clip(tmp_path / "a", ramp(0, 2), None, *LOSSLESS[syntax], SequenceOfUltrasoundRegions=regions)
    whole = np.frombuffer((tmp_path / "a").read_bytes(), np.uint8)
    generator = np.random.default_rng(0)
    for _ in range(40):
        broken = whole.copy()
        places = generator.integers(132, len(whole), 6)
        broken[places] = generator.integers(0, 256, 6)
        (tmp_path / "broken").write_bytes(broken.tobytes())
        try:
            read = read_frame(tmp_path / "broken", 1)
        except UserError:
            continue
        assert read.shape[:2] == (read_clip(tmp_path / "broken").rows, read_clip(tmp_path / "broken").columns)


def test_compression_that_is_not_read(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a", ramp(), None, uid.MPEG4HP41, lambda frame: b"mpeg")
    with pytest.raises(UserError, match="MPEG-4 AVC/H.264 High Profile / Level 4.1, which is not read; export it as"):
        read_clip(tmp_path / "a")


def test_a_codec_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_clip(tmp_path / "a", ramp(), None, *LOSSLESS["JPEG-LS"])
    monkeypatch.setattr(imagecodecs.JPEGLS, "available", False)
    with pytest.raises(UserError, match="cannot decode; pip install --upgrade imagecodecs brings one that can"):
        read_clip(tmp_path / "a")


def test_other_colours(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a", ramp(), "HSV")
    with pytest.raises(UserError, match="stores its pixels as HSV, which is not read"):
        read_frame(tmp_path / "a", 0)


def test_a_report_has_no_pixels(tmp_path: Path) -> None:
    draw_report(tmp_path / "a")
    with pytest.raises(UserError, match="holds no pixels"):
        read_clip(tmp_path / "a")


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_frames_one_after_another(tmp_path: Path, syntax: str) -> None:
    drawn = ramp(7, 4)
    draw_clip(tmp_path / "a", drawn, None, *LOSSLESS[syntax])
    np.testing.assert_array_equal(np.stack(list(read_frames(tmp_path / "a"))), drawn)


def test_frames_whose_fragments_have_no_table(tmp_path: Path) -> None:
    """Two fragments a frame, so that frames end where their codestreams do."""
    drawn, halves = ramp(8, 3), []
    for frame in drawn:
        stored = imagecodecs.jpegls_encode(frame)
        halves += [stored[: len(stored) // 4 * 2], stored[len(stored) // 4 * 2 :]]
    fragments = [half + b"\0" * (len(half) % 2) for half in halves]
    pixels = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    pixels += b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(one)) + one for one in fragments)
    pixels += struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    draw_clip(tmp_path / "a", drawn, None, *LOSSLESS["JPEG-LS"], PixelData=pixels)
    np.testing.assert_array_equal(np.stack(list(read_frames(tmp_path / "a"))), drawn)


def test_a_missing_frame_is_told_when_it_is_asked_for(tmp_path: Path) -> None:
    drawn = ramp(9, 3)
    draw_clip(tmp_path / "a", drawn, None, *LOSSLESS["RLE"], NumberOfFrames=4)
    frames = read_frames(tmp_path / "a")
    for expected in drawn:
        np.testing.assert_array_equal(next(frames), expected)
    with pytest.raises(UserError, match="no frame 4 of the 4 that its header tells"):
        next(frames)
