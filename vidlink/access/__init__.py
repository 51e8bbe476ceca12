"""By what somebody is let in: users with passwords, tokens, logins, tickets.

They are kept as hashes in the data folder (:mod:`vidlink.access.credentials`), also by commands
while a server runs or while none does; a running one sees it within a second
(:mod:`vidlink.access.register`). Who asks is settled in :mod:`vidlink.access.gate`, through
``twisted.cred``. What they may do then is a table in :mod:`vidlink.model`.
"""
