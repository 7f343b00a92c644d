from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.errors import UserError
from medt_pipeline.network.topology import logo_topology, unet_topology


def test_published_topology_comes_out_at_128() -> None:
    topology = logo_topology((128, 128))
    assert topology.grid == (4, 4)
    assert topology.global_branch.stage_sizes == ((64, 64), (64, 64), (32, 32))
    assert topology.local_branch.image_size == (32, 32)
    assert topology.local_branch.stage_sizes == ((16, 16), (16, 16), (8, 8), (4, 4), (2, 2))
    assert unet_topology((128, 128)).stage_sizes == ((64, 64), (64, 64), (32, 32), (16, 16), (8, 8))


@pytest.mark.parametrize(("size", "stages"), [(64, 2), (128, 2), (256, 3), (512, 4), (1024, 4)])
def test_global_branch_deepens_with_the_image(size: int, stages: int) -> None:
    assert logo_topology((size, size)).global_branch.stages == stages


def test_patches_of_a_wide_image_are_square() -> None:
    assert logo_topology((128, 256)).grid == (4, 8)
    assert logo_topology((384, 96)).grid == (16, 4)


@given(st.integers(16, 400), st.integers(16, 400))
def test_grid_covers_the_image_or_the_error_names_sizes_that_work(height: int, width: int) -> None:
    try:
        topology = logo_topology((height, width))
    except UserError as error:
        offers = [(int(a), int(b)) for a, b in re.findall(r"\((\d+), (\d+)\)", str(error))]
        assert offers[0] == (height, width)
        assert len(offers) > 1
        for offer in offers[1:]:
            logo_topology(offer)
        return
    patch = topology.local_branch.image_size
    assert (topology.grid[0] * patch[0], topology.grid[1] * patch[1]) == (height, width)
    assert max(patch) <= 1.5 * min(patch)
    for branch in (topology.global_branch, topology.local_branch):
        assert 1 <= branch.stages <= 4
        assert min(branch.stage_sizes[-1]) >= 2


@pytest.mark.parametrize("rule", [unet_topology, logo_topology])
def test_too_small_an_image_names_the_smallest(rule) -> None:
    with pytest.raises(UserError, match=r"at least 16 .* got \(12, 40\); .* \(16, 40\)"):
        rule((12, 40))
