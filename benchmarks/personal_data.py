"""The personal-data scan: quality on presidio-research, false alarms, speed, hostile texts, memory.

`ASSAY_SHARED_DATA=FOLDER python -m benchmarks.personal_data`, or `--data FOLDER`: a folder with
`presidio_research/generated_large.json` (MIT) and `banking77/messages.jsonl` (CC BY 4.0). Two
minutes or so on two free cores. `--only hostile` and `--only vocabulary` take some ten minutes each
and need no data.

Quality follows notebook 5 of presidio-research: its evaluator (`pip install ".[benchmarks]"`, which
needs Python below 3.14) compares tokens of the small spaCy model, all personal data as one kind;
F2 by spans (overlap of at least 0.9, its default, and 0.5, as its own text says) and by tokens.
"Uncovered" is the share of gold spans with any character not found, "characters" the share of what
was found that is gold. Templates are halved by the sha256 of their number: rules were written with
the one half in view and only scored on the other. `--write curation/personal/recall.json` keeps
recall by type, on the half not looked at, for the page. `--only baseline` gives Presidio's own
figures.

Speed: each of four quarters of the texts is scanned by each way in turn, after all have loaded.
Where others use the machine, processor time is the fairer figure; it exists for one process only.
"""

import argparse
import hashlib
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks import hostile_texts
from curation.personal import analyzer, language, presidio, scan_cache, scanning
from curation.personal.analyzer import Scanner
from curation.personal.detect import Span, pieces
from curation.personal.pii import TYPES, Config
from curation.personal.resolving import resolved
from curation.statistics import wilson

Findings = list[list[Span]]
OUR_TYPES = {
    "ADDRESS": "STREET_ADDRESS",
    "DOMAIN_NAME": "URL",
    "PREFIX": "TITLE",
    "US_DRIVER_LICENSE": "ID_NUMBER",
}
WIDE = Config(nationality=True, weekdays=True)
"""What `python -m curation scan` looks for."""


def in_view(row: dict[str, Any]) -> bool:
    """Whether the template of a row was in view when rules were written."""
    return int(hashlib.sha256(str(row["template_id"]).encode()).hexdigest(), 16) % 2 == 0


def scanned(texts: Sequence[str], config: Config) -> Findings:
    """Findings; a text set aside has none."""
    return [spans if isinstance(spans, list) else [] for spans in Scanner(config).scan(texts)]


def quality(rows: Sequence[dict[str, Any]], findings: Findings) -> None:
    """Print the figures of both halves."""
    for name, wanted in (("in view", True), ("held out", False)):
        some = [
            (row, spans)
            for row, spans in zip(rows, findings, strict=True)
            if in_view(row) is wanted
        ]
        spans = sum(len(row["spans"]) for row, _ in some)
        left = sum(not _covered(gold, findings) for row, findings in some for gold in row["spans"])
        good = bad = 0
        for row, marked_spans in some:
            gold = {i for span in row["spans"] for i in _range(span)}
            marked = {i for span in marked_spans for i in range(span.start, span.end)}
            marked = {i for i in marked if row["full_text"][i].isalnum()}
            good, bad = good + len(marked & gold), bad + len(marked - gold)
        print(f"\ntemplates {name}: {len(some)} rows, {spans} spans")
        _share("spans with a character uncovered", left, spans)
        _share("characters found that are gold", good, good + bad)
        _official([row for row, _ in some], [marked_spans for _, marked_spans in some])


def _range(gold: dict[str, Any]) -> range:
    return range(gold["start_position"], gold["end_position"])


def _covered(gold: dict[str, Any], spans: Sequence[Span]) -> bool:
    return {i for span in spans for i in range(span.start, span.end)}.issuperset(_range(gold))


def _share(label: str, k: int, n: int) -> None:
    low, high = wilson(k, n)
    print(f"  {label:40} {k / max(1, n):.3f}  (n {n}, 95 % {low:.3f} to {high:.3f})")


