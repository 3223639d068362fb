"""A cable with delay, jitter, loss and a rate, for kernels without netem."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import random
import select
import struct
import sys
import time
from dataclasses import dataclass

QUEUE_BYTES = 8 << 20
BUFFER_S = 0.2  # as long as tbf's latency

TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x0002 | 0x1000


@dataclass(frozen=True)
class Shape:
    """What a cable does to frames, each way."""

    delay_s: float = 0.0
    rate_bits: int = 0
    jitter_s: float = 0.0
    loss_percent: float = 0.0


class DelayLine:
    """One direction of the cable; frames stay in order."""

    def __init__(self, source: int, target: int, shape: Shape) -> None:
        self.source, self.target, self.shape = source, target, shape
        self.byte_time = 8 / shape.rate_bits if shape.rate_bits else 0.0
        self.queue: collections.deque[tuple[float, bytes]] = collections.deque()
        self.queued_bytes = 0
        self.free_at = self.last_due = 0.0

    def take(self, now: float) -> None:
        """Queue the frames that have arrived."""
        for _ in range(64):
            try:
                frame = os.read(self.source, 65536)
            except BlockingIOError:
                return
            lost = random.random() * 100 < self.shape.loss_percent
            due = None if lost or self.queued_bytes > QUEUE_BYTES else self._due(frame, now)
            if due is not None:
                self.last_due = max(due, self.last_due)
                self.queue.append((self.last_due, frame))
                self.queued_bytes += len(frame)

    def _due(self, frame: bytes, now: float) -> float | None:
        due = now
        if self.byte_time:
            due = max(self.free_at, now) + len(frame) * self.byte_time
            if due - now > BUFFER_S:
                return None
            self.free_at = due
        return due + self.shape.delay_s + random.uniform(0, 2 * self.shape.jitter_s)

    def give(self, now: float) -> float | None:
        """Send what is due; return the seconds until the next frame is."""
        while self.queue:
            due, frame = self.queue[0]
            if due > now:
                return due - now
            self.queue.popleft()
            self.queued_bytes -= len(frame)
            with contextlib.suppress(OSError):
                os.write(self.target, frame)
        return None


def open_tap(name: str) -> int:
    """Make a tap interface that lives as long as the descriptor."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI))
    return tap


def relay(near: int, far: int, shape: Shape) -> None:
    """Carry frames between two taps until killed."""
    lines = {near: DelayLine(near, far, shape), far: DelayLine(far, near, shape)}
    while True:
        now = time.monotonic()
        waits = [wait for line in lines.values() if (wait := line.give(now)) is not None]
        ready, _, _ = select.select([near, far], [], [], min(waits) if waits else None)
        now = time.monotonic()
        for tap in ready:
            lines[tap].take(now)


def main(near: str, far: str, *numbers: str) -> None:
    """Make the taps, leave the relay behind and print its pid."""
    delay_s, rate_bits, jitter_s, loss_percent = map(float, numbers)
    taps = open_tap(near), open_tap(far)
    if child := os.fork():
        print(child)
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    relay(*taps, Shape(delay_s, int(rate_bits), jitter_s, loss_percent))


if __name__ == "__main__":
    main(*sys.argv[1:])
