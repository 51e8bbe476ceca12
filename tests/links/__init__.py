"""Tests of who may say what, and when."""
