"""What the user's own `ssh -G` says is what we do."""

import getpass
from pathlib import Path

import pytest

from kernelext.errors import KernelExtError, OptionError
from kernelext.hosts import resolve_chain, resolve_ssh
from tests.hosts.conftest import OPENSSH

Environ = dict[str, str]
needs_openssh = pytest.mark.skipif(not OPENSSH.exists(), reason="needs the OpenSSH client")


def configure(home: Path, text: str) -> None:
    (home / ".ssh" / "config").write_text(text)


@needs_openssh
def test_resolve_ssh_reads_an_alias(home: Path, environ: Environ) -> None:
    (home / ".ssh" / "key").write_text("")
    (home / ".ssh" / "known").write_text("")
    configure(
        home,
        f"""
        Host gpu*
            HostName %h.example.com
            Port 2222
            User ada
            IdentityFile ~/.ssh/absent
            IdentityFile %d/.ssh/key
            IdentitiesOnly yes
            IdentityAgent none
            HostKeyAlias the-gpu
            UserKnownHostsFile {home}/.ssh/known "{home}/with space/known"
            GlobalKnownHostsFile /etc/ssh/all_known
            ConnectTimeout 7
            ServerAliveInterval 15
        """,
    )
    found = resolve_ssh("gpu1", environ)
    assert (found.hostname, found.port, found.user) == ("gpu1.example.com", 2222, "ada")
    assert found.identity_files == (home / ".ssh" / "key",)
    assert (found.identities_only, found.identity_agent) == (True, "none")
    assert found.known_hosts_files == (
        home / ".ssh" / "known",
        home / "with space" / "known",
        Path("/etc/ssh/all_known"),
    )
    assert found.host_key_alias == "the-gpu"
    assert (found.connect_timeout_s, found.server_alive_interval) == (7, 15)
    assert (found.proxy_jump, found.proxy_command) == ((), None)


@needs_openssh
def test_resolve_ssh_target_wins_over_the_alias(home: Path, environ: Environ) -> None:
    configure(home, "Host gpu1\n  Port 2222\n  User ada\n")
    found = resolve_ssh("bob@gpu1:33", environ)
    assert (found.hostname, found.port, found.user) == ("gpu1", 33, "bob")
    assert found.target == "bob@gpu1:33"


@needs_openssh
def test_resolve_ssh_defaults(home: Path, environ: Environ) -> None:
    (home / ".ssh" / "id_ed25519").write_text("")
    found = resolve_ssh("10.0.0.7", environ)
    assert (found.hostname, found.port, found.user) == ("10.0.0.7", 22, getpass.getuser())
    assert found.identity_files == (home / ".ssh" / "id_ed25519",)
    assert (found.identities_only, found.identity_agent) == (False, None)
    assert (found.connect_timeout_s, found.server_alive_interval) == (None, None)
    assert [file.name for file in found.known_hosts_files][:1] == ["known_hosts"]


@needs_openssh
def test_resolve_ssh_agent_of_a_variable(home: Path, environ: Environ) -> None:
    configure(home, "Host a\n  IdentityAgent $MY_AGENT\nHost b\n  IdentityAgent /run/agent\n")
    assert resolve_ssh("a", {**environ, "MY_AGENT": "/run/mine"}).identity_agent == "/run/mine"
    assert resolve_ssh("b", environ).identity_agent == "/run/agent"


@needs_openssh
def test_resolve_ssh_follows_include_and_match(home: Path, environ: Environ) -> None:
    (home / "more.conf").write_text("Host gpu1\n  Port 2200\n")
    configure(
        home,
        f"Include {home}/more.conf\n"
        'Match host gpu1 exec "test -d $HOME"\n  User eve\n'
        "Match all\n  User bob\n",
    )
    found = resolve_ssh("gpu1", environ)
    assert (found.port, found.user) == (2200, "eve")


@needs_openssh
def test_resolve_ssh_fills_in_the_proxy_command(home: Path, environ: Environ) -> None:
    configure(home, "Host a\n  HostName 10.0.0.1\n  ProxyCommand nc -x %% %n %r %h %p\n  User u\n")
    assert resolve_ssh("a", environ).proxy_command == "nc -x % a u 10.0.0.1 22"


@needs_openssh
def test_resolve_chain_goes_jump_by_jump(home: Path, environ: Environ) -> None:
    configure(
        home,
        """
        Host deep
            ProxyJump ada@one:2201,two
        Host one
            HostName 10.0.0.1
            ProxyJump zero
        Host two
            ProxyJump ignored
        Host plain
            ProxyJump none
        """,
    )
    assert resolve_ssh("deep", environ).proxy_jump == ("ada@one:2201", "two")
    chain = resolve_chain("deep", environ)
    assert [hop.target for hop in chain] == ["zero", "ada@one:2201", "two", "deep"]
    assert (chain[1].hostname, chain[1].port, chain[1].user) == ("10.0.0.1", 2201, "ada")
    assert chain[2].proxy_jump == ()
    assert [hop.target for hop in resolve_chain("plain", environ)] == ["plain"]


