"""A project's settings of the scan for personal data, versioned: every change is a new number.

Changing what the scan looks for makes every earlier scan of the project stale.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from curation.personal import name_models, pii, resolving
from curation.personal.pii import Config, Replacement
from curation.personal.stand_ins import StandIns
from storage import events, pairs, projects
from storage.access import allowed
from storage.errors import BadInput
from storage.tables import PairRow, ScanConfigRow, ScanRow
from storage.types import Role, User


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """What a project's scan looks for, and what stands in place of what people accept."""

    number: int
    """0 until a lead changes something."""
    config: Config
    replacement: Replacement
    created_by: int | None = None
    created_at: datetime | None = None


def current(session: Session, project_id: int) -> ScanSettings:
    """The settings in force, with the words that the project's output schema fixes."""
    row = session.scalar(_newest_first(project_id).limit(1))
    return _settings(row, vocabulary(session, project_id))


def history(session: Session, project_id: int) -> list[ScanSettings]:
    """Every change of the settings, newest first."""
    allow = vocabulary(session, project_id)
    return [_settings(row, allow) for row in session.scalars(_newest_first(project_id))]


def _newest_first(project_id: int) -> Select[ScanConfigRow]:
    return (
        select(ScanConfigRow)
        .where(ScanConfigRow.project_id == project_id)
        .order_by(ScanConfigRow.number.desc())
    )


def _settings(row: ScanConfigRow | None, allow: tuple[str, ...]) -> ScanSettings:
    if row is None:
        return ScanSettings(0, Config(allow=allow), Replacement.ROW)
    config = replace(pii.from_json(row.settings["config"]), allow=allow)
    wanted = Replacement(row.settings["replacement"])
    return ScanSettings(row.number, config, wanted, row.created_by, row.created_at)


def vocabulary(session: Session, project_id: int) -> tuple[str, ...]:
    """Words of the output schema: they are never personal data."""
    schema = projects.get(session, project_id).output_schema
    return tuple(sorted(resolving.vocabulary(schema))) if schema else ()


@allowed(Role.LEAD)
def configure(
    session: Session, actor: User, project_id: int, config: Config, replacement: Replacement
) -> ScanSettings:
    """Change what counts as personal data, or what takes its place. Earlier settings are kept.

    Pairs scanned with other settings count as not scanned from now on. The same settings again
    change nothing.

    Raises:
        BadInput: an entry is not as it should be; there is one sentence for each. Or the second
            model may not be loaded.
        Unavailable: the library that reads the second model is not installed.
    """
    wrong = pii.problems(config)
    if wrong:
        raise BadInput(" ".join(wrong[:5]))
    if config.second_model:
        name_models.find(config.second_model)
    before = current(session, project_id)
    config = replace(config, allow=before.config.allow)
    if (config, replacement) == (before.config, before.replacement):
        return before
    stored = {"config": pii.to_json(replace(config, allow=())), "replacement": replacement.value}
    row = ScanConfigRow(
        project_id=project_id,
        number=before.number + 1,
        settings=stored,
        sha256=config.sha256,
        created_by=actor.id,
    )
    session.add(row)
    _count_earlier_scans(session, project_id, config.sha256)
    StandIns(session, project_id, replacement).keep()
    events.record(
        session,
        actor,
        "configure_scan",
        "scan_config",
        row.id,
        project_id=project_id,
        number=row.number,
        config_sha256=row.sha256,
        replacement=replacement.value,
        stale=config.sha256 != before.config.sha256,
    )
    return _settings(row, config.allow)


def _count_earlier_scans(session: Session, project_id: int, config_sha256: str) -> None:
    """Settings that are back as they were before: the scans with them count again."""
    earlier = (
        select(ScanRow.id)
        .where(
            ScanRow.pair_id == PairRow.id,
            ScanRow.content_sha256 == PairRow.content_sha256,
            ScanRow.config_sha256 == config_sha256,
        )
        .scalar_subquery()
    )
    session.flush()
    session.execute(
        update(PairRow)
        .where(
            PairRow.project_id == project_id,
            PairRow.id.in_(select(ScanRow.pair_id).where(ScanRow.config_sha256 == config_sha256)),
            earlier.is_not(None),
        )
        .values(scan_id=earlier, scanned_with=config_sha256[: pairs.SHORT])
    )
