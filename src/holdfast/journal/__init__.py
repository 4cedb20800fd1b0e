"""The ordered, append-only, fsynced record of events, and its engines."""
