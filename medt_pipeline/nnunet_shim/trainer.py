"""Re-exports the installed trainer for nnU-Net's search in `nnUNet_extTrainer`.

nnU-Net imports every module of that folder and takes it out of `sys.modules` again, so the class must come from the
installed package, and nothing else may lie here.
"""

from medt_pipeline.training.trainer import nnUNetTrainerMedT

__all__ = ["nnUNetTrainerMedT"]
