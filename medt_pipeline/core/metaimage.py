"""The header of a MetaImage, looked at before ITK believes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medt_pipeline.core.errors import UserError

_NUMBER_EACH_AXIS = ("dimsize", "offset", "position", "origin", "elementspacing", "elementsize", "centerofrotation")
_NUMBER_EACH_PAIR_OF_AXES = ("transformmatrix", "orientation", "rotation")
MOST_CHANNELS = 64
MOST_HEADER_BYTES = 2**16


def metaimage_reader(path: Path) -> Any:
    """SimpleITK's reader of a MetaImage whose header is read and is sound.

    Raises:
        UserError: the header says what no 2D picture says, or the pixels lie in another file.
        Exception: whatever SimpleITK raises for a broken file.
    """
    import SimpleITK as sitk  # noqa: N813 (takes 0.2 s to load and is needed for few sets)

    _check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def _check_header(path: Path) -> None:
    """Refuse a header for which ITK would write behind its memory: it believes counts, and has room for few axes."""
    fields = _fields(path)
    # the pixels of another file are none of this one's business
    if fields.get("elementdatafile") != "LOCAL":
        raise UserError(f"{path} does not hold its own pixels (ElementDataFile = LOCAL); save it as one .mha file.")
    if fields.get("ndims") not in ("2", "3", "4"):
        raise UserError(f"{path} says NDims = {fields.get('ndims', 'nothing'):.20}, not 2, 3 or 4; save it again.")
    axes = int(fields["ndims"])
    lengths = {**dict.fromkeys(_NUMBER_EACH_AXIS, axes), **dict.fromkeys(_NUMBER_EACH_PAIR_OF_AXES, axes**2)}
    wrong = [key for key, length in lengths.items() if key in fields and len(fields[key].split()) != length]
    channels = fields.get("elementnumberofchannels", "1")
    if not channels.isdecimal() or not 1 <= int(channels) <= MOST_CHANNELS:
        wrong.append("elementnumberofchannels")
    if wrong:
        raise UserError(f"{path} has a header whose {', '.join(wrong)} cannot be; save it again.")


def _fields(path: Path) -> dict[str, str]:
    """The lines of the header up to ElementDataFile, names in lower case.

    Raises:
        UserError: a name stands there twice, of which ITK might take the other.
    """
    with path.open("rb") as file:
        text = file.read(MOST_HEADER_BYTES).decode("latin-1")
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        key, _, value = (part.strip() for part in line.partition("="))
        if key.lower() in fields:
            raise UserError(f"{path} has a header with two lines {key:.40}; save it again.")
        fields[key.lower()] = value
        if key.lower() == "elementdatafile":
            break
    return fields
