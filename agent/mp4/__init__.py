"""Fragmented MP4 with one video track: boxes, init segments, fragments and a tolerant reader. Pure."""
