"""Our layers and networks against results of the published code (see tests/golden/README.md)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medt_pipeline.network import AxialUNet, GatedAxialUNet, LoGo, MedT, official_weights
from medt_pipeline.network.axial_layer import AxialAttentionLayer
from tests.attention.conftest import FUSED
from tests.golden import recipe

POSITION = {"AxialAttention": "plain", "AxialAttention_dynamic": "gated", "AxialAttention_wopos": "none"}
NETWORK = {"MedT": MedT, "logo": LoGo, "gated": GatedAxialUNet, "axialunet": AxialUNet}
LAYERS = [f"{p}_{a}_stride{s}" for p in ("position", "gated", "nopos") for a in ("height", "width") for s in (1, 2)]
WHOLE = ["net_medt_128", "net_logo_128", "net_gated_128", "net_axialunet_64", "net_medt_128_gray_3"]
STEPS = ["step_gated_64", "step_axialunet_64"]
# The layer is loaded as if it stood in a network, so that the table of names is tested with it.
INSIDE = "branch.stages.0.0.height."
PUBLISHED_INSIDE = "layer1.0.hight_block."


def relative_error(ours: torch.Tensor, expected: np.ndarray, least: float = 1e-30) -> float:
    """Largest difference, relative to the largest entry or `least`, whichever is more."""
    difference = (ours.detach().double().cpu() - torch.as_tensor(expected)).abs().max()
    return float(difference / max(np.abs(expected).max(), least))


def as_tensors(state: dict[str, np.ndarray], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(value, dtype=dtype) for name, value in state.items()}


def make_layer(meta: dict, state: dict[str, np.ndarray]) -> AxialAttentionLayer:
    kwargs = meta["kwargs"]
    layer = AxialAttentionLayer(
        kwargs["in_planes"],
        kwargs["out_planes"],
        kwargs["groups"],
        kwargs["kernel_size"],
        "width" if kwargs["width"] else "height",
        kwargs["stride"],
        POSITION[meta["class"]],
    ).double()
    root: torch.nn.Module = layer
    for part in reversed(INSIDE.rstrip(".").split(".")):
        outer = torch.nn.Module()
        outer.add_module(part, root)
        root = outer
    tensors = as_tensors(state, torch.float64)
    official_weights.load(root, {PUBLISHED_INSIDE + name: value for name, value in tensors.items()})
    return layer


def make_network(meta: dict, state: dict[str, np.ndarray], dtype: torch.dtype) -> torch.nn.Module:
    kwargs = meta["kwargs"]
    size = (kwargs["img_size"], kwargs["img_size"])
    network = NETWORK[meta["class"]](kwargs["imgchan"], kwargs["num_classes"], size).to(dtype)
    official_weights.load(network, as_tensors(state, dtype))
    return network


def check_gradients(
    published: dict[str, torch.Tensor], expected: dict[str, np.ndarray], tolerance: float = 1e-8
) -> set[str]:
    """Compare gradients in published layout; returns the names that were compared."""
    largest = max(np.abs(value).max() for key, value in expected.items() if key.startswith("train/grad"))
    rounding = 1e-10 * largest
    compared = set()
    for key, value in expected.items():
        kind, _, name = key.removeprefix("train/").partition("/")
        if kind not in ("grad", "gradsum") or name == "input":
            continue
        if name.endswith("bn_similarity.bias"):
            # Softmax cancels it: the published gradient is rounding, and ours has no such parameter.
            assert np.abs(value).max() < rounding
            continue
        gradient = published[name]
        if kind == "gradsum":
            probe = torch.as_tensor(recipe.standard_normal(f"probe/{name}", tuple(gradient.shape))).to(gradient)
            gradient = torch.stack([gradient.norm(), (gradient * probe).sum()])
        if np.abs(value).max() < rounding:
            # A batch normalisation behind it cancels it: both gradients are rounding.
            assert gradient.abs().max() < 0.01 * tolerance * largest, name
        else:
            # In single precision small ones are differences of large sums, whichever the backend: f_qr has three digits
            # less than the others.
            least = 0.01 * largest if gradient.dtype == torch.float32 else 1e-30
            assert relative_error(gradient, value, least) < tolerance, name
        compared.add(name)
    return compared


def check_training_step(
    module: torch.nn.Module,
    x: torch.Tensor,
    meta: dict,
    expected: dict[str, np.ndarray],
    inside: str,
    outside: str,
    tolerance: float = 1e-8,
) -> None:
    """Compare output, every gradient and every running statistic of one training-mode step."""
    x.requires_grad_()
    output = module.train()(x)
    cotangent = torch.as_tensor(recipe.standard_normal(meta["cotangent"], tuple(output.shape))).to(x)
    (output * cotangent).sum().backward()
    assert relative_error(output, expected["train/output"]) < tolerance
    assert relative_error(x.grad, expected["train/grad/input"]) < tolerance
    gradients = {inside + name: parameter.grad for name, parameter in module.named_parameters()}
    published = {k.removeprefix(outside): v for k, v in official_weights.to_published(gradients).items()}
    compared = check_gradients(published, expected, tolerance)
    assert compared == set(published)
    buffers = official_weights.to_published({inside + name: value for name, value in module.named_buffers()})
    after = {k.removeprefix("train/after/"): v for k, v in expected.items() if k.startswith("train/after/")}
    assert after
    for name, value in after.items():
        assert relative_error(buffers[outside + name], value) < tolerance, name


@pytest.mark.parametrize("name", [*LAYERS, "gated_first_stage"])
def test_layer_equals_published(name: str) -> None:
    meta, state, expected = recipe.load(f"layer_{name}")
    layer = make_layer(meta, state)
    x = torch.as_tensor(meta["input"])
    assert relative_error(layer.eval()(x), expected["eval/output"]) < 1e-8
    check_training_step(layer, x, meta, expected, INSIDE, PUBLISHED_INSIDE)


@pytest.mark.parametrize(("backend", "device"), [param for param in FUSED if param.values[0] == "triton"])
@pytest.mark.parametrize("name", ["gated_height_stride2", "nopos_width_stride2"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-3)], ids=["f64", "f32"])
def test_layer_equals_published_on_triton(
    name: str, dtype: torch.dtype, tolerance: float, backend: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDT_ATTENTION_BACKEND", backend)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # the projection is a convolution
    meta, state, expected = recipe.load(f"layer_{name}")
    layer = make_layer(meta, state).to(device, dtype)
    x = torch.as_tensor(meta["input"]).to(device, dtype)
    assert relative_error(layer.eval()(x), expected["eval/output"]) < tolerance
    check_training_step(layer, x, meta, expected, INSIDE, PUBLISHED_INSIDE, tolerance)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["f64", "f32"])
def test_network_equals_published(name: str, dtype: torch.dtype, tolerance: float) -> None:
    meta, state, expected = recipe.load(name)
    network = make_network(meta, state, dtype).eval()
    with torch.no_grad():
        logits = network(torch.as_tensor(meta["input"], dtype=dtype))
    (key,) = expected
    assert relative_error(logits, expected[key]) < tolerance


@pytest.mark.parametrize("name", STEPS)
def test_training_step_equals_published(name: str) -> None:
    meta, state, expected = recipe.load(name)
    network = make_network(meta, state, torch.float64)
    check_training_step(network, torch.as_tensor(meta["input"]), meta, expected, "", "")
