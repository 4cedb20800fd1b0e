"""Who asks, and for which org."""
