"""The server on real sockets and disks, with peers that ask too much."""
