from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from torch import nn

from medt_pipeline.core.errors import UserError
from medt_pipeline.inference.weights import load_weights, packed_weights, unpacked_weights


class Shared(nn.Module):
    """A network that has one layer under two names, as nnU-Net's U-Nets do."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(1, 2, 3)
        self.decoder = nn.Sequential(self.encoder, nn.BatchNorm2d(2))


def test_the_same_weights_come_back_and_each_is_stored_once() -> None:
    torch.manual_seed(0)
    network, other = Shared(), Shared()
    content = packed_weights(network)
    assert content == packed_weights(network)
    assert sorted(load(content)) == [
        *("decoder.0.bias", "decoder.0.weight", "decoder.1.bias", "decoder.1.num_batches_tracked"),
        *("decoder.1.running_mean", "decoder.1.running_var", "decoder.1.weight"),
    ]
    load_weights(other, unpacked_weights(content, "a"), "a")
    for name, tensor in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    np.testing.assert_array_equal(load(content)["decoder.0.bias"], network.encoder.bias.detach().numpy())


def test_a_checkpoint_with_every_name_loads_too() -> None:
    network, other = Shared(), Shared()
    load_weights(other, network.state_dict(), "a")
    assert torch.equal(other.encoder.weight, network.encoder.weight)


def test_channels_last_weights_are_stored_in_order() -> None:
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    stored = unpacked_weights(packed_weights(network), "a")
    assert torch.equal(stored["weight"], network.weight)


def test_weights_of_another_network_and_broken_ones_are_refused() -> None:
    with pytest.raises(UserError, match="weights of fold 0 are those of another network"):
        load_weights(Shared(), {"encoder.weight": torch.zeros(1)}, "fold 0")
    with pytest.raises(UserError, match="another network"):
        load_weights(Shared(), {}, "fold 0")
    content = packed_weights(Shared())
    for broken in (b"", content[:-1], b"\xff" * 16, content[:8] + b"[]" + content[10:]):
        with pytest.raises(UserError, match="weights in a cannot be read"):
            unpacked_weights(broken, "a")
