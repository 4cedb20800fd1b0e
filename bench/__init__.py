"""Benches: what Holdfast costs, held against the bare work it can't go without."""
