"""Addresses that count as one, wherever something is counted by address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def network_of(address: str) -> str:
    """The addresses that count as one, by one of them: an IPv4 address, or an IPv6 network of
    64 bits, of whose addresses each of its machines has as many as it likes."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if isinstance(known, IPv4Address):
        return address
    mapped = known.ipv4_mapped
    return str(IPv6Address(int(known) >> 64 << 64)) if mapped is None else str(mapped)
