"""The published networks, from a checkout of jeya-maria-jose/Medical-Transformer that MEDT_PUBLISHED names."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

VARIABLE = "MEDT_PUBLISHED"


def published_code() -> ModuleType | None:
    """Its module lib.models.axialnet; None where the variable is not set."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    sys.path.insert(0, folder)
    return importlib.import_module("lib.models.axialnet")
