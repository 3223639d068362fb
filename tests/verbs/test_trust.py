"""Enrolling host keys: on the way to a host, into files that hide names or cannot be written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext.errors import HostKeyError, OptionError
from kernelext.link.known_hosts import find_keys, fingerprint
from kernelext.link.ssh import host_key
from kernelext.verbs.commands import run_command
from kernelext.verbs.context import Context
from tests.hosts.contexts import write_context
from tests.link.sshclient import SshClient
from tests.link.sshd import Sshd, make_key


@pytest.fixture
def client(tmp_path: Path) -> SshClient:
    return SshClient(tmp_path / "client")


@pytest.fixture
def context(client: SshClient, tmp_path: Path) -> Iterator[Context]:
    with contextlib.closing(Context(tmp_path, client.environ)) as context:
        yield context


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[dict[str, Sshd]]:
    """Three servers whose keys nobody knows."""
    login = make_key(tmp_path / "login")
    with contextlib.ExitStack() as stack:
        made = {}
        for name in ("one", "two", "aws01"):
            sshd = Sshd(tmp_path / name, [make_key(tmp_path / f"{name}_key")], [login])
            made[name] = stack.enter_context(contextlib.closing(sshd))
            sshd.known_hosts.write_text("")
        yield made


def trust(context: Context, *words: str) -> str:
    return run_command(context, "kernelext", ["trust", *words])


def shown(sshd: Sshd) -> str:
    """The fingerprint that its owner would tell."""
    return host_key("x", sshd.target(), resolve=lambda name: sshd.target()).fingerprint_sha256


def test_trust_goes_hop_by_hop(
    client: SshClient, context: Context, servers: dict[str, Sshd]
) -> None:
    client.write(servers, "Host aws01\n  ProxyJump one,two\n")
    for name in ("one", "two"):
        with pytest.raises(HostKeyError, match=f"^{name} .*kernelext trust aws01 --fingerprint"):
            trust(context, "aws01")
        with pytest.raises(HostKeyError, match="nothing was enrolled"):
            trust(context, "aws01", "--fingerprint", fingerprint(b"another"))
        said = trust(context, "aws01", "--fingerprint", shown(servers[name]))
        assert said.startswith(f"{name} (")
        assert said.endswith("; for the next: kernelext trust aws01")
    said = trust(context, "aws01", "--fingerprint", shown(servers["aws01"]))
    assert said.startswith("aws01 (")
    assert said.endswith(f"it is enrolled in {servers['aws01'].known_hosts}")
    assert "is enrolled already" in trust(context, "aws01")
    client.open("aws01").close()


@pytest.mark.parametrize("is_hashing", ["yes", "no"])
def test_trust_hides_names_where_ssh_would(
    client: SshClient, context: Context, servers: dict[str, Sshd], is_hashing: str
) -> None:
    client.write(servers, f"HashKnownHosts {is_hashing}")
    trust(context, "aws01", "--fingerprint", shown(servers["aws01"]))
    text = servers["aws01"].known_hosts.read_text()
    assert ("127.0.0.1" not in text) == (is_hashing == "yes")
    assert len(find_keys([servers["aws01"].known_hosts], [servers["aws01"].name])) == 1
    client.open("aws01").close()


def test_trust_says_that_the_file_cannot_be_written(
    client: SshClient, context: Context, servers: dict[str, Sshd], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    client.write(servers, f"UserKnownHostsFile {tmp_path}/file/known_hosts\nHashKnownHosts no")
    with pytest.raises(HostKeyError, match=r"cannot be written .* UserKnownHostsFile") as caught:
        trust(context, "aws01", "--fingerprint", shown(servers["aws01"]))
    assert f"line added: {servers['aws01'].name} ssh-ed25519 AAAA" in str(caught.value)


def test_trust_leaves_a_proxy_command_to_ssh(client: SshClient, context: Context) -> None:
    client.write({}, "Host aws01\n  ProxyCommand nc %h %p\n")
    with pytest.raises(OptionError, match="log in by `ssh aws01` in a terminal"):
        trust(context, "aws01")


def test_trust_is_about_ssh_alone(client: SshClient, context: Context) -> None:
    write_context(client.home / ".docker", "lab", "unix:///run/lab.sock")
    with pytest.raises(OptionError, match="`lab` is reached by the Docker context lab: there is"):
        trust(context, "lab")
    with pytest.raises(OptionError, match="`local` is this machine"):
        trust(context, "local")
