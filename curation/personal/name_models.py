"""A second model that reads names: a folder of a token-classification or a GLiNER model.

Folders lie in `scanner-models` of the data folder; nothing is ever fetched. A folder is looked
through before it is loaded: safetensors, no code, labels that mean personal data. Whether the model
finds anything is for a measurement to show (`python -m benchmarks.personal_data --second NAME`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from curation.personal import model_files
from storage import settings
from storage.errors import BadInput, Unavailable

_TYPES = frozenset(
    {
        *("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra"),
        *("modernbert", "mpnet", "roberta", "xlm-roberta"),
    }
)
_LABELS = {
    "PERSON": "per person name firstname lastname givenname surname middlename patient doctor "
    "username",
    "LOCATION": "loc location gpe city state country county zip zipcode postcode",
    "STREET_ADDRESS": "address street streetaddress buildingnum buildingnumber secondaryaddress",
    "ORGANIZATION": "org organization organisation company companyname corporation hospital",
    "EMAIL_ADDRESS": "email emailaddress",
    "PHONE_NUMBER": "phone phonenumber telephone telephonenum fax faxnumber",
    "DATE_TIME": "date time datetime dob dateofbirth birthdate",
    "CREDIT_CARD": "creditcard creditcardnumber cardnumber",
    "IBAN_CODE": "iban",
    "US_SSN": "ssn socialnum socialsecuritynumber",
    "ID_NUMBER": "id idnum idnumber idcard idcardnum passport passportnumber driverlicense "
    "driverlicensenum taxnum medicalrecordnumber",
    "ACCOUNT_NUMBER": "account accountnum accountnumber bankaccountnumber",
    "IP_ADDRESS": "ip ipv4 ipv6 ipaddress",
    "URL": "url",
    "NRP": "norp nrp nationality religion",
    "AGE": "age",
    "TITLE": "title prefix jobtitle profession",
}
"""The labels of usual models, without spaces and marks, by our types."""
_TYPE_BY_LABEL = {label: kind for kind, labels in _LABELS.items() for label in labels.split()}
GLINER_LABELS = {
    "person": "PERSON",
    "organization": "ORGANIZATION",
    "city": "LOCATION",
    "country": "LOCATION",
    "street address": "STREET_ADDRESS",
    "email": "EMAIL_ADDRESS",
    "phone number": "PHONE_NUMBER",
    "passport number": "ID_NUMBER",
    "nationality": "NRP",
    "job title": "TITLE",
}
"""The labels that a GLiNER model looks for, by our types."""
PREFIXES = ("B-", "I-", "U-", "L-", "S-", "E-")


@dataclass(frozen=True, slots=True)
class NameModel:
    """A folder that passed, and which of its labels the scan takes for which type."""

    name: str
    folder: Path
    gliner: bool
    labels: Mapping[str, str]
    unused: tuple[str, ...]
    """Labels that mean no personal data, or none that is known here."""

    @property
    def types(self) -> list[str]:
        """The types it can find."""
        return sorted(set(self.labels.values()))


def home() -> Path:
    """The folder in which second models lie."""
    return settings.current().data / "scanner-models"


def listing() -> list[str]:
    """The folders that are there, whether or not they can be used."""
    folder = home()
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def find(name: str) -> NameModel:
    """A second model, looked through.

    Raises:
        BadInput: there is none of this name, or it may not be loaded; says why.
        Unavailable: the library that reads it is not installed.
    """
    if name not in listing():
        raise BadInput(f"There is no second model {name!r} in {home()}: choose one that is there.")
    folder = home() / name
    return _vetted(name, folder, model_files.state(folder))


@lru_cache(maxsize=8)
def _vetted(name: str, folder: Path, _state: str) -> NameModel:
    """Looked through anew only where `_state` says that a file changed; pages ask at every draw."""
    if any(file.suffix in (".bin", ".pt", ".pkl", ".ckpt") for file in folder.iterdir()):
        raise BadInput(f"The folder {name} holds pickled weights: keep the safetensors file only.")
    model_files.refuse_files(folder)
    model_files.refuse_code(folder)
    model_files.refuse_weights(folder)
    gliner = model_files.json_of(folder, "gliner_config.json")
    return _gliner(name, folder, gliner) if gliner is not None else _tagger(name, folder)


def _tagger(name: str, folder: Path) -> NameModel:
    config = model_files.json_of(folder, "config.json")
    if config is None:
        raise BadInput(f"The folder {name} has no readable config.json, so it is no model folder.")
    architectures, labels = config.get("architectures") or (), config.get("id2label") or {}
    tags = isinstance(architectures, list) and any(
        str(each).endswith("ForTokenClassification") for each in architectures
    )
    if config.get("model_type") not in _TYPES or not tags:
        raise BadInput(
            f"The folder {name} holds no token-classification model of a type that Assay knows "
            f"({', '.join(sorted(_TYPES))})."
        )
    if not (folder / "tokenizer.json").is_file():  # without it no places in the text are known
        raise BadInput(f"The folder {name} has no tokenizer.json. Save its fast tokenizer too.")
    types, unused = _types(map(str, labels.values()) if isinstance(labels, dict) else ())
    if not types:
        raise BadInput(f"No label of {name} means a type of personal data that is known here.")
    return NameModel(name, folder, False, types, unused)


def _types(labels: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Our type for each label but for its prefix, and the labels that have none."""
    plain = {label[2:] if label.startswith(PREFIXES) else label for label in labels} - {"O"}
    letters = {label: "".join(filter(str.isalnum, label.casefold())) for label in sorted(plain)}
    types = {label: _TYPE_BY_LABEL[key] for label, key in letters.items() if key in _TYPE_BY_LABEL}
    return types, tuple(sorted(plain - types.keys()))


def _gliner(name: str, folder: Path, config: Mapping[str, object]) -> NameModel:
    if find_spec("gliner") is None:
        raise Unavailable(
            f'{name} is a GLiNER model: install what reads it with pip install ".[ner]".'
        )
    complete = isinstance(config.get("encoder_config"), dict) and all(
        (folder / file).is_file() for file in ("model.safetensors", "tokenizer_config.json")
    )
    if not complete or config.get("labels_encoder") or config.get("labels_decoder"):
        raise BadInput(
            f"The folder {name} lacks parts of its GLiNER model (encoder_config in "
            "gliner_config.json, model.safetensors, the tokenizer), or has a second encoder or a "
            "decoder. Choose a model with one encoder, saved whole."
        )
    return NameModel(name, folder, True, GLINER_LABELS, ())


def identity(name: str) -> list[str]:
    """What names a second model in the hash of a configuration: its files and its library."""
    if not name:
        return []
    folder = home() / name
    if name not in listing():
        return [name, "missing"]
    library = "gliner" if (folder / "gliner_config.json").exists() else "transformers"
    installed = version(library) if find_spec(library) else "missing"
    stats = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    stamp = tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats)
    return [name, _sha256(folder, stamp), installed]


@lru_cache(maxsize=8)
def _sha256(folder: Path, stamp: object) -> str:
    """Read anew only where `stamp` says that a file changed."""
    del stamp
    return model_files.folder_sha256(folder)
