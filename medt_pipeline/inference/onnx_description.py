"""What is to be done before and after an ONNX graph, as data for programs that have neither torch nor nnU-Net."""

from __future__ import annotations

from typing import Any

from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from medt_pipeline.planning.preprocessing import how_preprocessed

FORMULAS = {
    "RGBTo01Normalization": "x / 255",
    "RescaleTo01Normalization": "(x - min) / max(max - min, 1e-8), of the image's channel",
    "ZScoreNormalization": "(x - mean) / max(std, 1e-8), of the image's channel",
    "NoNormalization": "x",
}
"""Of the normalizations that our planner takes."""


COMBINATION = (
    "weighted mean of the probabilities of all tiles that cover a pixel. medt_predict averages logits here and "
    "resamples them before the softmax: both are the same where one tile shows the image at its own resolution, and "
    "nearly so elsewhere"
)


def describe_processing(predictor: nnUNetPredictor) -> dict[str, Any]:
    """Steps before and after the graph of a configuration, with their numbers; they are nnU-Net's."""
    settings = predictor.configuration_manager
    how = how_preprocessed(settings)
    patch = [int(side) for side in settings.patch_size]
    return {
        "preprocessing": {
            "crop": "to the smallest box that holds every pixel that is not 0 in all channels",
            "normalization": [{"scheme": name, "formula": FORMULAS[name]} for name in how["normalization_schemes"]],
            "within_nonzero_pixels": how["use_mask_for_norm"],
            "resampling": _resampling(how, settings.resampling_fn_data.keywords),
            "padding": f"with 0 on both sides, the odd pixel behind, to at least {patch[0]} × {patch[1]}",
        },
        "tiling": {
            "patch_size": patch,
            "step": predictor.tile_step_size,
            "positions": "along each axis ceil((side - patch) / (patch * step)) + 1, evenly from 0 to side - patch, "
            "rounded to the nearest pixel, halves to even",
            "weights": "a Gaussian of sigma = patch / 8 around patch // 2 along each axis",
            "combination": COMBINATION,
        },
        "back": {
            "padding": "cut off",
            "resampling": f"of the probabilities to the size of the crop, order "
            f"{settings.resampling_fn_probabilities.keywords['order']}",
            "crop": "pixels outside are background",
        },
    }


def _resampling(how: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    fixed = how["fixed_size"]
    if fixed is not None:
        target = f"{fixed[0]} × {fixed[1]}, whatever the size of the crop"
    else:
        factors = [1 / float(one) for one in how["spacing"][-2:]]
        target = f"round(height * {factors[0]:.9g}) × round(width * {factors[1]:.9g}), halves to even"
    spline = "spline of that order as scikit-image's resize with mode='edge' and anti_aliasing=False"
    mean = "weighted mean under a triangle as wide as two pixels of the result, as torch's bilinear interpolate with "
    method = f"{mean}antialias=True; where a side grows: {spline}" if how["antialiased"] else spline
    return {
        "size": target,
        "order": arguments["order"],
        "method": f"{method}; after the normalization; nothing where the size is the same",
    }
