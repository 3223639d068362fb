"""A host's network cable: pull it, starve it, delay it, mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .commands import LabError, run, succeeds
from .delayline import Shape
from .guest import Guest
from .network import Network, link_exists
from .processes import Process, start_module
from .statefiles import read_json, write_json

DROP_RULES = (("INPUT", "-i"), ("OUTPUT", "-o"), ("FORWARD", "-i"), ("FORWARD", "-o"))
DROP_TARGET = ("eth0", "-m", "comment", "--comment", "lab-partition", "-j", "DROP")


class Cable:
    """The veth pair between the bridge and a host's eth0, and its faults."""

    def __init__(self, network: Network, address: str, guest: Guest, directory: Path) -> None:
        self.network, self.guest = network, guest
        self.veth = network.link(address, "h")
        self.middle, self.near, self.far = (network.link(address, letter) for letter in "dtu")
        self.fault_file = directory / "faults.json"
        self.relay_file = directory / "relay.json"

    @property
    def faults(self) -> dict[str, Any]:
        """What is wrong with the cable now; empty when nothing is."""
        return dict(read_json(self.fault_file, {}))

    def _note(self, **changes: object) -> None:
        faults = {**self.faults, **changes}
        write_json(self.fault_file, {name: value for name, value in faults.items() if value})

    def unplug(self) -> None:
        """Take the cable out; the host never learns of it."""
        run("ip", "link", "del", self.veth, check=False)

    def partition(self, mode: str) -> None:
        """Cut the network: `link` pulls the cable, `drop` loses every packet in the host."""
        if mode not in ("link", "drop"):
            raise LabError(f"no partition mode {mode}: use link or drop")
        self.join()
        if mode == "link":
            run("ip", "link", "set", self.veth, "down")
        else:
            for chain, flag in DROP_RULES:
                self.guest.exec("iptables", "-w", "-I", chain, flag, *DROP_TARGET)
        self._note(partition=mode)

    def join(self) -> None:
        """Undo a partition."""
        run("ip", "link", "set", self.veth, "up")
        for chain, flag in DROP_RULES:
            words = ("iptables", "-w", "-D", chain, flag, *DROP_TARGET)
            while self.guest.exec(*words, check=False).returncode == 0:
                pass
        self._note(partition=None)

    def slow(self, shape: Shape) -> str:
        """Shape both directions; return how: tbf, netem or a delay line."""
        self.clear()
        if shape.delay_s or shape.jitter_s or shape.loss_percent:
            how = "netem" if self._netem(shape) else self._insert_delay_line(shape)
        elif shape.rate_bits:
            how = "tbf"
            rate = f"{shape.rate_bits}bit"
            if not self._shape_ends("tbf", "rate", rate, "burst", "256k", "latency", "200ms"):
                raise LabError("this kernel has no tbf: give a delay as well")
        else:
            raise LabError("give a delay, a rate, a jitter or a loss")
        self._note(slow=how)
        return how

    def _shape_ends(self, *words: str) -> bool:
        mine = ["tc", "qdisc", "add", "dev", self.veth, "root", *words]
        theirs = [*self.guest.enter("-n"), "tc", "qdisc", "add", "dev", "eth0", "root", *words]
        return succeeds(*mine) and succeeds(*theirs)

    def _netem(self, shape: Shape) -> bool:
        words = ["netem", "limit", "20000", "delay", f"{shape.delay_s * 1e6:.0f}us"]
        words += [f"{shape.jitter_s * 1e6:.0f}us"] if shape.jitter_s else []
        words += ["loss", f"{shape.loss_percent}%"] if shape.loss_percent else []
        words += ["rate", f"{shape.rate_bits}bit"] if shape.rate_bits else []
        if self._shape_ends(*words):
            return True
        self.clear()
        return False

    def _insert_delay_line(self, shape: Shape) -> str:
        numbers = (shape.delay_s, shape.rate_bits, shape.jitter_s, shape.loss_percent)
        relay = start_module("delayline", self.near, self.far, *map(str, numbers))
        relay.save(self.relay_file)
        run("ip", "link", "add", self.middle, "type", "bridge")
        run("ip", "link", "set", self.middle, "up")
        run("ip", "link", "set", self.near, "master", self.network.bridge, "up")
        run("ip", "link", "set", self.far, "master", self.middle, "up")
        run("ip", "link", "set", self.veth, "master", self.middle)
        return "delay line"

    def clear(self) -> None:
        """Undo what `slow` did, also for a host that is down."""
        if link_exists(self.veth):
            run("tc", "qdisc", "del", "dev", self.veth, "root", check=False)
            run("ip", "link", "set", self.veth, "master", self.network.bridge, check=False)
        if self.guest.running:
            inside = self.guest.enter("-n")
            run(*inside, "tc", "qdisc", "del", "dev", "eth0", "root", check=False)
        if relay := Process.load(self.relay_file):
            relay.kill()
            self.relay_file.unlink()
        run("ip", "link", "del", self.middle, check=False)
        self._note(slow=None)

    def wire_bytes(self) -> tuple[int, int]:
        """Return the bytes that went to and came from the host since it booted."""
        counters = Path("/sys/class/net", self.veth, "statistics")
        try:
            to_host, from_host = (
                int((counters / name).read_text()) for name in ("tx_bytes", "rx_bytes")
            )
        except FileNotFoundError as exc:
            raise LabError(f"{self.guest.name} has no cable: it is down") from exc
        return to_host, from_host
