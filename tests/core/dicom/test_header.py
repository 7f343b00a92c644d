"""Headers: what is read, what is refused, and what is never said."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from pydicom import Dataset, uid
from pydicom.data import get_testdata_file

from medt_pipeline.core.dicom import header
from medt_pipeline.core.dicom.header import is_dicom, opened, read_header
from medt_pipeline.core.errors import UserError
from tests.drawn_dicom import NAME, draw_clip, draw_report, ramp

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
"""pydicom's, which a program that is no test does not get to see."""

ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
UNDEFINED = b"\xff" * 4


def test_the_elements_asked_for(tmp_path: Path) -> None:
    draw_clip(tmp_path / "a", ramp())
    found = read_header(tmp_path / "a", ("PatientName", "Rows", "FrameTime"))
    assert found.PatientName == NAME
    assert found.Rows == 24
    assert {"PatientID", "FrameTime", "PixelData"}.isdisjoint(found.dir())


def test_where_the_pixels_are(tmp_path: Path) -> None:
    drawn = ramp()
    draw_clip(tmp_path / "a", drawn)
    with opened(tmp_path / "a", ("Rows",)) as file:
        file.file.seek(file.pixels_at or 0)
        assert file.file.read(file.pixel_bytes) == drawn.tobytes()
        assert file.syntax == uid.ExplicitVRLittleEndian
    draw_report(tmp_path / "b")
    with opened(tmp_path / "b", ("Rows",)) as file:
        assert (file.pixels_at, file.pixel_bytes) == (None, 0)


def test_recognised_by_content(tmp_path: Path) -> None:
    draw_report(tmp_path / "photo.png")
    (tmp_path / "b.dcm").write_bytes(b"no such thing")
    assert is_dicom(tmp_path / "photo.png")
    assert not is_dicom(tmp_path / "b.dcm")
    assert not is_dicom(tmp_path)
    for name, sentence in (("b.dcm", "is not a DICOM file"), ("c.dcm", "is missing or no file")):
        with pytest.raises(UserError, match=sentence):
            read_header(tmp_path / name, ("Rows",))


def insert(path: Path, element: bytes) -> None:
    """Put an element before all others of the data set that `draw_report` wrote."""
    whole = path.read_bytes()
    first = whole.index(b"\x08\x00\x16\x00UI")
    path.write_bytes(whole[:first] + element + whole[first:])


def sequence(content: bytes) -> bytes:
    """A private sequence of undefined length."""
    return b"\x05\x00\x10\x10SQ\0\0" + UNDEFINED + content + SEQUENCE_END + b"\0" * 4


def test_sequences_in_sequences_without_end(tmp_path: Path) -> None:
    draw_report(tmp_path / "a")
    content = b""
    for _ in range(3000):
        content = sequence(ITEM + UNDEFINED + content + ITEM_END + b"\0" * 4)
    insert(tmp_path / "a", content)
    with pytest.raises(UserError, match="nests its sequences too deep"):
        read_header(tmp_path / "a", ("Rows",))


def test_more_elements_than_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_report(tmp_path / "a")
    insert(tmp_path / "a", sequence((ITEM + b"\0" * 4) * 3000))
    assert read_header(tmp_path / "a", ("PatientName",)).PatientName == NAME
    monkeypatch.setattr(header, "MOST_READS", 2000)
    with pytest.raises(UserError, match="has more than 2000 elements in its header"):
        read_header(tmp_path / "a", ("PatientName",))


def test_a_value_beyond_all_measure(tmp_path: Path) -> None:
    draw_report(tmp_path / "a")
    size = header.LARGEST_VALUE + 2
    insert(tmp_path / "a", b"\x08\x00\x05\x00UT\0\0" + struct.pack("<I", size) + b" " * size)
    assert read_header(tmp_path / "a", ("Modality",)).Modality == "US"
    with pytest.raises(UserError, match=f"holds a value of {size} bytes in its header"):
        read_header(tmp_path / "a", ("SpecificCharacterSet",))


def test_a_value_that_reaches_beyond_the_end(tmp_path: Path) -> None:
    draw_report(tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole + b"\x99\x00\x10\x10UN\0\0" + struct.pack("<I", 10_000) + b"short")
    with pytest.raises(UserError, match="is cut off; export it again"):
        read_header(tmp_path / "a", ("Rows",))


def test_deflated_files_are_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is deflated as a whole"):
        read_header(Path(get_testdata_file("image_dfl.dcm", download=False)), ("Rows",))
    draw_report(tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    end = whole.index(b"\x08\x00\x16\x00UI")
    bomb = zlib.compressobj(wbits=-15)
    meta = whole[:end].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    (tmp_path / "a").write_bytes(meta + bomb.compress(b"\0" * 10**8) + bomb.flush())
    with pytest.raises(UserError):
        read_header(tmp_path / "a", ("Rows",))


def test_no_transfer_syntax() -> None:
    with pytest.raises(UserError, match="does not tell its transfer syntax"):
        read_header(Path(get_testdata_file("meta_missing_tsyntax.dcm", download=False)), ("Rows",))


def test_nothing_is_said_of_doubtful_values(tmp_path: Path) -> None:
    """pydicom warns with the value; in a process of its own, since pytest changes the filters of warnings."""
    draw_clip(tmp_path / "a", ramp(), PixelData=b"\0" * 999)
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole.replace(b"DA\x08\x0019430717", b"DA\x08\x00SMITH 12"))
    script = f"""
from pathlib import Path
from medt_pipeline.core.dicom.header import read_header
from medt_pipeline.core.dicom.frames import read_frame
from medt_pipeline.core.errors import UserError
header = read_header(Path({str(tmp_path / "a")!r}), ("PatientBirthDate", "PatientName"))
assert header.PatientBirthDate == "SMITH 12"
try:
    read_frame(Path({str(tmp_path / "a")!r}), 0)
except UserError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert "SMITH" not in result.stdout
    assert "holds 1000 bytes of pixels" in result.stdout


def test_an_empty_header(tmp_path: Path) -> None:
    draw_report(tmp_path / "a")
    assert read_header(tmp_path / "a", ("Rows",)) == Dataset()
