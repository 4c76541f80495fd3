"""The formats a version can be exported in, as the page lists them.

Every layout gives the same bytes for the same rows (Parquet and the datasets folder: for the same
pyarrow). One file stands for each split.
"""

from curation.versions import layouts_arrow, layouts_csv, layouts_jsonl, layouts_xlsx

LAYOUTS = {
    layout.name: layout
    for layout in (
        layouts_jsonl.CHAT,
        layouts_jsonl.TRL,
        layouts_jsonl.SHAREGPT,
        layouts_jsonl.ALPACA,
        layouts_jsonl.PROMPT_COMPLETION,
        layouts_jsonl.PREFERENCE,
        layouts_arrow.DATASETS,
        layouts_arrow.PARQUET,
        layouts_csv.CSV,
        layouts_xlsx.XLSX,
    )
}
"""Every format by its name. A new one is a module (or a value in one of these) and a line here."""
