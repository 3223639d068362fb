"""A live connection to one host's daemon. It does not know what a cell means."""

from kernelext.link.hostlink import HostLink
from kernelext.link.pool import LinkPool

__all__ = ["HostLink", "LinkPool"]
