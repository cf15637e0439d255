"""What the host tests share."""
