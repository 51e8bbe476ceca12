"""Deleting sessions, by the policy or by order, in the remover's thread: :class:`.remover.Remover`.

The reactor's side of it is :mod:`.keeping`; what is read for it is :mod:`vidlink.store.index`.
"""
