"""What the charts of several pages have in common, as Vega-Lite writes it."""

Spec = dict[str, object]
"""A part of a Vega-Lite specification."""


def quantity(field: str, **more: object) -> Spec:
    """A number on an axis."""
    return {"field": field, "type": "quantitative", **more}


def losses(values: list[Spec], by: str, *, mark: str | Spec, **more: object) -> Spec:
    """Losses over the steps, a line for each `by`. Lines differ by dashes too, so that colour is
    not needed.
    """
    group = {"field": by, "type": "nominal", "title": None}
    encoding = {
        "x": quantity("step", axis={"tickMinStep": 1}),
        "y": quantity("loss"),
        "color": group,
        "strokeDash": group,
    }
    return {"data": {"values": values}, "mark": mark, "encoding": encoding | more}
