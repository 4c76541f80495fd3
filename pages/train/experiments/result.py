"""What an experiment came to: its runs with their figures, and the learning curve."""

from collections.abc import Mapping, Sequence

import streamlit as st

from curation import statistics
from pages.frame import shell
from pages.frame.wiring import looking
from pages.parts import job_panel, table
from pages.parts.charts import Spec, quantity
from storage.errors import RuleBroken
from storage.types import Arm
from training.proving import experiments
from training.proving.experiments import Experiment, ExperimentKind, ExperimentRun
from training.proving.learning_curve import Curve, Measured
from training.records import results

_KINDS = {ExperimentKind.SWEEP: "sweep", ExperimentKind.CURVE: "learning curve"}
_WIDTHS = (3, 2, 1, 5, 2)
_MORE = 100
_POINTS = 40


def title(experiment: Experiment) -> str:
    """An experiment in a list."""
    state = (
        f", {experiment.going} of {len(experiment.entries)} not ended" if experiment.going else ""
    )
    return f"{experiment.name}: {_KINDS[experiment.kind]} of {len(experiment.entries)} runs{state}"


def show(experiment: Experiment) -> None:
    """Its runs, and for a learning curve what more pairs are worth."""
    with st.container(border=True):
        heads = (
            "Run",
            "State",
            "Train pairs",
            "Exactly right on held-out pairs",
            "Validation loss",
        )
        table.heads(_WIDTHS, heads)
        for entry in experiment.entries:
            cells = st.columns(_WIDTHS, vertical_alignment="center")
            for cell, word in zip(cells, _line(entry), strict=True):
                cell.text(word)
    if experiment.kind is ExperimentKind.CURVE:
        _curve(experiment)
    else:
        shell.note(
            "Intervals that overlap tell no winner. The best of several is flattered by the pairs "
            "it was chosen on: look at it pair by pair against the others, and judge it blind."
        )


def _line(entry: ExperimentRun) -> list[str]:
    result = results.train(entry.job)
    loss = result.validation_loss
    return [
        experiments.variation(entry.varies),
        job_panel.STATES[entry.job.state],
        str(result.rows.train) if result.rows else "",
        _right(entry),
        f"{loss:.3f}" if loss is not None else "",
    ]


def _right(entry: ExperimentRun) -> str:
    if entry.sealed:
        return "sealed: a blind trial is open"
    if entry.comparison is None:
        return "not measured yet"
    summary = entry.comparison.summary
    return statistics.rate(summary[Arm.TUNED]["correct"], summary["n"])


def _curve(experiment: Experiment) -> None:
    try:
        with looking() as session:
            curve = experiments.fitted(session, experiment)
            points = list(experiments.points(session, experiment))
    except RuleBroken as refusal:
        st.text(str(refusal))
        return
    st.vega_lite_chart(_chart(curve, points), width="stretch")
    more = min(_MORE, curve.largest)
    worth = curve.worth(more)
    st.subheader(
        f"The next {more} pairs are worth about {_points(worth.gain)} "
        f"(95 % interval {_points(worth.low)} to {_points(worth.high)})",
        anchor=False,
    )
    shell.note(
        "Points of a hundred of right answers, by a logistic curve in the logarithm of the pairs, "
        "with the interval from drawing the held-out pairs anew. It takes the next pairs to be "
        "like these, and leaves out the luck of a single run: repeat the curve with another seed "
        "before you spend much on it. It says nothing beyond twice the pairs there are."
    )


def _points(share: float) -> str:
    return f"{share * 100:+.1f} points".replace("+0.0", "0.0").replace("-0.0", "0.0")


def _chart(curve: Curve, points: list[Measured]) -> Spec:
    """The measured shares, the curve through them and its band."""
    first, last = min(point.rows for point in points), 2 * curve.largest
    grid = [first + (last - first) * i / _POINTS for i in range(_POINTS + 1)]
    line = []
    for pairs in grid:
        low, high = curve.band(pairs)
        line.append({"pairs": pairs, "share": curve.share(pairs), "low": low, "high": high})
    dots = [{"pairs": p.rows, "share": p.hits / len(p.right)} for p in points]
    x = quantity("pairs", title="train pairs")
    scale: Spec = {"title": "exactly right", "axis": {"format": "%"}, "scale": {"domain": [0, 1]}}
    band = {"x": x, "y": quantity("low", **scale), "y2": {"field": "high"}}
    through = {"x": x, "y": quantity("share", **scale)}
    return {
        "height": 300,
        "layer": [
            _layer(line, {"type": "area", "opacity": 0.2}, band),
            _layer(line, {"type": "line"}, through),
            _layer(dots, {"type": "point", "filled": True, "size": 90}, through),
            _layer([{"pairs": curve.largest}], {"type": "rule", "strokeDash": [4, 4]}, {"x": x}),
        ],
    }


def _layer(
    values: Sequence[Mapping[str, float]], mark: Spec, encoding: Mapping[str, object]
) -> Spec:
    return {"data": {"values": list(values)}, "mark": mark, "encoding": encoding}
