"""Mask pictures of clips: which file, or which page of a stack, belongs to which frame."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import tifffile

from medt_pipeline.core.dicom.frames import read_clip, read_stored_frame
from medt_pipeline.core.dicom.geometry import Region
from medt_pipeline.core.dicom.header import is_dicom
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import LOSSLESS_ENDINGS

from .dicom_files import FoundClip
from .inspection import show_size
from .masks import MaskFile, MaskReading, MaskSource, ReadMask
from .pairing import possible_stems
from .problems import count, some
