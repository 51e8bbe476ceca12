"""The load test in the box: screens and proctors that cost next to nothing, and a verdict.

Here belongs whatever makes the load, measures what comes of it and judges that. The processes
are put together, and told what to do, in :mod:`vidlink.commands.rehearse`.
"""
