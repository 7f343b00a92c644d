"""Medical Transformer networks in pure torch; nothing here knows nnU-Net."""
