"""`python -m training`: draft, launch, watch, evaluate, judge blind, hand on; and the demo."""

from storage.lazily import commands

app = commands(
    "Tune and prove: draft rows, launch runs, compare, judge blind, export adapters.",
    {
        "training.commands.runs": (
            "draft", "launch", "runs", "cancel", "stop", "resume", "work", "meanings",
        ),
        "training.commands.proof": ("evaluate", "trial", "ballot", "close", "demo"),
        "training.commands.adapters": ("adapters", "card", "package"),
    },
)  # fmt: skip

if __name__ == "__main__":
    app()
