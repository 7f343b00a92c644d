"""Annotations of one picture as the mask of a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medt_pipeline.core.errors import UserError

from ..masks import ReadMask
from .drawing import Drawing, draw
from .reading import Annotations


@dataclass(frozen=True, eq=False)
class AnnotatedMask:
    """A mask that is drawn from shapes.

    Attributes:
        path: the annotation file; `picture`: which picture in it, where it is for many.
        load: gives what the file says about the picture.
        label_of: the label of every class that is drawn.
    """

    path: Path
    load: Callable[[], Annotations]
    label_of: Mapping[str, int]
    picture: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation file."""
        return (self.path,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """Labels and object numbers of a picture of `size` (height, width).

        Raises:
            UserError: as for the reader of the format; the file was made for a picture of another size, or more than
                half of its shapes hold no pixel of the picture.
        """
        annotations = self.load()
        if annotations.size not in (None, size):
            height, width = annotations.size or size
            raise UserError(
                f"{self._where} was drawn on a picture of {width}×{height} pixels, but the image has "
                f"{size[1]}×{size[0]}; use the picture that it was drawn on."
            )
        try:
            drawing = draw(annotations.shapes, self.label_of, size)
        except UserError as error:
            raise UserError(f"{self._where} {error}.") from None
        self._require_inside(drawing, annotations, size)
        repairs = (*annotations.notes, *drawing.repairs)
        # messages name the file, which is that of many pictures
        told = repairs if self.picture is None else tuple(f"{self.picture}: {repair}" for repair in repairs)
        return ReadMask(drawing.labels, drawing.objects, told)

    @property
    def _where(self) -> str:
        return str(self.path) if self.picture is None else f"{self.path} ({self.picture})"

    def _require_inside(self, drawing: Drawing, annotations: Annotations, size: tuple[int, int]) -> None:
        shapes = sum(shape.name in self.label_of for shape in annotations.shapes) - drawing.without_area
        if 2 * drawing.without_pixel > shapes:
            raise UserError(
                f"{self._where}: {drawing.without_pixel} of {shapes} shapes hold no pixel of the picture of "
                f"{size[1]}×{size[0]}; use the picture that they were drawn on, or delete them."
            )
