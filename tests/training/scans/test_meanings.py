"""What rows mean, compared by a real (tiny, random) encoder in a job of its own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import Engine

from curation.gate import readiness
from curation.overlap import overlaps
from curation.overlap.near import meanings
from storage import pairs, settings as places
from storage.engine import reading, writing
from storage.errors import BadInput, RuleBroken, Unavailable
from storage.settings import Settings
from storage.types import Job, JobState, LinkKind, LinkState, Pair, Project
from tests.support import curated, stories
from tests.support.tiny_model import encoder
from training import asks, reconcile
from training.models import vetting
from training.scans import meaning
from training.work.evidence import Evidence

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
ASKED = "please tell me how to reset the password of my account since it is lost"
TURNED = "my account password is lost please tell me how to reset it"
OTHER = "which fee does a transfer abroad cost"


@pytest.fixture(scope="module")
def folder(model_code: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder, made once."""
    del model_code
    return encoder(tmp_path_factory.mktemp("encoder") / "tiny-encoder", [ASKED, TURNED, OTHER])


def by_hand(vectors: np.ndarray, least: float) -> set[tuple[int, int]]:
    """Every row with every other, one at a time."""
    found = set()
    for b in range(len(vectors)):
        for a in range(b):
            lengths = np.linalg.norm(vectors[a]) * np.linalg.norm(vectors[b])
            if lengths and vectors[a] @ vectors[b] / lengths >= least:
                found.add((a, b))
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40), st.sampled_from([1, 7, 1 << 22]))
def test_every_close_pair_is_found_whatever_the_blocks(seed: int, count: int, cells: int) -> None:
    dice = np.random.default_rng(seed)
    vectors = dice.normal(size=(count, 3)).astype(np.float32)
    vectors[::5] = 0
    # No cosine may lie so near the limit that rounding decides.
    wanted, wider = by_hand(vectors.astype(float), 0.7001), by_hand(vectors.astype(float), 0.6999)
    if wanted != wider:
        return
    known = set(sorted(wanted)[::3])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(meanings, "_CELLS", cells)
        found = meanings.closest(vectors, 0.7, known, limit=5)
        everything = meanings.closest(vectors, 0.7, known, limit=10_000)
    assert {(a, b) for a, b, _ in everything.pairs} == wanted - known
    assert found.total == everything.total == len(wanted - known)
    assert found.pairs == everything.pairs[:5]
    cosines = [cosine for _, _, cosine in everything.pairs]
    assert cosines == sorted(cosines, reverse=True)


def test_a_vector_that_holds_no_number_is_close_to_nothing() -> None:
    vectors = np.array([[np.nan, 1], [1, np.inf], [1, 1], [2, 2]], np.float32)
    assert [(a, b) for a, b, _ in meanings.closest(vectors, 0.5).pairs] == [(2, 3)]


def test_vectors_are_those_of_each_text_alone(folder: Path, tmp_path: Path) -> None:
    texts = [OTHER, ASKED, TURNED, "fee", " ".join([OTHER] * 20)]
    with Evidence(tmp_path) as held:
        found, cut = meaning._embedded(folder, texts, held)
        one_by_one = [meaning._embedded(folder, [text], held)[0][0] for text in texts]
    assert cut == 1, "the last has more tokens than the model has places"
    assert np.abs(found - np.array(one_by_one)).max() < 1e-5
    assert len({row.tobytes() for row in found}) == len(texts)


def test_the_first_token_stands_for_the_text_where_the_folder_says_so(
    folder: Path, tmp_path: Path
) -> None:
    first = Path(shutil.copytree(folder, tmp_path / "first"))
    (first / "1_Pooling").mkdir()
    pooling = first / "1_Pooling" / "config.json"
    pooling.write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    with Evidence(tmp_path) as held:
        mean, _ = meaning._embedded(folder, [OTHER], held)
        token, _ = meaning._embedded(first, [OTHER], held)
    assert np.abs(mean - token).max() > 1e-3
    pooling.write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(BadInput, match="pools its tokens in a way"):
        vetting.vet_encoder(first)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("run.py", "", "holds Python files"),
        ("config.json", '{"model_type": "bert", "auto_map": {}}', "sets auto_map"),
        ("config.json", '{"model_type": "llama"}', "is not one that Assay knows"),
        ("model.safetensors", "", "is damaged"),
        ("tokenizer.json", None, "has no tokenizer.json"),
        (
            "modules.json",
            '[{"type": "sentence_transformers.models.Dense"}]',
            r"a step .* \(Dense\)",
        ),
        ("modules.json", "{", "cannot be read"),
    ],
)
def test_folders_that_could_run_code_or_mean_something_else_are_refused(
    folder: Path, tmp_path: Path, file: str, content: str | None, said: str
) -> None:
    spoilt = Path(shutil.copytree(folder, tmp_path / "spoilt"))
    if content is None:
        (spoilt / file).unlink()
    else:
        (spoilt / file).write_text(content)
    with pytest.raises(BadInput, match=said):
        vetting.vet_encoder(spoilt)


