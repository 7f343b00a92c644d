"""Weights of the published networks: their names and layout against ours.

Every entry of our state dict is made of one or more published entries (renamed, reshaped, de-interleaved), so the
same table turns published weights into ours and our gradients into published ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

_LAYER_PARTS = {
    "qkv.": "qkv_transform.",
    "qkv_norm.": "bn_qkv.",
    "similarity_norm.": "bn_similarity.",
    "value_norm.": "bn_output.",
    "sums_norm.": "bn_output.",
    "relative": "relative",
}
_BLOCK_PARTS = {
    "reduce.conv.": "conv_down.",
    "reduce.norm.": "bn1.",
    "expand.conv.": "conv_up.",
    "expand.norm.": "bn2.",
    "shortcut.conv.": "downsample.0.",
    "shortcut.norm.": "downsample.1.",
}
_GATES = ("f_qr", "f_kr", "f_sve", "f_sv")
_NEVER_USED = re.compile(r"flatten_index$|num_batches_tracked$|^adjust_p\.|^layer\d_p\.\d\.conv1\.")


def load(network: nn.Module, published: Mapping[str, Tensor]) -> None:
    """Load a published state dict into `network`, in place.

    Accepts what real checkpoints hold beside the weights: a `module.` prefix, `flatten_index`, `num_batches_tracked`
    and the modules that the published code never uses.

    Args:
        network: one of our four networks with form="published" and without deep supervision, of the image size for
            which the weights were trained.
        published: state dict of the published class of the same kind.

    Raises:
        ValueError: entries are missing, left over or of another shape; the message names the first of them.
    """
    given = {name.removeprefix("module."): value for name, value in published.items()}
    ours = {}
    wanted: set[str] = set()
    for name, current in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            ours[name] = current
            continue
        sources = published_names(name)
        wanted.update(sources)
        missing = [source for source in sources if source not in given]
        if missing:
            raise ValueError(f"the published weights have no entry {missing[0]!r}, needed for {name!r}")
        ours[name] = _to_ours(name, [given[source] for source in sources], current)
    left_over = sorted(name for name in given if name not in wanted and not _NEVER_USED.search(name))
    if left_over:
        raise ValueError(f"the network has no place for the published entry {left_over[0]!r}")
    network.load_state_dict(ours)


def to_published(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename and reshape entries of our state dict, or gradients under the same names, to the published layout."""
    published: dict[str, Tensor] = {}
    for name, value in ours.items():
        if name.endswith("num_batches_tracked"):
            continue
        sources = published_names(name)
        if len(sources) > 1:
            published |= dict(zip(sources, value, strict=True))
        elif name.endswith(".qkv.weight"):
            published[sources[0]] = value[..., 0]
        elif ".sums_norm." in name:
            published[sources[0]] = value.unflatten(0, (2, -1)).t().flatten()
        else:
            published[sources[0]] = value
    return published


def published_names(name: str) -> list[str]:
    """Published entry for an entry of our state dict; four for the gates, which are separate scalars there."""
    suffix = "_p" if name.startswith("local_branch.") else ""
    inner = re.sub(r"^(branch|global_branch|local_branch)\.", "", name)
    if match := re.match(r"stem\.(\d)\.(conv|norm)\.(.+)", inner):
        kind = {"conv": "conv", "norm": "bn"}[match[2]]
        return [f"{kind}{int(match[1]) + 1}{suffix}.{match[3]}"]
    if match := re.match(r"stages\.(\d)\.(\d+)\.(.+)", inner):
        block = f"layer{int(match[1]) + 1}{suffix}.{match[2]}."
        return [block + part for part in _published_block_part(match[3])]
    if match := re.match(r"decoder\.(\d)\.(.+)", inner):
        return [f"decoder{5 - int(match[1])}{suffix}.{match[2]}"]
    for ours, theirs in (("bottom.", f"decoder1{suffix}."), ("fusion.", "decoderf."), ("heads.convs.0.", "adjust.")):
        if inner.startswith(ours):
            return [theirs + inner.removeprefix(ours)]
    raise ValueError(f"the published networks have nothing like {name!r}")


def _published_block_part(part: str) -> list[str]:
    for axis, theirs in (("height.", "hight_block."), ("width.", "width_block.")):
        if part.startswith(axis):
            inner = part.removeprefix(axis)
            if inner == "gates":
                return [theirs + gate for gate in _GATES]
            return [theirs + _renamed(inner, _LAYER_PARTS)]
    return [_renamed(part, _BLOCK_PARTS)]


def _renamed(part: str, table: Mapping[str, str]) -> str:
    for ours, theirs in table.items():
        if part.startswith(ours):
            return theirs + part.removeprefix(ours)
    raise ValueError(f"the published networks have nothing like {part!r}")


def _to_ours(name: str, sources: list[Tensor], current: Tensor) -> Tensor:
    """Bring published entries to the shape of our entry `current`."""
    if len(sources) > 1:
        value = torch.stack([source.reshape(()) for source in sources])
    elif ".sums_norm." in name:
        # Published channel 2c holds Σ a·v, channel 2c + 1 holds Σ a·r^v; ours has one behind the other.
        value = sources[0].unflatten(0, (-1, 2)).t().flatten()
    elif name.endswith(".qkv.weight"):
        value = sources[0][..., None]
    else:
        value = sources[0]
    if value.shape != current.shape:
        raise ValueError(
            f"the published entry for {name!r} has the shape {tuple(value.shape)}, the network needs "
            f"{tuple(current.shape)}; make the network with the image_size of the weights"
        )
    return value
