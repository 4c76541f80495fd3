"""The base models a run can start from: the packaged one, a local folder, or one from the hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curation.personal.model_files import folder_sha256, readable
from storage import systems
from storage.errors import Unavailable
from training.families import FAMILIES, LAYERS
from training.models import fetching, render, verdicts, vetting
from training.models.precision import Precision, keep_exact, number_format
from training.records.parts import PACKAGED, BaseModel
from training.work import ranks

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TEMPLATE_SECONDS = 5.0
"""A chat template may take so long to render."""


@dataclass(frozen=True, slots=True)
class BaseOption:
    """One line of the list from which a person chooses a base model."""

    base: BaseModel
    name: str
    licence: str
    ready: bool
    """Whether it is there, without converting or downloading, and was not refused."""
    note: str


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A vetted base model on this machine, ready to load."""

    path: Path
    sha256: str
    """Over the names and sha256 of all its files."""
    name: str
    licence: str
    revision: str | None = None


def listing(data_dir: Path) -> list[BaseOption]:
    """The base models at hand: the packaged one first, then the folders below `models/`, with what
    is known of them; nothing is vetted for it.
    """
    ready = (data_dir / "models" / PACKAGED / "config.json").exists()
    note = "Runs on any computer." if ready else "Runs on any computer; converted once, about 40 s."
    options = [BaseOption(BaseModel("packaged"), fetching.PACKAGED_NAME, "Apache-2.0", ready, note)]
    for config in sorted((data_dir / "models").glob("*/config.json")):
        folder = config.parent.resolve()
        if folder.name != PACKAGED and not folder.name.startswith("."):
            options.append(_folder_option(folder, data_dir))
    return options


def _folder_option(folder: Path, data_dir: Path) -> BaseOption:
    base, verdict = BaseModel("folder", str(folder)), verdicts.of(folder, data_dir)
    origin = _origin(folder)  # its name stays when it is refused, or a chosen one would vanish
    if verdict is not None and verdict.problem:
        return BaseOption(base, origin.name, origin.licence, False, verdict.problem)
    note = "A folder on this server."
    if verdict is None:
        note += " It is looked through before anything is loaded from it."
    return BaseOption(base, origin.name, origin.licence, True, note)


@dataclass(frozen=True, slots=True)
class _Origin:
    """What Assay noted when it fetched a model; of other folders only the name is known."""

    name: str
    licence: str
    revision: str | None


def _origin(folder: Path) -> _Origin:
    note = readable(folder, "assay.json")
    return _Origin(
        str(note.get("name", folder.name)),
        str(note.get("licence", "see the folder")),
        note.get("revision"),
    )


def prepare(
    base: BaseModel, data_dir: Path, say: fetching.Say = lambda _message: None
) -> ModelFolder:
    """Make a base model ready on this machine: convert, download or only vet it.

    Raises:
        BadInput: it holds code, pickles or no chat template, or is of an unknown type.
        Unavailable: the package, the folder, the hub or disk space is missing.
    """
    (data_dir / "models").mkdir(parents=True, exist_ok=True)
    if base.kind == "packaged":
        path = fetching.packaged(data_dir / "models", say)
    elif base.kind == "hub":
        path = fetching.from_hub(base.where, base.revision, data_dir / "models", say)
    else:
        path = Path(base.where)
        if not path.is_absolute() or not path.is_dir():
            raise Unavailable("There is no folder of that name on the server. Give its whole path.")
    verdicts.require(path, data_dir)
    origin = _origin(path)
    return ModelFolder(path, folder_sha256(path), origin.name, origin.licence, origin.revision)


def at_hand(base: BaseModel, data_dir: Path) -> Path | None:
    """The folder of a base model that is on this machine already; nothing is fetched or made."""
    if base.kind == "packaged":
        path: Path | None = data_dir / "models" / PACKAGED
    elif base.kind == "hub":
        path = fetching.downloaded(base.where, base.revision, data_dir / "models")
    else:
        path = Path(base.where)
    ready = path is not None and path.is_absolute() and (path / "config.json").is_file()
    return path if ready else None


def tunable_layers(base: BaseModel, data_dir: Path) -> tuple[str, ...]:
    """The layers of a base model that an adapter can tune, by name; all that Assay knows of where
    the base model is not on this machine yet, or is of an unknown family.
    """
    folder = at_hand(base, data_dir)
    config = readable(folder, "config.json") if folder is not None else {}
    family = FAMILIES.get(str(config.get("model_type")))
    return family.layers if family is not None else LAYERS


def tokenizer(path: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a vetted model, with the chat template that was judged: a folder may hold
    others, of which the library would take one of the name `default` instead.
    """
    from transformers import AutoTokenizer

    fetching.hush()
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        path, trust_remote_code=False, local_files_only=True
    )
    loaded.chat_template = vetting.template(path)
    return loaded


def load(
    path: Path, precision: Precision = Precision.USUAL
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Load a vetted model, its weights held as asked, and its tokenizer.

    An adapter answers as it was trained only on a base held as it was then.

    Raises:
        Unavailable: 4 bits are asked for and bitsandbytes is not installed.
    """
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(max(1, systems.cores() // ranks.count()))
    loaded = tokenizer(path)
    if loaded.pad_token_id is None:
        loaded.pad_token = loaded.eos_token
    with render.time_limit(TEMPLATE_SECONDS):
        render.prompt_ids(loaded, "system", "user")
    numbers = number_format(precision)
    model = AutoModelForCausalLM.from_pretrained(
        path,
        dtype=numbers.dtype,
        quantization_config=numbers.quantization_config,
        device_map={"": ranks.local()} if torch.cuda.is_available() else None,
        trust_remote_code=False,
        use_safetensors=True,
        local_files_only=True,
    )
    keep_exact(model)
    return model, loaded
