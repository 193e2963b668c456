"""What leaves the box: reports, signed commands, granted streams."""
