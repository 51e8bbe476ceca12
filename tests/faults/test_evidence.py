"""The witness itself: it sees what is damaged, and nothing where nothing is."""

from __future__ import annotations

from tests.faults.evidence import look
from tests.faults.load import ScriptedLoad
from tests.rigs.daemons import Site, until


def test_damage_is_seen(site: Site) -> None:
    """One changed bit in a recording is one acknowledged segment that is lost, and a film that
    does not decode; before, and in the other recording, all is well."""
    server = site.start_server()
    load = ScriptedLoad(site.port, 2)
    with load:
        until(lambda: sum(load.acknowledged().values()) > 10, what="acknowledged")
    promised, sent = load.acknowledged(), load.sent
    until(
        lambda: not any(row["sessionId"] for row in site.get_json("/api/v1/sentinels")["sentinels"])
    )
    look(site, promised, sent).check()
    assert server.stop() == 0
    key = min(promised)
    path = site.data / "recordings" / key[0] / key[1] / "part-0000.mp4"
    data = bytearray(path.read_bytes())
    data[data.index(sent[key][3]) + len(sent[key][3]) // 2] ^= 1
    path.write_bytes(data)
    site.start_server()
    found = look(site, promised, sent)
    assert [where.split(":")[0] for where in found.lost] == [f"{key} 3"]
    assert found.unsound
    assert all(f"film of {key}" in complaint for complaint in found.unsound)
