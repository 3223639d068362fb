"""Whose word counts: a project's file comes with a clone, so it chooses and lowers, no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelext.errors import OptionError
from kernelext.hosts import find_project, load_settings
from kernelext.hosts.inventory import _HOST_KEYS, _PROJECT_KEYS, _USER_KEYS

Environ = dict[str, str]

USERS_FILE = """
owner = "ada"
default_host = "aws01"
upload_limit = "1GB"
lost_after = "1h"
[env]
TOKEN = "s3cret"
[hosts.aws01]
pickles = "keep"
[hosts.big]
"""

# A value that would be right in the user's file, for each of its keys.
VALUES = {
    "owner": '"eve"',
    "lost_after": '"1s"',
    "hosts": '{evil = {ssh = "eve@evil.example.com"}}',
    "env": '{TOKEN = "other"}',
    "ssh": '"eve@evil.example.com"',
    "daemon_image": '"evil"',
    "state_dir": '"/"',
    "slots": "99",
    "pickles": '"load"',
}


@pytest.fixture
def project(tmp_path: Path, home: Path) -> Path:
    (home / "kernelext.toml").write_text(USERS_FILE)
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def write(folder: Path, text: str) -> None:
    (folder / "kernelext.toml").write_text(text)


@pytest.mark.parametrize("key", sorted({*_USER_KEYS, *_HOST_KEYS} - {*_PROJECT_KEYS}))
def test_key_of_the_user_is_refused_in_a_project(project: Path, environ: Environ, key: str) -> None:
    write(project, f"{key} = {VALUES.get(key, 1)}")
    with pytest.raises(
        OptionError,
        match=f"the project's kernelext.toml comes with the project and may not set `{key}`:"
        " move it to your own",
    ):
        load_settings(project, environ)


@pytest.mark.parametrize(
    "text",
    [
        "[hosts.aws01]\npickles = 'load'",
        "[hosts.aws01]\nssh = 'eve@evil.example.com'",
        "[hosts.local]\nslots = 99",
        "[env]\nLD_PRELOAD = '/evil.so'",
        "budget = '1000 USD'",
        "transport = 'openssh'",
        "identity = '~/.ssh/id_rsa'",
        "proxy_command = 'evil'",
        "profile = 'admin'",
        "allow_secrets = ['.env']",
        "default_host = 'eve@evil.example.com'",
        "default_host = '203.0.113.7'",
        "default_host = '[2001:db8::7]:22'",
        "default_host = 'ssh://evil.example.com'",
    ],
)
def test_project_cannot_widen_anything(project: Path, environ: Environ, text: str) -> None:
    write(project, text)
    with pytest.raises(OptionError, match=r"the project's kernelext\.toml"):
        load_settings(project, environ)


def test_everything_a_project_leaves_alone_is_the_users(project: Path, environ: Environ) -> None:
    own = load_settings(None, environ)
    write(project, "default_host = 'big'\nimage = 'i'\nupload_limit = '9GB'")
    settings = load_settings(project, environ)
    assert (settings.default_host, settings.image) == ("big", "i")
    assert settings.upload_limit_bytes == own.upload_limit_bytes
    for name in ("owner", "hosts", "lost_after_s", "env"):
        assert getattr(settings, name) == getattr(own, name)
    assert not settings.hosts["aws01"].loads_pickles


def test_link_to_the_users_file_is_the_users_file(
    project: Path, home: Path, environ: Environ
) -> None:
    (project / "kernelext.toml").symlink_to(home / "kernelext.toml")
    assert find_project(project) == project
    assert load_settings(project, environ) == load_settings(None, environ)


def test_link_to_another_file_is_a_projects(
    project: Path, tmp_path: Path, environ: Environ
) -> None:
    write(tmp_path, "owner = 'eve'")
    (project / "kernelext.toml").symlink_to(tmp_path / "kernelext.toml")
    with pytest.raises(OptionError, match="may not set `owner`"):
        load_settings(project, environ)


def test_copy_of_the_users_file_is_a_projects(project: Path, environ: Environ) -> None:
    write(project, USERS_FILE)
    with pytest.raises(OptionError, match="may not set"):
        load_settings(project, environ)


def test_nearest_of_nested_projects_counts_alone(project: Path, environ: Environ) -> None:
    write(project, "default_host = 'big'\nupload_limit = '1MB'")
    inner = project / "vendor" / "inner"
    inner.mkdir(parents=True)
    write(inner, "image = 'i'")
    found = find_project(inner)
    assert found == inner
    settings = load_settings(found, environ)
    assert (settings.image, settings.default_host) == ("i", "aws01")
    assert settings.upload_limit_bytes == 1024**3


def test_broken_link_and_folder_of_that_name_are_no_project(project: Path) -> None:
    (project / "kernelext.toml").symlink_to(project / "absent")
    assert find_project(project) is None
    (project / "kernelext.toml").unlink()
    (project / "kernelext.toml").mkdir()
    assert find_project(project) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("env = 1", r"it is a table: write \[env\]"),
        ("[env]\nTOKEN = 7", "TOKEN is neither a text"),
        ("[env]\nTOKEN = false", "TOKEN is neither a text"),
        ("[env]\n'A=B' = 'x'", "'A=B' is no name"),
        ('[env]\nTOKEN = "s3cret\\u0000"', "TOKEN is neither a text"),
    ],
)
def test_mistakes_in_env_are_said_without_the_value(
    home: Path, environ: Environ, text: str, said: str
) -> None:
    (home / "kernelext.toml").write_text(text)
    with pytest.raises(OptionError, match=said) as caught:
        load_settings(None, environ)
    assert "s3cret" not in str(caught.value)


def test_settings_do_not_show_the_values_of_env(project: Path, environ: Environ) -> None:
    assert "s3cret" not in repr(load_settings(project, environ))
