"""What strangers' octets do to the parsers, looked for by coverage: ``python -m tests.fuzz boxes``.

`targets` says what is done with an input, and what is an answer and what a finding; it is tried by
`test_targets` with every other test. Looking for more is :mod:`tests.fuzz.__main__`, which needs
Atheris (``pip install atheris``).
"""
