"""Tests of `vidlink.store.sequences`."""
