"""Tests of `vidlink.store.files`."""
