from __future__ import annotations

import torch

from medt_pipeline.attention import resize_relative_table


def table_of(length: int) -> torch.Tensor:
    """A table whose entries are their offsets."""
    return torch.arange(1 - length, length, dtype=torch.float64).expand(3, -1)


def test_same_length_is_the_same_table() -> None:
    torch.testing.assert_close(resize_relative_table(table_of(5), 5), table_of(5))


def test_a_shorter_table_keeps_each_offset() -> None:
    torch.testing.assert_close(resize_relative_table(table_of(9), 4), table_of(4))


def test_length_one_keeps_the_middle() -> None:
    torch.testing.assert_close(resize_relative_table(table_of(3), 1), table_of(1))


def test_a_longer_table_is_stretched_linearly() -> None:
    found = resize_relative_table(table_of(3), 5)
    assert found.shape == (3, 9)
    torch.testing.assert_close(found, table_of(5) / 2)
