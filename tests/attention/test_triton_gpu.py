"""The host side of the Triton kernels, and that Triton's compiler takes what its interpreter runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from medt_pipeline.attention import triton_gpu
from tests.attention.conftest import drawn_inputs

# What the interpreter does not check: types, powers of two, shapes of tiles. Every launch is compiled instead.
COMPILE = """
import sys
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from medt_pipeline.attention import triton_gpu, triton_kernels
from tests.attention.conftest import drawn_inputs

TYPES = {torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.float32: "*fp32", torch.float64: "*fp64"}

def specialised(value, path):
    # As at a launch: a whole number that is 1 is compiled in.
    if isinstance(value, torch.Tensor):
        return TYPES[value.dtype], {}
    if isinstance(value, tuple):
        parts = [specialised(part, (*path, i)) for i, part in enumerate(value)]
        return tuple(kind for kind, _ in parts), {at: one for _, ones in parts for at, one in ones.items()}
    # Numbers outside of tuples are sizes, for which no kernel is compiled anew.
    return ("constexpr", {path: 1}) if value == 1 and len(path) > 1 else ("i32", {})

class Compiled:
    def __init__(self, kernel):
        self.kernel, self.done = kernel, False
    def __getitem__(self, grid):
        return self.compile
    def compile(self, *args, num_warps, num_stages, **constants):
        names = self.kernel.arg_names
        signature, constexprs = {}, {(names.index(name),): value for name, value in constants.items()}
        for i, name in enumerate(names):
            signature[name], ones = specialised(args[i], (i,)) if i < len(args) else ("constexpr", {})
            constexprs |= ones
        assert set(names[len(args):]) == set(constants)
        source = ASTSource(self.kernel, signature, constexprs=constexprs)
        options = {"num_warps": num_warps, "num_stages": num_stages}
        compiled = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=options)
        # Else threads exchange in a loop what each should have for itself.
        assert compiled.metadata.shared == 0
        self.done = True

def check(shape, dtype, positions, joined):
    names = ["forward", "backward_queries", "backward_keys"] + ["backward_table"] * positions
    kernels = [Compiled(getattr(triton_kernels, name)) for name in names]
    qkv, relative, scales, d_k = drawn_inputs(shape, torch.float32, positions)
    qkv = qkv.detach().to(dtype)
    before = {name: getattr(triton_kernels, name) for name in names}
    for name, kernel in zip(names, kernels):
        setattr(triton_kernels, name, kernel)
    result = triton_gpu.forward(qkv, relative, scales, d_k, joined)
    triton_gpu.backward(qkv, relative, scales, d_k, joined, result)
    for name, kernel in before.items():
        setattr(triton_kernels, name, kernel)
    assert all(kernel.done for kernel in kernels)

check((4, 16, 8, 1, 2, 64), torch.float32, True, False)
check((4, 16, 8, 1, 2, 64), torch.float32, True, True)
check((3, 3, 8, 3, 5, 200), torch.float16, False, False)
check((2, 1, 1, 1, 1, 1), torch.bfloat16, True, False)
check((50, 10, 2, 16, 32, 3), torch.float64, True, True)
"""


@pytest.mark.slow
def test_gpu_compiler_takes_every_launch() -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    ran = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_other_devices_and_dtypes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    qkv = drawn_inputs((1, 1, 1, 1, 1, 2), torch.float32).qkv
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert triton_gpu.why_not(qkv) is None
    assert triton_gpu.why_not(qkv.half()) is None
    assert triton_gpu.why_not(qkv.int()) == "takes half, single and double precision, got torch.int32"
    assert triton_gpu.why_not(qkv.to("meta")) == "runs on cuda, got meta"
    monkeypatch.setattr(triton_gpu, "_NEW_ENOUGH", False)
    assert "torch 2.7" in (triton_gpu.why_not(qkv) or "")
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    assert triton_gpu.why_not(qkv) == "runs on cuda, got cpu"


@pytest.mark.parametrize("joined", [False, True], ids=["apart", "joined"])
def test_parts_of_the_tables_gradient_are_bounded(joined: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("with a GPU, Triton's interpreter is off")
    qkv, relative, scales, d_k = drawn_inputs((10, 10, 2, 1, 2, 4), torch.float64)
    gradient = torch.randn(10, 10, 1 if joined else 2, 2, 2, 4, dtype=torch.float64)
    arguments = (qkv.detach(), relative, scales, d_k, joined, gradient)
    with torch.no_grad():
        of_relative = triton_gpu.backward(*arguments)[1]
        monkeypatch.setattr(triton_gpu, "MOST_PARTIALS", 1)
        torch.testing.assert_close(triton_gpu.backward(*arguments)[1], of_relative)
