"""Bulk processing: resumable processing of many inputs, on this machine or on a Ray cluster."""
