"""Words that stand nowhere else, put through the product; afterwards they are looked for where no
text of a pair may be: logs, what commands print, temporary files, folders of jobs, events.
"""

import json
import logging
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine
from streamlit.proto.BackMsg_pb2 import BackMsg
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from curation.__main__ import app as curation
from curation.review import writing as writing_verbs
from curation.review.ops import Submission
from pages.frame import server
from storage.engine import writing
from storage.errors import RuleBroken
from storage.settings import Settings
from storage.types import Action, Project
from tests.support import stories, tabs
from tests.support.live import Live, ask

_WORD = re.compile(rb"zq\d{6}kanari")
TABLES = ("event", "job", "import", "link", "claim", "scan", "pair_mark", "report")
"""Tables that tell of pairs without their texts."""


@dataclass(slots=True)
class Canaries:
    """The words that were put in, and the places where they were found."""

    count: int = 0
    found: dict[str, set[bytes]] = field(default_factory=dict)

    def new(self) -> str:
        """Another word."""
        self.count += 1
        return f"zq{self.count:06}kanari"

    def look(self, place: str, content: bytes) -> None:
        """Note the words that a place holds."""
        if words := set(_WORD.findall(content)):
            self.found.setdefault(place, set()).update(words)


def rows(canaries: Canaries, count: int) -> list[dict[str, str]]:
    """Rows of a file, three words in each."""
    labels = [response for _, response in stories.messages(count)]
    return [
        {
            "prompt": f"I am {canaries.new()}, write to {canaries.new()}@example.org, item {n}.",
            "response": label,
            "note": canaries.new(),
        }
        for n, label in enumerate(labels)
    ]


def broken_files(canaries: Canaries) -> Iterator[tuple[str, bytes]]:
    """Files that are refused, a word in each of them where the fault is."""
    word = canaries.new
    good = json.dumps({"prompt": "Where?", "response": '{"team": "cards"}'})
    yield "ragged.csv", f"prompt,response\na,b\n{word()},{word()},{word()}\n".encode()
    yield "quote.csv", f'prompt,response\n"{word()},b\n'.encode()
    yield "nul.csv", f"prompt,response\n{word()}\0,b\n".encode()
    yield "latin.csv", f"prompt,response\n{word()},b\n".encode() + b"\xff\xfe\x9d,\xe9\n"
    yield "long.csv", f"prompt,response\n{word() * 8000},b\n".encode()
    yield "cut.jsonl", f'{good}\n{{"prompt": "{word()}\n'.encode()
    yield "array.jsonl", f'["{word()}"]\n'.encode()
    yield "twice.jsonl", f'{{"prompt": "{word()}", "prompt": "b", "response": "x"}}\n'.encode()
    yield "number.jsonl", f'{{"prompt": "{word()}", "response": {"9" * 5000}}}\n'.encode()
    yield "deep.jsonl", f'{{"prompt": "{word()}", "response": {"[" * 500}'.encode()
    yield "surrogate.jsonl", f'{{"prompt": "\\ud800{word()}", "response": "x"}}\n'.encode()
    yield "empty.jsonl", f'{{"prompt": "", "response": "{word()}"}}\n'.encode()
    yield "other.parquet", f"PAR1{word()}PAR1".encode()
    yield "other.xlsx", f"PK\x03\x04{word()}".encode()
    yield "page.csv", f"<html>{word()}</html>".encode()


