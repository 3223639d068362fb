"""What may stand where SSH expects a machine."""

import pytest

from kernelext.errors import OptionError
from kernelext.hosts.targets import Target, parse_target


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("aws01", Target("aws01", None, None)),
        ("ada@aws01", Target("aws01", "ada", None)),
        ("ada@corp@aws01:22", Target("aws01", "ada@corp", 22)),
        ("10.0.0.7:2222", Target("10.0.0.7", None, 2222)),
        ("2001:db8::7", Target("2001:db8::7", None, None)),
        ("ada@[2001:db8::7]:2222", Target("2001:db8::7", "ada", 2222)),
        ("ssh://ada@aws01:22/", Target("aws01", "ada", 22)),
    ],
)
def test_parse_target(text: str, wanted: Target) -> None:
    assert parse_target(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a b", "-oProxyCommand=x", "ada@-x", "-l@x", "@x", "ada@", "x\n", "[::1", "[]"),
        *("x;id", "$(id)", "`id`@x", "a'b", "x|y", "[::1]22"),
        *("x:0", "x:65536", "x:", "x:22a", "x:-1", "x:²"),
    ],
)
def test_parse_target_refuses(text: str) -> None:
    with pytest.raises(OptionError):
        parse_target(text)
