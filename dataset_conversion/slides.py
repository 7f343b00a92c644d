"""Whole slides with QuPath's GeoJSON: rectangles that were annotated throughout become training images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medt_pipeline.core.errors import UserError
from medt_pipeline.core.images import ending_of, stem_of
from medt_pipeline.core.pixel_size import PixelSize
from medt_pipeline.core.slides import Slide, Window, is_slide, open_slide

from .annotations.drawing import DRAWING_RULE, draw
from .annotations.geojson import Feature, read_features
from .annotations.shapes import Outline
from .case_names import unique_case_names
from .class_names import ClassDecision, decide_classes
from .groups import declared_groups
from .masks import ReadMask
from .problems import Problems, count, some
from .registry import source as registered
from .sources import Selection, SourceCase
from .summary import Summary
from .target import Target
from .writer import write_dataset

JSON_ENDINGS = (".geojson", ".json")
REGION = "region"
"""Beginning of the class or name of a region, in upper or lower case; QuPath offers the class "Region*"."""
MOST_REGION_PIXELS = 64_000_000
"""Of a training image."""
SAME_PIXEL_SIZE = 0.02
"""Slides whose pixels differ by less than this share are of one scale."""


@dataclass(frozen=True)
class SlidesOptions:
    """What only the owner of the slides knows.

    Attributes:
        microns_per_pixel: of the training images; None takes level 0 as it is.
        labels: as for `folder_masks.FolderOptions`.
        groups: the same; None groups by slide.
        skip_unpaired: leave out slides without annotations and annotations without a slide.
    """

    microns_per_pixel: float | None = None
    labels: str | None = None
    groups: str | None = None
    skip_unpaired: bool = False


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle of a slide that was annotated throughout.

    Attributes:
        slide: file of the slide; `annotations`: its GeoJSON.
        scale: pixels of level 0 for one pixel of the training image.
        window: in pixels of the training image's scale.
        microns_per_pixel: of the training image; None where the slide does not tell.
        outlines: objects that reach into it, in pixels of the training image.
    """

    slide: Path
    annotations: Path
    scale: float
    window: Window
    microns_per_pixel: float | None
    outlines: tuple[Outline, ...]

    @property
    def file(self) -> Path:
        """The slide."""
        return self.slide

    def read(self) -> np.ndarray:
        """(H, W, 3) uint8.

        Raises:
            UserError: the slide cannot be read.
        """
        return open_slide(self.slide).read(self.window, self.scale)

    def pixel_size(self) -> PixelSize | None:
        """That of the scale."""
        size = self.microns_per_pixel
        return None if size is None else PixelSize(size, size, "slide")


@dataclass(frozen=True, eq=False)
class RegionMask:
    """The objects in a region as the mask of its image."""

    region: Region
    classes: ClassDecision

    @property
    def files(self) -> tuple[Path, ...]:
        """The GeoJSON."""
        return (self.region.annotations,)

    def read(self, size: tuple[int, int]) -> ReadMask:
        """Labels and object numbers; what reaches beyond the region is cut.

        Raises:
            UserError: there are too many objects.
        """
        try:
            drawing = draw(self.region.outlines, self.classes.label_of, size)
        except UserError as error:
            raise UserError(f"{self.region.annotations} {error}.") from None
        return ReadMask(drawing.labels, drawing.objects, drawing.repairs)


def convert(source: Path, target: Target, options: SlidesOptions | None = None) -> Summary:
    """Convert the slides directly in `source`, each with a GeoJSON of the same stem.

    Raises:
        UserError: options or files have problems; those of the files are told together.
    """
    options = options or SlidesOptions()
    with target.opened(source, "slides") as folder:
        problems = Problems()
        selection, classes = select(folder, options, problems)
        return write_dataset(selection, classes.declared, registered("slides"), target, problems)


