"""`python -m training`: draft, launch, watch, evaluate, judge blind, hand on; and the demo."""

from storage.lazily import commands

app = commands(
    "Tune and prove: draft pairs, launch runs, compare, judge blind, export adapters.",
    {
        "training.commands.launching": ("launch", "preflight", "probe"),
        "training.commands.runs": (
            "draft",
            "runs",
            "cancel",
            "stop",
            "resume",
            "work",
            "meanings",
        ),
        "training.commands.reports": ("report",),
        "training.commands.proof": ("evaluate", "trial", "ballot", "close"),
        "training.commands.demo": ("demo",),
        "training.commands.experiments": ("sweep", "curve", "experiments", "compare-runs"),
        "training.commands.adapters": ("adapters", "card", "package"),
        "training.commands.exits": ("export", "serve", "import-adapter"),
        "training.commands.registry": (
            "check",
            "gate",
            "waive",
            "promote",
            "retire",
            "rollback",
            "red-team",
        ),
    },
)

if __name__ == "__main__":
    app()
