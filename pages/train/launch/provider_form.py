"""Tuning at an endpoint: which one and which model, what it costs, the consent that pairs leave.

The launch page draws `choice` before the other settings and `agreement` after them.
"""

from collections.abc import Mapping

import streamlit as st

from pages.frame import reported, shell
from pages.frame.plain import plain
from storage.errors import BadInput
from storage.types import Split, Version
from training.hosted import endpoints, terms
from training.records.parts import Consent, Price
from training.settings import Provider

_NONE = (
    "No endpoint of this server tunes models. Whoever runs the server can name one in the "
    "endpoints file, with a [name.tuning] table of its models and price."
)


def choice() -> Mapping[str, object] | str:
    """Endpoint, model and suffix as settings, or the sentence that says why there are none."""
    try:
        offers = {endpoint.name: endpoint for endpoint in endpoints.tuning()}
    except BadInput as error:
        return str(error)
    if not offers:
        return _NONE
    left, right = st.columns(2)
    named = left.selectbox(
        "Endpoint",
        list(offers),
        key="provider-endpoint",
        help="Named in the server's configuration; none can be typed in.",
    )
    offer = offers[named].tuning
    models = offer.models if offer else ()
    model = right.selectbox("Model to tune", models, key=f"provider-model-{named}")
    suffix = st.text_input(
        "Suffix",
        key="provider-suffix",
        max_chars=40,
        help="Goes into the name of the tuned model: letters, digits and hyphens. May stay empty.",
    )
    return {"endpoint": named, "model": model, "suffix": suffix.strip()}


def agreement(version: Version, chosen: Provider) -> Consent | None:
    """What the run costs and what leaves the house; the consent once the box is ticked.

    The box belongs to one version, endpoint and price: another choice asks again.
    """
    try:
        estimate = _price(version, chosen)
    except BadInput as error:
        st.error(plain(str(error)))
        return None
    consent = terms.needed(version, chosen)
    with st.container(border=True):
        st.subheader(f"Price: {terms.money(estimate.amount, estimate.currency)}", anchor=False)
        for line in terms.lines(consent, version.counts[Split.TEST], estimate):
            shell.note(line)
        agreed = st.checkbox(
            f"I agree that these {consent.rows} pairs leave the house for this endpoint",
            key=f"consent-{version.id}-{consent.endpoint}-{chosen.model}-{chosen.epochs}",
        )
    return consent if agreed else None


def _price(version: Version, chosen: Provider) -> Price:
    _, offer = terms.offered(chosen)
    count = reported.read(terms.TOKENS, version.id, quiet=True).content
    return terms.price(count, chosen.epochs, offer)
