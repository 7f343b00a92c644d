"""What a line of the registry holds: the facts of a source, and what the command offers for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Option:
    """One input or option of a source, as the command offers it.

    Attributes:
        flag: such as "--classes"; a word without dashes, such as "SRC", is a necessary input without a flag.
        kind: "switch" is given or not, "number" a whole number, "decimal" any number, "path" a file or folder.
        choices: the only values that are allowed; the first is the default.
        required: a flag that must be given.
        excludes: options of one source with the same word here exclude each other.
    """

    flag: str
    help: str
    kind: Literal["switch", "text", "number", "decimal", "path"] = "switch"
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    excludes: str = ""

    @property
    def keyword(self) -> str:
        """Name of the parameter of `convert`: "skip_unpaired" for --skip-unpaired, "src" for SRC."""
        return self.flag.lstrip("-").replace("-", "_").lower()


SRC = Option("SRC", "the folder with the files, or the archive (zip, tar.gz) as it was downloaded", "path")
SKIP_UNPAIRED = Option("--skip-unpaired", "leave out images without mask and masks without image")
LABELS = Option(
    "--labels",
    "what the mask values mean: name=value,… or name=#RRGGBB,…; any other value is an error",
    "text",
    "NAME=VALUE,…",
)
THRESHOLD = Option(
    "--threshold", "mask values above N are foreground, all others background", "number", "N", excludes="reading"
)


def classes_option(one: str, several: str) -> Option:
    """--classes of a set that tells kinds apart: `one` label for all, which is the default, or `several`."""
    return Option("--classes", "one label for all or one for each kind", "text", choices=(one, several))


@dataclass(frozen=True)
class Source:
    """One line of the table.

    Attributes:
        key: what is typed after `medt_convert`.
        module: file in this folder with `convert(*inputs, target, **options)`.
        task: what is to be segmented; `modality`: how the images were made; `size`: how many images there are.
        terms: licence or terms of use, the reader's own for own images.
        obtain: where and how to get the files, and how they must lie.
        default_name: name of the data set where -n is not given; None makes -n necessary.
        inputs: given to `convert` in this order; `options`: given by their keywords.
        record: dataclass in `module` that the options make up together, given to `convert` as `options`; "" gives them
            one by one.
        example: inputs and options of an example.
        tried: the converter was run on the released files; False: only on a drawn copy of their described layout.
        traps: what is odd in the files and how it is handled, for the reference page.
    """

    key: str
    module: str
    title: str
    task: str
    modality: str
    size: str
    terms: str
    url: str
    obtain: str
    default_name: str | None = None
    inputs: tuple[Option, ...] = (SRC,)
    options: tuple[Option, ...] = (SKIP_UNPAIRED,)
    record: str = ""
    example: str = "SRC"
    tried: bool = True
    traps: tuple[str, ...] = ()
