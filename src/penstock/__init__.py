"""Penstock: the gate between those who call language models and the machine that runs them."""

__version__ = "0.1.0.dev0"
