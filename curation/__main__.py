"""`python -m curation`: every step from gold pairs to a frozen version, as commands."""

from storage.lazily import commands

app = commands(
    "Curate a project: write, import, review, scrub, compare, audit, freeze, export.",
    {
        "curation.commands.rows": (
            "sample",
            "guidelines",
            "write",
            "import",
            "pairs",
            "review",
        ),
        "curation.commands.clean": ("scrub", "findings", "sweep", "keep", "audit", "strata"),
        "curation.commands.eras": ("eras", "affected"),
        "curation.commands.health": ("health",),
        "curation.commands.on_files_scan": ("scan",),
        "curation.commands.proof": (
            "ready",
            "waive",
            "record",
            "sign",
            "freeze",
            "versions",
            "diff",
            "tag",
            "card",
            "inclusion",
            "verify",
            "export",
        ),
        "curation.commands.on_files_split": ("split", "leakage"),
        "curation.commands.on_files_duplicates": ("duplicates",),
    },
)

if __name__ == "__main__":
    app()
