"""What of a DICOM header names a person, and texts in which no such word is left."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydicom import Dataset
from pydicom.multival import MultiValue

IDENTITY_KEYWORDS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientBirthName",
    "OtherPatientIDs",
    "OtherPatientNames",
    "AccessionNumber",
)
_SHORT = 4
"""Words of fewer letters are hidden where they stand alone; longer ones also inside of others."""


def identifying_words(header: Dataset) -> frozenset[str]:
    """The words of a header that name a person, in lower case: parts of names, ids, dates of birth."""
    words: set[str] = set()
    for keyword in IDENTITY_KEYWORDS:
        text = text_of(header, keyword).lower()
        if keyword == "PatientBirthDate" and re.fullmatch(r"\d{8}", text):
            words.update((f"{text[:4]}-{text[4:6]}-{text[6:]}", f"{text[6:]}.{text[4:6]}.{text[:4]}"))
        words.update(re.split(r"[\s^=,;\\]+", text))
    return frozenset(word for word in words if len(word) > 1)


def hide(text: str, words: Iterable[str]) -> str:
    """`text` with every identifying word replaced by `***`, whatever its case."""
    for word in sorted(words, key=lambda word: (-len(word), word)):
        plain = re.escape(word)
        pattern = plain if len(word) >= _SHORT else rf"(?<![^\W_]){plain}(?![^\W_])"
        text = re.sub(pattern, "***", text, flags=re.IGNORECASE)
    return text


def text_of(header: Dataset, keyword: str) -> str:
    """The value of an element as text, several with blanks between, stripped; "" where there is none."""
    value = header.get(keyword)
    several = value if isinstance(value, MultiValue) else [value]
    return " ".join(str(one).strip() for one in several if one is not None).strip()
