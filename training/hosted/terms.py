"""What a lead agrees to before pairs leave for an endpoint: who gets them, how many, at what price.

The price is an estimate: the tokens are counted with the packaged model's tokenizer, not with the
endpoint's, which nobody outside it can run. For English text the two usually differ by less than a
fifth, for other languages by more. What the endpoint really counted stands on the run's record.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from curation.versions import archive
from storage import reports
from storage.errors import BadInput, RuleBroken
from storage.reports import Report
from storage.settings import current
from storage.types import Split, Version, VersionRow
from training.hosted import endpoints
from training.models.render import messages
from training.records.parts import PACKAGED, BaseModel, Consent, Endpoint, Price, TuningOffer
from training.settings import Provider, Tuning

KIND: Final = "provider"
"""What the card of a model that an endpoint keeps says of its kind, and of its base model's."""
_A_MESSAGE = 4
"""Tokens around each message: its role, its beginning and its end."""
_A_CHAT = 3
"""Tokens with which a chat opens the next answer; both as OpenAI's cookbook counts them."""
_BYTES_A_TOKEN = 4
_COUNTED = "counted with another model's tokenizer, so within about 20 % for English text"
_GUESSED = "guessed at 4 bytes a token, as the packaged model is not ready yet; within about 40 %"


class Agreement(msgspec.Struct, frozen=True):
    """What the spec of a run at an endpoint says of it, besides what that of every run says."""

    base: BaseModel
    endpoint: Endpoint
    environment: list[str]
    consent: Consent
    price: Price


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


class TokenCount(msgspec.Struct, frozen=True):
    """Tokens of the train pairs of a version, and how they were counted."""

    tokens: int
    basis: str


def counted(rows: Iterable[VersionRow], system: str, data: Path) -> TokenCount:
    """The tokens of the train pairs among these; `data` is the data folder."""
    texts = [
        [message["content"] for message in messages(system, row.prompt, row.response)]
        for row in rows
        if row.split is Split.TRAIN
    ]
    content, basis = _count(texts, _tokenizer(data))
    return TokenCount(content + sum(_A_CHAT + _A_MESSAGE * len(chat) for chat in texts), basis)


def price(count: TokenCount, epochs: int, offer: TuningOffer) -> Price:
    """What tuning on so many tokens would cost."""
    amount = count.tokens * epochs * offer.price / 1e6
    return Price(count.tokens, epochs, offer.price, offer.currency, count.basis, amount)


def _tokenizer(data: Path) -> Path:
    return data / "models" / PACKAGED / "tokenizer.json"


def _tokens(session: Session, version_id: int) -> TokenCount:
    opened = archive.opened(session, version_id)
    return counted(opened.rows, opened.version.manifest.system_message, current().data)


def _counted_with(_session: Session, _version_id: int) -> str:
    return str(_tokenizer(current().data).exists())


TOKENS = Report("tokens", TokenCount, _tokens, state=_counted_with, pairs=archive.size)
"""Exact where it is current: a frozen version does not change."""


def _count(chats: list[list[str]], file: Path) -> tuple[int, str]:
    texts = [text for chat in chats for text in chat]
    if not file.exists():
        return sum(len(text.encode()) for text in texts) // _BYTES_A_TOKEN, _GUESSED
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    lengths = {  # the system message stands in every pair
        text: len(tokenizer.encode(text, add_special_tokens=False).ids) for text in set(texts)
    }
    return sum(lengths[text] for text in texts), _COUNTED


def agreed(
    session: Session, version: Version, settings: Tuning, consent: Consent | None
) -> Agreement | None:
    """What was agreed to for a run; None for runs at home.

    Raises:
        BadInput: the endpoint is not configured for this.
        RuleBroken: nobody agreed that these very pairs leave for this endpoint.
    """
    if not isinstance(settings, Provider):
        return None
    endpoint, offer = offered(settings)
    required = needed(version, settings)
    if consent != required:
        raise RuleBroken(
            f"This run sends {required.rows} pairs of version {version.number} to endpoint "
            f"{required.endpoint}, outside the house. Agree to just that, or choose another method."
        )
    reported = reports.latest(session, TOKENS, version.id)
    exact = reported if reported is not None and reported.current else None
    count = exact.content if exact is not None else _tokens(session, version.id)
    estimate = price(count, settings.epochs, offer)
    return Agreement(
        BaseModel(KIND, f"{endpoint.name}/{settings.model}"),
        endpoint,
        endpoint.environment,
        consent,
        msgspec.structs.replace(estimate, amount=round(estimate.amount, 4)),
    )


def lines(consent: Consent, held_out: int, estimate: Price) -> Iterator[str]:
    """What leaves the house and what it costs, in words for the person who is to agree."""
    yield (
        f"An estimate: {estimate.tokens:,} tokens x "
        f"{estimate.epochs} passes x {estimate.a_million:g} {estimate.currency} a million "
        f"({estimate.basis})."
    )
    yield (
        f"{consent.rows} training and validation pairs of version {consent.version_sha256[:12]} "
        f"are uploaded to endpoint {consent.endpoint}. When the tuned model is compared, the "
        f"inputs of its {held_out} held-out pairs are sent as well; their expected outputs are not."
    )
    yield (
        "Assay deletes the uploaded files when the run ends. What the endpoint keeps besides, and "
        "the tuned model itself, is in its operator's hands."
    )
