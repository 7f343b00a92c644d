"""By what the networks of an ensemble are known again, so that finished work is not done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from medt_pipeline.core.manifest import content_hash
from medt_pipeline.inference.models import OpenModel


def networks_hash(members: Sequence[OpenModel]) -> str:
    """SHA-256 of all in the networks that decides their probabilities: weights, plans, mirror axes, shares."""
    digest = hashlib.sha256()
    for member in members:
        for predictor in member.predictors:
            digest.update(repr((member.weight, predictor.allowed_mirroring_axes, predictor.use_mirroring)).encode())
            digest.update(content_hash(predictor.configuration_manager.configuration).encode())
            for name, tensor in sorted(predictor.network.state_dict().items()):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
