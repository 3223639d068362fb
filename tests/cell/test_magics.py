"""What the magics, shell lines and help lines of a cell read and bind."""

from __future__ import annotations

import pytest

from kernelext.cell import read_cell
from kernelext.errors import CellSyntaxError


@pytest.mark.parametrize(
    ("source", "inputs", "outputs"),
    [
        ("x = 1\n%time y = f(x, z)", "f z", "x y"),
        ("%time for i in xs: g(i)", "xs g", "i"),
        ("%time", "", ""),
        ("%%capture out\nprint(a)\n%timeit -n 10 -r3 b = g(c)\nb", "print a g c b", "out b"),
        ("r = %timeit -o f(x)", "f x", "r"),
        ("%prun -l 10 main(a)", "main a", ""),
        ("%lprun -f h main(x)", "main x", ""),
        ("%timeit !ls {p}", "p", ""),
        ("files = !ls {folder + name} $sub/*.txt", "folder name sub", "files"),
        ("a, b = !ls", "", "a b"),
        ("awk = !awk '{print $1}' {file}", "file", "awk"),
        ("!echo {{no}} $$HOME {", "", ""),
        ("!ls \\\n  {k}\nw = 1", "k", "w"),
        ("if a:\n    !rm {b}\n    %time c=d\nelse:\n    pass", "a b d", "c"),
        ("%env A={v}", "v", ""),
        ("%cd $where", "where", ""),
        ("%matplotlib inline\nimport a", "", "a"),
        ("x = %sql select {n}", "n", "x"),
        ("f?", "f", ""),
        ("?f", "f", ""),
        ("m.fit??", "m", ""),
        ("np.*load*?", "", ""),
        ("import?", "", ""),
        ("%%time\ny = f(x)", "f x", "y"),
        ("# %%remote h\n\n%%time\ny = f(x)\n!ls", "f x", "y"),
        ("%%time\n%%capture o\nz = q", "q", "o z"),
        ("%%timeit s = k\nf(s)", "k f", "s"),
        ("%%bash --out res\nls $x\nif", "", "res"),
        ("%%writefile {name}\nnot python at all", "name", ""),
        ("%%html\n<b>?</b>", "", ""),
    ],
)
def test_read_cell_reads_magics(source: str, inputs: str, outputs: str) -> None:
    names = read_cell(source)
    assert set(names.inputs) == set(inputs.split())
    assert set(names.outputs) == set(outputs.split())
    assert names.magic.startswith("line ")


@pytest.mark.parametrize(
    "source",
    [
        "t = '''\n!a\n%b\nc?\n'''\nz = (q\n%time)",
        "x = 5 \\\n% 3",
        "# why?\nx != y",
        "s = '\\\n!ls'",
        'f(\n"""x?\n""",\n*a\n)',
    ],
)
def test_read_cell_takes_no_plain_python_for_a_magic(source: str) -> None:
    assert read_cell(source).magic == ""


@pytest.mark.parametrize(
    ("source", "line", "magic"),
    [
        ("x = 1\n%time f()", 2, "%time f()"),
        ("if x:\n    y\n    !ls -l", 3, "!ls -l"),
        ("t = '''\n!no\nwhy?\n'''\n%matplotlib inline\n!ls", 5, "%matplotlib inline"),
        ("x = 1\r\n!ls\r\n", 2, "!ls"),
        ("# %%remote\n\n%%time\nx", 3, "%%time"),
    ],
)
def test_read_cell_names_the_first_line_that_needs_ipython(
    source: str, line: int, magic: str
) -> None:
    assert read_cell(source).magic == f"line {line}, `{magic}`"


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("x = 1\n%store x", 2, "line 2, `%store x`, is about the notebook itself"),
        ("if x:\n    %edit", 2, "without %%remote"),
        ("%debug?\nx = %history -n", 2, "is about the notebook itself"),
        ("# %%remote a\n%%remote b\nx", 2, "`%%remote b`, is about the notebook itself"),
        ("%load_ext kernelext", 1, "belongs to the notebook"),
        ("%time if", 1, "invalid syntax in line 1, `%time if`"),
        ("%time y = 1\nx = = 2", 2, "invalid syntax"),
        ("!ls\n%%time\nx", 2, "line 2, `%%time`, is a cell magic: it has to come first"),
    ],
)
def test_read_cell_refuses(source: str, line: int, words: str) -> None:
    with pytest.raises(CellSyntaxError) as caught:
        read_cell(source)
    assert words in str(caught.value)
    assert caught.value.line == line
    assert caught.value.text == source.splitlines()[line - 1]
