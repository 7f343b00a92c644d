"""One HTML file with everything in it, in which whatever comes from files is text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from medt_pipeline import __version__
from medt_pipeline.core.errors import UserError
from medt_pipeline.core.files import make_folder, write_text
from medt_pipeline.core.overlays import PALETTE
from medt_pipeline.report.case_table import case_table
from medt_pipeline.report.cases import Case, Order
from medt_pipeline.report.data_facts import DataFacts
from medt_pipeline.report.formats import digits, percent
from medt_pipeline.report.pictures import SIDES, Album, draw_album

MEGABYTES = 15.0
"""Size of a page that still goes by mail."""


@dataclass(frozen=True)
class PageContent:
    """What a page says beside its cases; a part that is None or empty is left out of the page.

    Attributes:
        title: heading.
        subtitle: what the page is, in one sentence.
        tiles: pairs of a term and a short text, shown large.
        data: of the data set.
        decisions: of the planner, each with name, rule, reason, and value and facts as pairs of texts.
        curves: learning curves by configuration.
        scores: with intervals, and published figures.
        ranking: of configurations and ensembles.
        runs: trainings, versions.
        review: how cases are reviewed: "text" tells by what they are ranked, "steps" what to do, each a sentence with a
            command or "".
        command: that writes the page.
    """

    title: str
    subtitle: str
    tiles: Sequence[tuple[str, str]]
    data: DataFacts | None = None
    decisions: Sequence[Mapping[str, Any]] = ()
    curves: Sequence[Mapping[str, Any]] = ()
    scores: Mapping[str, Any] | None = None
    ranking: Mapping[str, Any] | None = None
    runs: Mapping[str, Any] = field(default_factory=dict)
    review: Mapping[str, Any] | None = None
    command: str = "medt_report"

    @property
    def sections(self) -> list[tuple[str, str]]:
        """Anchors and names of the parts that there are."""
        parts = (
            ("data", "Data", self.data),
            ("plan", "Plan", self.decisions),
            ("curves", "Learning curves", self.curves),
            ("scores", "Scores", self.scores),
            ("ranking", "Ranking", self.ranking),
            ("review", "Review", self.review),
            ("cases", "Cases", True),
            ("made", "How it was made", self.runs),
        )
        return [(anchor, name) for anchor, name, part in parts if part]


@dataclass(frozen=True)
class Layer:
    """Something that is drawn over the images and can be switched."""

    key: str
    title: str
    shown: bool


@dataclass(frozen=True)
class Label:
    """A class with its value in the masks and its number in the palette."""

    name: str
    value: int
    colour: int


@dataclass(frozen=True)
class WrittenReport:
    """What was written.

    Attributes:
        file: the page.
        size: its bytes.
        cases: cases in it.
        side: longer side in pixels to which larger pictures were reduced.
        left_out: cases without a picture, because the page would have become too large.
    """

    file: Path
    size: int
    cases: int
    side: int
    left_out: tuple[str, ...]


def write_report(
    target: Path,
    content: PageContent,
    order: Order,
    labels: Mapping[str, int],
    megabytes: float = MEGABYTES,
    quiet: bool = False,
) -> WrittenReport:
    """Draw the cases as large as `megabytes` allow and write the page.

    Args:
        target: file to write.
        content: what the page says beside its cases.
        order: at least one case.
        labels: value by class name.
        megabytes: size of the page, in 10⁶ bytes, that is not exceeded.
        quiet: show no progress.

    Raises:
        UserError: the page is larger even without pictures; a file of a case cannot be read.
    """
    first = [case for case in order.cases if case.name in order.marks]
    others = [case for case in order.cases if case.name not in order.marks]
    limit = int(megabytes * 1e6)
    empty = Album({}, SIDES[0], False, tuple(case.name for case in order.cases))
    without = len(_render(content, order, labels, empty).encode())
    if without > limit:
        raise UserError(
            f"A page of {len(order.cases)} cases takes {without / 1e6:.1f} MB without any picture; "
            "allow more with --megabytes."
        )
    album = draw_album([*first, *others], labels, limit - without, quiet)
    page = _render(content, order, labels, album)
    make_folder(target.parent)
    write_text(target, page)
    return WrittenReport(target, len(page.encode()), len(order.cases), album.side, album.left_out)


def _render(content: PageContent, order: Order, labels: Mapping[str, int], album: Album) -> str:
    environment = _environment()
    cases = _cases_of(order, labels, album)
    style = environment.get_template("style.css").render(
        palette=["#{:02x}{:02x}{:02x}".format(*colour) for colour in PALETTE],
        layers=cases["layers"],
        labels=cases["labels"],
    )
    script = environment.get_template("cases.js").render()
    # Nothing but these two texts may run or set the style, and nothing may be fetched from anywhere.
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("page.html").render(
        **vars(content),
        sections=content.sections,
        cases=cases,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        version=__version__,
        time=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("medt_pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"digits": digits, "percent": percent}
    return environment


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _cases_of(order: Order, labels: Mapping[str, int], album: Album) -> dict[str, Any]:
    shown = [Label(name, value, (value - 1) % len(PALETTE) + 1) for name, value in labels.items()]
    has_truth = any(case.truth is not None for case in order.cases)
    return {
        "text": _case_text(order, album),
        "table": case_table(order),
        "layers": _layers(order.cases, has_truth),
        "labels": shown,
        "colours": {label.value: label.colour for label in shown},
        "has_truth": has_truth,
        "pictures": album.pictures,
        "marks": order.marks,
    }


def _layers(cases: Sequence[Case], has_truth: bool) -> list[Layer]:
    layers = [Layer("prediction", "Prediction", True)]
    if has_truth:
        layers = [Layer("truth", "Ground truth", True), *layers, Layer("differences", "Differences", False)]
    if any(case.uncertainty is not None for case in cases):
        layers.append(Layer("uncertainty", "Uncertainty", False))
    return layers


def _case_text(order: Order, album: Album) -> str:
    words = [word for word in dict.fromkeys(order.marks.values()) if word]
    which = f"{', '.join(words)}; by {order.by}" if words else f"by {order.by}"
    shown = f"{len(order.marks)} of {len(order.cases)} cases are shown first ({which})"
    sentences = [f"{shown}; choose any other in the table, or step through them with the arrow keys."]
    if album.reduced:
        sentences.append(f"Pictures are reduced to at most {album.side} pixels; scores are taken at full size.")
    if album.left_out:
        sentences.append(
            f"Pictures of {len(album.left_out)} of {len(order.cases)} cases are left out to keep the page small "
            "(--megabytes allows more)."
        )
    return " ".join(sentences)
