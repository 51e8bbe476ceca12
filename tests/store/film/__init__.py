"""Tests of `vidlink.store.film`."""
