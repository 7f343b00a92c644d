"""The one exception class for mistakes that a user can mend."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in the input, the arguments or the environment that its reader can mend.

    The message is one sentence that names what is wrong, where, and what to do. Commands print it without a
    traceback and end with exit status 2 (`commands/_run.py` is the only place that catches it).
    """


LONGEST_REASON = 200
"""Letters of what a library says is wrong, which may quote the file."""


def reason_of(error: BaseException, line: int = 0) -> str:
    """What a library said is wrong, for a sentence: one line of its message, cut, or the error's kind where it is mute.

    Args:
        error: of any kind.
        line: which of the lines; ITK says last what others say first.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[line].strip()[:LONGEST_REASON]
