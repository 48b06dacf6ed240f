"""Bulk processing: resumable work over many inputs, on this machine or on a Ray cluster."""
