"""A trained model as a Python object: images in, label arrays out."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

import numpy as np
from PIL import Image

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import from_pillow, read_image, without_alpha
from medt_pipeline.inference.average import Average, average_batch, mask_of
from medt_pipeline.inference.inputs import require_scale, to_planes
from medt_pipeline.inference.model_file import open_model_file
from medt_pipeline.inference.models import Ensemble, ensemble_in_folder, expected_channels, open_ensemble
from medt_pipeline.inference.packed_model import ensemble_in
from medt_pipeline.training.device import choose_device

Picture: TypeAlias = "str | os.PathLike[str] | np.ndarray | Image.Image"
"""A path, an array (H, W) or (H, W, C), or an image of Pillow."""
Pictures: TypeAlias = "Picture | Sequence[Picture]"
"""One picture, a list of them, or an array (N, H, W) or (N, H, W, C)."""
Arrays: TypeAlias = "np.ndarray | list[np.ndarray]"

BATCH_SIZE = 4
"""Images of one size that go through the networks together."""
MOST_CHANNELS = 4
"""Length of a last axis up to which three axes are taken for one picture with channels."""


class Model:
    """A trained model in memory, which may be used from several threads at once.

    Args:
        ensemble: what predicts.
        device: "auto", "cpu", "cuda" or "mps".
        mirror: average over mirror images, as in training; without, up to four times faster and a little less accurate.

    Attributes:
        name: data set, configurations and folds.
        labels: value by class name, as dataset.json has them.
        channels: of the images that it was trained on.

    Raises:
        UserError: weights or plans are broken, or the device is not there.
    """

    def __init__(self, ensemble: Ensemble, device: str = "auto", mirror: bool = True) -> None:
        dataset_json = ensemble.models[0].dataset_json()
        self.name = ensemble.name
        self.labels: dict[str, Any] = dict(dataset_json["labels"])
        self.channels = expected_channels(dataset_json)
        self._recipe = ensemble.recipe
        self._members = open_ensemble(ensemble, choose_device(device), mirror)
        # A call of the networks uses all cores, or the whole device: two at once would only need more memory.
        self._lock = threading.Lock()

    @overload
    def predict(
        self, images: Pictures, probabilities: Literal[False] = False, batch_size: int = BATCH_SIZE
    ) -> Arrays: ...

    @overload
    def predict(
        self, images: Pictures, probabilities: Literal[True], batch_size: int = BATCH_SIZE
    ) -> tuple[Arrays, Arrays]: ...

    def predict(
        self, images: Pictures, probabilities: bool = False, batch_size: int = BATCH_SIZE
    ) -> Arrays | tuple[Arrays, Arrays]:
        """Label maps of images, each at the image's own size; what medt_predict writes.

        A gray picture is repeated for a model of colour images; a colour picture that is gray in truth serves a gray
        model. An array of three axes is one picture if its last axis is at most 4 long, else a stack of gray pictures.

        Args:
            images: one picture, a list, or a stacked array.
            probabilities: also return class probabilities, before post-processing.
            batch_size: pictures of one size that go through the networks together, at least 1; more need more memory.

        Returns:
            Label map (H, W), uint8 or uint16, for one picture; a list of them for a list, in its order; (N, H, W) for a
            stack. With `probabilities` a pair of these and of (classes, H, W) float32.

        Raises:
            UserError: a picture cannot be read, or has other channels or levels than the model knows.
        """
        one, pictures = _listed(images)
        found: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
        for group in self._batches(pictures, max(batch_size, 1)):
            with self._lock:
                averages = average_batch(self._members, [planes for _, planes in group])
            for (index, _), mean in zip(group, averages, strict=True):
                found[index] = self._result(mean, probabilities)
        masks = _as_given([found[index][0] for index in range(len(found))], one, images)
        if not probabilities:
            return masks
        return masks, _as_given([_known(found[index][1]) for index in range(len(found))], one, images)

    def _batches(self, pictures: Iterable[Picture], size: int) -> Iterator[list[tuple[int, np.ndarray]]]:
        """Positions and planes of up to `size` pictures of one shape; few are in memory at a time."""
        waiting: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = defaultdict(list)
        for index, picture in enumerate(pictures):
            planes = self._planes(picture, f"picture {index}")
            waiting[planes.shape].append((index, planes))
            if len(waiting[planes.shape]) == size:
                yield waiting.pop(planes.shape)
        yield from waiting.values()

    def _planes(self, picture: Picture, name: str) -> np.ndarray:
        if isinstance(picture, (str, os.PathLike)):
            name, array = str(picture), read_image(Path(picture))
        elif isinstance(picture, Image.Image):
            array = without_alpha(from_pillow(picture), name)
        else:
            array = _checked(picture, self.channels, name)
        require_scale(array, self._members[0].normalization, name)
        return to_planes(array, self.channels, name)

    def _result(self, mean: Average, probabilities: bool) -> tuple[np.ndarray, np.ndarray | None]:
        mask = mask_of(self._members, self._recipe, mean)
        return mask, mean.probabilities[:, 0] if probabilities else None


def load_model(source: str | os.PathLike[str], device: str = "auto", mirror: bool = True) -> Model:
    """Open a model file, the results of a data set (results/DatasetNNN_NAME), or a model folder in them.

    Arguments and errors otherwise as `Model`.

    Raises:
        UserError: it is missing, broken, or not unambiguous.
    """
    path = Path(source).expanduser()
    ensemble = ensemble_in_folder(path) if path.is_dir() else ensemble_in(open_model_file(path))
    return Model(ensemble, device, mirror)


def _listed(images: Pictures) -> tuple[bool, Iterable[Picture]]:
    """Whether it is one picture, and the pictures."""
    if isinstance(images, np.ndarray):
        one = images.ndim == 2 or (images.ndim == 3 and images.shape[2] <= MOST_CHANNELS)
        return one, [images] if one else images
    if isinstance(images, (str, os.PathLike, Image.Image)):
        return True, [images]
    return False, images


def _checked(picture: Any, channels: int, name: str) -> np.ndarray:
    array = np.asarray(picture)
    if array.ndim not in (2, 3) or not array.size or array.dtype == bool or not np.issubdtype(array.dtype, np.number):
        raise UserError(
            f"{name} is no picture: an array (H, W) or (H, W, channels) of numbers was expected, got shape "
            f"{array.shape} of {array.dtype}."
        )
    if np.issubdtype(array.dtype, np.complexfloating) or not np.isfinite(array).all():
        raise UserError(f"{name} holds values that are no real numbers.")
    return array if array.ndim == 3 and array.shape[2] == channels else without_alpha(array, name)


def _as_given(results: list[np.ndarray], one: bool, images: Pictures) -> Arrays:
    if one:
        return results[0]
    return np.stack(results) if isinstance(images, np.ndarray) and results else results


def _known(array: np.ndarray | None) -> np.ndarray:
    if array is None:
        raise ValueError("probabilities were not kept")
    return array
