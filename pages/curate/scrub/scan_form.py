"""The form in which a lead says what counts as personal data in a project, and tries it out."""

from collections.abc import Mapping

import streamlit as st

from curation.personal import id_numbers, name_models, pii, recognise, scan_settings
from curation.personal.pii import Config, Replacement
from pages.curate.scrub import marked_text
from pages.frame import shell
from pages.frame.plain import plain
from pages.frame.wiring import looking
from pages.parts import fields
from storage.types import Finding, FindingState, Project, User

_HELP = {
    "known": "Words that are never reported, such as your own company. Upper and lower case count.",
    "deny": "A type, a colon, then words that are always reported: ORGANIZATION: Project Falcon",
    "names": "Customers, colleagues: always reported as PERSON. In lower case only full names.",
    "context": "A type, a colon, then words: ID_NUMBER: member number. The number (or for PERSON "
    "the capitalised words) right after them is reported.",
    "patterns": 'A type, a colon, then a pattern: ORDER_NUMBER: "ORD"-9{6}. 9 is a digit, A a '
    "capital letter, a any letter, * a letter or digit; fixed letters stand in quotes.",
}
_EXAMPLES = {
    "known": "Acme Bank",
    "deny": "ORGANIZATION: Project Falcon",
    "names": "Ana Roth",
    "context": "ID_NUMBER: member number",
    "patterns": 'ORDER_NUMBER: "ORD"-9{6}',
}
_SWITCHES = {
    "organization": "Companies and other organisations",
    "nationality": "Nationalities, religions, political groups",
    "addresses": "Street addresses",
    "weekdays": "Days of the week",
    "births": "Dates and years after words such as “born”",
}
_REPLACEMENTS = {
    Replacement.ROW: "Numbered placeholders, counted in each pair",
    Replacement.PROJECT: "Numbered placeholders, the same for the same words in all pairs",
    Replacement.SURROGATE: "Invented names and addresses, the same for the same words in all pairs",
}


def show(user: User, project: Project) -> None:
    """The settings as they are typed; unsaved words are kept."""
    form = f"scan-settings-{project.id}"
    with looking() as session:
        settings = scan_settings.current(session, project.id)
    typed = fields.load(user, form)
    with st.expander("What counts as personal data here", key=f"{form}-box"):
        shell.note("One entry a line. Saving a change makes scanned pairs wait for a new scan.")
        left, right = st.columns(2, gap="large")
        with left:
            for field in ("known", "deny", "names"):
                _list(user, form, field, settings.config, typed)
        with right:
            for field in ("context", "patterns"):
                _list(user, form, field, settings.config, typed)
            _countries(user, form, settings.config, typed)
            _second_model(user, form, settings.config, typed)
            _replacement(user, form, settings.replacement, typed)
        with left:
            _switches(user, form, settings.config, typed)
        config = _config(form, settings.config)
        wrong = pii.problems(config)
        for sentence in wrong:
            st.warning(plain(sentence))
        st.button(
            "Save the settings",
            key=f"{form}-save",
            type="primary",
            disabled=bool(wrong),
            on_click=_save,
            args=(user, project, form, settings.config),
        )
        if not wrong:
            _trial(form, config)


def _list(user: User, form: str, field: str, config: Config, typed: Mapping[str, object]) -> None:
    st.text_area(
        pii.LISTS[field],
        value=str(typed.get(field, pii.as_lines(getattr(config, field)))),
        key=fields.key(form, field),
        height=100,
        help=plain(_HELP[field]),
        placeholder=_EXAMPLES[field],
        on_change=fields.keep,
        args=(user, form, field),
    )


def _switches(user: User, form: str, config: Config, typed: Mapping[str, object]) -> None:
    for field, label in _SWITCHES.items():
        st.checkbox(
            label,
            value=bool(typed.get(field, getattr(config, field))),
            key=fields.key(form, field),
            on_change=fields.keep,
            args=(user, form, field),
        )


def _countries(user: User, form: str, config: Config, typed: Mapping[str, object]) -> None:
    unsent = typed.get("countries")
    chosen = unsent if isinstance(unsent, list) else config.countries
    st.multiselect(
        "Numbers of people, where the check digits fit",
        list(id_numbers.COUNTRIES),
        default=[code for code in chosen if code in id_numbers.COUNTRIES],
        format_func=lambda code: id_numbers.COUNTRIES[code].label,
        key=fields.key(form, "countries"),
        on_change=fields.keep,
        args=(user, form, "countries"),
    )


def _second_model(user: User, form: str, config: Config, typed: Mapping[str, object]) -> None:
    """Which model is asked for names beside the one that is always asked."""
    chosen = str(typed.get("second_model", config.second_model))
    names = list(dict.fromkeys(["", *name_models.listing(), chosen]))
    st.selectbox(
        "A second model for names",
        names,
        index=names.index(chosen),
        format_func=lambda name: name or "None: only the language model that is built in",
        key=fields.key(form, "second_model"),
        help=f"Finds more names and takes far longer. Models are folders in "
        f"{plain(str(name_models.home()))}; docs/personal-data-scan.md says which can be used.",
        on_change=fields.keep,
        args=(user, form, "second_model"),
    )


def _replacement(user: User, form: str, chosen: Replacement, typed: Mapping[str, object]) -> None:
    choices = list(_REPLACEMENTS)
    st.selectbox(
        "What takes the place of personal data",
        choices,
        index=choices.index(Replacement(str(typed.get("replacement", chosen)))),
        format_func=_REPLACEMENTS.__getitem__,
        key=fields.key(form, "replacement"),
        on_change=fields.keep,
        args=(user, form, "replacement"),
    )
    shell.note(
        "Numbers of cards, accounts and papers always become placeholders. Pairs that are scrubbed "
        "already stay as they are."
    )


def _config(form: str, before: Config) -> Config:
    """The settings as they stand in the form now."""
    return Config(
        threshold=before.threshold,
        allow=before.allow,
        countries=tuple(sorted(st.session_state[fields.key(form, "countries")])),
        known=pii.lines(fields.value(form, "known")),
        names=pii.lines(fields.value(form, "names")),
        deny=pii.typed_lines(fields.value(form, "deny")),
        context=pii.typed_lines(fields.value(form, "context")),
        patterns=pii.typed_lines(fields.value(form, "patterns")),
        second_model=fields.value(form, "second_model"),
        **{field: bool(st.session_state[fields.key(form, field)]) for field in _SWITCHES},
    )


def _save(user: User, project: Project, form: str, before: Config) -> None:
    replacement = Replacement(st.session_state[fields.key(form, "replacement")])
    args = (user, project.id, _config(form, before), replacement)
    fields.send("Saved.", user, form, scan_settings.configure, *args)


def _trial(form: str, config: Config) -> None:
    """Any text, as the lists, words, numbers and patterns of the form see it; nothing is kept."""
    st.divider()
    text = st.text_area(
        "Try it: paste a text",
        key=f"{form}-try",
        height=80,
        max_chars=5000,
        placeholder="Nothing you write here is stored.",
    )
    if not text:
        return
    spans = recognise.recognisers(config).settled(text, ())
    findings = [
        Finding(n, 0, "prompt", s.start, s.end, s.type, s.score, FindingState.OPEN, None)
        for n, s in enumerate(spans, 1)
    ]
    marked_text.show(
        text, findings, {finding.id: finding.id for finding in findings}, key=f"{form}-tried"
    )
    shell.note(
        f"{len(findings)} found by the lists, words, numbers and patterns above. The scan itself "
        "also asks the language model and its own patterns for names, addresses and numbers."
    )
