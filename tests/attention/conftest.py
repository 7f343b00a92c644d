from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import pytest
import torch
from torch import Tensor

if not torch.cuda.is_available():
    # Triton's kernels then run in its interpreter, on the CPU. It is asked when they are first imported.
    os.environ.setdefault("TRITON_INTERPRET", "1")

GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")]
FUSED = [
    pytest.param("numba", "cpu", id="numba"),
    pytest.param(
        "triton",
        "cpu",
        id="triton_interpreted",
        marks=pytest.mark.skipif(
            os.environ.get("TRITON_INTERPRET") != "1", reason="with a GPU, Triton's interpreter is off"
        ),
    ),
    pytest.param("triton", "cuda", id="triton_gpu", marks=GPU),
]
"""All backends but the reference, each with the device it is tested on."""
FORMS = [
    pytest.param(True, False, id="apart"),
    pytest.param(True, True, id="joined"),
    pytest.param(False, False, id="no_positions"),
    pytest.param(False, True, id="no_positions_joined"),
]
"""With positions or without; value sums joined or not."""
Order = Literal["contiguous", "channels_last"]
ORDERS: tuple[Order, ...] = ("contiguous", "channels_last")

every_backend = pytest.mark.parametrize(("backend", "device"), FUSED)
every_form = pytest.mark.parametrize(("positions", "joined"), FORMS)
both_positions = pytest.mark.parametrize("positions", [True, False], ids=["positions", "no_positions"])
both_orders = pytest.mark.parametrize("order", ORDERS)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


class Inputs(NamedTuple):
    """Arguments of the attention but `joined`."""

    qkv: Tensor
    relative: Tensor | None
    scales: Tensor
    d_k: int

    def tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in self._asdict().items() if isinstance(value, Tensor)}

    def map(self, change: Callable[[Tensor], Tensor]) -> Inputs:
        """The same with new leaves, each what `change` makes of the old one."""
        changed = {name: change(value.detach()).requires_grad_() for name, value in self.tensors().items()}
        return self._replace(**changed)


def spelled(shape: tuple[int, ...]) -> str:
    return "n{}_l{}_h{}_dk{}_dv{}_L{}".format(*shape)


def drawn_inputs(
    shape: tuple[int, int, int, int, int, int],
    dtype: torch.dtype,
    positions: bool = True,
    spread: float = 1.0,
    device: str = "cpu",
    order: Order = "channels_last",
) -> Inputs:
    """Leaves that require gradients; `shape` is (cases, lines, heads, d_k, d_v, L).

    `qkv` is a view of an image as the layer makes it: of the rows of a contiguous one, or of the columns of a
    channels-last one, where neither lines nor positions lie behind each other. Two gates are closed.
    """
    cases, lines, heads, d_k, d_v, length = shape
    generator = torch.Generator().manual_seed(sum(shape))

    def normal(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator, dtype=dtype).to(device)

    channels = 2 * d_k + d_v
    qkv = spread * normal(cases, lines, heads, channels, length)
    place, back = ((0, 2, 3, 1, 4), (0, 3, 1, 2, 4)) if order == "contiguous" else ((0, 4, 1, 2, 3), (0, 2, 3, 4, 1))
    qkv = qkv.permute(place).contiguous().permute(back)
    relative = normal(channels, 2 * length - 1) if positions else None
    scales = normal(5 if positions else 1, heads)
    if positions and heads > 1:
        scales[1, -1] = scales[4, 0] = 0
    return Inputs(qkv, relative, scales, d_k).map(lambda tensor: tensor)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def nan_in_fresh_memory() -> Iterator[None]:
    """Torch fills what `empty` returns with NaN, so that whatever a kernel leaves out shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
