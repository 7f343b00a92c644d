"""Weights of a network as safetensors, which hold numbers and names and nothing that could run."""

from __future__ import annotations

from collections.abc import Mapping

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from medt_pipeline.core.errors import UserError


def packed_weights(network: nn.Module) -> bytes:
    """All parameters and buffers of a network; the same weights give the same bytes.

    nnU-Net's networks hold many tensors under several names: each is stored once, under the first.
    """
    named: dict[tuple[int, torch.Size, tuple[int, ...]], str] = {}
    state = network.state_dict()
    for name in sorted(state):
        named.setdefault(_place(state[name]), name)
    return safetensors.torch.save({name: state[name].detach().cpu().contiguous() for name in sorted(named.values())})


def unpacked_weights(content: bytes, source: str) -> dict[str, Tensor]:
    """The tensors in safetensors; `source` is its name for messages.

    Raises:
        UserError: it is nothing such.
    """
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"The weights in {source} cannot be read ({error}); get the file again.") from None


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Give a network its weights; one that it has under several names may be there under one of them.

    Args:
        network: changed in place.
        tensors: by name.
        source: what messages call them.

    Raises:
        UserError: they are those of another network.
    """
    own = network.state_dict()
    by_place = {_place(own[name]): tensor for name, tensor in tensors.items() if name in own}
    shared = {name: by_place[_place(tensor)] for name, tensor in own.items() if _place(tensor) in by_place}
    try:
        network.load_state_dict({**shared, **tensors})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"The weights of {source} are those of another network than its plan says: {reason}") from None


def _place(tensor: Tensor) -> tuple[int, torch.Size, tuple[int, ...]]:
    """Where a tensor lies in memory and how: the same for all names of one tensor."""
    return tensor.data_ptr(), tensor.shape, tensor.stride()
