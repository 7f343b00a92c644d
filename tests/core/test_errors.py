from __future__ import annotations

import pytest

from medt_pipeline.core.errors import LONGEST_REASON, reason_of


@pytest.mark.parametrize(
    ("error", "line", "reason"),
    [
        (ValueError("wrong size"), 0, "wrong size"),
        (ValueError("\n first \nsecond\n"), 0, "first"),
        (RuntimeError("long story\nfile is cut"), -1, "file is cut"),
        (IndexError(), 0, "IndexError"),
        (IndexError("  \n"), -1, "IndexError"),
        (ValueError("x" * 5000), 0, "x" * LONGEST_REASON),
    ],
)
def test_one_short_line_is_left(error: Exception, line: int, reason: str) -> None:
    assert reason_of(error, line) == reason
