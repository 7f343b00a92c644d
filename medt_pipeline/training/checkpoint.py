"""Reading the checkpoints of a training, without running code that one may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from medt_pipeline.core.errors import UserError, reason_of


def read_checkpoint(file: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint as data.

    Raises:
        UserError: the file is missing, broken, or holds more than data.
    """
    try:
        return torch.load(file, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{file} is missing; train the fold first.") from None
    # A truncated or foreign file raises whatever zip and pickle make of it.
    except Exception as error:
        raise UserError(
            f"{file} is not a checkpoint of medt_train ({reason_of(error)}); delete it and train the fold again."
        ) from error
