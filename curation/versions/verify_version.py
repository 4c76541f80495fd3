"""Check an export of Assay, or the proof for one row, with nothing but Python's standard library.

Run `python verify.py` in the unpacked folder, or give it a folder, a zip or a proof:

    python verify.py [WHAT] [--sha256 VERSION] [--root MERKLE_ROOT]

It recomputes the hash of every file, the leaf of every row and the Merkle root (the tree of RFC
6962, section 2.1). It does not prove where the version came from: whoever can write all files can
write all hashes anew. Compare the two numbers it prints with those you were given another way.
"""

import argparse
import csv
import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
INDEX = "index.jsonl"
ESCAPED = "assay_escaped"
ROW_KEYS = ("content_sha256", "origin", "pair_id", "prompt", "response", "split")
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


class DamagedError(ValueError):
    """Something is not as it was written; the message says what."""


def compact(value: object) -> str:
    """JSON with sorted keys, no white space and characters as they are."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def content_sha256(prompt: str, response: str) -> str:
    """The name of a pair's text: sha256 of the JSON list of both."""
    both = json.dumps([prompt, response], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(both.encode()).hexdigest()


def line(row: dict[str, Any]) -> bytes:
    """One row as it stands in the canonical file, without the line end."""
    return compact({key: row[key] for key in ROW_KEYS}).encode()


def leaf(data: bytes) -> bytes:
    """The hash of one leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _levels(leaves: list[bytes]) -> list[list[bytes]]:
    levels = [leaves]
    while len(levels[-1]) > 1:
        low = levels[-1]
        high = [node(low[i], low[i + 1]) for i in range(0, len(low) - 1, 2)]
        levels.append(high + low[len(low) & ~1 :])
    return levels


def root(leaves: list[bytes]) -> str:
    """The Merkle root of the leaves in their order; of no leaves, the hash of nothing."""
    return (_levels(leaves)[-1][0] if leaves else hashlib.sha256(b"").digest()).hex()


def path(leaves: list[bytes], index: int) -> list[list[str]]:
    """The way from one leaf to the root: `["left" or "right", hash]` of each neighbour."""
    found = []
    for level in _levels(leaves)[:-1]:
        beside = index ^ 1
        if beside < len(level):
            found.append(["left" if beside < index else "right", level[beside].hex()])
        index //= 2
    return found


def climb(start: bytes, way: list[list[str]]) -> str:
    """The root that a leaf reaches along a way."""
    here = start
    for side, other in way:
        beside = bytes.fromhex(other)
        here = node(beside, here) if side == "left" else node(here, beside)
    return here.hex()


def zipped(files: dict[str, bytes]) -> bytes:
    """The files as a zip that is the same, byte for byte, wherever it is made."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, _ZIP_DATE)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, files[name])
    return made.getvalue()


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """The manifest as it is written, with the hash over itself."""
    body = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    sha256 = hashlib.sha256(compact(body).encode()).hexdigest()
    whole = {**body, "manifest_sha256": sha256}
    return (json.dumps(whole, ensure_ascii=False, sort_keys=True, indent=2) + "\n").encode()


def read(what: Path) -> dict[str, bytes]:
    """The files of an export, by their names in it."""
    if what.is_dir():
        found = sorted(p for p in what.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return {p.relative_to(what).as_posix(): p.read_bytes() for p in found}
    content = what.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except Exception as error:  # a damaged zip raises a dozen kinds
        raise DamagedError(f"{what.name} is no zip that can be read ({error})") from None
    if zipped(files) != content:
        raise DamagedError(
            f"{what.name} is damaged between its files, or was packed anew; "
            "unpack it and check the folder"
        )
    return files


def check(files: dict[str, bytes]) -> tuple[dict[str, Any], list[str]]:
    """The manifest of an export that is whole, and what was checked.

    Raises:
        DamagedError: something is not as it was written.
    """
    manifest = _manifest(files)
    listed = manifest["files"]
    if set(files) != {*listed, MANIFEST}:
        wrong = sorted(set(files) ^ {*listed, MANIFEST})
        raise DamagedError(f"these files are missing or do not belong: {', '.join(wrong)}")
    for name, stated in listed.items():
        if hashlib.sha256(files[name]).hexdigest() != stated["sha256"]:
            raise DamagedError(f"{name} is not the file that was written")
    done = [f"{len(listed) + 1} files have the hashes of the manifest"]
    rows = _index(files[INDEX])
    if root([bytes.fromhex(row["leaf"]) for row in rows]) != manifest["version"]["merkle_root"]:
        raise DamagedError("the leaves do not give the Merkle root")
    done.append(f"{len(rows)} leaves give the Merkle root")
    return manifest, done + _rows(files, manifest, rows)


def _manifest(files: dict[str, bytes]) -> dict[str, Any]:
    try:
        manifest = json.loads(files[MANIFEST].decode())
        if manifest_bytes(manifest) != files[MANIFEST]:
            raise DamagedError("the manifest is not the one that was written")
    except KeyError:
        raise DamagedError("there is no manifest.json: this is no export of Assay") from None
    except (ValueError, AttributeError, RecursionError) as error:
        raise DamagedError(f"the manifest is not the one that was written ({error})") from None
    return dict(manifest)


def _index(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(text) for text in content.decode().split("\n")[:-1]]


def _rows(
    files: dict[str, bytes], manifest: dict[str, Any], rows: list[dict[str, Any]]
) -> list[str]:
    reader = READERS.get(manifest["format"])
    if reader is None:
        return [
            "the pairs inside were not read again: this format needs more than Python's standard "
            "library; their files have the hashes of the manifest"
        ]
    whole = []
    for name, split in sorted(manifest["data"].items()):
        inside = [row for row in rows if row.get("split") == split]
        texts = reader(files[name].decode())
        if len(texts) != len(inside):
            raise DamagedError(f"{name} has {len(texts)} rows and the index {len(inside)}")
        for number, (row, (prompt, response)) in enumerate(zip(inside, texts), 1):  # noqa: B905
            named = content_sha256(prompt, response)
            full = {**row, "prompt": prompt, "response": response, "content_sha256": named}
            if leaf(line(full)).hex() != row["leaf"]:
                raise DamagedError(f"row {number} of {name} is not the one that was frozen")
            whole.append((row["pair_id"], line(full)))
    done = [f"{len(whole)} pairs are the ones that were frozen"]
    if len(whole) == len(rows):
        content = b"".join(data + b"\n" for _, data in sorted(whole))
        if hashlib.sha256(content).hexdigest() != manifest["version"]["sha256"]:
            raise DamagedError("the pairs do not give the sha256 of the version")
        done.append("together they give the sha256 of the version")
    return done


def _objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(each) for each in text.split("\n")[:-1]]


def _said(messages: Any, *roles: str) -> list[str]:  # noqa: ANN401 - JSON of any shape
    spoken: list[str] = [m.get("content", m.get("value")) for m in messages]
    given = [m.get("role", m.get("from")) for m in messages]
    if given[:1] == ["system"]:
        spoken, given = spoken[1:], given[1:]
    if given != list(roles):
        raise DamagedError("a chat does not have the messages it was written with")
    return spoken


def _chat(text: str) -> list[tuple[str, str]]:
    return [_both(_said(o["messages"], "user", "assistant")) for o in _objects(text)]


def _sharegpt(text: str) -> list[tuple[str, str]]:
    return [_both(_said(o["conversations"], "human", "gpt")) for o in _objects(text)]


def _both(spoken: list[str]) -> tuple[str, str]:
    return spoken[0], spoken[1]


def _alpaca(text: str) -> list[tuple[str, str]]:
    return [(o["instruction"], o["output"]) for o in _objects(text)]


def _completion(text: str) -> list[tuple[str, str]]:
    return [(o["prompt"], o["completion"]) for o in _objects(text)]


def _trl(text: str) -> list[tuple[str, str]]:
    return [
        (_said(o["prompt"], "user")[0], _said(o["completion"], "assistant")[0])
        for o in _objects(text)
    ]


def _preference(text: str) -> list[tuple[str, str]]:
    return [
        (_said(o["prompt"], "user")[0], _said(o["chosen"], "assistant")[0]) for o in _objects(text)
    ]


def _csv(text: str) -> list[tuple[str, str]]:
    csv.field_size_limit(1 << 30)
    found = []
    for row in csv.DictReader(io.StringIO(text[1:], newline="")):
        marked = json.loads(row[ESCAPED]) if row[ESCAPED] else []
        prompt, response = (
            row[name][1:] if name in marked else row[name] for name in ("prompt", "response")
        )
        found.append((prompt, response))
    return found


READERS = {
    "chat": _chat,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt-completion": _completion,
    "trl": _trl,
    "preference": _preference,
    "csv": _csv,
}


def check_proof(proof: dict[str, Any]) -> list[str]:
    """What the proof for one row shows.

    Raises:
        DamagedError: the row is not in the version of this root.
    """
    row = proof["row"]
    if content_sha256(row["prompt"], row["response"]) != row["content_sha256"]:
        raise DamagedError("the text of the pair does not have its hash")
    if climb(leaf(line(row)), proof["path"]) != proof["merkle_root"]:
        raise DamagedError("the pair is not in the version of this Merkle root")
    named = f"pair {row['pair_id']} is in the version of this Merkle root"
    return [f"{named}, as a {row['split']} pair"]


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", nargs="?", default=".", help="folder, zip or proof (JSON)")
    parser.add_argument("--sha256", help="the version's sha256 that you were given")
    parser.add_argument("--root", help="the Merkle root that you were given")
    asked = parser.parse_args()
    try:
        for text in verify(Path(asked.what), asked.sha256, asked.root):
            sys.stdout.write(text + "\n")
    except DamagedError as error:
        sys.stderr.write(f"NOT INTACT: {error}.\n")
        return 1
    sys.stdout.write("Intact.\n")
    return 0


def verify(what: Path, sha256: str | None = None, merkle_root: str | None = None) -> list[str]:
    """What was checked of an export or a proof, in sentences.

    Raises:
        DamagedError: it is not intact, or not of the version that was asked for.
    """
    try:
        if what.suffix == ".json" and what.is_file():
            proof: dict[str, Any] = json.loads(what.read_text(encoding="utf-8"))
            done, stated = check_proof(proof), {"merkle_root": proof["merkle_root"]}
        else:
            manifest, done = check(read(what))
            stated = manifest["version"]
    except DamagedError:
        raise
    except OSError as error:
        raise DamagedError(f"{what} cannot be read ({error.strerror})") from None
    except Exception as error:  # damage shows itself as any kind
        raise DamagedError(f"it does not have the form it was written in ({error!r})") from None
    for name, wanted in (("sha256", sha256), ("merkle_root", merkle_root)):
        if wanted and wanted != stated.get(name):
            raise DamagedError(f"its {name} is {stated.get(name)}, not the one you gave")
    return [
        *done,
        *(f"{name} {stated[name]}" for name in ("sha256", "merkle_root") if name in stated),
    ]


if __name__ == "__main__":
    sys.exit(_main())
