"""A second model for names: really loaded and asked, merged, named in the hash, looked through."""

import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from sqlalchemy import Engine
from typer.testing import CliRunner

from curation.__main__ import app
from curation.personal import model_files, name_models, presidio, scan_settings
from curation.personal.analyzer import Scanner
from curation.personal.detect import Quarantine, Span
from curation.personal.pii import Config, Replacement
from storage.engine import writing
from storage.errors import BadInput, Unavailable
from storage.types import Role
from tests.support import stories

SENTENCES = (
    "my name is zorblax and i live in quib",
    "i live in quib",
    "zorblax was at work",
    "the card was lost in quib",
    "my card and my name",
    "zorblax lost the card",
)
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "B-MISC")
CLASSES = {"zorblax": 1, "quib": 3}


def tokenizer(folder: Path) -> Any:  # noqa: ANN401 - transformers is untyped here
    """A tokenizer of whole words, saved in a folder."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = sorted({word for sentence in SENTENCES for word in sentence.split()})
    word_level = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate([*special, *vocabulary])}, unk_token="[UNK]")
    )
    word_level.normalizer = normalizers.Lowercase()
    word_level.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    kind: Any = PreTrainedTokenizerFast
    fast = kind(
        tokenizer_object=word_level,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    fast.save_pretrained(folder)
    return fast


def tagger(folder: Path) -> None:
    """A BERT of one small layer that learned two words, saved in a folder."""
    import torch
    from transformers import BertConfig, BertForTokenClassification

    fast = tokenizer(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(fast),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=72,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: n for n, label in enumerate(LABELS)},
    )
    model = BertForTokenClassification(config)
    places = model.bert.embeddings.position_embeddings.weight
    places.data.zero_()  # words count, wherever they stand
    places.requires_grad_(False)
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), 0.02)
    for _ in range(40):
        for sentence in SENTENCES:
            ids = torch.tensor([fast.convert_tokens_to_ids(sentence.split())])
            labels = torch.tensor([[CLASSES.get(word, 0) for word in sentence.split()]])
            model(input_ids=ids, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def home(model_code: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of second models, with one that works."""
    del model_code
    data = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_DATA", str(data))
        tagger(name_models.home() / "tiny")
        yield name_models.home()


@pytest.fixture
def spare(home: Path) -> Iterator[Path]:
    """A copy of the model, to be spoiled."""
    folder = home / "spare"
    shutil.copytree(home / "tiny", folder)
    yield folder
    shutil.rmtree(folder)


def findings(text: str, config: Config) -> list[tuple[str, str]]:
    """Words and types found in a text that can be read."""
    (spans,) = Scanner(config).scan([text])
    assert isinstance(spans, list)
    return [(text[span.start : span.end], span.type) for span in spans]


def test_what_only_the_second_model_knows_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("the scan opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    text = "my zorblax card was lost and the quib too, not the quibble. write to ana@cuvox.de"
    assert findings(text, Config()) == [("ana@cuvox.de", "EMAIL_ADDRESS")]
    both = [("zorblax", "PERSON"), ("quib", "LOCATION"), ("ana@cuvox.de", "EMAIL_ADDRESS")]
    assert home.is_dir()
    assert findings(text, Config(second_model="tiny")) == both


@pytest.mark.usefixtures("home")
def test_a_long_text_is_read_to_its_end() -> None:
    text = "the card was lost in the work and " * 40 + "my name is zorblax"
    assert findings(text, Config(second_model="tiny"))[-1] == ("zorblax", "PERSON")


@pytest.mark.usefixtures("home")
def test_what_the_second_model_cannot_take_is_set_aside_and_never_cut_short() -> None:
    # More tokens in a stretch than the model has places for.
    first, second = Scanner(Config(second_model="tiny")).scan(["my card", "a b c " * 100])
    assert first == []
    assert isinstance(second, Quarantine)


def test_the_hash_names_the_second_model(home: Path, spare: Path) -> None:
    assert home.is_dir()
    hashes = {Config().sha256, Config(second_model="tiny").sha256}
    hashes.add(Config(second_model="gone").sha256)
    before = Config(second_model="spare").sha256
    (spare / "model.safetensors").write_bytes(b"other")
    hashes |= {before, Config(second_model="spare").sha256}
    assert len(hashes) == 5


def test_a_project_and_the_command_ask_it(home: Path, engine: Engine, tmp_path: Path) -> None:
    shutil.copytree(home / "tiny", name_models.home() / "tiny")  # the data folder of this engine
    desk, lena = stories.project(engine), stories.person(engine, "lena", Role.LEAD)
    with writing(engine) as session:
        before = scan_settings.current(session, desk.id).config
        wrong, right = (replace(before, second_model=name) for name in ("gone", "tiny"))
        with pytest.raises(BadInput, match="no second model 'gone'"):
            scan_settings.configure(session, lena, desk.id, wrong, Replacement.ROW)
        scan_settings.configure(session, lena, desk.id, right, Replacement.ROW)
        now = scan_settings.current(session, desk.id).config
    assert (now.second_model, now.sha256 == before.sha256) == ("tiny", False)
    (tmp_path / "in.jsonl").write_text('{"id": 1, "text": "my zorblax card"}\n')
    call = ["scan", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out"), "--fresh"]
    done = CliRunner().invoke(app, [*call, "--second-model", "tiny"])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out").read_text())["type"] == "PERSON"


def test_a_folder_says_what_it_finds(home: Path) -> None:
    model = name_models.find("tiny")
    assert home / "tiny" == model.folder
    assert (model.types, model.unused) == (["LOCATION", "PERSON"], ("MISC",))


def _put(file: str, content: str | bytes) -> object:
    raw = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / file).write_bytes(raw)


def _config(**changes: object) -> object:
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_put("model.py", "1"), "Python files"),
        (_put("pytorch_model.bin", "1"), "pickled"),
        (_put("model.safetensors", b"\xff" * 9), "damaged"),
        (_put("config.json", "["), "config.json of spare cannot be read"),
        (_config(auto_map={"AutoModel": "x.y"}), "runs code"),
        (_config(architectures=["BertForMaskedLM"]), "no token-classification model"),
        (_config(model_type="mystery"), "no token-classification model"),
        (_config(id2label={"0": "O", "1": "B-VERB"}), "No label"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no safetensors"),
    ],
)
def test_a_folder_that_may_not_be_loaded_is_refused(spare: Path, spoil, reason: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    spoil(spare)
    with pytest.raises(BadInput, match=reason):
        name_models.find("spare")


@pytest.mark.parametrize("name", ["gone", "..", "../tiny", "/etc"])
@pytest.mark.usefixtures("home")
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="no second model"):
        Scanner(Config(second_model=name)).scan(["Hello there."])


