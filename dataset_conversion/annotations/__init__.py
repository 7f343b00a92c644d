"""Annotations drawn as outlines or stored as run lengths, and how they become pixels."""
