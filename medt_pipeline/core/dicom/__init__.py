"""DICOM: headers within limits, frames as pictures, the region that shows tissue and the size of its pixels."""

import logging
import warnings

from medt_pipeline.core.errors import UserError

try:
    import pydicom  # noqa: F401 (every file of this folder needs it; here its absence is told once)
except ModuleNotFoundError:
    raise UserError(
        "DICOM files are read with pydicom, which is not installed; pip install 'medt_pipeline[dicom]' brings it."
    ) from None

# Its warnings quote values that it doubts, and such a value may be a name or a date of birth.
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
