"""Tests of `vidlink.store.reading`."""
