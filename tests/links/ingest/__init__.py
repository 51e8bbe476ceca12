"""Tests of `vidlink.links.ingest`."""
