"""Sentinels on real screens, files, disks and clocks."""
