"""Write Parquet files, and a folder as `datasets.save_to_disk` does, with pyarrow alone.

The `datasets` package itself takes seconds to import and names its files by random fingerprints;
`datasets.load_from_disk` reads this folder like its own.
"""

import hashlib
import io
import json
from collections.abc import Sequence

from curation.versions.layout import (
    COLUMNS,
    TABLE,
    ColumnMapping,
    ExportRow,
    Layout,
    Parts,
    Written,
    cells,
)
from curation.versions.layouts_jsonl import messages

_TEXT = {"dtype": "string", "_type": "Value"}
_FEATURES = {
    "messages": {"feature": {"role": _TEXT, "content": _TEXT}, "_type": "List"},
    "origin": _TEXT,
    "pair_id": {"dtype": "int64", "_type": "Value"},
}
_DATA = "data-00000-of-00001.arrow"


def _parquet(parts: Parts, system: str) -> Written:
    """One Parquet file a split, all columns text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = Written()
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    for split, rows in parts.items():
        table = [cells(row, system) for row in rows]
        columns = [[row[place] for row in table] for place in range(len(COLUMNS))]
        sink = io.BytesIO()
        pq.write_table(pa.table(columns, schema=schema), sink, compression="zstd")
        written.add(f"data/{split.value}.parquet", split, sink.getvalue())
    return written


def _dataset(parts: Parts, system: str) -> Written:
    """A saved DatasetDict with the columns messages, origin and pair_id."""
    written = Written()
    written.files["data/dataset_dict.json"] = _json({"splits": [split.value for split in parts]})
    for split, rows in parts.items():
        folder = f"data/{split.value}"
        content = _arrow(rows, system)
        written.add(f"{folder}/{_DATA}", split, content)
        written.files[f"{folder}/dataset_info.json"] = _json({"features": _FEATURES})
        written.files[f"{folder}/state.json"] = _json(
            {
                "_data_files": [{"filename": _DATA}],
                "_fingerprint": hashlib.sha256(content).hexdigest()[:16],
                "_format_columns": None,
                "_format_kwargs": {},
                "_format_type": None,
                "_output_all_columns": False,
                "_split": split.value,
            }
        )
    return written


def _json(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=2) + "\n").encode()


def _arrow(rows: Sequence[ExportRow], system: str) -> bytes:
    import pyarrow as pa

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema(
        [("messages", pa.list_(message)), ("origin", pa.string()), ("pair_id", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}}, sort_keys=True)},
    )
    records = [
        {"messages": messages(row, system), "origin": row.origin, "pair_id": row.pair_id}
        for row in rows
    ]
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(records, schema=schema))
    return sink.getvalue()


_LOSES = "Its bytes depend on the release of pyarrow."
DATASETS = Layout(
    name="datasets",
    title="Hugging Face datasets folder",
    fits="datasets.load_from_disk, trl",
    loses=_LOSES,
    write=_dataset,
    columns=ColumnMapping(messages="messages", exact=True),
    folders=True,
)
PARQUET = Layout(
    name="parquet",
    title="Parquet",
    fits="pandas, DuckDB, Spark",
    loses=_LOSES,
    write=_parquet,
    columns=TABLE,
)
