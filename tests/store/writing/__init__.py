"""Tests of `vidlink.store.writing`."""
