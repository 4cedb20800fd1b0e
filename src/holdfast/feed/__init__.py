"""Live changes to browsers over SSE, per org."""
