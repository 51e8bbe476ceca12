"""Tests of `vidlink.sentinel.spool`."""
