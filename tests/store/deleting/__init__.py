"""Tests of `vidlink.store.deleting`."""
