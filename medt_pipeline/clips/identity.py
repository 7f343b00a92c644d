"""Whose a clip is, as far as the results tell: by default a stand-in that leads to nobody."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import UID

from medt_pipeline.core.dicom.header import opened
from medt_pipeline.core.dicom.identity import IDENTITY_KEYWORDS, hide, identifying_words, text_of
from medt_pipeline.core.errors import UserError

COPIED_KEYWORDS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""What a segmentation tells of patient and study where the identifiers are kept."""
_LOSS_KEYWORDS = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_KEYWORDS = (*IDENTITY_KEYWORDS, *COPIED_KEYWORDS, *_LOSS_KEYWORDS, *_UIDS, "BurnedInAnnotation", "NumberOfFrames")
NO_CLIPS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "a segmentation",
    "1.2.840.10008.5.1.4.1.1.77.1.6": "a whole slide",
}
"""Kinds of DICOM files whose frames are no pictures one after another."""


@dataclass(frozen=True, eq=False)
class Identity:
    """Whose a DICOM clip is.

    Attributes:
        header: elements of the clip, which stay in memory.
        checksum: SHA-256 of the file. All stand-ins come from it: who has the file knows the patient anyway, and nobody
            else can compute it; a hash of the patient's number could be tried out.
        keep: whether results tell the patient's and the study's identifiers.
    """

    header: Dataset
    checksum: str
    keep: bool

    def uid(self, keyword: str) -> str:
        """One of the clip's UIDs where identifiers are kept and it is one, else a stand-in."""
        told = UID(text_of(self.header, keyword))
        return str(told) if self.keep and told.is_valid else self.new_uid(keyword)

    def new_uid(self, *parts: str) -> str:
        """A UID for `parts` that is the same whenever the clip is the same (2.25, PS3.5 annex B.2)."""
        digest = hashlib.sha256("\0".join((self.checksum, *parts)).encode()).digest()
        return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"

    @property
    def stand_in(self) -> str:
        """What the patient is called where identifiers are not kept."""
        return f"p{hashlib.sha256(f'{self.checksum} patient'.encode()).hexdigest()[:10]}"

    def result_name(self, name: str) -> str:
        """`name`, that of the file, or a stand-in where it holds a word that names the patient and must not."""
        named = hide(name, identifying_words(self.header)) != name
        return f"clip_{self.stand_in}" if named and not self.keep else name

    @property
    def may_show_text(self) -> bool:
        """Whether words that name the patient may be drawn into the picture: unless the file says that none are."""
        return text_of(self.header, "BurnedInAnnotation").upper() != "NO"


def read_identity(path: Path, checksum: str, keep: bool) -> Identity:
    """Read it off the header of a clip.

    Raises:
        UserError: as for `core.dicom.header.opened`; or the file is of a kind that is no clip.
    """
    with opened(path, _KEYWORDS) as file:
        header, kind = file.header, text_of(file.header, "SOPClassUID") or str(file.kind)
    if kind in NO_CLIPS:
        raise UserError(f"{path} is {NO_CLIPS[kind]} in DICOM, no clip; leave it out.")
    header.SOPClassUID = kind
    return Identity(header, checksum, keep)
