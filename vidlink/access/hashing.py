"""Secrets, and what is kept of them: a digest of a token, a slow hash of a password.

A token is 256 bits by chance, so that a plain SHA-256 of it tells nothing; a password is not, so
that each guess has to cost: scrypt (RFC 7914), as the PHC string format writes it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode

#: The beginning of every token, so that one that was published by mistake is found.
TOKEN_PREFIX = "vidlink_"
#: Cost: 2**15 rounds of 8 blocks thrice, 32 MiB and 0.3 s (OWASP's advice for scrypt).
_LN, _R, _P = 15, 8, 3
_SALT_BYTES, _KEY_BYTES = 16, 32
#: The most that a hash made elsewhere may ask for; it is checked in the server's process.
_MAX_LN, _MAX_R, _MAX_P = 17, 16, 8
_PHC = re.compile(
    r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,2}),p=([0-9]{1,2})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)

#: Characters of a password: fewer are guessed, more cost time to no avail (NIST SP 800-63B).
LEAST_PASSWORD, MOST_PASSWORD = 8, 256


def new_token() -> str:
    """A fresh secret, in characters that stand for themselves in a URL and a header."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def digest_of(token: str) -> bytes:
    """SHA-256 of a token: what is kept of it, and looked up."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def hash_password(password: str) -> str:
    """A password's hash with its salt; takes 0.3 s, so it is for a thread."""
    salt = secrets.token_bytes(_SALT_BYTES)
    key = _scrypt(password, salt, _LN, _R, _P, _KEY_BYTES)
    return f"$scrypt$ln={_LN},r={_R},p={_P}${_b64(salt)}${_b64(key)}"


#: As costly to check as any other, and no password has it: so an unknown name takes as long as a
#: wrong password, and does not tell itself.
NOBODYS_HASH = f"$scrypt$ln={_LN},r={_R},p={_P}${_SALT_BYTES * 'A'}${'A' * 43}"


def is_password(password: str, kept: str) -> bool:
    """True if `kept` is of `password`; takes 0.3 s, so it is for a thread."""
    match = _PHC.fullmatch(kept)
    if match is None:
        return False
    ln, r, p = int(match[1]), int(match[2]), int(match[3])
    if not (1 <= ln <= _MAX_LN and 1 <= r <= _MAX_R and 1 <= p <= _MAX_P):
        return False
    salt, key = _unb64(match[4]), _unb64(match[5])
    return hmac.compare_digest(_scrypt(password, salt, ln, r, p, len(key)), key)


def _scrypt(password: str, salt: bytes, ln: int, r: int, p: int, size_bytes: int) -> bytes:
    memory = 128 * r * (2**ln + p + 2)
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=2**ln, r=r, p=p, maxmem=memory, dklen=size_bytes)


def _b64(data: bytes) -> str:
    return b64encode(data).decode("ascii").rstrip("=")


def _unb64(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4))
