"""The real server under real faults: killed, cut off, on disks that are full, slow or broken."""
