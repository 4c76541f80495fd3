"""The families of base models that Assay loads, by the model type of their `config.json`.

Here and not among `models`, since the settings of a run are checked against them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """What differs from one family of base models to the next."""

    model_type: str
    layers: tuple[str, ...] = (
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    )
    """All linear layers of a block that can be tuned, by name."""
    ollama_adapter: bool = False
    """Whether Ollama's `ADAPTER` reads an adapter on it, as its documents say."""


FAMILIES = {
    family.model_type: family
    for family in (
        Family("gemma", ollama_adapter=True),
        Family("gemma2", ollama_adapter=True),
        Family("gemma3_text"),
        Family("granite"),
        Family("llama", ollama_adapter=True),
        Family("mistral", ollama_adapter=True),
        Family("olmo2"),
        Family("phi3"),
        Family("qwen2"),
        Family("qwen3"),
        Family("smollm3"),
    )
}
"""The model types that are loaded; everything else is refused."""
LAYERS = tuple(dict.fromkeys(name for family in FAMILIES.values() for name in family.layers))
"""Every layer that can be tuned, whatever the base model."""
