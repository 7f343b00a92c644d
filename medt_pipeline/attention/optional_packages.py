"""Packages that a backend needs and that may be absent: imported when first needed, with one warning if that fails."""

from __future__ import annotations

import functools
import importlib.util
import warnings

import torch

WITHOUT = {
    "numba": "attention and normalisation on the CPU fall back to the much slower plain torch. Run: pip install numba",
    "triton": "attention on the GPU falls back to the much slower plain torch. Triton comes with torch's wheels for "
    "CUDA and ROCm on Linux; run: pip install triton, or on Windows: pip install triton-windows",
}
"""What follows where a package cannot be imported, and what to do."""
_INSTALLED = {package: importlib.util.find_spec(package) is not None for package in WITHOUT}


def import_problem(package: str) -> str | None:
    """Why a package cannot be imported, with one warning; None if it can."""
    if torch.compiler.is_compiling():
        # An import cannot be traced; and a decorator of torch.compiler would import torch._dynamo, two seconds' work.
        return None if _INSTALLED[package] else f"{package} is not installed"
    return _try_import(package)


@functools.cache
def _try_import(package: str) -> str | None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        warnings.warn(f"{package} cannot be imported ({error}): {WITHOUT[package]}", RuntimeWarning, stacklevel=4)
        return f"{package} cannot be imported ({error}): {WITHOUT[package].partition('. ')[2]}"
    return None
