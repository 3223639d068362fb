"""The lab's bridge, addresses and firewall rules on the machine."""

from __future__ import annotations

import ipaddress
import shutil
from pathlib import Path

from .commands import LabError, run, succeeds

FIRST_HOST = 11  # host01 gets the address .11


class Network:
    """A bridge on which every host has one address and one cable."""

    def __init__(self, bridge: str, subnet: str, owner: Path) -> None:
        self.bridge, self.owner = bridge, str(owner)
        self.subnet = ipaddress.IPv4Network(subnet)

    @property
    def gateway(self) -> str:
        """The machine's own address on the bridge."""
        return str(self.subnet.network_address + 1)

    @property
    def pattern(self) -> str:
        """The hosts' addresses as a pattern for an SSH configuration."""
        return str(self.subnet.network_address).rpartition(".")[0] + ".*"

    def address(self, name: str) -> str:
        """Return the address of host01 and so on."""
        number = int("".join(letter for letter in name if letter.isdigit()) or "1")
        address = self.subnet.network_address + FIRST_HOST - 1 + number
        if address not in self.subnet or address == self.subnet.broadcast_address:
            raise LabError(f"{self.subnet} has no address for {name}")
        return str(address)

    def link(self, address: str, letter: str) -> str:
        """Name an interface: h is a host's cable, d, t and u are its delay line's."""
        number = int(ipaddress.IPv4Address(address)) - int(self.subnet.network_address)
        return f"{self.bridge}{letter}{number}"

    def mac(self, address: str) -> str:
        """Return a fixed one, or peers keep a rebooted host's old address for a minute."""
        packed = ipaddress.IPv4Address(address).packed
        return "02:4c:" + ":".join(f"{byte:02x}" for byte in packed)

    @property
    def _alias(self) -> Path:
        return Path("/sys/class/net", self.bridge, "ifalias")

    @property
    def is_ours(self) -> bool:
        """Whether the bridge is there and was made for this lab."""
        return self._alias.exists() and self._alias.read_text().strip() == self.owner

    def create(self) -> None:
        """Make the bridge and the rules, where they are not there yet."""
        if not link_exists(self.bridge):
            mac = self.mac(self.gateway)
            run("ip", "link", "add", self.bridge, "address", mac, "type", "bridge")
            run("ip", "link", "set", self.bridge, "alias", self.owner)
            width = self.subnet.prefixlen
            run("ip", "addr", "add", f"{self.gateway}/{width}", "dev", self.bridge)
        elif not self.is_ours:
            owner = self._alias.read_text().strip() or "something else"
            raise LabError(f"the bridge {self.bridge} is that of {owner}: choose another one")
        run("ip", "link", "set", self.bridge, "up")
        self._firewall(True)

    def remove(self) -> None:
        """Remove the bridge and the rules, unless they are another lab's."""
        if self.is_ours:
            self._firewall(False)
            run("ip", "link", "del", self.bridge)

    def _firewall(self, wanted: bool) -> None:
        # Where br_netfilter is on, bridged frames pass the FORWARD chain, which the
        # machine's own dockerd sets to DROP. And nothing may leave the lab.
        if not shutil.which("iptables"):
            return
        every = self.bridge + "+"
        for rule in (("-i", every, "-j", "DROP"), ("-i", every, "-o", every, "-j", "ACCEPT")):
            if wanted and not succeeds("iptables", "-w", "-C", "FORWARD", *rule):
                run("iptables", "-w", "-I", "FORWARD", *rule)
            while not wanted and succeeds("iptables", "-w", "-D", "FORWARD", *rule):
                pass


def link_exists(name: str) -> bool:
    """Say whether the machine has this network interface."""
    return succeeds("ip", "link", "show", name)
