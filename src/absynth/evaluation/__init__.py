"""What attacks and bounds say together, and whether it can be believed."""
