"""The tables people read, and their engines."""
