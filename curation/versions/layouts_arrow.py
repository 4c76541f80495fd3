"""Write Parquet files, and a folder as `datasets.save_to_disk` does, with pyarrow alone.

The `datasets` package itself takes seconds to import and names its files by random fingerprints;
`datasets.load_from_disk` reads this folder like its own.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any

from curation.versions.layouts import COLUMNS, Out, Parts, Written, cells

_TEXT = {"dtype": "string", "_type": "Value"}
_FEATURES = {
    "messages": {"feature": {"role": _TEXT, "content": _TEXT}, "_type": "List"},
    "origin": _TEXT,
    "pair_id": {"dtype": "int64", "_type": "Value"},
}
_DATA = "data-00000-of-00001.arrow"


def parquet(parts: Parts, system: str) -> Written:
    """One Parquet file a split, all columns text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = Written()
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    for split, rows in parts.items():
        table = [cells(row, system) for row in rows]
        columns = [[row[place] for row in table] for place in range(len(COLUMNS))]
        sink = io.BytesIO()
        pq.write_table(pa.table(columns, schema=schema), sink, compression="zstd")
        name = f"data/{split.value}.parquet"
        made.files[name], made.data[name] = sink.getvalue(), split.value
    return made


def dataset(parts: Parts, system: str) -> Written:
    """A saved DatasetDict with the columns messages, origin and pair_id."""
    made = Written()
    made.files["data/dataset_dict.json"] = _json({"splits": [split.value for split in parts]})
    for split, rows in parts.items():
        folder = f"data/{split.value}"
        content = _arrow(rows, system)
        name = f"{folder}/{_DATA}"
        made.files[name], made.data[name] = content, split.value
        made.files[f"{folder}/dataset_info.json"] = _json({"features": _FEATURES})
        made.files[f"{folder}/state.json"] = _json(
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
    return made


def _json(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=2) + "\n").encode()


def _arrow(rows: Sequence[Out], system: str) -> bytes:
    import pyarrow as pa

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema(
        [("messages", pa.list_(message)), ("origin", pa.string()), ("pair_id", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}}, sort_keys=True)},
    )
    records = [
        {"messages": _messages(row, system), "origin": row.origin, "pair_id": row.pair_id}
        for row in rows
    ]
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(records, schema=schema))
    return sink.getvalue()


def _messages(row: Out, system: str) -> list[dict[str, Any]]:
    said = [("system", system)] if system else []
    said += [("user", row.prompt), ("assistant", row.response)]
    return [{"role": role, "content": words} for role, words in said]
