"""Reading and writing known_hosts, with OpenSSH's own ssh-keygen as the judge."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kernelext.errors import HostKeyError
from kernelext.link.known_hosts import enrol, find_keys, fingerprint, lookup_name
from tests.link.sshd import make_key, public_key


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("keys")
    return [public_key(make_key(folder / f"key{number}")) for number in range(3)]


def names_found(file: Path, *names: str) -> list[str]:
    return [key.names for key in find_keys([file], names)]


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_fingerprint_agrees_with_ssh_keygen(tmp_path: Path, kind: str) -> None:
    file = make_key(tmp_path / "key", kind)
    said = subprocess.run(["ssh-keygen", "-lf", str(file)], capture_output=True, text=True).stdout
    known = tmp_path / "known_hosts"
    enrol(known, "aws01", *public_key(file))
    (key,) = find_keys([known], ["aws01"])
    assert key.fingerprint == said.split()[1]


def test_fingerprint_has_no_padding() -> None:
    assert fingerprint(b"x") == "SHA256:LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE"


@pytest.mark.parametrize("name", ["aws01", "[aws01]:2222", "[::1]:22022", "2001:db8::7"])
def test_enrol_is_found_by_ssh_keygen(tmp_path: Path, keys: list, name: str) -> None:
    file = tmp_path / "ssh" / "known_hosts"
    enrol(file, name, *keys[0])
    found = subprocess.run(["ssh-keygen", "-F", name, "-f", str(file)], capture_output=True)
    assert keys[0][1].encode() in found.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_find_keys_reads_hashed_names(tmp_path: Path, keys: list) -> None:
    file = tmp_path / "known_hosts"
    for name, key in zip(("aws01", "[aws02]:2222"), keys, strict=False):
        enrol(file, name, *key)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    assert "aws" not in file.read_text()
    assert [key.key_base64 for key in find_keys([file], ["[aws02]:2222"])] == [keys[1][1]]
    assert names_found(file, "aws02") == []


@pytest.mark.parametrize(
    ("names", "name", "matches"),
    [
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com,!b.example.com", "b.example.com", False),
        ("!b.example.com,*", "b.example.com", False),
        ("aws0?", "aws01", True),
        ("aws0?", "aws011", False),
        ("other,AWS01", "aws01", True),
        ("[*.example.com]:22??", "[a.example.com]:2222", True),
        ("a+b", "aab", False),
        ("|1|garbage|x", "aws01", False),
    ],
)
def test_find_keys_matches_as_openssh(tmp_path: Path, names: str, name: str, matches: bool) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"# {names} is here\n\n{names} ssh-ed25519 AAAA someone\nbroken\n")
    assert bool(find_keys([tmp_path / "absent", file], [name])) is matches


def test_find_keys_keeps_markers_and_lines(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_bytes(
        b"\xff\xfe\n@revoked aws01 ssh-rsa AAAA\r\n@cert-authority *\tssh-ed25519  AAAB x\n"
        b"@future aws01 ssh-rsa AAAC\n"
    )
    found = find_keys([file], ["aws01"])
    assert [(key.marker, key.line) for key in found] == [("@revoked", 2), ("@cert-authority", 3)]


def test_enrol_keeps_all_else_byte_for_byte(tmp_path: Path, keys: list) -> None:
    file = tmp_path / "known_hosts"
    before = b"# mine \xff\r\n\r\nold ssh-rsa AAAA comment  \n@cert-authority * ssh-rsa AAAB"
    file.write_bytes(before)
    file.chmod(0o644)
    enrol(file, "aws01", *keys[0])
    enrol(file, "aws01", *keys[0])
    line = f"aws01 {keys[0][0]} {keys[0][1]}\n".encode()
    assert file.read_bytes() == before + b"\n" + line
    assert file.stat().st_mode & 0o777 == 0o644


def test_enrol_replaces_only_when_told(tmp_path: Path, keys: list) -> None:
    file = tmp_path / "known_hosts"
    kind, old = keys[0]
    shared = f"Aws01,10.0.0.7 {kind} {old} c\n"
    rest = f"* {kind} {keys[1][1]}\naws01 ssh-rsa AAAA\n@revoked aws01 {kind} AAAB\n"
    file.write_text(f"aws01 {kind} {old}\n{shared}{rest}")
    new = keys[2][1]
    with pytest.raises(HostKeyError, match=r"Line 1 of .* has another ssh-ed25519 key of aws01"):
        enrol(file, "aws01", kind, new)
    enrol(file, "aws01", kind, new, replace=True)
    assert file.read_text() == f"10.0.0.7 {kind} {old} c\n{rest}aws01 {kind} {new}\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["known_hosts"]


def test_enrol_replaces_a_hashed_name(tmp_path: Path, keys: list) -> None:
    file = tmp_path / "known_hosts"
    enrol(file, "aws01", *keys[0])
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    enrol(file, "aws01", *keys[1], replace=True)
    assert file.read_text() == f"aws01 {keys[1][0]} {keys[1][1]}\n"


def test_enrol_refuses_a_revoked_key(tmp_path: Path, keys: list) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"@revoked * {keys[0][0]} {keys[0][1]}\n")
    with pytest.raises(HostKeyError, match="revokes this key of aws01"):
        enrol(file, "aws01", *keys[0], replace=True)


def test_enrol_follows_a_link(tmp_path: Path, keys: list) -> None:
    (tmp_path / "dotfiles").mkdir()
    link = tmp_path / "known_hosts"
    link.symlink_to(tmp_path / "dotfiles" / "known_hosts")
    enrol(link, "aws01", *keys[0])
    enrol(link, "aws01", *keys[1], replace=True)
    assert link.is_symlink()
    assert names_found(link, "aws01") == ["aws01"]


def test_lookup_name_is_openssh_s() -> None:
    assert lookup_name("Aws01") == "aws01"
    assert lookup_name("aws01", 2222) == "[aws01]:2222"
    assert lookup_name("10.0.0.7", 2222, "Aws01") == "aws01"
