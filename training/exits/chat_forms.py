"""Chat templates that Assay knows by heart, so that it can write them for programs with another
template language.

A template is recognised by the hash of its text, never by what it looks like: a form that is nearly
right makes an adapter look broken.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """How one family of models writes a chat."""

    name: str
    go: str
    """The template in Go, for Ollama. It begins a turn for every message, the system's included."""
    stops: tuple[str, ...]
    """What ends a turn."""


CHATML = Form(
    "chatml",
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n",
    ("<|im_end|>",),
)
_PLAIN_CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)
_SMOLLM2 = "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788"
"""SmolLM2-Instruct: ChatML, with a system message of its own where a chat begins without one."""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_FORMS = {
    _SMOLLM2: CHATML,
    _sha256(_PLAIN_CHATML): CHATML,
    _sha256(_PLAIN_CHATML.replace("\n", "\\n")): CHATML,  # as most files write a line break
}


def of(template: str) -> Form | None:
    """The form of a chat template; None where it is not one that Assay knows."""
    return _FORMS.get(_sha256(template))
