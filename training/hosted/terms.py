"""What a lead agrees to before rows leave for an endpoint: who gets them, how many, at what price.

The price is an estimate: the tokens are counted with the packaged model's tokenizer, not with the
endpoint's, which nobody outside it can run. For English text the two usually differ by less than a
fifth, for other languages by more. What the endpoint really counted stands on the run's record.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy.orm import Session

from curation.versions import archive
from storage.errors import BadInput, RuleBroken
from storage.types import Split, Version, VersionRow
from training.hosted import endpoints
from training.hosted.endpoints import Endpoint, TuningOffer
from training.models import fetching
from training.models.render import messages
from training.settings import Provider, Tuning

KIND = "provider"
"""What the card of a model that an endpoint keeps says of its kind, and of its base model's."""
_A_MESSAGE = 4
"""Tokens around each message: its role, its beginning and its end."""
_A_ROW = 3
"""Tokens with which a chat opens the next answer; both as OpenAI's cookbook counts them."""
_BYTES_A_TOKEN = 4
_COUNTED = "counted with another model's tokenizer, so within about 20 % for English text"
_GUESSED = "guessed at 4 bytes a token, as the packaged model is not ready yet; within about 40 %"


@dataclass(frozen=True, slots=True)
class Consent:
    """That the rows of one version may leave the house for one endpoint."""

    endpoint: str
    rows: int
    """Training and validation rows, which are uploaded. The inputs of the held-out rows follow when
    the tuned model is compared."""
    version_sha256: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A consent from a job's spec."""
        return cls(values["endpoint"], values["rows"], values["version_sha256"])


@dataclass(frozen=True, slots=True)
class Price:
    """What a run will cost, as far as it can be known before it."""

    tokens: int
    """Tokens of the training rows, once."""
    epochs: int
    a_million: float
    currency: str
    made: str
    """How the tokens were counted."""

    @property
    def amount(self) -> float:
        """Tokens times epochs times the price of a token."""
        return self.tokens * self.epochs * self.a_million / 1e6

    def to_dict(self) -> dict[str, Any]:
        """The JSON that the run's record carries."""
        return {**asdict(self), "amount": round(self.amount, 4)}


def money(amount: float, currency: str) -> str:
    """An amount in words; less than a cent is not nothing."""
    return f"less than 0.01 {currency}" if 0 < amount < 0.01 else f"{amount:,.2f} {currency}"


def needed(version: Version, settings: Provider) -> Consent:
    """What must be agreed to for a run."""
    counts = version.counts
    rows = counts[Split.TRAIN] + counts[Split.VALIDATION]
    return Consent(settings.endpoint, rows, version.sha256)


def offered(settings: Provider) -> tuple[Endpoint, TuningOffer]:
    """The endpoint that settings name, and its offer.

    Raises:
        BadInput: it is not configured, or does not tune that model.
    """
    if not settings.endpoint:
        raise BadInput("Choose the endpoint that is to tune the model.")
    endpoint = endpoints.named(settings.endpoint)
    offer = endpoint.tuning
    if offer is None or settings.model not in offer.models:
        tunes = ", ".join(offer.models) if offer else "nothing"
        raise BadInput(
            f"Endpoint {endpoint.name} does not tune {settings.model or 'a model without a name'}; "
            f"by the server's configuration it tunes {tunes}."
        )
    return endpoint, offer


def price(
    rows: Iterable[VersionRow], system: str, epochs: int, offer: TuningOffer, data: Path
) -> Price:
    """What tuning on the train rows would cost; `data` is the data folder."""
    texts = [
        [message["content"] for message in messages(system, row.prompt, row.response)]
        for row in rows
        if row.split is Split.TRAIN
    ]
    counted, made = _count(texts, data / "models" / fetching.PACKAGED / "tokenizer.json")
    extra = sum(_A_ROW + _A_MESSAGE * len(chat) for chat in texts)
    return Price(counted + extra, epochs, offer.price, offer.currency, made)


def _count(chats: list[list[str]], file: Path) -> tuple[int, str]:
    if not file.exists():
        return sum(
            len(text.encode()) for chat in chats for text in chat
        ) // _BYTES_A_TOKEN, _GUESSED
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    known: dict[str, int] = {}  # the system message stands in every row
    for text in {text for chat in chats for text in chat}:
        known[text] = len(tokenizer.encode(text, add_special_tokens=False).ids)
    return sum(known[text] for chat in chats for text in chat), _COUNTED


def agreed(
    session: Session, version: Version, settings: Tuning, given: Consent | None, data: Path
) -> dict[str, Any]:
    """What the spec of a run says of its endpoint, consent and price; empty for runs at home.

    Raises:
        BadInput: the endpoint is not configured for this.
        RuleBroken: nobody agreed that these very rows leave for this endpoint.
    """
    if not isinstance(settings, Provider):
        return {}
    endpoint, offer = offered(settings)
    asked = needed(version, settings)
    if given != asked:
        raise RuleBroken(
            f"This run sends {asked.rows} rows of version {version.number} to endpoint "
            f"{asked.endpoint}, outside the house. Agree to just that, or choose another method."
        )
    rows = archive.rows(session, version.id)
    estimate = price(rows, version.manifest["system_message"], settings.epochs, offer, data)
    return {
        "base": {
            "kind": "provider",
            "where": f"{endpoint.name}/{settings.model}",
            "revision": None,
        },
        "endpoint": endpoint.to_dict(),
        "environment": endpoint.environment,
        "consent": asdict(asked),
        "price": estimate.to_dict(),
    }


def lines(consent: Consent, held_out: int, estimate: Price) -> Iterator[str]:
    """What leaves the house and what it costs, in words for the person who is to agree."""
    yield (
        f"An estimate: {estimate.tokens:,} tokens x "
        f"{estimate.epochs} passes x {estimate.a_million:g} {estimate.currency} a million "
        f"({estimate.made})."
    )
    yield (
        f"{consent.rows} training and validation rows of version {consent.version_sha256[:12]} are "
        f"uploaded to endpoint {consent.endpoint}. When the tuned model is compared, the inputs of "
        f"its {held_out} held-out rows are sent as well; their expected outputs are not."
    )
    yield (
        "Assay deletes the uploaded files when the run ends. What the endpoint keeps besides, and "
        "the tuned model itself, is in its operator's hands."
    )
