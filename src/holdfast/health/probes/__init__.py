"""One question about one part, a file each."""
