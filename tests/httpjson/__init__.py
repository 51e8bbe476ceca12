"""Tests of `vidlink.httpjson`; what a server answers by it is in ``tests.server.api``."""
