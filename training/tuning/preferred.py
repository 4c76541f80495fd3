"""Preference pairs for a run: what people corrected in the train and validation rows of a version.

Votes of blind trials never become pairs: they are on answers to test rows, and what was once test
never trains.
"""

import json
from collections.abc import Sequence

from sqlalchemy.orm import Session

from curation.versions import preferences
from storage.errors import RuleBroken
from storage.types import Split, Version, VersionRow


def lines(session: Session, rows: Sequence[VersionRow]) -> bytes:
    """The pairs of these rows as a worker reads them, one JSON object a line: those of `runs` with
    the answer that was `rejected`; rows that nobody corrected are left out.
    """
    of = {row.pair_id: row.split.value for row in rows}
    corrections = (
        {
            "pair_id": preference.pair_id,
            "split": of[preference.pair_id],
            "prompt": preference.prompt,
            "response": preference.response,
            "rejected": preference.rejected,
        }
        for preference in preferences.gather(session, rows).rows
    )
    return "".join(
        json.dumps(preference, ensure_ascii=False) + "\n" for preference in corrections
    ).encode()


def require(session: Session, version: Version, rows: Sequence[VersionRow]) -> None:
    """Refuse a run without a pair to learn from.

    Raises:
        RuleBroken: nobody corrected a train row of the version, or what was corrected may not be
            shown to a trainer.
    """
    gathered = preferences.gather(session, [row for row in rows if row.split is Split.TRAIN])
    if gathered.rows:
        return
    why = "nobody corrected the answer of one of its training pairs"
    if gathered.unsafe:
        why = (
            f"the first answer of the {gathered.unsafe} corrected ones was never scanned whole for "
            "personal data, or held some"
        )
    raise RuleBroken(
        f"Version {version.number} has no preference pairs: {why}. Correct drafts in review, scan "
        "the pairs and freeze a new version."
    )