def test_pickled_weights_alone_are_refused(folder: Path, tmp_path: Path) -> None:
    spoilt = Path(shutil.copytree(folder, tmp_path / "spoilt"))
    (spoilt / "model.safetensors").rename(spoilt / "pytorch_model.bin")
    with pytest.raises(BadInput, match="no safetensors weights"):
        vetting.vet_encoder(spoilt)


def three(engine: Engine) -> tuple[Project, list[Pair]]:
    """A project of three rows, compared word by word; none is alike."""
    desk = stories.project(engine)
    texts = [(ASKED, stories.CARDS), (TURNED, stories.CARDS), (OTHER, stories.LOANS)]
    rows = curated.approved(engine, desk, texts)
    curated.compared(engine, desk)
    assert curated.links(engine, desk) == []
    return desk, rows


def asked(engine: Engine, desk: Project, here: Settings, least: float) -> Job:
    """A comparison, asked for."""
    with writing(engine) as session:
        return asks.compare_meanings(session, curated.ana(engine), desk.id, here, least)


@pytest.mark.usefixtures("in_process")
def test_a_job_proposes_rows_that_people_settle(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_EMBEDDER", str(folder))
    desk, rows = three(engine)
    here = places.current()
    job = asked(engine, desk, here, 0.8)
    done = list(reconcile.finish_all(engine, here, job.id))[-1]
    assert done.state is JobState.FINISHED, done.message
    assert done.message == "Compared what 3 pairs ask: 1 new pair with a cosine of 0.8 or more."
    (link,) = curated.links(engine, desk)
    assert (link.kind, link.a, link.b) == (LinkKind.NEAR, rows[0].id, rows[1].id)
    assert 0.8 <= link.similarity < 1
    assert meanings.by_meaning([link]) == [link]
    with reading(engine) as session:
        assert meanings.linked(session, desk.id) == [(link.a, link.b)]
    with writing(engine) as session:
        overlaps.both_right(session, curated.ana(engine), link.id, "Both ways to ask are wanted")
    assert curated.links(engine, desk) == []
    again = list(reconcile.finish_all(engine, here, asked(engine, desk, here, 0.8).id))[-1]
    assert "0 new pairs" in (again.message or ""), "what was settled is not proposed again"


def line(a: Pair, b: Pair) -> meanings.Proposal:
    """What a job says about two rows."""
    return meanings.Proposal(a.id, b.id, a.content_sha256, b.content_sha256, 0.93)


def test_what_changed_meanwhile_or_is_linked_already_is_left_out(engine: Engine) -> None:
    desk, rows = three(engine)
    ana = curated.ana(engine)
    found = [line(rows[0], rows[1]), line(rows[0], rows[2])]
    with writing(engine) as session:
        pairs.rewrite(session, pairs.row_of(session, rows[2].id), "Other", stories.CARDS, None)
        assert meanings.store(session, ana, desk.id, found, "0" * 64) == 1
        assert meanings.store(session, ana, desk.id, found, "0" * 64) == 0
    (link,) = curated.links(engine, desk)
    assert (link.a, link.b, link.state) == (rows[0].id, rows[1].id, LinkState.OPEN)


def test_the_gate_waits_for_them(engine: Engine) -> None:
    desk, rows = three(engine)
    with writing(engine) as session:
        found = [line(rows[0], rows[1])]
        meanings.store(session, curated.ana(engine), desk.id, found, "0" * 64)
    with reading(engine) as session:
        lines = {line.key: line for line in readiness.report(session, desk.id)}
    assert not lines["near_duplicates"].met


def test_what_cannot_be_compared_is_refused_in_one_sentence(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    data = places.current().data
    desk, rows = three(engine)
    with pytest.raises(Unavailable, match="let ASSAY_EMBEDDER name its folder"):
        asked(engine, desk, Settings(data), 0.9)
    with pytest.raises(Unavailable, match="There is no folder"):
        asked(engine, desk, Settings(data, tmp_path / "none"), 0.9)
    with pytest.raises(BadInput, match=r"give 0\.5 to 1"):
        asked(engine, desk, Settings(data, folder), 0.3)
    with writing(engine) as session:
        pairs.rewrite(session, pairs.row_of(session, rows[2].id), "Other", stories.CARDS, None)
    with pytest.raises(RuleBroken, match="compared word by word"):
        asked(engine, desk, Settings(data, folder), 0.9)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "bert"
