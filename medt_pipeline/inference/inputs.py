"""Images that a person hands in, and the arrays that the model wants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import IMAGE_ENDINGS, ending_of, list_images, read_image, stem_of
from medt_pipeline.core.remote import Place, RemoteFile, files_in

InputFile = Path | RemoteFile
SPACING_WITHOUT_UNIT = (999.0, 1.0, 1.0)
"""What nnU-Net's reader of natural images says of every image."""


def list_inputs(source: Place) -> list[InputFile]:
    """The images to predict: `source` itself, or all images directly in it.

    Raises:
        UserError: there is nothing readable, or two images would get a mask of the same name.
    """
    if isinstance(source, Path):
        if not source.exists():
            raise UserError(f"{source} does not exist; check the spelling.")
        files: list[InputFile] = [source] if source.is_file() else list(list_images(source))
        if files == [source] and ending_of(source) not in IMAGE_ENDINGS:
            raise UserError(f"{source} does not end in any of {', '.join(IMAGE_ENDINGS)}.")
        there = [path.suffix for path in source.iterdir() if path.is_file()] if not files else []
    else:
        all_files = files_in(source)
        files = [file for file in all_files if ending_of(Path(file.name)) in IMAGE_ENDINGS]
        there = [Path(file.name).suffix for file in all_files]
    if not files:
        endings = sorted(set(there)) or ["no files"]
        raise UserError(
            f"{source} holds no images that can be read ({', '.join(IMAGE_ENDINGS)}), but: {', '.join(endings[:6])}."
        )
    _require_own_masks(files)
    return files


def _require_own_masks(images: Sequence[InputFile]) -> None:
    by_name: dict[str, InputFile] = {}
    for image in images:
        stem = stem_of(Path(image.name))
        other = by_name.setdefault(stem, image)
        if other is not image:
            raise UserError(f"{other.name} and {image.name} would both get the mask {stem}.png; rename one.")


def read_input(path: Path, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Read an image for a model of `channels` channels.

    A gray image is repeated for a model of colour images; a colour image that is gray in truth serves a gray model.

    Returns:
        The picture as read, (H, W) or (H, W, 3), and the array for nnU-Net, (channels, 1, H, W) float32.

    Raises:
        UserError: it cannot be read or has colours that a gray model does not know.
    """
    picture = read_image(path)
    return picture, to_planes(picture, channels, str(path))


def to_planes(picture: np.ndarray, channels: int, source: str) -> np.ndarray:
    """The array for nnU-Net, (channels, 1, H, W) float32, of a picture (H, W) or (H, W, C).

    Args:
        picture: as read.
        channels: of the model.
        source: its name for messages.

    Raises:
        UserError: the picture has another number of channels, or colours that a gray model does not know.
    """
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    if len(planes) == 1 and channels == 3:
        planes = np.repeat(planes, 3, axis=0)
    elif len(planes) == 3 and channels == 1:
        if (planes != planes[:1]).any():
            raise UserError(f"{source} is a colour image, but the model was trained on gray images.")
        planes = planes[:1]
    if len(planes) != channels:
        raise UserError(f"{source} has {len(planes)} channels, but the model was trained on {channels}.")
    return planes[:, None].astype(np.float32)


def require_scale(picture: np.ndarray, normalization: Sequence[str], source: str) -> None:
    """Check that a picture has the levels that a model divides by 255, which would else see black or fail.

    Args:
        picture: as read.
        normalization: names of nnU-Net's classes, one a channel.
        source: its name for messages.

    Raises:
        UserError: it has not.
    """
    if "RGBTo01Normalization" not in normalization or not picture.size:
        return
    lowest, highest = float(picture.min()), float(picture.max())
    if lowest < 0 or highest > 255:
        raise UserError(
            f"{source} has values from {lowest:g} to {highest:g}, but the model was trained on levels of 0 to 255; "
            "bring them to that scale."
        )
    if np.issubdtype(picture.dtype, np.floating) and 0 < highest <= 1:
        raise UserError(
            f"{source} has fractions up to {highest:g}, but the model was trained on levels of 0 to 255; "
            "multiply by 255."
        )
