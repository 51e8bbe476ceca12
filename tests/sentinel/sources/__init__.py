"""Tests of `vidlink.sentinel.sources`."""
