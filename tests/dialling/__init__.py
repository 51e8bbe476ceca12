"""Tests of `vidlink.dialling`."""
