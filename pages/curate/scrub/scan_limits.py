"""What the scan for personal data was measured to find, and what it does not catch."""

from collections.abc import Mapping

import streamlit as st

from curation import statistics
from curation.personal import detect, name_models, pii, recall, scan_settings
from curation.personal.recall import Recall
from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import looking
from storage.errors import AssayError
from storage.types import Project


def show(project: Project) -> None:
    """Measured recall per type, the limits, and the settings in force."""
    with looking() as session:
        settings = scan_settings.current(session, project.id)
    with st.expander("How much this scan finds, and what it does not catch"):
        _measured(settings.config.sha256)
        shell.note("What it does not catch, with the default settings")
        st.text("\n".join(f"• {limit}" for limit in detect.limits()))
        shell.note(
            "The names of imported files are not scanned. In a topic or a number of a pair, names "
            "in lower case and next to digits are not reported."
        )
        _second_model(settings.config.second_model)
        shell.note(f"Settings {settings.number}, sha256 {settings.config.sha256}")


def _second_model(name: str) -> None:
    """What the second model of the settings is asked for."""
    if not name:
        return
    try:
        model = name_models.find(name)
    except AssayError as error:
        st.warning(plain(str(error)))
        return
    unused = (
        f" Of its labels these are not used: {', '.join(model.unused)}." if model.unused else ""
    )
    shell.note(
        f"The second model {name} is asked for {', '.join(model.types)}.{unused} How much it finds "
        "has not been measured here."
    )


def _measured(config_sha256: str) -> None:
    measurement = recall.measured()
    if measurement is None:
        shell.note("How much of each type it finds has not been measured here yet.")
        return
    as_measured = measurement.config_sha256 == config_sha256
    shell.note(
        f"Found whole, of what was there: {measurement.measured_on}, with {measurement.model}"
        + (":" if as_measured else ", default settings; this project's own may find more or less:")
    )
    _lines(measurement.types)
    if measurement.in_view:
        shell.note(
            "Those sentences had none of the following, so these shares come from sentences that "
            "were looked at while the rules were written, and are optimistic:"
        )
        _lines(measurement.in_view)
    missing = measurement.unmeasured(pii.TYPES)
    if missing:
        shell.note(f"Not measured, as no sentence had any: {', '.join(missing)}.")


def _lines(types: Mapping[str, Recall]) -> None:
    rates = {kind: statistics.rate(each.detected, each.n) for kind, each in sorted(types.items())}
    st.text("\n".join(f"{kind}: {rate}" for kind, rate in rates.items()))
