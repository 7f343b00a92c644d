"""DICOM: headers within limits, frames as pictures, the region that shows tissue and the size of its pixels."""

import logging
import warnings

# pydicom's warnings quote values that it doubts, and such a value may be a name or a date of birth.
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
