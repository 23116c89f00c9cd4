"""Readings of the host and its devices, and what they charge to calls."""
