"""The trainer, its schedule, and training as a library call."""