def _official(rows: Sequence[dict[str, Any]], findings: Findings) -> None:
    try:
        import pandas as pd
        from presidio_evaluator import span_to_tag
        from presidio_evaluator.evaluation import SpanEvaluator
    except ImportError:
        print('  F2 is not measured: pip install ".[benchmarks]"')
        return
    table = []
    for number, (row, spans) in enumerate(zip(rows, findings, strict=True)):
        text, gold = row["full_text"], row["spans"]
        tokens = language.language().make_doc(text)
        annotated = span_to_tag(
            "IO",
            text,
            [span["start_position"] for span in gold],
            [span["end_position"] for span in gold],
            [span["entity_type"] for span in gold],
            tokens=tokens,
        )
        predicted = span_to_tag(
            "IO",
            text,
            [span.start for span in spans],
            [span.end for span in spans],
            [span.type for span in spans],
            [span.score for span in spans],
            tokens=tokens,
        )
        table += [
            (number, t.text, a, p, t.idx)
            for t, a, p in zip(tokens, annotated, predicted, strict=True)
        ]
    columns = ["sentence_id", "token", "annotation", "prediction", "start_indices"]
    frame = pd.DataFrame(table, columns=columns)
    for overlap in (0.9, 0.5):
        judge = SpanEvaluator(model=None, iou_threshold=overlap)
        result = judge.calculate_score_on_df(results_df=frame, level="pii")
        print(
            f"  F2 by spans, overlap {overlap}: {result.pii_f:.3f} (precision "
            f"{result.pii_precision:.3f}, recall {result.pii_recall:.3f})"
        )
    gold_, mine_ = frame.annotation != "O", frame.prediction != "O"
    precision, recall = (gold_ & mine_).sum() / mine_.sum(), (gold_ & mine_).sum() / gold_.sum()
    print(
        f"  F2 by tokens {5 * precision * recall / (4 * precision + recall):.3f} "
        f"(precision {precision:.3f}, recall {recall:.3f})"
    )


def baseline(rows: Sequence[dict[str, Any]]) -> None:
    """Print the same figures of Presidio as it comes, and with the model's companies let through.

    None of Presidio's rules was written with these templates in view.
    """
    for name, peer in (("as it comes", stock()), ("ORGANIZATION on", stock(companies=True))):
        print(f"\nPresidio {name}")
        quality(rows, [_analyzed(peer, row["full_text"]) for row in rows])


def _analyzed(peer: Any, text: str) -> list[Span]:  # noqa: ANN401 - presidio is untyped here
    results = peer.analyze(text, language="en", score_threshold=0.4)
    return [Span(r.start, r.end, r.entity_type, r.score) for r in results]


def stock(*, companies: bool = False) -> Any:  # noqa: ANN401 - presidio is untyped here
    """Presidio's AnalyzerEngine as its own conf/default.yaml has it, on the same model.

    That leaves companies out, "has many false positives", unless asked.
    """
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

    left_out = [*_NO_NAMES, *([] if companies else ["ORGANIZATION"])]
    nlp = SpacyNlpEngine(
        models=[{"lang_code": "en", "model_name": language.model()}],
        ner_model_configuration=NerModelConfiguration(labels_to_ignore=left_out),
    )
    nlp.load()
    peer = AnalyzerEngine(nlp_engine=nlp, supported_languages=["en"])
    peer.registry.remove_recognizer("EmailRecognizer")  # the packaged one asks the network
    peer.registry.add_recognizer(presidio.recognizers()[0][0])
    return peer


_NO_NAMES = (
    "CARDINAL",
    "EVENT",
    "LANGUAGE",
    "LAW",
    "MONEY",
    "ORDINAL",
    "PERCENT",
    "PRODUCT",
    "QUANTITY",
    "WORK_OF_ART",
)


