"""Tests of the room `builder`."""