def decide(canaries: Canaries, engine: Engine, desk: Project) -> None:
    """Write, edit, reject, flag: what people type into fields. A refused output is quoted to who
    wrote it, and nowhere else.
    """
    lena, ana = stories.person(engine, "lena"), stories.person(engine, "ana")
    outputs = (f'{{"team": "{canaries.new()}"}}', canaries.new(), '{"team": "cards"}')
    for output in outputs:
        text, topic = f"I am {canaries.new()}", canaries.new()
        gold = Submission(op=str(uuid4()), prompt=text, response=output, topic=topic)
        with suppress(RuleBroken), writing(engine) as session:
            writing_verbs.gold(session, lena, desk.id, gold)
    for action in (Action.APPROVE, Action.REJECT, Action.FLAG, Action.APPROVE):
        card = stories.card(engine, ana, desk)
        prompt = None if action is Action.REJECT else f"I am {canaries.new()} and so on."
        reason = "off_topic" if action is not Action.APPROVE else None
        receipt = stories.decide(
            engine, ana, stories.op(card, action, prompt=prompt, reason=reason)
        )
        canaries.look("receipt", repr(receipt).encode())


def fail_in_a_page(canaries: Canaries) -> None:
    """A bug whose message holds a word, logged as Streamlit and the server log it."""
    usual = logging.getLogRecordFactory()
    server.quieten()
    try:
        raise ValueError(f"could not parse {canaries.new()}")
    except ValueError as error:
        logging.getLogger("streamlit").exception("Uncaught app execution", exc_info=error)
        logging.getLogger("assay").error("error 1: %s", server.where(error))
    finally:
        logging.setLogRecordFactory(usual)


def command(canaries: Canaries, *arguments: str) -> int:
    """Run a command and look through what it prints and how it fails; returns its exit status."""
    result = CliRunner().invoke(curation, arguments)
    canaries.look(f"output of {arguments[0]}", result.output.encode())
    canaries.look(f"error of {arguments[0]}", repr(result.exception).encode())
    return result.exit_code


def send_odd_requests(canaries: Canaries, live: Live, cookies: dict[str, str], rounds: int) -> None:
    """What a broken or hostile page may send; the server logs some of it."""
    headers = tabs.cookie_headers(live, cookies)
    for _ in range(rounds):
        ask(live, "GET", f"/review?{canaries.new()}={canaries.new()}", headers)
        ask(live, "GET", f"/{canaries.new()}/..%2f{canaries.new()}", headers)
        body = f'{{"id": "{canaries.new()}"}}'.encode()
        ask(live, "POST", "/assay/profile", [*headers, ("Content-Type", "application/json")], body)
        tabs.upload(live, headers, canaries.new(), canaries.new(), canaries.new().encode())
        _send(live, cookies, canaries.new().encode())
        rerun = BackMsg()
        rerun.rerun_script.query_string = canaries.new()
        rerun.rerun_script.page_name = canaries.new()
        state = rerun.rerun_script.widget_states.widgets.add()
        state.id, state.string_value = canaries.new(), canaries.new()
        _send(live, cookies, rerun.SerializeToString())


def _send(live: Live, cookies: dict[str, str], frame: bytes) -> None:
    """One message on a socket of its own; whatever the server answers."""
    with connect(
        f"ws://{live.host}/_stcore/stream",
        origin=Origin(live.url),
        additional_headers=dict(tabs.cookie_headers(live, cookies)[:1]),
        subprotocols=[Subprotocol("streamlit"), Subprotocol(cookies["_streamlit_xsrf"])],
        max_queue=None,
        ping_interval=None,
    ) as socket:
        socket.send(frame)
        with suppress(ConnectionClosed):
            socket.recv(timeout=60)


def search(canaries: Canaries, place: Settings, engine: Engine, others: Sequence[Path]) -> None:
    """Look through the data folder, the other folders and the tables that hold no texts."""
    texts = (place.versions, place.database)
    for folder in (place.data, *others):
        for path in folder.rglob("*"):
            meant = any(str(path).startswith(str(text)) for text in texts)
            if path.is_file() and not meant:
                canaries.look(str(path.relative_to(folder)), path.read_bytes())
    engine.dispose()
    with sqlite3.connect(place.database) as database:
        for table in TABLES:
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - names of ours
                canaries.look(f"table {table}", repr(row).encode())
    database.close()