def recall(rows: Sequence[dict[str, Any]], config: Config) -> dict[str, Any]:
    """Spans of each type of which no letter or digit was left: on the templates held out.

    Types of which those have no span are measured on the templates in view, and told apart.
    """
    findings = scanned([row["full_text"] for row in rows], config)
    both = list(zip(rows, findings, strict=True))
    held_out = _recalled([pair for pair in both if not in_view(pair[0])])
    view = _recalled([pair for pair in both if in_view(pair[0])])
    view = {kind: figures for kind, figures in view.items() if kind not in held_out}
    for name, types in (("held out", held_out), ("in view, where those have no span", view)):
        print(f"\nrecall by type, a project's default, on the templates {name}")
        for kind, figures in types.items():
            _share(kind, figures["found"], figures["n"])
    print(f"  nowhere a span of {', '.join(sorted(set(TYPES) - {*held_out, *view}))}")
    return {
        "model": language.model(),
        "config_sha256": config.sha256,
        "measured_on": f"{sum(not in_view(row) for row in rows):,} synthetic sentences of "
        "presidio-research, whose templates were not looked at when the rules were written",
        "types": held_out,
        "types_in_view": view,
    }


def _recalled(some: Sequence[tuple[dict[str, Any], list[Span]]]) -> dict[str, dict[str, Any]]:
    counts: dict[str, list[int]] = {}
    for row, spans in some:
        marked = {i for span in spans for i in range(span.start, span.end)}
        for gold in row["spans"]:
            count = counts.setdefault(
                OUR_TYPES.get(gold["entity_type"], gold["entity_type"]), [0, 0]
            )
            letters = {i for i in _range(gold) if row["full_text"][i].isalnum()}
            count[0] += marked.issuperset(letters)
            count[1] += 1
    types = {}
    for kind, (k, n) in sorted(counts.items()):
        low, high = wilson(k, n)
        types[kind] = {"found": k, "n": n, "low": round(low, 4), "high": round(high, 4)}
    return types


def engine() -> Any:  # noqa: ANN401 - presidio is untyped here
    """Presidio's AnalyzerEngine on the same model with the same recognizers as ours."""
    from presidio_analyzer import (
        AnalyzerEngine,
        EntityRecognizer,
        RecognizerRegistry,
        RecognizerResult as Result,
    )
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

    class Ours(EntityRecognizer):
        """The model's names, our patterns and lists, behind Presidio's interface."""

        def load(self) -> None:
            """Nothing to load."""

        def analyze(self, text: str, entities: Any, nlp_artifacts: Any) -> list[Result]:  # noqa: ANN401, ARG002
            """As `language.names`, on the tokens that Presidio made."""
            doc = nlp_artifacts.tokens
            return [Result(s.type, s.start, s.end, s.score) for s in language.names(text, doc)]

    kinds = ["PERSON", "LOCATION", "ORGANIZATION", "NRP", "DATE_TIME", "STREET_ADDRESS", "TITLE"]
    every = [*kinds, "AGE", "PHONE_NUMBER", "US_SSN", "CREDIT_CARD", "IBAN_CODE"]
    plain = NerModelConfiguration(
        model_to_presidio_entity_mapping={label: label for label in _LABELS}, labels_to_ignore=()
    )
    small = {"lang_code": "en", "model_name": language.model()}
    nlp = SpacyNlpEngine(models=[small], ner_model_configuration=plain)
    nlp.load()
    packaged = list(
        {id(recognizer): recognizer for recognizer, _, _ in presidio.recognizers()}.values()
    )
    registry = RecognizerRegistry([Ours(every), *packaged], supported_languages=["en"])
    return AnalyzerEngine(
        registry=registry, nlp_engine=nlp, context_aware_enhancer=presidio.enhancer()
    )


_LABELS = (
    "PERSON",
    "NORP",
    "FAC",
    "ORG",
    "GPE",
    "LOC",
    "DATE",
    "TIME",
    "CARDINAL",
    "EVENT",
    "LANGUAGE",
    "LAW",
    "MONEY",
    "ORDINAL",
    "PERCENT",
    "PRODUCT",
    "QUANTITY",
    "WORK_OF_ART",
)


