"""Pictures into encoded frames, at the rate that is asked for: :class:`.capture.Capture`.

Where pictures come from is :mod:`vidlink.sentinel.sources`; frames become segments in
:mod:`vidlink.links.uplink`.
"""
