"""How deep the branches of a network are and how the image is cut into patches: pure rules from the image size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from medt_pipeline.core.errors import UserError

Size = tuple[int, int]

MAX_STAGES = 4
"""Stages of the published networks."""
MIN_SIDE = 16
"""Shortest side of a patch that leaves the local branch one stage with sequences of two."""
PATCHES_ALONG_SHORTER_SIDE = 4
"""The paper cuts the image into 4 × 4 patches (section 3.3)."""
MAX_PATCH_ASPECT = 1.5
"""Longer by shorter side of a patch, at most."""
GLOBAL_LATTICE = 32
"""Side of the coarsest lattice of the global branch: 128 / 4 in the published network."""

COARSEST_STRIDE = 16
"""Of the hybrid networks."""
SMALLEST_LATTICE = 4
"""Shortest side of the coarsest map of the hybrid networks: below, statistics and attention have too few positions."""
PATCH_MULTIPLE = 8
"""Of which the sides of the hybrid networks' patches are multiples."""


@dataclass(frozen=True)
class BranchTopology:
    """Feature map sizes of one encoder-decoder branch.

    Attributes:
        image_size: (height, width) that the branch sees.
        stage_sizes: (height, width) of the input of each stage and, as last entry, of the last stage's output. The
            first stage keeps its size, every further one halves it, rounding up.
    """

    image_size: Size
    stage_sizes: tuple[Size, ...]

    @property
    def stages(self) -> int:
        """Number of encoder stages."""
        return len(self.stage_sizes) - 1


@dataclass(frozen=True)
class LoGoTopology:
    """Global branch on the whole image, local branch on a grid of patches that covers it exactly."""

    grid: Size
    global_branch: BranchTopology
    local_branch: BranchTopology


def unet_topology(image_size: Size) -> BranchTopology:
    """Topology of the axial U-Nets: four stages as published, fewer where the image is too small for them.

    Raises:
        UserError: a side is shorter than 16.
    """
    _require_sides(image_size)
    return _branch(image_size, _feasible_stages(image_size))


def logo_topology(image_size: Size) -> LoGoTopology:
    """Topology of LoGo and MedT for (height, width).

    The shorter side is cut into four patches as in the paper, the longer one so that patches are as square as its
    divisors allow. The global branch gets as many stages as bring its coarsest lattice to 32 or just above, at least
    two, at most four; the local branch as many as its patches allow. At 128 × 128 this is the published network:
    4 × 4 patches, two and four stages.

    Raises:
        UserError: no such grid exists; the message names the nearest sizes that have one.
    """
    _require_sides(image_size)
    grid = _patch_grid(image_size)
    if grid is None:
        raise UserError(
            f"image_size {image_size} cannot be cut into a grid of nearly square patches; "
            f"the nearest sizes that can are {' and '.join(map(str, _nearest_sizes(image_size)))}."
        )
    patch_size = (image_size[0] // grid[0], image_size[1] // grid[1])
    wanted = (min(image_size) // GLOBAL_LATTICE).bit_length() - 1
    global_stages = max(min(wanted, MAX_STAGES), 2)
    return LoGoTopology(
        grid,
        _branch(image_size, min(global_stages, _feasible_stages(image_size))),
        _branch(patch_size, _feasible_stages(patch_size)),
    )


def _require_sides(image_size: Size) -> None:
    if min(image_size) < MIN_SIDE:
        nearest = (max(image_size[0], MIN_SIDE), max(image_size[1], MIN_SIDE))
        raise UserError(
            f"image_size must be at least {MIN_SIDE} along both sides, got {image_size}; "
            f"the nearest size that works is {nearest}."
        )


def _halve(size: Size) -> Size:
    return ((size[0] + 1) // 2, (size[1] + 1) // 2)


def _branch(image_size: Size, stages: int) -> BranchTopology:
    sizes = [_halve(image_size)] * 2
    for _ in range(stages - 1):
        sizes.append(_halve(sizes[-1]))
    return BranchTopology(image_size, tuple(sizes))


def _feasible_stages(image_size: Size) -> int:
    """The most stages, up to four, whose coarsest map keeps sequences of at least two."""
    stages, size = 0, _halve(image_size)
    while min(size) >= 2 and stages < MAX_STAGES:
        stages, size = stages + 1, _halve(size)
    return stages


def _patch_grid(image_size: Size) -> Size | None:
    """(rows, columns) of the patch grid, or None where no patches with sides within a factor 1.5 exist."""
    shorter, longer = sorted(image_size)
    if shorter % PATCHES_ALONG_SHORTER_SIDE:
        return None
    side = shorter // PATCHES_ALONG_SHORTER_SIDE

    def aspect(count: int) -> float:
        return max(longer // count, side) / min(longer // count, side)

    fitting = [count for count in range(1, longer + 1) if longer % count == 0 and aspect(count) <= MAX_PATCH_ASPECT]
    if not fitting:
        return None
    count = min(fitting, key=aspect)
    along = {shorter: PATCHES_ALONG_SHORTER_SIDE, longer: count} if shorter != longer else {shorter: count}
    return along[image_size[0]], along[image_size[1]]


def _nearest_sizes(image_size: Size) -> list[Size]:
    """The nearest workable sizes, one no larger and one no smaller than `image_size`, where they exist."""
    height, width = image_size
    found = []
    for direction in (-1, 1):
        steps = ((height + direction * i, width + direction * j) for r in range(16) for i, j in _ring(r))
        workable = (size for size in steps if min(size) >= MIN_SIDE and _patch_grid(size))
        nearest = next(workable, None)
        if nearest is not None:
            found.append(nearest)
    return found


def _ring(radius: int) -> list[tuple[int, int]]:
    """All (i, j) ≥ 0 with i + j = radius."""
    return [(i, radius - i) for i in range(radius + 1)]


def halves(topology: BranchTopology) -> tuple[bool, ...]:
    """For every stage whether it halves its input."""
    return tuple(before != after for before, after in pairwise(topology.stage_sizes))


def lattices(image_size: Size) -> list[Size]:
    """Sizes of the maps of a hybrid network, finest first: (height, width) halved, rounding up, down to stride 16.

    Fewer where the shorter side would come below four positions, three at least.

    Raises:
        UserError: a side is shorter than 16.
    """
    _require_sides(image_size)
    sizes = [image_size]
    while 2 ** len(sizes) <= COARSEST_STRIDE and min(_halve(sizes[-1])) >= SMALLEST_LATTICE:
        sizes.append(_halve(sizes[-1]))
    return sizes


def patch_lattices(patch_size: Size) -> list[Size]:
    """The same for patches, which end where a side is odd, so that the maps of neighbours can be joined again."""
    sizes = lattices(patch_size)
    undivided = (level for level, size in enumerate(sizes) if any(side % 2 for side in size))
    return sizes[: next(undivided, len(sizes)) + 1]


def local_patch_size(image_size: Size) -> Size:
    """(height, width) of the patches of a hybrid network's local branch: four along the shorter side, nearly square.

    Multiples of 8, at least 16, so that there are maps at stride 4 or more; patches may hang over the image, into
    which it is then continued. 32 × 32 at 128 × 128, as in the paper.

    Raises:
        UserError: a side is shorter than 16.
    """
    _require_sides(image_size)
    shorter = _patch_side(min(image_size), PATCHES_ALONG_SHORTER_SIDE)
    height, width = (_patch_side(side, max(round(side / shorter), 1)) for side in image_size)
    return height, width


def _patch_side(side: int, count: int) -> int:
    return max(-(-side // (count * PATCH_MULTIPLE)) * PATCH_MULTIPLE, MIN_SIDE)
