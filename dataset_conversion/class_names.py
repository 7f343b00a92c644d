"""Which named class becomes which label, where masks are told apart by names and not by pixel values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medt_pipeline.core.errors import UserError

from .label_mapping import BACKGROUND, MOST_LABELS, DeclaredLabel
from .problems import count, some

UNNAMED = ""
"""Name of the shapes to which their file gives no class."""
_BACKGROUND_NAMES = (BACKGROUND, "_background_")
_IGNORED_NAMES = ("ignore", "__ignore__", "ignore*")


@dataclass(frozen=True)
class ClassDecision:
    """What was decided over the whole data set.

    Attributes:
        label_of: the label of every class that is drawn; 0 is background. Classes that are not in it are left out.
        declared: the labels with their names, as the label rules want them.
        ordered: the order was said by the user, so later classes may lie on earlier ones.
        notes: sentences on what was left out.
    """

    label_of: Mapping[str, int]
    declared: tuple[DeclaredLabel, ...]
    ordered: bool = False
    notes: tuple[str, ...] = ()


def decide_classes(found: Mapping[str, int], labels: str | None, things: str) -> ClassDecision:
    """Number the classes 1, 2, … in the order of `labels`, else in that of `found`.

    `labels` names what is taken: "gland,lumen", or "gland=Gland,gland=glandular,lumen" where a name shall differ from
    that in the files or unite several; all other classes are left out and told. Without it all classes are taken. Where
    nothing has a class, all is "foreground", or what `labels` calls it. "background" (LabelMe: "_background_") erases.

    Args:
        found: number of things of each class in the order in which they are to be numbered.
        things: what is counted, in the singular: "shape", "mask".

    Raises:
        UserError: nothing was found; `labels` names what is not there; without `labels`: some things have a class and
            others none, a class is to be ignored, there are more than 20, or two differ in upper and lower case only.
    """
    if not found:
        raise UserError(f"There is no {things} in any file, so there is nothing to learn.")
    if labels is not None:
        return _declared(found, labels, things)
    if set(found) == {UNNAMED}:
        return _decision({"foreground": [UNNAMED]})
    _refuse_doubt(found, things)
    named: dict[str, list[str]] = {}
    for name in found:
        named.setdefault(BACKGROUND if name.lower() in _BACKGROUND_NAMES else name, []).append(name)
    return _decision(named)


def _declared(found: Mapping[str, int], labels: str, things: str) -> ClassDecision:
    named: dict[str, list[str]] = {}
    for part in filter(None, (part.strip() for part in labels.split(","))):
        name, _, class_name = (word.strip() for word in part.partition("="))
        name = BACKGROUND if name.lower() == BACKGROUND else name
        if not name or name.lower() == "ignore":
            raise UserError(
                f"--labels holds {part!r}; each part must be a class or name=class, and no name is 'ignore'."
            )
        named.setdefault(name, []).append(class_name or name)
    if set(found) == {UNNAMED} and len(named) == 1:
        return _decision({name: [UNNAMED] for name in named}, ordered=True)
    taken = [class_name for class_names in named.values() for class_name in class_names]
    unknown = [name for name in taken if name not in found and name.lower() != BACKGROUND]
    if unknown or len(set(taken)) < len(taken):
        what = f"{some(unknown)}, which no file has" if unknown else "a class twice"
        raise UserError(f"--labels names {what}; the files have {_show(found, things)}.")
    left_out = {name: number for name, number in found.items() if name not in taken}
    notes = (f"not in --labels, so left out: {_show(left_out, things)}",) if left_out else ()
    return _decision(named, ordered=True, notes=notes)


def _refuse_doubt(found: Mapping[str, int], things: str) -> None:
    shown = _show(found, things)
    if UNNAMED in found:
        raise UserError(
            f"Some {things}s have a class and others none ({shown}); give all a class, or name those that count with "
            "--labels CLASS,…, which leaves the others out."
        )
    ignored = [name for name in found if name.lower() in _IGNORED_NAMES]
    if ignored:
        raise UserError(
            f"The class {ignored[0]!r} is to be ignored ({shown}); name those that count with --labels CLASS,…."
        )
    if len({name.casefold() for name in found}) < len(found):
        raise UserError(
            f"Some classes differ in upper and lower case only ({shown}); unite them with "
            "--labels name=CLASS,name=Class,…."
        )
    if len(found) > MOST_LABELS:
        raise UserError(
            f"There are {len(found)} classes ({shown}), too many for labels; if they name single objects, unite them "
            "with --labels name=CLASS,name=CLASS,…, else name those that count with --labels CLASS,…."
        )


def _decision(named: Mapping[str, Sequence[str]], ordered: bool = False, notes: tuple[str, ...] = ()) -> ClassDecision:
    names = [BACKGROUND, *(name for name in named if name != BACKGROUND)]
    return ClassDecision(
        {class_name: names.index(name) for name, class_names in named.items() for class_name in class_names},
        tuple(DeclaredLabel(name, label) for label, name in enumerate(names)),
        ordered,
        notes,
    )


def _show(found: Mapping[str, int], things: str) -> str:
    return some([f"{count(number, things)} of {name or 'no class'}" for name, number in found.items()], 6)
