"""What events mean at a school."""
