"""MP4 with one video track: init segments, fragments, a tolerant reader, joining, progressive files. Pure."""
