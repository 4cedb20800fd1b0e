"""What comes along for showing Holdfast: a small course of our own (CC0)."""
