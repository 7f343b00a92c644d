"""Where stock nnU-Net finds our trainer; `nnUNet_extTrainer` points at this folder."""
