"""Measures kernelext beside its peers on the lab's hosts: `python -m tests.bench`."""
