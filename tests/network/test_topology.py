from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medt_pipeline.core.errors import UserError
from medt_pipeline.network.topology import lattices, local_patch_size, logo_topology, patch_lattices, unet_topology


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


@pytest.mark.parametrize("rule", [unet_topology, logo_topology, lattices, local_patch_size])
def test_too_small_an_image_names_the_smallest(rule) -> None:
    with pytest.raises(UserError, match=r"at least 16 .* got \(12, 40\); .* \(16, 40\)"):
        rule((12, 40))


@pytest.mark.parametrize(
    ("image_size", "coarsest", "patch", "coarsest_of_patch"),
    [
        ((128, 128), (8, 8), (32, 32), (4, 4)),
        ((512, 512), (32, 32), (128, 128), (8, 8)),
        ((96, 128), (6, 8), (24, 32), (6, 8)),
        ((522, 775), (33, 49), (136, 136), (17, 17)),
        ((16, 16), (4, 4), (16, 16), (4, 4)),
    ],
    ids=str,
)
def test_lattices_and_patches_of_hybrid_networks(image_size, coarsest, patch, coarsest_of_patch) -> None:
    assert lattices(image_size)[-1] == coarsest
    assert local_patch_size(image_size) == patch
    assert patch_lattices(patch)[-1] == coarsest_of_patch


@given(st.tuples(st.integers(16, 1200), st.integers(16, 1200)))
def test_maps_of_patches_can_be_joined_to_those_of_any_image(image_size) -> None:
    patch = local_patch_size(image_size)
    grid = [-(-side // of_patch) for side, of_patch in zip(image_size, patch, strict=True)]
    of_image, of_patch = lattices(image_size), patch_lattices(patch)
    # One level with attention at least, and no more than the image has.
    assert 3 <= len(of_patch) <= len(of_image) <= 5
    assert min(of_image[-1]) >= 4
    for whole, part in zip(of_image, of_patch, strict=False):
        assert all(side <= count * of_part for side, count, of_part in zip(whole, grid, part, strict=True))
    for fine, coarse in pairwise(of_patch):
        assert fine == (2 * coarse[0], 2 * coarse[1])
    # The longer side is cut into pieces that are about as long as those of the shorter one.
    assert max(patch) <= 2 * min(patch)