@needs_openssh
def test_resolve_chain_refuses_a_circle(home: Path, environ: Environ) -> None:
    configure(home, "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    with pytest.raises(OptionError, match='from "a" back to "a"'):
        resolve_chain("a", environ)


@needs_openssh
def test_resolve_ssh_repeats_what_ssh_says(home: Path, environ: Environ) -> None:
    configure(home, "Host a\n  Prot 22\n")
    with pytest.raises(KernelExtError, match=r"line 2: Bad configuration option: prot$"):
        resolve_ssh("a", environ)


@pytest.mark.parametrize("target", ["", "-V", "a b", "x;id"])
def test_resolve_ssh_refuses_bad_targets(environ: Environ, target: str) -> None:
    with pytest.raises(OptionError, match="no machine"):
        resolve_ssh(target, environ)


def test_resolve_ssh_without_openssh_reads_the_files(
    home: Path, environ: Environ, tmp_path: Path
) -> None:
    (home / ".ssh" / "key").write_text("")
    (home / ".ssh" / "more").write_text("Host gpu1 !gpu2\n  Port 2200\n")
    configure(
        home,
        """
        Include more
        Host gpu*
            HostName %h.example.com
            User = eve
            Port 1
            IdentityFile ~/.ssh/absent
            IdentityFile "~/.ssh/key"
            IdentitiesOnly yes
            ProxyJump one,two
            Ciphers aes256-ctr,aes128-ctr
            MACs +hmac-sha1
        Host other
            User nobody
        Match all
            HostKeyAlias all
        """,
    )
    without = {**environ, "PATH": str(tmp_path / "nothing")}
    found = resolve_ssh("gpu1", without)
    assert (found.hostname, found.port, found.user) == ("gpu1.example.com", 2200, "eve")
    assert found.identity_files == (home / ".ssh" / "key",)
    assert (found.identities_only, found.host_key_alias) == (True, "all")
    assert found.proxy_jump == ("one", "two")
    assert found.algorithms.ciphers == ("aes256-ctr", "aes128-ctr")
    assert found.algorithms.macs == ()
    assert resolve_ssh("bob@gpu1:33", without).user == "bob"
    if OPENSSH.exists():  # the judge
        judged = resolve_ssh("gpu1", environ)
        for name in ("hostname", "port", "user", "identity_files", "proxy_jump", "host_key_alias"):
            assert getattr(found, name) == getattr(judged, name)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Match user eve\n  Port 2\n", "has a `Match` that kernelext cannot read: install the"),
        ("Ciphers -aes128-ctr\n", "ciphers of the SSH configuration takes from defaults"),
    ],
)
def test_resolve_ssh_without_openssh_misreads_nothing(
    home: Path, environ: Environ, tmp_path: Path, text: str, part: str
) -> None:
    configure(home, text)
    with pytest.raises(OptionError, match=part):
        resolve_ssh("gpu1", {**environ, "PATH": str(tmp_path / "nothing")})


@needs_openssh
def test_resolve_ssh_asks_for_each_match(home: Path, environ: Environ) -> None:
    configure(
        home,
        """
        Match originalhost gpu1 user bob
            Port 1
        Match exec "test %n = gpu1"
            Port 2
        Match host *.example.org
            Port 3
        Host gpu2
            HostName gpu2.example.com
        Match final host gpu2.example.com
            Port 4
        """,
    )
    assert resolve_ssh("bob@gpu1", environ).port == 1
    assert resolve_ssh("eve@gpu1", environ).port == 2
    assert resolve_ssh("a.example.org", environ).port == 3
    assert resolve_ssh("gpu2", environ).port == 4


@needs_openssh
def test_resolve_ssh_fills_in_tokens_and_variables(home: Path, environ: Environ) -> None:
    configure(
        home,
        f"""
        Host gpu1
            HostName 10.0.0.1
            HostKeyAlias the-gpu
            UserKnownHostsFile {home}/known_%k ${{MY_DIR}}/known_%h_%p {home}/known_%r
            User ada
            AddressFamily inet
            HashKnownHosts yes
            BindAddress 10.0.0.9
            StrictHostKeyChecking accept-new
        """,
    )
    found = resolve_ssh("gpu1", {**environ, "MY_DIR": "/my"})
    assert found.known_hosts_files[:3] == (
        home / "known_the-gpu",
        Path("/my/known_10.0.0.1_22"),
        home / "known_ada",
    )
    assert (found.address_family, found.is_hashing, found.is_strict) == ("inet", True, False)
    assert found.not_ours == ("BindAddress",)
    assert "ssh-ed25519" in found.algorithms.host_keys


def test_resolve_ssh_without_openssh(home: Path, environ: Environ, tmp_path: Path) -> None:
    (home / ".ssh" / "id_rsa").write_text("")
    found = resolve_ssh("10.0.0.7:2222", {**environ, "PATH": str(tmp_path / "nothing")})
    assert (found.hostname, found.port, found.user) == ("10.0.0.7", 2222, "ada")
    assert found.identity_files == (home / ".ssh" / "id_rsa",)
    assert found.known_hosts_files[0] == home / ".ssh" / "known_hosts"
