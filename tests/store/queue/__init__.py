"""Tests of `vidlink.store.queue`."""
