"""Holdfast: an offline-first learning portal that keeps what it accepted."""

__version__ = "0.1.0"
