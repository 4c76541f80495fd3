"""Render one chat template, in a process of its own that can be ended: run as a script, by path.

Reads one JSON object (`template`, `tokens`) from its input and prints one word: `ok`, `memory`,
`long`, or `error`. Nothing of Assay is imported, so that it starts in a tenth of a second. The
filters and names that a template may use are those that transformers gives it.
"""

import json
import sys
from contextlib import suppress
from datetime import datetime

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

_MEMORY = 512 << 20
_CPU_SECONDS = 2
_OUTPUT_CHARACTERS = 1 << 20
_USER = {"role": "user", "content": "user"}
_CHATS = (
    [{"role": "system", "content": "system"}, _USER],
    [
        *({"role": "system", "content": "system"}, _USER),
        *({"role": "assistant", "content": "assistant"}, _USER),
        {"role": "assistant", "content": "assistant"},
    ],
)


class _Generation(Extension):
    """The block that marks what an assistant says; its text is what stands in it."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _json(value: object, **how: object) -> str:
    return json.dumps(value, **({"ensure_ascii": False} | how))  # type: ignore[arg-type]


def _limit() -> None:
    """Where the system has such limits; whoever started this process watches it besides."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))


def _verdict(template: str, tokens: dict[str, str]) -> str:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _json
    environment.globals |= {
        "raise_exception": _refuse,
        "strftime_now": lambda form: datetime.now().astimezone().strftime(form),
    }
    try:
        compiled = environment.from_string(template)
        for chat in _CHATS:
            opening = chat[-1]["role"] != "assistant"
            text = compiled.render(messages=chat, add_generation_prompt=opening, **tokens)
            if len(text) > _OUTPUT_CHARACTERS:
                return "long"
    except MemoryError:
        return "memory"
    except Exception:  # the outermost frame of this process
        return "error"
    return "ok"


if __name__ == "__main__":
    _limit()
    task = json.load(sys.stdin)
    sys.stdout.write(_verdict(task["template"], task["tokens"]))