def select(folder: Path, options: SlidesOptions, problems: Problems) -> tuple[Selection, ClassDecision]:
    """Cut regions and name their cases; what is wrong with a slide goes to `problems`.

    Raises:
        UserError: there is no slide with annotations, or the classes are in doubt, with all else that is wrong.
    """
    pairs, left_out = _pairs(folder, options.skip_unpaired, problems)
    found: list[tuple[str, Region]] = []
    sizes: dict[Path, float | None] = {}
    notes: list[str] = []
    for slide, file in pairs:
        with problems.collecting():
            opened = open_slide(slide)
            sizes[slide] = opened.microns_per_pixel
            regions, beside = cut_regions(opened, file, options.microns_per_pixel)
            found += [(stem_of(slide).removesuffix(".ome"), region) for region in regions]
            if beside:
                notes.append(f"{file.name}: {count(beside, 'shape')} in no region left out")
    if options.microns_per_pixel is None:
        _require_one_scale(sizes, problems)
    if not found:
        problems.raise_if_any()
    classes = _classes([region for _, region in found], options.labels, problems)
    stems = [stem for stem, _ in found]
    groups, rule = {stem: stem for stem in stems}, "the slide"
    if options.groups is not None:
        with problems.collecting():
            groups, rule = declared_groups(options.groups, list(dict.fromkeys(stems)))
    names = unique_case_names(_numbered(stems))
    cases = tuple(
        SourceCase(name, region, RegionMask(region, classes), groups.get(stem), facts=_facts(region))
        for name, stem, (_, region) in zip(names, stems, found, strict=True)
    )
    return Selection(cases, rule, DRAWING_RULE, (*notes, *classes.notes), tuple(left_out)), classes


def cut_regions(slide: Slide, annotations: Path, microns_per_pixel: float | None) -> tuple[list[Region], int]:
    """The regions of a slide with the objects in them, and the number of shapes that lie in none.

    Where an annotation's class or name begins with "Region", those are the regions; else locked rectangles without a
    class are.

    Raises:
        UserError: there is no region, one is no upright rectangle on the slide or too large, or the size of the slide's
            pixels is needed and not told.
    """
    scale = _scale(slide, microns_per_pixel)
    features = read_features(annotations)
    chosen = [one for one in features if _is_named_region(one)]
    if not chosen:
        chosen = [one for one in features if one.locked and not one.class_name and _rectangle(one) is not None]
    if not chosen:
        raise UserError(
            f"{annotations} has no region; draw rectangles around what is annotated throughout and give them the class "
            "Region* in QuPath, or lock them."
        )
    regions_of = {id(one) for one in chosen}
    outlines = [outline for one in features if id(one) not in regions_of for outline in one.outlines]
    boxes = np.array([_box(outline) for outline in outlines]).reshape(-1, 4)
    regions, inside = [], np.zeros(len(outlines), bool)
    for one in chosen:
        left, top, right, bottom = _required_rectangle(one, slide, annotations)
        near = (boxes[:, 0] < right) & (boxes[:, 2] > left) & (boxes[:, 1] < bottom) & (boxes[:, 3] > top)
        inside |= near
        window = _window(slide, scale, (left, top, right, bottom))
        if window.shape[0] * window.shape[1] > MOST_REGION_PIXELS:
            raise UserError(f"{annotations}, {one.where}: the region is over {MOST_REGION_PIXELS:,} pixels; divide it.")
        shown = tuple(_moved(outlines[place], slide.factors(scale), window) for place in np.flatnonzero(near))
        told = slide.microns_per_pixel
        size = microns_per_pixel or (None if told is None else told * scale)
        regions.append(Region(slide.path, annotations, scale, window, size, shown))
    return regions, int((~inside).sum())


def _scale(slide: Slide, microns_per_pixel: float | None) -> float:
    if microns_per_pixel is None:
        return 1.0
    if not 0 < microns_per_pixel <= 1000:
        raise UserError(f"--microns-per-pixel must lie above 0 and up to 1000, got {microns_per_pixel:g}.")
    if slide.microns_per_pixel is None:
        raise UserError(
            f"{slide.path} does not tell the size of its pixels, so it cannot be cut at {microns_per_pixel:g} µm a "
            "pixel; leave it out, or leave out --microns-per-pixel to cut at level 0."
        )
    return microns_per_pixel / slide.microns_per_pixel


def _is_named_region(feature: Feature) -> bool:
    return any(name.lower().startswith(REGION) for name in (feature.class_name, feature.title))


