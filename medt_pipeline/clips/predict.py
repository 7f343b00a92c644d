"""From clips to masks, overlay videos, areas and plots, in memory that does not grow with the number of frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medt_pipeline.clips.areas import FrameAreas, measure_frame, write_areas
from medt_pipeline.clips.identity import Identity, read_identity
from medt_pipeline.clips.label_stack import AddLabels, label_stack
from medt_pipeline.clips.model import ClipModel, open_clip_model
from medt_pipeline.clips.overlay_video import AddPicture, overlay_video
from medt_pipeline.clips.plot import write_plot
from medt_pipeline.clips.probabilities import frames_at_once, predict_frames
from medt_pipeline.clips.segmentation import segmentation
from medt_pipeline.clips.smoothing import require_window, smooth_frames
from medt_pipeline.core.clips import ClipFile, name_of, open_clip
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder, read_json, write_json
from medt_pipeline.core.images import list_images, stem_of
from medt_pipeline.core.locks import locked, remove_unfinished
from medt_pipeline.core.manifest import content_hash, environment, file_hash
from medt_pipeline.core.overlays import draw_overlay, to_rgb8
from medt_pipeline.core.progress import progress
from medt_pipeline.core.video import import_pyav
from medt_pipeline.inference.models import Ensemble
from medt_pipeline.inference.predict import LOCK

RECORD_ENDING = "_clip.json"
SEGMENTATION_ENDING, STACK_ENDING = "_seg.dcm", "_masks.tif"
OVERLAY_ENDING, TABLE_ENDING, PLOT_ENDING = "_overlay.mp4", "_areas.csv", "_areas.png"


@dataclass(frozen=True)
class ClipOptions:
    """How to predict clips.

    Attributes:
        smooth_frames: frames over which probabilities are averaged, odd; 1 averages nothing; None: as the recipe says,
            else 1.
        keep_identifiers: whether results tell whose a DICOM clip is, and the overlay shows all of its picture.
        mirror: average over mirror images.
        quiet: show no progress.
        tell: takes the sentences on what was decided, as soon as it is.
    """

    smooth_frames: int | None = None
    keep_identifiers: bool = False
    mirror: bool = True
    quiet: bool = False
    tell: Callable[[str], None] = lambda sentence: None


@dataclass
class ClipSummary:
    """What was predicted.

    Attributes:
        frames: their number, by name of the results.
        failed: file → why it could not be predicted.
        seconds: wall time.
    """

    frames: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class _Work:
    """One clip that is to be predicted.

    Attributes:
        identity: None for a video.
        name: of its results.
        smooth_frames: frames over which probabilities are averaged.
        overlay: whether an overlay video is written; `why` says why not, or what it shows.
        key: hash of all that decides the results.
    """

    clip: ClipFile
    identity: Identity | None
    name: str
    smooth_frames: int
    overlay: bool
    why: str
    key: str

    def files(self, target: Path) -> dict[str, Path]:
        """Results by ending, without the record."""
        masks = STACK_ENDING if self.identity is None else SEGMENTATION_ENDING
        endings = (masks, *([OVERLAY_ENDING] if self.overlay else []), TABLE_ENDING, PLOT_ENDING)
        return {ending: target / f"{self.name}{ending}" for ending in endings}


def predict_clips(
    clips: Sequence[Path], target: Path, ensemble: Ensemble, device: torch.device, options: ClipOptions
) -> ClipSummary:
    """Predict clips into the folder `target`: of each its masks (NAME_seg.dcm for DICOM, NAME_masks.tif for videos),
    NAME_overlay.mp4, NAME_areas.csv and .png, and NAME_clip.json, which tells how they were made.

    A clip that is done, by the same networks and options, is not predicted again. One that cannot be read does not stop
    the others.

    Raises:
        UserError: two clips share a name, `target` cannot be written or holds the clips, the model cannot predict
            clips, or another process writes to `target`.
    """
    _check_names(clips, target)
    make_folder(target)
    started = time.monotonic()
    with locked(target / LOCK, f"the masks in {target}"):
        remove_unfinished(target)
        model = open_clip_model(ensemble, device, options.mirror)
        summary = ClipSummary()
        for path in clips:
            try:
                name, frames = predict_clip(path, target, model, ensemble.name, options)
                summary.frames[name] = frames
            except UserError as error:
                summary.failed[path.name] = str(error)
    summary.seconds = time.monotonic() - started
    return summary


def predict_clip(path: Path, target: Path, model: ClipModel, model_name: str, options: ClipOptions) -> tuple[str, int]:
    """Predict one clip into the folder `target`; the name of its results and its number of frames.

    Raises:
        UserError: it cannot be read to its end, or has colours that the model does not know.
    """
    work = _begin(path, model, options)
    record = target / f"{work.name}{RECORD_ENDING}"
    done = _finished(record, work, target)
    if done is not None:
        options.tell(f"{path.name} is done already; delete {record.name} to predict it again.")
        return work.name, done
    if work.why:
        options.tell(work.why)
    record.unlink(missing_ok=True)
    started = time.monotonic()
    files = work.files(target)
    areas = _predict(work, files, model, model_name, options)
    write_areas(files[TABLE_ENDING], areas, model.names, work.clip.pixel_size)
    write_plot(files[PLOT_ENDING], areas, model.names, work.clip.pixel_size)
    _write_record(record, work, target, areas, model, model_name, options, time.monotonic() - started)
    return work.name, len(areas)


def _check_names(clips: Sequence[Path], target: Path) -> None:
    names = [name_of(clip) for clip in clips]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"Several clips are called {twice}, so their results would share a name; rename one.")
    for folder in {clip.parent for clip in clips}:
        if folder.resolve() == target.resolve():
            raise UserError(f"The results would be written among the clips in {target}; name another folder with -o.")
        plots = {f"{name}{PLOT_ENDING}" for name in names}
        for image in list_images(folder):
            if f"{stem_of(image)}.png" in plots:
                raise UserError(f"The mask of {image.name} would share its name with the plot of a clip; rename one.")


def _begin(path: Path, model: ClipModel, options: ClipOptions) -> _Work:
    clip = open_clip(path)
    window = options.smooth_frames or (model.recipe.smooth_frames if model.recipe else 1)
    require_window(window, clip.height, clip.width, model.classes)
    checksum = file_hash(path)
    identity = read_identity(path, checksum, options.keep_identifiers) if clip.is_dicom else None
    overlay, why = _overlay_rule(clip, identity)
    name = name_of(path) if identity is None else identity.result_name(name_of(path))
    settings = {
        "smooth_frames": window,
        "keep_identifiers": options.keep_identifiers,
        "overlay": overlay,
        "names": {str(label): one for label, one in model.names.items()},
        "recipe": model.recipe.to_json() if model.recipe else None,
    }
    key = content_hash({"clip": checksum, "model": model.key, **settings})
    return _Work(clip, identity, name, window, overlay, why, key)


def _overlay_rule(clip: ClipFile, identity: Identity | None) -> tuple[bool, str]:
    """Whether there is to be an overlay video, and a sentence where it is not or shows less than the clip."""
    try:
        import_pyav("The overlay video")
    except UserError as error:
        return False, f"There is no overlay video of {clip.path.name}: {error}"
    if _shows_all(identity):
        return True, ""
    if clip.region is not None:
        return True, (
            f"The overlay video of {clip.path.name} shows its ultrasound region, since names may stand around it; "
            "--keep-identifiers shows all."
        )
    return False, (
        f"There is no overlay video of {clip.path.name}: it does not tell where its ultrasound region is, and names "
        "may stand around it; --keep-identifiers writes one."
    )


def _shows_all(identity: Identity | None) -> bool:
    return identity is None or identity.keep or not identity.may_show_text


def _predict(
    work: _Work, files: dict[str, Path], model: ClipModel, model_name: str, options: ClipOptions
) -> list[FrameAreas]:
    """Write masks and overlay, and measure; one after another, each frame goes through all of it."""
    clip, areas = work.clip, []
    at_once = frames_at_once(clip.height, clip.width)
    with ExitStack() as stack:
        frames = predict_frames(clip.read(), model, at_once, str(clip.path))
        smoothed = smooth_frames(frames, work.smooth_frames)
        add_labels = stack.enter_context(_masks(work, files, model, model_name))
        add_picture = stack.enter_context(_overlay(work, files))
        for one in progress(smoothed, f"Predict {work.name}", clip.frames, "frame", options.quiet):
            labels, seconds = model.labels_of(one.mean), one.frame.seconds
            add_labels(one.index, labels)
            add_picture(_overlay_picture(work, one.frame.picture, labels), seconds)
            areas.append(measure_frame(one.index, seconds, labels, one.mean.probabilities[:, 0], model.names))
    return areas


def _masks(work: _Work, files: dict[str, Path], model: ClipModel, model_name: str) -> AbstractContextManager[AddLabels]:
    clip = work.clip
    if work.identity is not None:
        return segmentation(files[SEGMENTATION_ENDING], clip, work.identity, model.names, model_name, work.key)
    pixels = None if clip.frames is None else clip.frames * clip.height * clip.width
    return label_stack(files[STACK_ENDING], pixels)


@contextmanager
def _overlay(work: _Work, files: dict[str, Path]) -> Iterator[AddPicture]:
    if not work.overlay:
        yield lambda picture, seconds: None
        return
    with overlay_video(files[OVERLAY_ENDING], work.clip.rate) as add:
        yield add


def _overlay_picture(work: _Work, picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The frame with contours; black where names may stand."""
    shown = picture
    if not _shows_all(work.identity):
        if work.clip.region is None:
            return picture
        inside = work.clip.region.slices()
        shown = np.zeros_like(picture)
        shown[inside] = picture[inside]
    return draw_overlay(to_rgb8(shown), labels)


def _finished(record: Path, work: _Work, target: Path) -> int | None:
    """The number of frames of a clip whose results are there and were made by the same work."""
    if not record.exists() or not all(file.exists() for file in work.files(target).values()):
        return None
    content = read_json(record)
    return int(content["frames"]) if content.get("key") == work.key else None


def _write_record(
    record: Path,
    work: _Work,
    target: Path,
    areas: Sequence[FrameAreas],
    model: ClipModel,
    model_name: str,
    options: ClipOptions,
    seconds: float,
) -> None:
    """How the results were made; without the command, in which the name of a patient may stand, unless it is kept."""
    told = environment()
    if not options.keep_identifiers:
        del told["command"]
    size = work.clip.pixel_size
    content: dict[str, Any] = {
        **told,
        "key": work.key,
        "frames": len(areas),
        "labels": {"background": 0, **{name: label for label, name in model.names.items()}},
        "model": model_name,
        "smooth_frames": work.smooth_frames,
        "keep_identifiers": options.keep_identifiers,
        "pixel_size_um": None if size is None else [size.y_um, size.x_um],
        "pixel_size_from": None if size is None else size.source,
        "files": [file.name for file in work.files(target).values()],
        "seconds": round(seconds, 1),
    }
    write_json(record, content)
