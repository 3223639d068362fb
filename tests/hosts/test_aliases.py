"""The `Host` lines of an SSH configuration."""

from pathlib import Path

import pytest

from kernelext.errors import OptionError
from kernelext.hosts.aliases import concrete_aliases, has_alias, host_patterns

Environ = dict[str, str]


def test_host_patterns_of_no_file_are_none(home: Path, environ: Environ) -> None:
    (home / ".ssh" / "config").unlink()
    assert host_patterns(environ) == []


def test_host_patterns_reads_every_spelling(home: Path, environ: Environ) -> None:
    (home / ".ssh" / "config").write_text(
        'HOST a "b c" # d\nhost=e\n\tHost = f\n#Host g\nHostName h\nMatch host i\nHost\nHost *\n'
    )
    assert host_patterns(environ) == [("a", "b c"), ("e",), ("f",), ("*",)]


def test_host_patterns_follows_includes(home: Path, environ: Environ) -> None:
    more = home / ".ssh" / "conf.d"
    more.mkdir()
    (more / "2").write_text("Host two\nInclude config\n")
    (more / "1").write_text("Host one\n")
    (home / "far").write_text("Host far\n")
    (home / "abs").write_text("Host abs\n")
    (home / ".ssh" / "config").write_text(
        f"Include conf.d/* absent\nInclude ~/far {home}/abs\nHost main\n"
    )
    found = list(dict.fromkeys(host_patterns(environ)))
    assert sorted(found) == [("abs",), ("far",), ("main",), ("one",), ("two",)]
    assert found[:2] == [("one",), ("two",)]


def test_host_patterns_of_circular_includes_end(home: Path, environ: Environ) -> None:
    (home / ".ssh" / "config").write_text("Host a\nInclude config\nInclude config\n")
    assert host_patterns(environ) == [("a",)]


def test_host_patterns_of_an_unreadable_file_says_so(home: Path, environ: Environ) -> None:
    (home / ".ssh" / "config").unlink()
    (home / ".ssh" / "config").symlink_to("/proc/self/mem")  # a file that not even root can read
    with pytest.raises(OptionError, match="cannot be read"):
        host_patterns(environ)


def test_has_alias_needs_more_than_a_line_for_all() -> None:
    lines = [("*",), ("gpu?", "*.lab", "!gpu9"), ("a.b",), ("*", "!x")]
    assert [has_alias(name, lines) for name in ("gpu1", "x.lab", "a.b")] == [True] * 3
    assert [has_alias(name, lines) for name in ("gpu9", "gpu10", "axb", "", "x")] == [False] * 5


def test_concrete_aliases_have_no_wildcard() -> None:
    assert concrete_aliases([("a", "b*", "!c"), ("d",), ("a",), ("*",)]) == ["a", "d"]
