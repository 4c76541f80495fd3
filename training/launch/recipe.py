"""A run as words: the same choice as a YAML file, as a command line, and as what is launched.

The page, `python -m training launch` and a saved file all pass through `Recipe`, so what is shown
is what launches. A file is input like any other: it is size-limited, read without anchors or tags
of its own, and every key that means nothing is named.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.orm import Session

from curation.versions import archive
from storage.errors import BadInput, RuleBroken
from storage.types import Version
from training.described import settings_of
from training.launch.presets import usual
from training.launch.runs import RunPlan
from training.records.parts import BaseModel
from training.settings import METHODS, Method, Tuning, read as read_settings

LARGEST = 64 << 10
"""Bytes of a recipe; one that Assay writes has some 700."""
_KEYS = ("version", "version_sha256", "name", "base", "settings")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a run, by names that mean the same on another machine."""

    version: int
    """Number of the version within its project."""
    version_sha256: str | None
    """What the version must be; None where the file does not say."""
    name: str
    base: BaseModel
    settings: Tuning


def of(wish: RunPlan, version: Version) -> Recipe:
    """The recipe of what would be launched."""
    return Recipe(version.number, version.sha256, wish.name, wish.base, wish.settings)


def wish(session: Session, project_id: int, recipe: Recipe) -> RunPlan:
    """What a recipe asks for in a project.

    Raises:
        RuleBroken: the project has no such version, or it holds other rows.
    """
    versions = [v for v in archive.listing(session, project_id) if v.number == recipe.version]
    if not versions:
        raise RuleBroken(
            f"The recipe asks for version {recipe.version}, which this project does not have."
        )
    if recipe.version_sha256 not in (None, versions[0].sha256):
        raise RuleBroken(
            f"Version {recipe.version} here is not the one of the recipe: its pairs differ. "
            "Correct or remove version_sha256 to train on these pairs."
        )
    return RunPlan(versions[0].id, recipe.name, recipe.base, recipe.settings)


def to_yaml(recipe: Recipe) -> str:
    """The file that `from_yaml` reads back to the same recipe."""
    values = {
        "version": recipe.version,
        "version_sha256": recipe.version_sha256,
        "name": recipe.name,
        "base": {key: value for key, value in recipe.base.to_dict().items() if value is not None},
        "settings": recipe.settings.to_dict(),
    }
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=96)
    return f"# A training run of Assay. Launch it: python -m training launch --recipe FILE\n{text}"


def from_yaml(content: bytes | str) -> Recipe:
    """A recipe from a file's content; settings that it leaves out are the usual ones.

    Raises:
        BadInput: it is too large, no YAML, or says something that cannot be.
    """
    values = _mapping(_parsed(content), "The recipe")
    _refuse_unknown(values, _KEYS, "The recipe")
    number, sha256 = values.get("version"), values.get("version_sha256")
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise BadInput("The recipe must name the number of a version, such as version: 1.")
    if sha256 is not None and not isinstance(sha256, str):
        raise BadInput("version_sha256 of the recipe must be text. Put it in quotes.")
    name = values.get("name", "")
    if not isinstance(name, str):
        raise BadInput("The name in the recipe must be text. Put it in quotes.")
    base = _mapping(values.get("base", {"kind": "packaged"}), "base")
    _refuse_unknown(base, ("kind", "where", "revision"), "base")
    chosen = BaseModel.from_dict(base)
    settings = _mapping(values.get("settings", {}), "settings")
    return Recipe(number, sha256, name, chosen, _settings(settings, chosen))


def chosen(method: str, base: BaseModel, values: Mapping[str, Any]) -> Tuning:
    """The usual settings of a method and base, with what is given by name put in.

    Raises:
        BadInput: there is no such method or setting, or a value cannot be.
    """
    if method not in set(METHODS):
        raise BadInput(f"There is no method {method!r}. Choose one of {', '.join(METHODS)}.")
    return read_settings(usual(Method(method), base).to_dict() | dict(values))


