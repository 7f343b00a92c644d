"""Everything that is wrong with a data set, collected to be told in one go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from medt_pipeline.core.errors import UserError

MOST_SHOWN = 10


class Problems:
    """A list of sentences; a conversion goes on collecting until it must know whether all is well."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def add(self, sentence: str) -> None:
        """Remember one problem; `sentence` names the file and what to do."""
        self._sentences.append(sentence)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Turn a UserError of the body into one more problem; the body ends there."""
        try:
            yield
        except UserError as error:
            self.add(str(error))

    def raise_if_any(self) -> None:
        """Tell all problems at once; return where there is none.

        Raises:
            UserError: with the sentence alone if there is one, with the first ten as a list if there are more.
        """
        if not self._sentences:
            return
        if len(self._sentences) == 1:
            raise UserError(f"{self._sentences[0]} Nothing was written.")
        shown = [f"  - {sentence}" for sentence in self._sentences[:MOST_SHOWN]]
        more = len(self._sentences) - MOST_SHOWN
        if more > 0:
            shown.append(f"  and {more} more")
        raise UserError("\n".join([f"{len(self._sentences)} problems; nothing was written:", *shown]))


def some(names: Sequence[str], most: int = 4) -> str:
    """`names` as a readable list, cut after `most`: "a, b, c, d and 12 more"."""
    shown = ", ".join(names[:most])
    more = len(names) - most
    return f"{shown} and {more} more" if more > 0 else shown


def count(number: int, thing: str) -> str:
    """ "1 image", "2 images", "no images"."""
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"
