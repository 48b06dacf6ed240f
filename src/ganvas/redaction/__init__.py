"""Cover regions of pictures for release: found, covered, judged again, widened until they pass."""
