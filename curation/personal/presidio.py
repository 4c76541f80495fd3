"""What Presidio finds in one window: numbers, addresses of the net, and a second model's names.

Only this module loads Presidio, and with it what a second model needs. A pattern that Presidio
gives up raises an error here, so that nobody takes its silence for "nothing found".
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from curation.personal import language, name_models
from curation.personal.detect import Span
from storage.errors import Unavailable

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer, RecognizerResult
    from presidio_analyzer.chunkers import BaseTextChunker
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from spacy.tokens import Doc

SECONDS = 2.0
"""Seconds of processor time that one of Presidio's patterns may take on one window."""

_LOG = logging.getLogger("presidio-analyzer")
_SHORT = 0.001
_STRETCH = 250
"""Characters that a second model reads at once: no more tokens than any of them takes."""
_MINIMUM = 0.1
"""The lowest score that a configuration can ask for."""
_ENDLESS = int(1e30)
"""What transformers takes for "no limit": a tokenizer with a limit cuts texts without a word."""
_DIALLED = r"(?<![\w.])\+?\(?\d[\d ().-]{4,16}\d(?:\s?x\d{1,6})?(?!\w)"
_DIALLABLE = re.compile(r"(?:\d[\Wx]{0,4}){4}\d")
"""Five digits with little between them, as in the shortest telephone number."""


class SkippedError(Exception):
    """A pattern was given up: what was found is not the whole truth."""


def spans(text: str, doc: "Doc", left: Callable[[], float]) -> Iterator[Span]:
    """What the recognizers find; each runs only where its numbers or marks are there.

    `left` gives the seconds that remain for this text.

    Raises:
        SkippedError: a pattern took too long (within `listening`).
        TimeoutError: of `left`.
    """
    digits = sum(map(str.isdigit, text))
    dialled = digits > 5 and _DIALLABLE.search(text) is not None
    results: list[RecognizerResult] = []
    nothing: Any = None  # what only recognizers with a model read
    for recognizer, minimum, mark in recognizers():
        if digits >= minimum and mark in text and (dialled or recognizer is not _phone()):
            _set_limit(left())
            results += recognizer.analyze(text, recognizer.supported_entities, nothing)
    for result in _with_context(text, doc, results) if results else ():
        yield Span(result.start, result.end, result.entity_type, result.score)


def _with_context(
    text: str, doc: "Doc", results: "list[RecognizerResult]"
) -> "list[RecognizerResult]":
    """The results, those with a word such as "passport" close by with a higher score."""
    from presidio_analyzer.nlp_engine import NlpArtifacts

    helped = _helped(text.lower())
    near = [
        result
        for result in results
        if result.recognition_metadata["recognizer_identifier"] in helped
    ]
    if not near:
        return results
    artifacts = NlpArtifacts(
        entities=[],
        tokens=doc,
        tokens_indices=[token.idx for token in doc],
        lemmas=[_stem(token.lower_) for token in doc],
        nlp_engine=_engine(),
        language="en",
    )
    everyone = [recognizer for recognizer, _, _ in recognizers()]
    raised = enhancer().enhance_using_context(text, near, artifacts, everyone)
    far = [
        result
        for result in results
        if result.recognition_metadata["recognizer_identifier"] not in helped
    ]
    return [*raised, *far]


def _helped(low: str) -> set[str]:
    """The recognizers, by id, of which the text holds a context word anywhere."""
    return {name for name, terms in _context_terms() if any(word in low for word in terms)}


@cache
def _context_terms() -> list[tuple[str, tuple[str, ...]]]:
    context = {recognizer.id: recognizer.context for recognizer, _, _ in recognizers()}
    return [(name, tuple(map(str.lower, terms))) for name, terms in context.items() if terms]


def _stem(word: str) -> str:
    """Near enough to a lemma for the words that stand close to numbers: "calling" is "call"."""
    for end in ("ing", "ed", "s"):
        if len(word) > len(end) + 2 and word.endswith(end) and not word.endswith("ss"):
            return word.removesuffix(end)
    return word


class _Alarm(logging.Handler):
    """Turns a warning of Presidio during our scan into the end of the scan of that text."""

    scanning = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(self.scanning, "now", False):
            raise SkippedError(record.msg)


@cache
def _listen() -> None:
    _LOG.addHandler(_Alarm(logging.WARNING))


def _set_limit(seconds: float) -> None:
    """Limits Presidio's patterns, whatever was imported first."""
    for module in _limited():
        vars(module)["REGEX_TIMEOUT_SECONDS"] = max(_SHORT, min(SECONDS, seconds))


@cache
def _limited() -> tuple[object, ...]:
    from presidio_analyzer import pattern_recognizer
    from presidio_analyzer.predefined_recognizers.generic import iban_recognizer

    return pattern_recognizer, iban_recognizer


@contextmanager
def listening() -> Iterator[None]:
    """Within, a pattern that Presidio skips raises SkippedError, in this thread."""
    _listen()
    if not _LOG.isEnabledFor(logging.WARNING):
        raise Unavailable("Warnings of the scanner are switched off: let them through and retry.")
    _Alarm.scanning.now = True
    try:
        yield
    finally:
        _Alarm.scanning.now = False


@cache
def _engine() -> "SpacyNlpEngine":
    """What Presidio asks whether a word is a stop word."""
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": language.model()}])
    vars(engine)["nlp"] = {"en": language.language()}
    return engine


@cache
def enhancer() -> "LemmaContextAwareEnhancer":
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer

    return LemmaContextAwareEnhancer(context_matching_mode="whole_word", context_suffix_count=2)