def test_a_folder_is_looked_through_again_once_a_file_changed(
    spare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages ask at every draw: what was found stands for as long as the files do."""
    looks: list[Path] = []
    refuse = model_files.refuse_weights

    def refuse_weights(folder: Path) -> None:
        looks.append(folder)
        refuse(folder)

    monkeypatch.setattr(model_files, "refuse_weights", refuse_weights)
    assert name_models.find("spare") == name_models.find("spare")
    assert looks == [spare]
    (spare / "README.md").write_text("x")
    name_models.find("spare")
    assert looks == [spare, spare]


def test_a_gliner_model_asks_for_its_library(spare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (spare / "gliner_config.json").write_text("{}")
    monkeypatch.setattr(name_models, "find_spec", lambda _: None)
    with pytest.raises(Unavailable, match="ner"):
        name_models.find("spare")


@pytest.mark.skipif(find_spec("gliner") is None, reason='needs pip install ".[ner]"')
def test_a_gliner_model_is_loaded_and_asked(home: Path) -> None:
    gliner_model(home / "gliner")
    config = Config(second_model="gliner", threshold=0.1, nationality=True)
    text = "My name is Zorblax and I live in Quib. " * 20
    (spans,) = Scanner(config).scan([text])
    assert isinstance(spans, list)
    assert {span.type for span in spans} <= set(name_models.GLINER_LABELS.values())
    assert len(spans) > 20  # its weights are random: it names nearly everything
    assert spans[-1].end > len(text) - 10


def gliner_model(folder: Path) -> None:
    """A GLiNER model with one small layer and random weights, saved whole."""
    import torch
    from gliner import GLiNER
    from gliner.config import GLiNERConfig
    from safetensors.torch import save_file
    from transformers import BertConfig

    fast = tokenizer(folder)
    torch.manual_seed(0)
    encoder = BertConfig(
        vocab_size=len(fast) + 3,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
    )
    settings = {
        "model_name": "none",
        "max_width": 4,
        "hidden_size": 16,
        "dropout": 0.0,
        "max_len": 128,
        "fuse_layers": False,
        "span_mode": "markerV0",
        "subtoken_pooling": "first",
    }
    config = GLiNERConfig(
        **settings, encoder_config=encoder.to_dict(), vocab_size=-1, class_token_index=-1
    )
    kind = GLiNER._get_gliner_class(config)
    model = kind(config, tokenizer=fast, backbone_from_pretrained=False)
    kind._resize_token_embeddings(model, config, fast)
    save_file(
        {name: value.contiguous() for name, value in model.model.state_dict().items()},
        folder / "model.safetensors",
    )
    settings["encoder_config"] = {**encoder.to_dict(), "vocab_size": model.config.vocab_size}
    settings |= {name: getattr(model.config, name) for name in ("vocab_size", "class_token_index")}
    (folder / "gliner_config.json").write_text(json.dumps(settings))
    model.data_processor.transformer_tokenizer.save_pretrained(folder)


@given(st.text(alphabet="ab \n", max_size=400), st.integers(10, 60))
def test_stretches_cover_a_text(text: str, size: int) -> None:
    parts = list(presidio.cuts(text, size))
    assert {i for start, end in parts for i in range(start, end)} >= {
        i for i, char in enumerate(text) if char != " "
    }
    assert all(0 < end - start <= size for start, end in parts)
    assert [start for start, _ in parts] == sorted({start for start, _ in parts})


def test_a_part_of_a_word_becomes_the_word() -> None:
    text = "seen Anna-Lena's Zürich."
    assert presidio._widened(text, 6, 8) == (5, 9)
    assert presidio._widened(text, 17, 20) == (17, 23)
    assert Span(*presidio._widened(text, 0, 24), "X", 1.0).end == 24
