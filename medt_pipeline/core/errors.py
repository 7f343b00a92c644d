"""The one exception class for mistakes that a user can mend."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in the input, the arguments or the environment that its reader can mend.

    The message is one sentence that names what is wrong, where, and what to do. Commands print it without a
    traceback and end with exit status 2 (`commands/_run.py` is the only place that catches it).
    """
