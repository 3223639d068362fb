"""From a name to a host."""

from pathlib import Path

import pytest

from kernelext.errors import OptionError, UnknownHost
from kernelext.hosts import find_host, known_hosts_names, load_settings
from kernelext.hosts.config import HostConfig, Settings

Environ = dict[str, str]


@pytest.fixture
def settings(home: Path, environ: Environ) -> Settings:
    (home / ".ssh" / "config").write_text(
        "Host aws01 gpu*\n  User u\nHost both same\nHost *\n  User v\n"
    )
    (home / "kernelext.toml").write_text(
        "[hosts.both]\nssh = '10.0.0.1'\n[hosts.same]\nslots = 3\n[hosts.mine]\nssh = 'aws01'\n"
    )
    return load_settings(None, environ)


def test_find_host_local_is_this_machine(settings: Settings, environ: Environ) -> None:
    assert find_host("local", settings, environ).is_local
    table = HostConfig("local", slots=2, source="your kernelext.toml")
    assert find_host("local", Settings("ada", hosts={"local": table}), environ) == table


@pytest.mark.parametrize(
    ("name", "ssh", "source"),
    [
        ("mine", "aws01", "your kernelext.toml"),
        ("aws01", "aws01", "SSH alias"),
        ("gpu7", "gpu7", "SSH alias"),
        ("u@aws01", "u@aws01", "address"),
        ("10.0.0.7", "10.0.0.7", "address"),
        ("::1", "::1", "address"),
        ("box.example.com", "box.example.com", "address"),
        ("box:2222", "box:2222", "address"),
    ],
)
def test_find_host_by_name(
    settings: Settings, environ: Environ, name: str, ssh: str, source: str
) -> None:
    found = find_host(name, settings, environ)
    assert (found.name, found.ssh, found.source) == (name, ssh, source)


def test_find_host_with_two_meanings_says_both(settings: Settings, environ: Environ) -> None:
    both = find_host("both", settings, environ)
    assert both.ssh == "10.0.0.1"
    assert both.source == "your kernelext.toml; not the SSH alias both, which has the same name"
    same = find_host("same", settings, environ)
    assert (same.ssh, same.slots) == ("same", 3)
    assert same.source == "your kernelext.toml and SSH alias"


def test_find_host_unknown_suggests_and_says_the_next_step(
    settings: Settings, environ: Environ
) -> None:
    with pytest.raises(UnknownHost) as caught:
        find_host("aws1", settings, environ)
    assert str(caught.value) == (
        'No host is called "aws1": did you mean aws01? Else add `Host aws1` to ~/.ssh/config '
        "or [hosts.aws1] to kernelext.toml."
    )
    with pytest.raises(UnknownHost, match=r"did you mean same\?"):  # once, though twice known
        find_host("sam", settings, environ)
    with pytest.raises(UnknownHost, match='"zzz": add `Host zzz`'):
        find_host("zzz", settings, environ)


@pytest.mark.parametrize("name", ["x:99999", "a@", "gpu$(id)"])
def test_find_host_refuses_what_cannot_be(settings: Settings, environ: Environ, name: str) -> None:
    with pytest.raises(OptionError):
        find_host(name, settings, environ)


def test_known_hosts_names_lists_each_once(settings: Settings, environ: Environ) -> None:
    found = known_hosts_names(settings, environ)
    assert [host.name for host in found] == ["local", "both", "same", "mine", "aws01"]
    assert found == [find_host(host.name, settings, environ) for host in found]
