"""What may be said: bytes to messages and back. No Twisted; who may say what is in `links`."""
