"""The ground: standard library only, pure."""
