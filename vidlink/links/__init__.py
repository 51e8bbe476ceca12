"""Who may say what, and when: messages in, decisions out. No Twisted, no sockets, no disk."""
