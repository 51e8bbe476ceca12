"""Tests of `vidlink.store.fsck`."""
