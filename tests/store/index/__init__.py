"""Tests of `vidlink.store.index`."""
