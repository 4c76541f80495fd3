"""The methods of tuning in plain words; costs are what practitioners report for a model of 7B."""

from dataclasses import dataclass

from training.settings import Method


@dataclass(frozen=True, slots=True)
class MethodText:
    """A method in plain words."""

    title: str
    summary: str
    cost: str
    in_record: str | None
    """As the record of a run names it; None where an endpoint's record says so already."""
    on_card: str
    """What it makes, as an adapter's card names it."""


TEXTS = {
    Method.LORA: MethodText(
        title="LoRA",
        summary="A small addition beside the base model learns. The usual choice.",
        cost="Reaches 90 to 95 % of full tuning. A 7B model asks for one A100 and 50 to 1,000 USD "
        "a run; a small one trains on this computer.",
        in_record="LoRA",
        on_card="LoRA adapter",
    ),
    Method.QLORA: MethodText(
        title="QLoRA",
        summary="LoRA on a base held in 4 bits: a quarter of the memory, slower steps.",
        cost="Reaches 85 to 90 % of full tuning. A 7B model fits a consumer GPU with 24 GB; 10 to "
        "500 USD a run.",
        in_record="QLoRA",
        on_card="QLoRA adapter, on the base model held in 4 bits",
    ),
    Method.FULL: MethodText(
        title="Full",
        summary="Every weight of the base model learns. For 5,000 pairs and more.",
        cost="The highest ceiling. A 7B model asks for four A100 and 500 to 5,000 USD and more a "
        "run; the result is as large as the base.",
        in_record="full tuning",
        on_card="Full tuning: a full model, all weights trained; it needs no base model beside it",
    ),
    Method.PREFERENCE: MethodText(
        title="Preference",
        summary="An adapter learns further which of two answers people prefer.",
        cost="Costs as LoRA does. For after a first run, where good is a matter of taste.",
        in_record="preference tuning (DPO)",
        on_card="Preference tuning of an adapter (DPO)",
    ),
    Method.PROVIDER: MethodText(
        title="Provider",
        summary="A company tunes its own model on your pairs, which leave the house.",
        cost="0.80 to 25 USD per million tokens, no hardware. Only where data may leave.",
        in_record=None,
        on_card="A model that an endpoint keeps",
    ),
}
