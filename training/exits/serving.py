"""Serve one adapter over the OpenAI protocol, with the server of transformers; read by
`python -m training serve`.

Generation, streaming and the protocol are transformers' own. Around them stands what an adapter
needs to answer as it was measured: one model under one name, the chat rendered as in training,
control tokens refused, greedy unless asked otherwise, the pairs' system message where a chat has
none. It answers this computer only, and neither requests nor answers are written anywhere. It has
no accounts: whoever can use this computer can ask it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cli.serving.chat_completion import ChatCompletionHandler
from transformers.cli.serving.model_manager import ModelManager
from transformers.cli.serving.server import build_server
from transformers.cli.serving.utils import GenerationState

from storage.errors import AssayError, BadInput
from training.exits.merging import check_base
from training.models import base_models, fetching, render, tuned_models, vetting
from training.models.precision import Precision
from training.records.parts import BaseModel

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_PATHS = frozenset({"/v1/models", "/v1/chat/completions", "/health"})
_FIELDS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "temperature",
        "top_p",
        "seed",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "frequency_penalty",
    }
)
"""What a request may set. What is left out would change the template or run other code."""
_ROLES = frozenset({"system", "user", "assistant"})
_BODY_BYTES = 1_000_000
_MAX_TOKENS = 4096
_TOKENS = 1024

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]


@dataclass(frozen=True, slots=True)
class Served:
    """What is served: the name, what the model expects, where its files are."""

    name: str
    system: str
    kind: str
    base: BaseModel
    base_sha256: str | None
    precision: str | None
    folder: Path
    sha256: str


def load(served: Served, data: Path) -> Loaded:
    """The verified model, from safetensors only, with the chat template it was trained with.

    Raises:
        AssayError: base or adapter is missing, changed, or could run code.
    """
    fetching.hush()
    if served.kind == "full":
        vetting.vet(served.folder)
        tuned_models.check_recorded(served.folder, served.sha256)
        model, tokenizer = base_models.load(served.folder)
    else:
        base = base_models.prepare(served.base, data)
        check_base(base.sha256, served.base_sha256)
        precision = Precision(served.precision or Precision.USUAL)
        model, tokenizer = base_models.load(base.path, precision)
        model = tuned_models.with_adapter(model, served.folder, served.sha256)
    template = (served.folder / "chat_template.jinja").read_text(encoding="utf-8")
    tokenizer.chat_template = template
    model.train(False)
    model.generation_config.do_sample = True  # a temperature asked for is not passed over
    return model, tokenizer


class _OneModel(ModelManager):
    """The one model that is served; no other is ever loaded."""

    def __init__(self, name: str, loaded: Loaded) -> None:
        self._loaded = loaded
        super().__init__(force_model=name)

    def load_model_and_processor(self, *_: object, **__: object) -> Any:  # noqa: ANN401 - transformers' own
        return self._loaded

    def get_gen_models(self, cache_dir: str | None = None) -> list[dict[str, object]]:  # type: ignore[override]
        del cache_dir
        return [{"id": self.force_model, "object": "model", "owned_by": "assay", "created": 0}]


class _Chats(ChatCompletionHandler):
    """transformers' chat completions, for requests that training could have rendered."""

    def __init__(self, served: Served, loaded: Loaded, manager: ModelManager) -> None:
        super().__init__(manager, GenerationState())
        self._served, self._tokenizer = served, loaded[1]

    async def handle_request(self, body: dict[str, object], request_id: str) -> Any:  # noqa: ANN401 - transformers' own
        try:
            request = checked(body, self._served, self._tokenizer)
            return await super().handle_request(request, request_id)
        except AssayError as error:
            return _refusal(400, str(error))
        except HTTPException:
            raise
        except Exception as error:  # the outermost frame of a request: its text must not be logged
            log.error("A request failed: %s", type(error).__name__)
            return _refusal(500, f"The request failed ({type(error).__name__}).")


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "refused"}}, status_code=status)


def checked(
    body: Mapping[str, object], served: Served, tokenizer: PreTrainedTokenizerBase
) -> dict[str, object]:
    """A request as transformers may have it.

    Raises:
        BadInput: a field is not one that is served, the messages are no chat, or one holds a
            control token.
    """
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise BadInput(f"The field {unknown[0]!r} is not served. Leave it out.")
    chat = _chat(body.get("messages"))
    if chat[0]["role"] != "system" and served.system:
        chat = [{"role": "system", "content": served.system}, *chat]
    with render.time_limit(base_models.TEMPLATE_SECONDS):
        render.chat_text(tokenizer, chat)  # refuses control tokens, as in training
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or _TOKENS
    if not isinstance(limit, int) or not 1 <= limit <= _MAX_TOKENS:
        raise BadInput(f"max_tokens must be a whole number from 1 to {_MAX_TOKENS}.")
    options = {k: v for k, v in body.items() if k not in ("messages", "max_completion_tokens")}
    return {
        **options,
        "model": body.get("model") or served.name,
        "messages": chat,
        "max_tokens": limit,
        "temperature": body.get("temperature") or 0.0,
    }


def _chat(messages: object) -> list[dict[str, str]]:
    if not isinstance(messages, list) or not messages:
        raise BadInput("The request has no messages.")
    for message in messages:
        sound = isinstance(message, dict) and message.keys() == {"role", "content"}
        if not sound or message["role"] not in _ROLES or not isinstance(message["content"], str):
            raise BadInput("A message has a role (system, user, assistant) and text, nothing else.")
    if messages[-1]["role"] != "user":
        raise BadInput("The last message must be the user's.")
    return list(messages)


def application(served: Served, loaded: Loaded) -> FastAPI:
    """The server, without a socket."""
    manager = _OneModel(served.name, loaded)
    chats = _Chats(served, loaded, manager)
    nothing: Any = None
    app: FastAPI = build_server(
        manager, chats, nothing, nothing, nothing, nothing, chats.generation_state
    )
    app.router.routes = [route for route in app.routes if getattr(route, "path", "") in _PATHS]
    app.middleware("http")(_refuse_web_pages)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return app


async def _refuse_web_pages(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Refuse what a web page in a browser sends, and bodies that are too large."""
    if "origin" in request.headers:
        return _refusal(403, "Web pages may not ask this server.")
    length = request.headers.get("content-length", "0")
    if request.method == "POST" and not (length.isdigit() and 0 < int(length) <= _BODY_BYTES):
        return _refusal(413, f"A request may have up to {_BODY_BYTES:,} bytes.")
    return await call_next(request)


def run(served: Served, data: Path, port: int) -> None:
    """Load and serve until the process is ended.

    Raises:
        AssayError: the model is refused.
    """
    logging.getLogger("transformers").setLevel(logging.ERROR)
    app = application(served, load(served, data))
    config = uvicorn.Config(app, host=HOST, port=port, log_level="info", access_log=False)
    uvicorn.Server(config).run()
