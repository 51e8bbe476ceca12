"""The proctor page in a real browser, against real daemons on loopback."""
