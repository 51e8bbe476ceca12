"""Tests of `vidlink.sentinel.machine`: what a machine is called, and what tells it from others."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from vidlink.sentinel.machine import Machine, this_machine

MADE_UP = 0x0102_0304_0506


class MachineTests(SynchronousTestCase):
    """Machines as their files show them."""

    def setUp(self) -> None:
        """Nothing is known of it."""
        self.root = Path(self.mktemp()).absolute()
        self.host, self.node = "desk-12.school.example", MADE_UP

    def card(self, name: str, address: str, *, kind: str = "0", bus: str = "pci") -> None:
        """A network card."""
        folder = self.root / "sys/class/net" / name
        folder.mkdir(parents=True)
        (folder / "address").write_text(f"{address}\n")
        (folder / "addr_assign_type").write_text(f"{kind}\n")
        if bus:
            device = self.root / "sys/devices" / bus / name
            device.mkdir(parents=True)
            (folder / "device").symlink_to(device)
        if name.startswith("wl"):
            (folder / "wireless").mkdir()

    def file(self, path: str, text: str) -> None:
        """A file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def look(self) -> Machine:
        """What is seen."""
        return this_machine(str(self.root), lambda: self.host, lambda: self.node)

    def test_name(self) -> None:
        """It is called what its host is, without the domain; one that nobody has named has none."""
        for host, name in (("desk-12.school.example", "desk-12"), ("d", "d"), ("localhost", "")):
            self.host = host
            self.assertEqual(self.look().name, name)

    def test_imaged_anew(self) -> None:
        """What an image brings, or a person changes, does not make it another machine: the name,
        the id of the installation, a name of a bridge, an adapter that is plugged in."""
        self.card("enp3s0", "02:fc:00:00:00:01")
        self.file("etc/machine-id", "1" * 32)
        before = self.look()
        self.file("etc/machine-id", "2" * 32)
        self.host = "other"
        self.card("br0", "02:fc:00:00:00:02", kind="3", bus="")
        self.card("docker0", "02:fc:00:00:00:03", kind="1", bus="")
        self.card("enp0s20u1", "02:fc:00:00:00:00", bus="usb1")
        self.card("lo", "00:00:00:00:00:00", bus="")
        self.card("wlp2s0", "02:FC:00:00:00:04")
        self.assertEqual(self.look().fingerprint, before.fingerprint)
        self.assertRegex(before.fingerprint, "^[0-9a-f]{64}$")
        self.assertEqual(self.look().mac, "02:fc:00:00:00:01")

    def test_others(self) -> None:
        """Another card, or another model around the same address, is another machine; so are two
        of one image with nothing but the same installation in common."""
        self.file("etc/machine-id", "1" * 32)
        seen = [self.look()]
        self.host = "desk-13"
        seen.append(self.look())
        self.card("eth0", "02:fc:00:00:00:01", kind="1")
        seen.append(self.look())
        self.card("eth1", "02:fc:00:00:00:02")
        seen.append(self.look())
        self.file("sys/class/dmi/id/product_name", "Optiplex")
        seen.append(self.look())
        self.assertEqual(len({one.fingerprint for one in seen}), len(seen))

    def test_made_up(self) -> None:
        """An address that is made up anew each time is none; one that the system has, where it has
        no such files, is."""
        before = self.look()
        self.node += 1
        self.assertEqual((self.look(), before.mac), (before, ""))
        self.node = 0x52_5400_123456
        self.assertEqual(self.look().mac, "52:54:00:12:34:56")

    def test_this_one(self) -> None:
        """Of the machine that this runs on it is the same whenever it is asked."""
        self.assertEqual(this_machine(), this_machine())
