"""Tests of `vidlink.store.starting`."""
