"""Real Docker hosts on one Linux machine: namespaces, a disk, sshd and dockerd each."""
