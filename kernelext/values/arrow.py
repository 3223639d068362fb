"""Tables of pandas, polars and pyarrow as Arrow IPC files.

The schema's metadata say under ``kernelext`` what the table was; any reader of Arrow (Feather)
opens the file. What Arrow would change is refused here, and travels as a pickle.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from kernelext.values import jsontags, pandas_tables
from kernelext.values.form import Form, NotExact, Stored
from kernelext.values.stored import Buffer

KEY = b"kernelext"
EXTENSION = b"ARROW:extension:name"
FOOTER_END_BYTES = 10  # the footer's size and the magic letters
SAMPLE_ROWS = 20_000
WORTH_IT = 0.95  # of the raw size; above, compressing costs more than it saves
SERIES = "kernelext.Series:"  # of polars: a frame of one column, whose name begins with it
PYARROW_KINDS = ("Table", "RecordBatch", "ChunkedArray", "Array")


def is_table(value: object) -> bool:
    """Whether a value is a table, column or index of one of the three libraries."""
    return _taker(value) is not None


def form_of(value: Any) -> Form:
    """Return the form of a table.

    Raises
    ------
    NotExact
        Arrow would change it, or pyarrow is not here.
    """
    taker = _taker(value)
    assert taker is not None
    return taker(value)


def read(data: Buffer, *, validates: bool = False) -> Any:
    """Read what `form_of` stored.

    Parameters
    ----------
    data : bytes or memoryview
    validates : bool
        Whether to look at every value first: offsets that leave the file would be followed.

    Raises
    ------
    Exception
        Whatever the libraries raise of damaged bytes.
    """
    import pyarrow as pa

    source = pa.py_buffer(data)
    with pa.ipc.open_file(source) as file:
        metadata = dict(file.schema.metadata or {})
    held = jsontags.loads(metadata.pop(KEY))
    kind = held["kind"]
    is_pandas = kind.startswith("pandas.")
    if is_pandas:  # pyarrow takes a type for what it is only if it knew it when it opened the file
        pandas_tables.register_types()
    with pa.ipc.open_file(source) as file:
        table = file.read_all().replace_schema_metadata(metadata or None)
    if validates:
        table.validate(full=True)
    if is_pandas:
        return pandas_tables.from_table(table, held)
    if kind == "RecordBatch":
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    if kind == "ChunkedArray":
        return table.column(0)
    if kind == "Array":
        return pa.concat_arrays(table.column(0).chunks) if len(table) else _empty(table)
    return table


def has_extension_types(data: Buffer) -> bool:
    """Whether a file names types of other libraries, whose own code would read them.

    Such code may unpickle what the file says, and one type of polars holds addresses of memory.
    The schema that a reader takes is the one in the footer, where names are plain bytes.
    """
    end = len(data) - FOOTER_END_BYTES
    footer_bytes = int.from_bytes(data[max(end, 0) : end + 4], "little")
    return EXTENSION in bytes(data[max(end - footer_bytes, 0) :])


def read_polars(data: Buffer) -> Any:
    """Read a frame or a series of polars."""
    import polars

    frame = polars.read_ipc(io.BytesIO(data))
    if frame.columns and frame.columns[0].startswith(SERIES):
        return frame.to_series().alias(frame.columns[0][len(SERIES) :])
    return frame


def _taker(value: object) -> Callable[[Any], Form] | None:
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if library == "pandas" and pandas_tables.kind_of(value):
        return _of_pandas
    if library == "polars" and kind.__name__ in ("DataFrame", "Series"):
        return _of_polars
    return _of_pyarrow if library == "pyarrow" and _pyarrow_kind(value) else None


def _pyarrow_kind(value: object) -> str:
    import pyarrow as pa

    name = type(value).__name__
    if name in PYARROW_KINDS[:3] and type(value) is getattr(pa, name):
        return name
    own = isinstance(value, pa.Array) and type(value).__module__ == "pyarrow.lib"
    return "Array" if own and not isinstance(value, pa.ExtensionArray) else ""


def _of_pandas(value: Any) -> Form:
    try:
        import pyarrow as pa
    except ImportError as exc:
        raise NotExact from exc
    try:
        table, held = pandas_tables.to_table(value)
    except (pa.ArrowException, ValueError, TypeError, AttributeError, OverflowError) as exc:
        raise NotExact from exc
    return _form(table, held, ("pandas",), value.shape)


def _of_pyarrow(value: Any) -> Form:
    import pyarrow as pa

    kind = _pyarrow_kind(value)
    table = value
    if kind == "RecordBatch":
        table = pa.Table.from_batches([value])
    elif kind in ("ChunkedArray", "Array"):
        table = pa.table({"values": value})
    # Where nobody has registered an extension type, its values are read as what stores them.
    if KEY in (table.schema.metadata or {}) or EXTENSION in _schema(table):
        raise NotExact
    shape = (len(value),) if kind in ("ChunkedArray", "Array") else table.shape
    return _form(table, {"kind": kind}, ("pyarrow",), shape)


def _of_polars(value: Any) -> Form:
    import polars

    frame = value
    if isinstance(value, polars.Series):
        frame = value.alias(SERIES + value.name).to_frame()
    elif any(name.startswith(SERIES) for name in frame.columns):
        raise NotExact
    if any(kind.base_type() in _odd_polars_types() for kind in frame.dtypes):
        raise NotExact
    raw = io.BytesIO()
    frame.rechunk().write_ipc(raw, compression="uncompressed")

    def store(abilities: object) -> Stored:
        packed = io.BytesIO()
        frame.write_ipc(packed, compression="zstd")
        return Stored("polars", (packed.getbuffer(),))

    header = f"polars {type(value).__name__}"
    size_bytes = int(frame.estimated_size())
    return Form(header, (raw.getbuffer(),), store, ("polars",), size_bytes, value.shape)


def _odd_polars_types() -> set[Any]:
    """Return the types that an IPC file does not keep, or not alike in two processes."""
    import polars

    return {polars.Object, polars.Unknown}


def _form(table: Any, held: dict[str, Any], needs: tuple[str, ...], shape: Any) -> Form:
    try:
        text = jsontags.dumps(held)
    except jsontags.NotPlain as exc:
        raise NotExact from exc
    full = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: text})

    def store(abilities: object) -> Stored:
        return Stored("arrow", (_file(full, _compression(full)),))

    raw = memoryview(_file(_canonical(full), None))
    return Form("arrow", (raw,), store, needs, int(table.nbytes), tuple(shape))


def _file(table: Any, compression: str | None) -> Buffer:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression, unify_dictionaries=True)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def _canonical(table: Any) -> Any:
    """Return the table in one piece, with nothing left below its nulls."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for column in table.combine_chunks().columns:
        is_interval = pa.types.is_interval(column.type)
        if column.null_count and pa.types.is_primitive(column.type) and not is_interval:
            zero = pa.Array.from_buffers(column.type, 1, [None, pa.py_buffer(bytes(8))])[0]
            filled = pc.fill_null(column, zero).combine_chunks()
            columns += [filled, column.is_valid()]
        else:
            columns.append(column)
    names = [str(k) for k in range(len(columns))]
    return pa.Table.from_arrays(columns, names=names, metadata={b"schema": _schema(table)})


def _schema(table: Any) -> bytes:
    data: bytes = table.schema.serialize().to_pybytes()
    return data


def _compression(table: Any) -> str | None:
    rows = min(SAMPLE_ROWS, len(table))
    sample = table.slice((len(table) - rows) // 2, rows)
    if sample.nbytes == 0:
        return None
    sizes = [len(_file(sample, compression)) for compression in ("zstd", None)]
    return "zstd" if sizes[0] < WORTH_IT * sizes[1] else None


def _empty(table: Any) -> Any:
    import pyarrow as pa

    return pa.array([], table.schema.field(0).type)
