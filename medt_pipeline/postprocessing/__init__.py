"""What may be done to a predicted label map after the network: steps, splitting of objects, and the recipe of both."""

from medt_pipeline.postprocessing.recipe import PostProcessing, apply, object_map, read_recipe, smooth_probabilities
from medt_pipeline.postprocessing.splitting import Splitting, split_objects
from medt_pipeline.postprocessing.steps import STEPS, Step

__all__ = [
    "STEPS",
    "PostProcessing",
    "Splitting",
    "Step",
    "apply",
    "object_map",
    "read_recipe",
    "smooth_probabilities",
    "split_objects",
]