def _rectangle(feature: Feature) -> tuple[float, float, float, float] | None:
    """Left, top, right and bottom of a feature that is one upright rectangle; None where it is not."""
    if len(feature.outlines) != 1 or feature.outlines[0].holes:
        return None
    outline = feature.outlines[0]
    left, top, right, bottom = _box(outline)
    fills = right > left and bottom > top and abs(outline.area - (right - left) * (bottom - top)) < 1e-6 * outline.area
    return (left, top, right, bottom) if fills else None


def _required_rectangle(feature: Feature, slide: Slide, annotations: Path) -> tuple[float, float, float, float]:
    found = _rectangle(feature)
    if found is None:
        raise UserError(f"{annotations}, {feature.where}: a region must be an upright rectangle; draw it as one.")
    height, width = slide.size
    left, top, right, bottom = found
    cut = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        raise UserError(f"{annotations}, {feature.where}: the region lies beside the slide; was it drawn on another?")
    return cut


def _box(outline: Outline) -> tuple[float, float, float, float]:
    if not len(outline.exterior):
        return 0.0, 0.0, 0.0, 0.0
    (left, top), (right, bottom) = outline.exterior.min(0), outline.exterior.max(0)
    return float(left), float(top), float(right), float(bottom)


def _window(slide: Slide, scale: float, box: tuple[float, float, float, float]) -> Window:
    """The pixels of the scale that a box of level 0 holds, one at least."""
    (down, across), (height, width) = slide.factors(scale), slide.size_at(scale)
    top, left = min(round(box[1] / down), height - 1), min(round(box[0] / across), width - 1)
    return Window(
        top, left, min(max(round(box[3] / down), top + 1), height), min(max(round(box[2] / across), left + 1), width)
    )


def _moved(outline: Outline, factors: tuple[float, float], window: Window) -> Outline:
    """The outline in pixels of a region's image."""
    down, across = factors

    def move(ring: np.ndarray) -> np.ndarray:
        return np.asarray(ring / (across, down) - (window.left, window.top))

    return Outline(outline.name, move(outline.exterior), tuple(map(move, outline.holes)), outline.part_of)


def _pairs(folder: Path, skip_unpaired: bool, problems: Problems) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Slides with their annotations, and what is left out."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    slides = {stem_of(file).removesuffix(".ome"): file for file in files if is_slide(file)}
    annotations = {stem_of(file): file for file in files if ending_of(file) in JSON_ENDINGS}
    pairs = [(slide, annotations[stem]) for stem, slide in slides.items() if stem in annotations]
    alone = [f"slide {file.name}: no GeoJSON" for stem, file in slides.items() if stem not in annotations]
    alone += [f"annotations {file.name}: no slide" for stem, file in annotations.items() if stem not in slides]
    if not pairs:
        raise UserError(f"{folder} holds no slide with a GeoJSON of the same name, such as a.svs and a.geojson.")
    if alone and not skip_unpaired:
        problems.add(f"Without a counterpart: {some(alone)}; add it or leave them out with --skip-unpaired.")
    return pairs, alone if skip_unpaired else []


def _require_one_scale(sizes: dict[Path, float | None], problems: Problems) -> None:
    known = {file: size for file, size in sizes.items() if size is not None}
    if known and max(known.values()) > (1 + SAME_PIXEL_SIZE) * min(known.values()):
        told = some([f"{file.name} {size:.4g} µm" for file, size in known.items()])
        problems.add(f"The slides have pixels of several sizes ({told}); give one scale with --microns-per-pixel.")


def _classes(regions: Sequence[Region], labels: str | None, problems: Problems) -> ClassDecision:
    found = Counter(outline.name for region in regions for outline in region.outlines)
    try:
        return decide_classes({name: found[name] for name in sorted(found)}, labels, "shape")
    except UserError as error:
        problems.add(str(error))
        problems.raise_if_any()
        raise


def _numbered(stems: Sequence[str]) -> list[str]:
    """The stem with the number of the region on its slide, from 1."""
    seen: Counter[str] = Counter()
    names = []
    for stem in stems:
        seen[stem] += 1
        names.append(f"{stem}_r{seen[stem]}")
    return names


def _facts(region: Region) -> dict[str, str | float]:
    """Where on the slide the region lies, in pixels of level 0."""
    window, scale = region.window, region.scale
    corners = {"left_px": window.left, "top_px": window.top, "right_px": window.right, "bottom_px": window.bottom}
    return {name: round(value * scale, 1) for name, value in corners.items()}
