"""From cameras to fragments: sources, timeline, cutter, workers and their parent."""
