"""Tests of the values of ``vidlink.model`` that do more than hold."""
