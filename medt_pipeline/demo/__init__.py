"""Drawn data sets and the demonstration that walks the whole road on them."""
