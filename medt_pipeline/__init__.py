"""Self-configuring segmentation of 2D ultrasound and histology with the Medical Transformer, on top of nnU-Net.

Importing this package imports neither torch nor nnU-Net; each command does so after it has read its arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from medt_pipeline.inference.model import Model

__version__ = "0.1.0"


def load(source: str | os.PathLike[str], device: str = "auto", mirror: bool = True) -> Model:
    """Open a trained model, with which `predict` segments images.

    Args:
        source: a model file of medt_export, the results of a data set (results/DatasetNNN_NAME), or a model folder.
        device: "auto", "cpu", "cuda" or "mps".
        mirror: average over mirror images; without, up to four times faster and a little less accurate.

    Raises:
        UserError: the source is missing or broken, or the device is not there.

    Example:
        model = medt_pipeline.load("glands.medt")
        mask = model.predict("slide.png")
        masks, probabilities = model.predict([image_1, image_2], probabilities=True)
    """
    from medt_pipeline.inference.model import load_model

    return load_model(source, device, mirror)
