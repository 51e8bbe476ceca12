"""The JSON of the HTTP interface: one table of fields for whoever writes, reads or describes it.

The server's answers are written by it (:mod:`vidlink.server.api.history`), the client reads them
by it (:mod:`vidlink.client.history`), and the OpenAPI document is drawn from it
(:mod:`vidlink.server.api.openapi.schemas`). ``docs/reference/http.md`` says the same for people.
"""