@cache
def recognizers() -> "tuple[tuple[EntityRecognizer, int, str], ...]":
    """Presidio's recognizers, each with the fewest digits and the mark of all that it finds."""
    from presidio_analyzer import predefined_recognizers as known

    return (
        (_email(), 0, "@"),
        (known.UrlRecognizer(), 0, "."),
        (known.IpRecognizer(), 0, ":"),
        (known.IpRecognizer(), 4, "."),
        (known.CreditCardRecognizer(), 12, ""),
        (known.IbanRecognizer(), 4, ""),
        (known.DateRecognizer(), 3, ""),
        (_phone(), 6, ""),
        (known.CryptoRecognizer(), 1, ""),
        (known.MedicalLicenseRecognizer(), 7, ""),
        (known.UsSsnRecognizer(), 9, ""),
        (known.UsItinRecognizer(), 9, ""),
        (known.UsPassportRecognizer(), 8, ""),
        (known.UsLicenseRecognizer(), 1, ""),
        (known.UsBankRecognizer(), 8, ""),
        (known.NhsRecognizer(), 10, ""),
        (known.UkNinoRecognizer(), 6, ""),
        (_dialled(), 6, ""),
    )


@cache
def _phone() -> "EntityRecognizer":
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer

    return PhoneRecognizer()


def _email() -> "EntityRecognizer":
    """The packaged recognizer, but asking the packaged list of suffixes, never the network."""
    from presidio_analyzer.predefined_recognizers import EmailRecognizer
    from tldextract import TLDExtract

    hosts = TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmail(EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool | None:
            """Certain with a public suffix; a finding all the same with another."""
            return True if hosts(pattern_text).fqdn else None

    return OfflineEmail()


def _dialled() -> "EntityRecognizer":
    """Any digits as they are dialled; they count only close to a word that speaks of telephones."""
    from presidio_analyzer import Pattern, PatternRecognizer

    context = (
        "phone telephone tel mobile cell call ring text whatsapp reach answer office fax number "
        "dial"
    )
    return PatternRecognizer(
        "PHONE_NUMBER",
        name="Assay PHONE_NUMBER 0.2",
        patterns=[Pattern("PHONE_NUMBER 0", _DIALLED, 0.2)],
        context=context.split(),
    )


def second(name: str) -> Callable[[str], Iterator[Span]] | None:
    """What the second model of a configuration names in a window; None without a name.

    It reads on the processor, in stretches of which none is cut short; a stretch that it cannot
    read raises SkippedError (within `listening`). A name is widened to whole words.

    Raises:
        BadInput: the model may not be loaded.
        Unavailable: it, or its library, cannot be loaded.
    """
    if not name:
        return None
    model = name_models.find(name)
    try:
        reader = _gliner(model.folder) if model.gliner else _tagger(model.folder, model.name)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise Unavailable(f"The second model {name} cannot be loaded: save it anew.") from error
    nothing: Any = None

    def named(text: str) -> Iterator[Span]:
        for result in reader.analyze(text, reader.supported_entities, nothing):
            if result.entity_type in model.types:
                start, end = _widened(text, result.start, result.end)
                yield Span(start, end, result.entity_type, float(result.score))

    return named


@lru_cache(maxsize=2)
def _tagger(folder: Path, name: str) -> "EntityRecognizer":
    from presidio_analyzer.predefined_recognizers import HuggingFaceNerRecognizer

    reader: Any = HuggingFaceNerRecognizer(
        model_name=str(folder),
        label_mapping=dict(name_models.find(name).labels),
        label_prefixes=list(name_models.PREFIXES),
        threshold=0.0,
        device="cpu",
        text_chunker=_stretches(_STRETCH),
    )
    reader.ner_pipeline.tokenizer.model_max_length = _ENDLESS
    return cast("EntityRecognizer", reader)


@lru_cache(maxsize=2)
def _gliner(folder: Path) -> "EntityRecognizer":
    from presidio_analyzer.predefined_recognizers import GLiNERRecognizer

    reader: Any = GLiNERRecognizer(
        model_name=str(folder),
        entity_mapping=dict(name_models.GLINER_LABELS),
        threshold=_MINIMUM,
        map_location="cpu",
        text_chunker=_stretches(_STRETCH),
    )
    reader.text_chunker = _stretches(min(_STRETCH, reader.gliner.config.max_len))
    reader.gliner.data_processor.transformer_tokenizer.model_max_length = _ENDLESS
    return cast("EntityRecognizer", reader)


def _stretches(size: int) -> "BaseTextChunker":
    """Cuts a text into stretches of at most `size` characters that overlap, between words."""
    from presidio_analyzer.chunkers import BaseTextChunker, TextChunk

    class Stretches(BaseTextChunker):
        def chunk(self, text: str) -> list[TextChunk]:
            """The stretches in order; a word is cut only where it is longer than half of one."""
            return [TextChunk(text[start:end], start, end) for start, end in cuts(text, size)]

    return Stretches()


def cuts(text: str, size: int) -> Iterator[tuple[int, int]]:
    """Where stretches of at most `size` characters begin and end; a fifth of each is read twice."""
    start = 0
    while start < len(text):
        end = min(len(text), start + size)
        if end < len(text):
            blank = text.rfind(" ", start + size // 2, end)
            end = blank if blank >= 0 else end
        yield start, end
        if end == len(text):
            return
        blank = text.find(" ", end - size // 5, end)
        start = blank + 1 if blank >= 0 else end - size // 5


def _widened(text: str, start: int, end: int) -> tuple[int, int]:
    """A stretch widened to the letters and digits that touch it: models cut words into parts."""
    while start > 0 and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return start, end
