"""Options of the SSH configuration, honoured or refused: a real `ssh -G` and a real sshd."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from kernelext.errors import ConnectError, HostKeyError, KernelExtError
from kernelext.link.openssh import OpenSshConnection
from tests.link.connecting import Start
from tests.link.sshclient import SshClient
from tests.link.sshd import Sshd, make_key

OPENSSH = r'set transport = "openssh" under \[hosts.aws01\]'


@pytest.fixture
def client(tmp_path: Path) -> SshClient:
    return SshClient(tmp_path / "client")


@pytest.mark.parametrize(
    ("settings", "kind", "found"),
    [
        ("Ciphers aes256-ctr", "local_cipher", "aes256-ctr"),
        ("MACs hmac-sha2-512\nCiphers aes128-ctr", "local_mac", "hmac-sha2-512"),
        ("HostKeyAlgorithms rsa-sha2-256", "host_key_type", "rsa-sha2-256"),
        ("HostKeyAlgorithms ssh-ed25519", "host_key_type", "ssh-ed25519"),
    ],
)
def test_algorithms_are_those_allowed(
    server: Sshd, client: SshClient, settings: str, kind: str, found: str
) -> None:
    client.write({"aws01": server}, settings)
    with contextlib.closing(client.open("aws01")) as connection:
        assert getattr(connection._transport, kind) == found


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ("Ciphers chacha20-poly1305@openssh.com", "allows aws01 no cipher that kernelext can do"),
        ("MACs umac-128-etm@openssh.com", "allows aws01 no MAC that"),
        ("KexAlgorithms sntrup761x25519-sha512@openssh.com", "allows aws01 no key exchange that"),
        ("RevokedHostKeys /dev/null", "has RevokedHostKeys, which kernelext cannot honour"),
        ("BindAddress 127.0.0.2\nBindInterface lo", "has BindAddress and BindInterface, which"),
    ],
)
def test_what_is_not_ours_is_refused(
    server: Sshd, client: SshClient, settings: str, part: str
) -> None:
    client.write({"aws01": server}, settings)
    with pytest.raises(ConnectError, match=part) as caught:
        client.open("aws01")
    assert 'set transport = "openssh" under [hosts.aws01]' in str(caught.value)
    with contextlib.closing(OpenSshConnection.open("aws01", "aws01", client.environ)) as by_program:
        assert by_program.execute(["echo", "in"], 10).communicate() == (0, b"in\n", b"")


def test_host_key_types_are_all_refused(server: Sshd, client: SshClient) -> None:
    client.write({"aws01": server}, "HostKeyAlgorithms sk-ssh-ed25519@openssh.com")
    with pytest.raises(ConnectError, match="allows aws01 no host key that kernelext can do"):
        client.open("aws01")


def test_proxy_command_is_for_the_program(client: SshClient, start: Start) -> None:
    command = f"ssh -F {client.config} -W %h:%p one"
    client.write(
        {name: start() for name in ("one", "aws01")}, f"Host aws01\n  ProxyCommand {command}\n"
    )
    with pytest.raises(ConnectError, match="reached by a ProxyCommand, .* " + OPENSSH):
        client.open("aws01")
    with contextlib.closing(OpenSshConnection.open("aws01", "aws01", client.environ)) as by_program:
        assert by_program.execute(["echo", "in"], 10).communicate() == (0, b"in\n", b"")


def test_rsa_key_that_is_too_short_is_refused(server: Sshd, client: SshClient) -> None:
    client.write({"aws01": server}, "HostKeyAlgorithms rsa-sha2-512\nRequiredRSASize 4096")
    with pytest.raises(HostKeyError, match=r"has 3072 bits, and RequiredRSASize .* 4096"):
        client.open("aws01")


def test_address_family_is_kept(server: Sshd, client: SshClient) -> None:
    client.write({"aws01": server}, "AddressFamily inet6")
    with pytest.raises(ConnectError, match=r"No address is known for 127\.0\.0\.1"):
        client.open("aws01")
    client.write({"aws01": server}, "AddressFamily inet")
    client.open("aws01").close()


@pytest.mark.parametrize("option", ["%d/.ssh/my key", "${MY_HOME}/.ssh/my key", "~/.ssh/my key"])
def test_identity_file_is_found_by_token_and_variable(
    server: Sshd, client: SshClient, option: str
) -> None:
    shutil.copy(server.client_key, client.home / ".ssh" / "my key")
    client.environ["MY_HOME"] = str(client.home)
    client.write({"aws01": server}, f'IdentityFile "{option}"')
    target = client.resolve("aws01")
    assert target.identity_files[0] == client.home / ".ssh" / "my key"


@pytest.fixture
def certified(tmp_path: Path, start: Start) -> tuple[Sshd, Path, Path]:
    """A server that lets in whom an authority has signed; a key, and its certificate elsewhere."""
    authority, key = make_key(tmp_path / "authority"), make_key(tmp_path / "signed")
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "id", "-n", "root", f"{key}.pub"]
    subprocess.run(sign, check=True, capture_output=True)
    certificate = Path(f"{key}-cert.pub").rename(tmp_path / "elsewhere.pub")
    sshd = start(f"TrustedUserCAKeys {authority}.pub")
    sshd.client_key = key
    return sshd, key, certificate


def test_certificate_file_is_offered(client: SshClient, certified: tuple[Sshd, Path, Path]) -> None:
    sshd, _, certificate = certified
    client.write({"aws01": sshd})
    with pytest.raises(ConnectError, match="offered: ssh-ed25519 from"):
        client.open("aws01")
    client.write({"aws01": sshd}, f"CertificateFile {certificate}")
    client.open("aws01").close()


def test_certificate_of_another_key_is_passed_over(
    client: SshClient, certified: tuple[Sshd, Path, Path], keys: dict[str, Path]
) -> None:
    sshd, _, certificate = certified
    sshd.client_key = keys["ed25519"]  # which may log in by itself
    client.write({"aws01": sshd}, f"CertificateFile {certificate}")
    client.open("aws01").close()


def test_certificate_that_cannot_be_read_is_said(
    client: SshClient, certified: tuple[Sshd, Path, Path]
) -> None:
    sshd, _, certificate = certified
    certificate.write_text("broken\n")
    client.write({"aws01": sshd}, f"CertificateFile {certificate}")
    with pytest.raises(ConnectError, match=r"its certificate .*elsewhere.pub cannot be read"):
        client.open("aws01")


def test_name_that_cannot_be_made_canonical_is_said(server: Sshd, client: SshClient) -> None:
    settings = "CanonicalizeHostname always\nCanonicalDomains invalid\nCanonicalizeFallbackLocal no"
    client.write({}, settings)
    with pytest.raises(KernelExtError, match=r"`ssh -G aws01` fails: .*ould not resolve"):
        client.resolve("aws01")


# several hops


def test_second_hop_is_verified(client: SshClient, start: Start) -> None:
    servers = {name: start() for name in ("one", "two", "aws01")}
    client.write(servers, "Host aws01\n  ProxyJump one,two\n")
    client.open("aws01").close()
    servers["two"].known_hosts.write_text("")
    with pytest.raises(HostKeyError, match=r"of two .* unknown, .*`kernelext trust aws01`"):
        client.open("aws01")


def test_first_hop_is_verified(client: SshClient, start: Start) -> None:
    servers = {name: start() for name in ("one", "two", "aws01")}
    client.write(servers, "Host aws01\n  ProxyJump one,two\n")
    servers["one"].known_hosts.write_text("")
    with pytest.raises(HostKeyError, match=r"of one .* unknown, .*`kernelext trust one`"):
        client.open("aws01")


# the ssh program


def test_program_refuses_an_unknown_key(server: Sshd, client: SshClient, tmp_path: Path) -> None:
    # What the configuration waves through, too.
    settings = f"UserKnownHostsFile {tmp_path}/none\nStrictHostKeyChecking no"
    client.write({"aws01": server}, settings)
    with pytest.raises(HostKeyError, match="then run `kernelext trust aws01`"):
        OpenSshConnection.open("aws01", "aws01", client.environ)
    assert not (tmp_path / "none").exists()


def test_program_refuses_a_changed_key(
    server: Sshd, client: SshClient, keys: dict[str, Path], tmp_path: Path
) -> None:
    other = " ".join(Path(f"{keys['other']}.pub").read_text().split()[:2])
    (tmp_path / "known").write_text(f"{server.name} {other}\n")
    client.write({"aws01": server}, f"UserKnownHostsFile {tmp_path}/known")
    with pytest.raises(HostKeyError, match="is not the known one, ssh says"):
        OpenSshConnection.open("aws01", "aws01", client.environ)


@pytest.mark.parametrize("value", ["no", "accept-new"])
def test_program_refuses_a_hop_that_nobody_checks(
    client: SshClient, start: Start, value: str
) -> None:
    servers = {name: start() for name in ("one", "aws01")}
    settings = f"Host aws01\n  ProxyJump one\nHost one\n  StrictHostKeyChecking {value}\n"
    client.write(servers, settings)
    with pytest.raises(HostKeyError, match="through one, whose key nobody checks: set Strict"):
        OpenSshConnection.open("aws01", "aws01", client.environ)


def test_program_goes_through_hops(client: SshClient, start: Start) -> None:
    client.write({name: start() for name in ("one", "aws01")}, "Host aws01\n  ProxyJump one\n")
    with contextlib.closing(OpenSshConnection.open("aws01", "aws01", client.environ)) as connection:
        assert connection.execute(["echo", "a b"], 10).communicate() == (0, b"a b\n", b"")
        assert connection.execute(["cat"], 10).communicate(b"x" * 3_000_000)[1] == b"x" * 3_000_000
        status, _, errors = connection.execute(
            ["sh", "-c", "echo no >&2; exit 3"], 10
        ).communicate()
        assert (status, errors) == (3, b"no")


def test_program_logs_in_once(
    server: Sshd,
    client: SshClient,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    client.write({"aws01": server})
    with contextlib.closing(OpenSshConnection.open("aws01", "aws01", client.environ)) as connection:
        (control,) = folder.glob("kernelext-*/c")
        control.unlink()
        assert connection.execute(["echo", "in"], 10).communicate()[:2] == (255, b"")
    assert list(folder.iterdir()) == []


def test_program_with_a_long_folder_for_its_socket(
    server: Sshd, client: SshClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ("long" * 20)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 20)))
    client.write({"aws01": server})
    OpenSshConnection.open("aws01", "aws01", client.environ).close()


def test_program_without_a_folder_for_its_socket(
    server: Sshd, client: SshClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    client.write({"aws01": server})
    with pytest.raises(ConnectError, match=r"/proc takes no folder .* name another one by TMPDIR"):
        OpenSshConnection.open("aws01", "aws01", client.environ)


def test_program_is_absent(client: SshClient, tmp_path: Path) -> None:
    environ = {**client.environ, "PATH": str(tmp_path)}
    with pytest.raises(ConnectError, match="there is no ssh here: install the OpenSSH client"):
        OpenSshConnection.open("aws01", "aws01", environ)
