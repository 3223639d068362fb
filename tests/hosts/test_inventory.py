"""The two files: what each may say, and how they are merged."""

from pathlib import Path

import pytest

from kernelext.errors import OptionError
from kernelext.hosts import find_project, load_settings
from kernelext.hosts.config import HostConfig

Environ = dict[str, str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def write_user(home: Path, text: str) -> None:
    (home / "kernelext.toml").write_text(text)


def write_project(project: Path, text: str) -> None:
    (project / "kernelext.toml").write_text(text)


def test_load_settings_without_files_has_the_defaults(project: Path, environ: Environ) -> None:
    settings = load_settings(project, environ)
    assert settings.owner.startswith("ada@")
    assert (settings.default_host, settings.hosts, settings.image) == ("local", {}, None)
    assert settings.upload_limit_bytes == 2 * 1024**3
    assert settings.lost_after_s == 600


def test_load_settings_reads_the_users_file(home: Path, environ: Environ) -> None:
    write_user(
        home,
        """
        owner = "ada"
        default_host = "aws01"
        upload_limit = "500MB"
        lost_after = "1h"

        [hosts.aws01]
        [hosts."gpu.lab"]
        ssh = "ada@10.0.0.7:2222"
        image = "my/image"
        daemon_image = "python:3.12-slim"
        state_dir = "/data/kernelext"
        slots = 4
        pickles = "keep"
        [hosts.local]
        slots = 2
        """,
    )
    settings = load_settings(None, environ)
    assert (settings.owner, settings.default_host) == ("ada", "aws01")
    assert (settings.upload_limit_bytes, settings.lost_after_s) == (500 * 1024**2, 3600)
    source = "your kernelext.toml"
    assert settings.hosts["aws01"] == HostConfig("aws01", ssh="aws01", source=source)
    assert settings.hosts["gpu.lab"] == HostConfig(
        name="gpu.lab",
        ssh="ada@10.0.0.7:2222",
        image="my/image",
        daemon_image="python:3.12-slim",
        state_dir="/data/kernelext",
        slots=4,
        pickles="keep",
        source=source,
    )
    assert settings.hosts["local"] == HostConfig("local", slots=2, source=source)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('ownr = "ada"', "`ownr`; did you mean `owner`"),
        ("xyz = 1", "no key `xyz`."),
        ("owner = 1", "`owner`: 1 is not a text"),
        ('owner = " "', "`owner`"),
        ('upload_limit = "big"', "`upload_limit`: .*8g"),
        ("upload_limit = true", "`upload_limit`"),
        ("lost_after = []", "`lost_after`"),
        ("hosts = 3", r"\[hosts.NAME\]"),
        ("[hosts]\naws01 = 'x'", "hosts.aws01.* is not a table"),
        ("[hosts.aws01]\nslot = 1", r"\[hosts.aws01\].*`slot`; did you mean `slots`"),
        ("[hosts.aws01]\nslots = 0", "`slots`"),
        ("[hosts.aws01]\nslots = true", "`slots`"),
        ("[hosts.aws01]\npickles = 'never'", "`pickles`: 'never' is neither \"load\" nor"),
        ("[hosts.aws01]\npickles = true", "`pickles`"),
        ("[hosts.aws01]\nssh = '-oX=y'", "`ssh`.*no machine"),
        ("[hosts.aws01]\nstate_dir = 'here'", "`state_dir`.*absolute"),
        ("[hosts.local]\nssh = 'x'", "`local` is this machine"),
        ("[hosts.'a,b']", "no commas"),
        ("[hosts.'-a']", "leading dash"),
        ("[hosts.'a;b']", "`ssh`.*no machine"),
        ("owner = \n", "not TOML.*line 1"),
    ],
)
def test_load_settings_refuses_with_file_and_key(
    home: Path, environ: Environ, text: str, said: str
) -> None:
    write_user(home, text)
    with pytest.raises(OptionError, match=rf"kernelext\.toml.*{said}"):
        load_settings(None, environ)


def test_load_settings_project_chooses_and_lowers(
    home: Path, project: Path, environ: Environ
) -> None:
    write_user(home, "upload_limit = '1GB'\n[hosts.aws01]\n")
    write_project(project, "default_host = 'aws01'\nimage = 'i'\nupload_limit = '100MB'\n")
    settings = load_settings(project, environ)
    assert (settings.default_host, settings.image) == ("aws01", "i")
    assert settings.upload_limit_bytes == 100 * 1024**2
    write_project(project, "upload_limit = '5GB'\n")
    assert load_settings(project, environ).upload_limit_bytes == 1024**3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[hosts.evil]\nssh = 'evil.example.com'", "may not set `hosts`.*own kernelext.toml"),
        ("owner = 'me'", "may not set `owner`"),
        ("lost_after = '1s'", "may not set `lost_after`"),
        ("imge = 'x'", "`imge`; did you mean `image`"),
        ("image = 1", "`image`"),
        ("default_host = 'eve@evil.example.com'", "none of yours"),
        ("default_host = 'evil:22'", "none of yours"),
    ],
)
def test_load_settings_project_may_not(
    project: Path, environ: Environ, text: str, said: str
) -> None:
    write_project(project, text)
    with pytest.raises(OptionError, match=f"the project's kernelext.toml.*{said}"):
        load_settings(project, environ)


def test_load_settings_project_may_choose_an_address_of_the_users(
    home: Path, project: Path, environ: Environ
) -> None:
    (home / ".ssh" / "config").write_text("Host *.lab\n")
    write_project(project, "default_host = 'gpu.lab'")
    assert load_settings(project, environ).default_host == "gpu.lab"


def test_load_settings_users_file_is_not_a_project(home: Path, environ: Environ) -> None:
    write_user(home, "owner = 'ada'\n[hosts.aws01]\n")
    assert load_settings(home, environ).owner == "ada"


def test_find_project_is_the_nearest_upwards(project: Path) -> None:
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    assert find_project(deep) is None
    write_project(project, "")
    assert find_project(deep) == project
    write_project(deep, "")
    assert find_project(deep) == deep
