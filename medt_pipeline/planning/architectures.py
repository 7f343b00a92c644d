"""Networks that a plan can name: our family, the paper's four and nnU-Net's own two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from medt_pipeline.planning.presets import ArchitectureName, Form

Size = tuple[int, int]
IMPORTED = ("conv_op", "norm_op", "dropout_op", "nonlin")
"""Arguments of nnU-Net's networks that stand as dotted paths in a plan."""
UNETS = ("UNet", "ResEncUNet")
"""nnU-Net's networks, which keep the deep supervision of nnU-Net and cannot compute blocks again."""


@dataclass(frozen=True)
class NetworkOptions:
    """What a plan decides about a network beside its patch.

    Attributes:
        form: of the attention.
        deep_supervision: outputs at lower resolutions too.
        recompute: run the axial blocks again in the backward instead of keeping what they compute.
    """

    form: Form = "formula"
    deep_supervision: bool = False
    recompute: bool = False


@dataclass(frozen=True)
class Architecture:
    """One network that `--architecture` can name.

    Attributes:
        suffix: what a configuration with it is called after the configuration's own name where the plan chose another
            network for that; "" where there is no such configuration beside it.
        class_name: dotted path in the plans file.
        arguments: keyword arguments of the class for a patch size and options, as they stand in the plans file.
        imported: names of the arguments that nnU-Net turns from dotted paths into objects.
    """

    suffix: str
    class_name: str
    arguments: Callable[[Size, NetworkOptions], dict[str, Any]]
    imported: tuple[str, ...] = ()

    def plan(self, patch_size: Size, options: NetworkOptions = NetworkOptions()) -> dict[str, Any]:
        """The entry `architecture` of a configuration."""
        return {
            "network_class_name": self.class_name,
            "arch_kwargs": self.arguments(patch_size, options),
            "_kw_requires_import": list(self.imported),
        }


def _attention_arguments(patch_size: Size, options: NetworkOptions) -> dict[str, Any]:
    arguments: dict[str, Any] = {"image_size": list(patch_size), "form": options.form}
    # nnU-Net hands deep_supervision over by itself; in the plan it tells the trainer that there are heads for it.
    for name in ("deep_supervision", "recompute"):
        if getattr(options, name):
            arguments[name] = True
    return arguments


def _unet_arguments(patch_size: Size, options: NetworkOptions) -> dict[str, Any]:
    """nnU-Net's 2D U-Net for this patch, by nnU-Net's own rule (ExperimentPlanner.get_plans_for_configuration)."""
    from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

    _, strides, kernels, padded, _ = get_pool_and_conv_props((1.0, 1.0), patch_size, 4, 999999)
    if tuple(padded) != tuple(patch_size):
        _, strides, kernels, _, _ = get_pool_and_conv_props((1.0, 1.0), patch_size, 4, 5)
    stages = len(strides)
    return {
        "n_stages": stages,
        "features_per_stage": [min(512, 32 * 2**stage) for stage in range(stages)],
        "conv_op": "torch.nn.modules.conv.Conv2d",
        "kernel_sizes": [list(kernel) for kernel in kernels],
        "strides": [list(stride) for stride in strides],
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
        "deep_supervision": options.deep_supervision,
    }


STOCHASTIC_DEPTH = 0.2
"""Of the hybrid family: it learns 85 images of GlaS by heart in 1,900 steps (docs/explanation/network.md)."""


def _hybrid(size: str) -> Architecture:
    """A member of the family, by the name of its size."""

    def arguments(patch_size: Size, options: NetworkOptions) -> dict[str, Any]:
        flags = ("deep_supervision", "recompute")
        chosen = {name: True for name in flags if getattr(options, name)}
        return {"image_size": list(patch_size), "size": size, "stochastic_depth": STOCHASTIC_DEPTH, **chosen}

    return Architecture("", "medt_pipeline.network.hybrid.HybridMedT", arguments)


def _residual_unet_arguments(patch_size: Size, options: NetworkOptions) -> dict[str, Any]:
    """nnU-Net's residual-encoder U-Net, by nnU-Net's own rule (ResEncUNetPlanner): more blocks, a lighter decoder."""
    arguments = _unet_arguments(patch_size, options)
    stages = arguments["n_stages"]
    del arguments["n_conv_per_stage"]
    blocks = [1, 3, 4, *[6] * stages][:stages]
    return {**arguments, "n_blocks_per_stage": blocks, "n_conv_per_stage_decoder": [1] * (stages - 1)}


ARCHITECTURES: dict[ArchitectureName, Architecture] = {
    "MedT-S": _hybrid("S"),
    "MedT-M": _hybrid("M"),
    "MedT-L": _hybrid("L"),
    "MedT": Architecture("_medt", "medt_pipeline.network.medt.MedT", _attention_arguments),
    "LoGo": Architecture("_logo", "medt_pipeline.network.medt.LoGo", _attention_arguments),
    "GatedAxialUNet": Architecture("_gated", "medt_pipeline.network.unet.GatedAxialUNet", _attention_arguments),
    "AxialUNet": Architecture("_axial", "medt_pipeline.network.unet.AxialUNet", _attention_arguments),
    "UNet": Architecture(
        "_unet",
        "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        _unet_arguments,
        IMPORTED,
    ),
    "ResEncUNet": Architecture(
        "_resenc",
        "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
        _residual_unet_arguments,
        IMPORTED,
    ),
}
"""By the name that `--architecture` takes."""


def is_planned(architecture: ArchitectureName, planned: Mapping[str, Any]) -> bool:
    """Whether the entry `architecture` of a configuration, `planned`, describes this network."""
    arguments = ARCHITECTURES[architecture].plan((128, 128))["arch_kwargs"]
    same_size = planned["arch_kwargs"].get("size") == arguments.get("size")
    return same_size and planned["network_class_name"] == ARCHITECTURES[architecture].class_name