def read_sets(method: str, sets: Iterable[str]) -> dict[str, Any]:
    """Settings from words of a command line, such as "epochs=3" or "targets=q_proj,v_proj".

    Raises:
        BadInput: one is not of the form name=value, or its value is of another kind.
    """
    settings: dict[str, Any] = {}
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"{text!r} sets nothing. Write --set name=value.")
        settings[name.strip()] = _value(method, name.strip(), value.strip())
    return settings


def arguments(recipe: Recipe) -> list[str]:
    """What follows `python -m training launch` so that this very run is launched."""
    options = ["--version", str(recipe.version), "--name", recipe.name, "--base", base_text(recipe)]
    options += ["--method", recipe.settings.METHOD.value]
    start = usual(recipe.settings.METHOD, recipe.base).to_dict()
    for name, value in recipe.settings.to_dict().items():
        if value != start[name]:
            options += ["--set", f"{name}={_text(value)}"]
    return options


def command(recipe: Recipe, project: str, person: str) -> str:
    """The whole command line, quoted for a POSIX shell; settings that are usual are left out."""
    first = ["python", "-m", "training", "launch", "--as", person, "--project", project]
    return shlex.join([*first, *arguments(recipe)])


def base_text(recipe: Recipe) -> str:
    """A base model in one word, as `read_base` reads it."""
    base = recipe.base
    if base.kind == "packaged":
        return "packaged"
    return base.where if base.revision is None else f"{base.where}@{base.revision}"


def read_base(text: str) -> BaseModel:
    """A base model from one word: packaged, a folder, or a hub id such as org/name@revision.

    Raises:
        BadInput: it is none of these.
    """
    if text == "packaged":
        return BaseModel("packaged")
    if Path(text).is_dir():
        return BaseModel("folder", str(Path(text).absolute()))
    where, _, revision = text.partition("@")
    if where.count("/") == 1 and not where.startswith("/"):
        return BaseModel("hub", where, revision or None)
    raise BadInput(f"{text!r} is no folder here and no hub id such as org/name.")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """YAML without anchors, which can grow without end, and without keys that say two things."""

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - yaml's own signature
        if self.check_event(yaml.AliasEvent):
            raise BadInput("The recipe uses a YAML alias (*). Write the value out.")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ANN401
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise BadInput("The recipe gives a key twice. Keep one of them.")
        return mapping


def _parsed(content: bytes | str) -> object:
    raw = content.encode() if isinstance(content, str) else content
    if len(raw) > LARGEST:
        raise BadInput(f"A recipe has at most {LARGEST >> 10} KB; this file is larger.")
    try:
        # A SafeLoader: it makes plain values only, never objects.
        return yaml.load(raw.decode("utf-8-sig"), Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise BadInput(f"The file is no readable YAML{where}. Save a recipe anew.") from None


def _mapping(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BadInput(f"{what} must be lines of the form name: value.")
    return value


def _refuse_unknown(values: Mapping[str, Any], allowed: Iterable[str], what: str) -> None:
    unknown = sorted(set(values) - set(allowed))
    if unknown:
        raise BadInput(
            f"{what} has a key {unknown[0][:60]!r} that means nothing. Known are "
            f"{', '.join(allowed)}."
        )


def _settings(values: Mapping[str, Any], base: BaseModel) -> Tuning:
    method = str(values.get("method", Method.LORA))
    texts = {key: value for key, value in values.items() if key != "method"}
    for name, value in texts.items():
        # YAML 1.1 reads 1e-3 as text, which every person means as a number.
        if isinstance(value, str):
            texts[name] = _value(method, name, value)
    return chosen(method, base, texts)


def _value(method: str, name: str, text: str) -> Any:  # noqa: ANN401 - of the setting's own kind
    """A setting's value from words; text where the setting is unknown, for `chosen` to refuse."""
    settings = settings_of(METHODS[Method(method)]) if method in set(METHODS) else {}
    return settings[name].from_text(text) if name in settings else text


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)