def looped(peer: Any, texts: Sequence[str]) -> Findings:  # noqa: ANN401 - presidio is untyped here
    """`AnalyzerEngine.analyze` one text after the other, what it finds put in order as we do."""
    scanner = Scanner(Config())
    findings: Findings = []
    for text in texts:
        spans: list[Span] = []
        for piece in pieces(text):
            raw = _analyzed(peer, piece.text)
            spans += [piece.original(span) for span in scanner.selected(piece.text, raw)]
        findings.append(analyzer.display_types(resolved(text, spans)))
    return findings


def speed(texts: Sequence[str]) -> None:
    """Print the times of each way and how many spans are the same."""
    alone = Scanner(Config())
    default, alike = stock(), engine()
    took: dict[str, float] = {}
    spent: dict[str, float] = {}
    mine: Findings = []
    theirs: Findings = []
    with scanning.scanners(Config(), 2) as two:
        list(two(texts[:128]))  # both processes load
        alone.scan(texts[:4])
        looped(default, texts[:4])
        looped(alike, texts[:4])
        ways: dict[str, Callable[[Sequence[str]], Any]] = {
            "ours, one process": alone.scan,
            "ours, two processes": lambda some: list(two(some)),
            "AnalyzerEngine in a loop, same recognizers": lambda some: looped(alike, some),
            "AnalyzerEngine in a loop, as it comes": lambda some: looped(default, some),
        }
        for start in range(0, len(texts), max(1, len(texts) // 4)):
            part = texts[start : start + max(1, len(texts) // 4)]
            for name, way in ways.items():
                begun, used = time.perf_counter(), time.process_time()
                result = way(part)
                took[name] = took.get(name, 0) + time.perf_counter() - begun
                spent[name] = spent.get(name, 0) + time.process_time() - used
                if name.endswith("same recognizers"):
                    theirs += result
                elif name == "ours, one process":
                    mine += [spans if isinstance(spans, list) else [] for spans in result]
    print(f"\nspeed: {len(texts)} texts of about {sum(map(len, texts)) // len(texts)} characters")
    for name, seconds in took.items():
        print(f"  {name:44} {seconds:6.2f} s, {spent[name]:6.2f} s of this process's processor")
    for peer in list(took)[2:]:
        for us in list(took)[:2]:
            print(f"  {peer} / {us}: {took[peer] / took[us]:.2f}x")
        alone_ = spent[peer] / spent["ours, one process"]
        print(f"  {peer} / ours, one process: {alone_:.2f}x in processor time")
    a = {(i, s.start, s.end, s.type) for i, spans in enumerate(mine) for s in spans}
    b = {(i, s.start, s.end, s.type) for i, spans in enumerate(theirs) for s in spans}
    _share("spans that both find, of those either finds", len(a & b), len(a | b))


def rescan(texts: Sequence[str]) -> None:
    """Print how long it takes to find rows in the cache."""
    config = Config()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.db"
        keys = [scan_cache.key(config.sha256, text) for text in texts]
        findings = scanned(texts, config)
        scan_cache.remember(path, dict(zip(keys, findings, strict=True)))
        begun = time.perf_counter()
        cached = scan_cache.lookup(path, [scan_cache.key(config.sha256, text) for text in texts])
        took = time.perf_counter() - begun
        print(f"\nrescan of {len(texts)} unchanged rows: {took * 1000:.1f} ms, {len(cached)} known")


def vocabulary(rows: int) -> None:
    """Print what the process keeps of varied rows, each with words that it never saw.

    About two new words a row, as the rows of presidio-research bring after the first thousand
    (2.1); those of banking77 bring 0.3. The other words are of 3,000 that come again.
    """
    chance = random.Random(7)

    def word() -> str:
        return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(4, 11)))

    usual = [word() for _ in range(3_000)]
    new = 0

    def fresh() -> str:
        nonlocal new
        new += 1
        return word()

    def message() -> str:
        few = chance.choices(usual, k=chance.randint(4, 12))
        values = {
            "name": f"{chance.choice(usual).title()} {fresh().title()}",
            "words": " ".join(few),
        }
        shape = chance.choice(_VARIED)
        if "mail" in shape:
            values["mail"] = f"{chance.choice(usual)}@{fresh()}.de"
        return shape.format(
            **values, number=chance.randint(1, 999), town=chance.choice(usual).title()
        )

    scanner = Scanner(Config())
    scanner.scan([message() for _ in range(8 * _PART)])
    strings = language.language().vocab.strings
    before, memory, new = len(strings), psutil.Process().memory_info().rss, 0
    print(f"\nwhat stays of {rows:,} rows")
    for done in range(_PART, rows + 1, _PART):
        scanner.scan([message() for _ in range(_PART)])
        if done % max(_PART, rows // 5) == 0:
            grown = (psutil.Process().memory_info().rss - memory) / 1e6
            stays = len(strings) - before
            print(
                f"  {done:,} rows, {new:,} new words: {grown:.1f} MB, {stays} words kept",
                flush=True,
            )


_PART = 500
_VARIED = (
    "My name is {name} and I paid {number} euros for {words}.",
    "hello, i cannot reach {name} in {town} with {words}, write to {mail}",
    "{words} {number} {words} says {name}",
    "Dear {name},\n{words}.\nRegards, {name}, {number} {town} Street",
    '{{"note": "{words} for {name}", "mail": "{mail}"}}',
    "Is {words} known to {name} ({mail}), of {town}?",
)


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    print(f"model {language.model()}{f' and {arguments.second}' if arguments.second else ''}")
    parts = (arguments.only,) if arguments.only else PARTS
    if "hostile" in parts:
        hostile_texts.run(arguments.rows or 1_000)
    if "vocabulary" in parts:
        vocabulary(arguments.rows or 100_000)
    if not {"hostile", "vocabulary"}.issuperset(parts):
        _on_data(parts, arguments)


PARTS = ("quality", "baseline", "alarms", "speed")
"""What is measured where nothing is asked for."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=os.environ.get("ASSAY_SHARED_DATA"))
    parser.add_argument("--write", type=Path, help="Keep recall by type, for the page.")
    parser.add_argument("--texts", type=int, default=1_000, help="Texts of the speed rounds.")
    parser.add_argument("--rows", type=int, help="Rows: 100,000 of fresh words, 1,000 hostile.")
    parser.add_argument("--second", default="", help="Quality with this second model too.")
    parser.add_argument("--only", choices=(*PARTS, "hostile", "vocabulary"))
    arguments = parser.parse_args()
    if arguments.data is None and arguments.only not in ("hostile", "vocabulary"):
        parser.error("say where the data is: --data FOLDER or ASSAY_SHARED_DATA")
    return arguments


def _on_data(parts: Sequence[str], arguments: argparse.Namespace) -> None:
    """The parts that read the files of the data folder."""
    data = Path(arguments.data)
    rows = json.loads((data / "presidio_research/generated_large.json").read_text("utf-8"))
    desk = [
        json.loads(line)["text"]
        for line in (data / "banking77/messages.jsonl").read_text("utf-8").splitlines()
    ]
    texts = [row["full_text"] for row in rows]
    if "quality" in parts:
        _quality(rows, arguments)
    if "baseline" in parts:
        baseline(rows)
    if "alarms" in parts:
        print(f"\nbanking77: {len(desk)} messages, almost without personal data")
        for name, config in (("a project's default", Config()), ("`curation scan`", WIDE)):
            _share(f"with a finding, {name}", sum(map(bool, scanned(desk, config))), len(desk))
    if "speed" in parts:
        mixed = _about(300, [*texts, *desk], arguments.texts)
        speed(mixed)
        rescan(mixed)


def _quality(rows: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> None:
    texts = [row["full_text"] for row in rows]
    quality(rows, scanned(texts, replace(WIDE, second_model=arguments.second)))
    measured = recall(rows, Config(second_model=arguments.second))
    if arguments.write:
        arguments.write.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def _about(length: int, texts: Sequence[str], count: int) -> list[str]:
    """Texts of one length, made by joining."""
    joined, cut = " ".join(random.Random(7).sample(texts, len(texts))), []
    for start in range(0, min(len(joined) - length, count * length), length):
        cut.append(joined[start : start + length])
    return cut


if __name__ == "__main__":
    main()
