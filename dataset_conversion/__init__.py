"""Converters from released data sets and from anybody's own folders to the raw nnU-Net format."""
