"""Read Parquet and saved Hugging Face datasets through Arrow, by small batches under counters.

What a file says of its own size is not believed: rows and bytes are counted as they come, and the
child's memory limit ends the rest. No dataset script is run and nothing is unpickled.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from curation import strict_json
from curation.exchange.reading.jsonl import JsonObject
from curation.exchange.reading.rows import Gathering, as_row, short
from curation.exchange.reading.zips import BROKEN, unpack
from curation.exchange.source import Source, Table, hashed
from storage.errors import BadInput

_ROWS_AT_ONCE = 500
_ELEMENTS_AT_ONCE = 1_000_000
_JSON_BYTES = 10_000_000


def read_parquet(source: Source) -> Table:
    """The rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.path, memory_map=False, pre_buffer=False) as file:
            gathering = _prepared(source, file.schema_arrow)
            batches = file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False)
            _gather(gathering, batches, {})
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError):
        source.refuse("is a damaged or cut-off Parquet file; export it again")
    return gathering.table("Parquet", hashed(source))


def read_dataset_zip(source: Source, archive: ZipFile) -> Table:
    """The rows of a saved dataset folder that was zipped."""
    if source.work is None:
        raise ValueError("reading a zipped dataset needs a folder to unpack into")
    try:
        unpack(source, archive, source.work)
    except BROKEN:
        source.refuse("is a damaged zip or repeats a part; zip the dataset folder again")
    return _read_folder(source, source.work)


def read_dataset(source: Source) -> Table:
    """The rows of a folder that `datasets.save_to_disk` wrote."""
    return _read_folder(source, source.path)


def _read_folder(source: Source, root: Path) -> Table:
    import pyarrow as pa

    top = _top(source, root)
    parts = _parts(source, top)
    gathering: Gathering | None = None
    try:
        for split, path in parts:
            with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
                gathering = gathering or _prepared(source, stream.schema)
                _gather(gathering, stream, {"split": split} if split else {})
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError):
        source.refuse("holds a damaged or cut-off Arrow file; save the dataset again")
    if gathering is None:
        source.refuse("holds no rows; save a dataset that has some")
    splits = list(dict.fromkeys(split for split, _ in parts if split))
    notes = (
        (f'Splits read together, named in the column "split": {", ".join(splits)}.',)
        if splits
        else ()
    )
    return gathering.table("saved dataset", hashed(source), notes)


def _top(source: Source, root: Path) -> Path:
    """The folder itself, or the one folder inside it, as zips of a folder have it."""
    for folder in [root, *sorted(p for p in root.iterdir() if p.is_dir())]:
        if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
            return folder
    raise BadInput(
        f"{source.name} is not a saved Hugging Face dataset (it has no state.json); "
        "write one with dataset.save_to_disk(...)."
    )


def _parts(source: Source, top: Path) -> list[tuple[str, Path]]:
    """Each Arrow file with the split it belongs to; "" where the dataset has no splits."""
    if not (top / "dataset_dict.json").is_file():
        return [("", path) for path in _arrow_files(source, top)]
    splits = _json(source, top / "dataset_dict.json").get("splits")
    if not isinstance(splits, list) or not all(isinstance(name, str) for name in splits):
        source.refuse("has a dataset_dict.json that lists no splits; save the dataset again")
    return [
        (name, path) for name in splits for path in _arrow_files(source, _below(source, top, name))
    ]


def _arrow_files(source: Source, folder: Path) -> list[Path]:
    files = _json(source, folder / "state.json").get("_data_files")
    names = (
        [f.get("filename") for f in files if isinstance(f, dict)] if isinstance(files, list) else []
    )
    if not names or not all(isinstance(name, str) for name in names):
        source.refuse("has a state.json that lists no data files; save the dataset again")
    return [_below(source, folder, str(name)) for name in names]


def _below(source: Source, folder: Path, name: str) -> Path:
    path = folder / name
    inside = Path(name).name == name and name not in ("", ".", "..")
    # Path.exists raises where a name is too long.
    if not inside or not os.path.lexists(path) or path.is_symlink():
        source.refuse("names a file that is not in its own folder; save the dataset again")
    return path


def _json(source: Source, path: Path) -> JsonObject:
    try:
        if path.stat().st_size > _JSON_BYTES:
            raise BadInput("too long")
        value = strict_json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BadInput):
        source.refuse(f"has no readable {path.name}; save the dataset again")
    return value if isinstance(value, dict) else {}


def _prepared(source: Source, schema: Any) -> Gathering:  # noqa: ANN401 - pyarrow is not typed
    """A gathering with the schema's columns; raises for one that holds bytes."""
    import pyarrow as pa

    gathering = Gathering(source)
    gathering.header(list(schema.names))
    for column in schema:
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if _is_bytes(pa.types, kind):
            source.refuse(
                f"holds bytes, not text, in the column {short(column.name)}; leave that column out"
            )
    return gathering


def _is_bytes(types: Any, kind: Any) -> bool:  # noqa: ANN401
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _gather(gathering: Gathering, batches: Iterable[Any], extra: dict[str, str]) -> None:
    for part in _slices(batches):
        _check_slice(gathering.source, part)
        names = list(part.schema.names)
        columns = [column.to_pylist() for column in part.columns]
        for cells in zip(*columns, strict=True):
            gathering.add(gathering.count + 1, {**extra, **as_row(names, list(cells))})


def _check_slice(source: Source, part: Any) -> None:  # noqa: ANN401
    """Refuse a slice before its values become Python's, which takes ten times the memory."""
    if part.nbytes > source.limits.text_bytes:
        limit = source.limits.text_bytes / 1e6
        source.refuse(f"holds more than {limit:,.0f} MB of text; split it and import the parts")
    if any(_elements(column) > _ELEMENTS_AT_ONCE for column in part.columns):
        source.refuse(
            f"holds lists of more than {_ELEMENTS_AT_ONCE:,} values; leave that column out"
        )


def _elements(column: Any) -> int:  # noqa: ANN401
    """Values at all depths of a column. Nulls take no bytes, so bytes alone tell nothing."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_struct(kind):
        return len(column) + sum(_elements(part) for part in column.flatten())
    if pa.types.is_nested(kind) and hasattr(column, "flatten"):
        return len(column) + _elements(column.flatten())
    return len(column)


def _slices(batches: Iterable[Any]) -> Iterator[Any]:
    """Batches cut small: one of them may hold millions of rows that share a few values."""
    for batch in batches:
        batch.validate(full=True)  # offsets that point outside the file would crash the reader
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            yield batch.slice(start, _ROWS_AT_ONCE)
