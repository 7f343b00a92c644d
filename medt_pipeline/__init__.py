"""Self-configuring segmentation of 2D ultrasound and histology with the Medical Transformer, on top of nnU-Net.

Importing this package imports neither torch nor nnU-Net; each command does so after it has read its arguments.
"""

__version__ = "0.1.0"
