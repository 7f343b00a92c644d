"""Medical Transformer networks in pure torch; nothing here knows nnU-Net."""

from medt_pipeline.network.axial_layer import AxialAttentionLayer, gate_parameters
from medt_pipeline.network.hybrid import HybridMedT
from medt_pipeline.network.medt import LoGo, MedT
from medt_pipeline.network.unet import AxialUNet, GatedAxialUNet

__all__ = ["AxialAttentionLayer", "AxialUNet", "GatedAxialUNet", "HybridMedT", "LoGo", "MedT", "gate_parameters"]
