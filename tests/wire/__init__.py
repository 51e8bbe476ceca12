"""Tests of `vidlink.wire`; what all formats promise is in ``tests.contracts.test_codec``."""
