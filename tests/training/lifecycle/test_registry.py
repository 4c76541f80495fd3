"""The adapter registry: stages that only grow, a gate that blocks, one adapter in production."""

import threading
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from curation.personal import model_files
from curation.policy import eras
from curation.versions import archive, cards
from storage import events, settings
from storage.engine import driver, reading, writing
from storage.errors import AssayError, BadInput, NotFound, RuleBroken
from storage.tables import AdapterRow, PairRow
from storage.types import Adapter, Role, Signal, Split, Stage
from tests.support import curated, promoted, stories, tuned
from training import asks
from training.lifecycle import adapter_cards, adapter_files, gate, registry, stages
from training.models import adapters
from training.proving import blind

HERE = settings.current


def _gate(engine: Engine, adapter: Adapter) -> dict[str, Signal]:
    with reading(engine) as session:
        return {one.key: one for one in gate.report(session, adapter.id, HERE())}


def _stands(engine: Engine, story: tuned.Frozen) -> list[str]:
    """The stage of each adapter, the first adapter first."""
    with reading(engine) as session:
        return [stage.value for stage in stages.of_project(session, story.project.id).values()]


def _card(engine: Engine, adapter: Adapter) -> dict[str, object]:
    with reading(engine) as session:
        return adapter_cards.build(session, adapter)


def _two(engine: Engine) -> tuple[tuned.Frozen, Adapter, Adapter]:
    story = tuned.frozen(engine, 20)
    return story, tuned.trained(engine, story, "One"), tuned.trained(engine, story, "Two")


def test_adapters_are_numbered_within_their_project(engine: Engine) -> None:
    story, one, two = _two(engine)
    other = tuned.trained(engine, tuned.frozen(engine, 20, "Other"))
    assert (one.number, two.number, other.number) == (1, 2, 1)
    with reading(engine) as session:
        assert adapters.get(session, two.id) == two
        for words in ("adapter@2", "2", two.name):
            assert adapters.named(session, story.project.id, words) == two
        with pytest.raises(NotFound, match="adapter@1 to adapter@2"):
            adapters.named(session, story.project.id, "adapter@3")


def test_every_line_met_leads_to_production(engine: Engine) -> None:
    story, adapter = promoted.ready(engine)
    lines = _gate(engine, adapter)
    assert [one.key for one in lines.values() if not one.met] == []
    assert lines["runs"].measured == "3"
    assert lines["trial"].measured.startswith("better: 8 votes for tuned, 0 for base; 8 of 8")
    promoted.promote(engine, story, adapter, Stage.APPROVED, Stage.PRODUCTION)
    assert _stands(engine, story) == ["candidate", "candidate", "production"]
    card = _card(engine, adapter)
    assert card["stage"] == "production"
    assert card["checks"]["general"]["tuned"] == 20  # type: ignore[index]
    told = adapter_cards.markdown(card)
    assert "adapter@3, stage: production, kind: lora" in told
    assert "red-team prompts passed: base 34 of 34" in told
    assert "production, by `lena`" in told
    with reading(engine) as session:
        verbs = [one.verb for one in events.latest(session, story.project.id, 2)]
        assert events.verify(session)[1] is None
    assert verbs == ["to_production", "to_approved"]


def test_an_unmet_line_blocks_until_it_is_waived_by_name(engine: Engine) -> None:
    story, adapter, other = _two(engine)
    with pytest.raises(RuleBroken, match="5 of 8 lines block, the first is “Runs compared”"):
        promoted.promote(engine, story, adapter, Stage.APPROVED)
    promoted.waive(engine, story, adapter)
    assert _gate(engine, adapter)["trial"].waiver is not None
    assert _gate(engine, other)["trial"].waiver is None
    promoted.promote(engine, story, adapter, Stage.APPROVED)
    with pytest.raises(RuleBroken, match="is not promoted"):
        promoted.promote(engine, story, other, Stage.APPROVED)
    waivers = _card(engine, adapter)["waivers"]
    assert isinstance(waivers, list)
    assert {w["when"] for w in waivers} == {"launch", "approved"}
    assert all("lena: A test of the" in w["waiver"] for w in waivers)


def test_waivers_of_an_adapter_do_not_enter_the_card_of_a_version(engine: Engine) -> None:
    story, adapter, _ = _two(engine)
    promoted.waive(engine, story, adapter)
    curated.approved(engine, story.project, stories.messages(4, start=100))
    version = curated.frozen(engine, story.project)
    with reading(engine) as session:
        told = cards.to_json(cards.build(session, version.id)).decode()
    assert "A test of the loop." in told
    assert "promote:" not in told
    assert "A test of the registry." not in told


def test_a_waiver_needs_a_line_a_reason_and_a_day(engine: Engine) -> None:
    story, adapter, _ = _two(engine)
    soon = datetime.now(UTC).date() + timedelta(days=7)
    for key, reason, until, error in (
        ("files", "Long enough a reason.", soon, RuleBroken),
        ("reviewed", "Long enough a reason.", soon, BadInput),
        ("runs", "Short", soon, BadInput),
        ("runs", "Long enough a reason.", date(2020, 1, 1), BadInput),
    ):
        with writing(engine) as session, pytest.raises(error):
            gate.waive(session, story.lead, adapter.id, key, reason, until)


def test_an_expired_waiver_no_longer_opens_the_way(engine: Engine) -> None:
    story, adapter, _ = _two(engine)
    promoted.waive(engine, story, adapter)
    promoted.promote(engine, story, adapter, Stage.APPROVED)
    with closing(driver().connect(HERE().database)) as raw:
        raw.execute("DROP TRIGGER waiver_no_update")
        raw.execute("UPDATE waiver SET expires_on = '2020-01-01' WHERE signal LIKE 'promote:%'")
        raw.commit()
    with pytest.raises(RuleBroken, match="is not promoted"):
        promoted.promote(engine, story, adapter, Stage.PRODUCTION)


def test_stages_are_taken_in_order(engine: Engine) -> None:
    story, adapter, _ = _two(engine)
    promoted.waive(engine, story, adapter)
    with pytest.raises(RuleBroken, match=r"is a candidate\. Approve it first"):
        promoted.promote(engine, story, adapter, Stage.PRODUCTION)
    for to in (Stage.CANDIDATE, Stage.RETIRED):
        with pytest.raises(BadInput, match="to approved or to production"):
            promoted.promote(engine, story, adapter, to)
    promoted.promote(engine, story, adapter, Stage.APPROVED)
    with pytest.raises(RuleBroken, match=r"already approved\. Someone was there before you"):
        promoted.promote(engine, story, adapter, Stage.APPROVED)


def test_one_adapter_is_in_production_and_a_rollback_brings_the_last_back(engine: Engine) -> None:
    story, one, two = _two(engine)
    with writing(engine) as session, pytest.raises(RuleBroken, match="was in production before"):
        registry.rollback(session, story.lead, story.project.id, HERE(), "Too early")
    promoted.in_production(engine, story, one)
    promoted.in_production(engine, story, two)
    assert _stands(engine, story) == ["approved", "production"]
    with writing(engine) as session:
        back = registry.rollback(session, story.lead, story.project.id, HERE(), "It answers badly")
    assert back == one
    assert _stands(engine, story) == ["production", "approved"]
    with reading(engine) as session:
        told = [(c.stage.value, c.reason) for c in stages.history(session, two.id)]
    assert told[-1] == ("approved", "Rolled back to adapter 1: It answers badly")


def test_retiring_takes_out_of_production_and_only_the_gate_leads_back(engine: Engine) -> None:
    story, one, two = _two(engine)
    promoted.in_production(engine, story, one)
    with writing(engine) as session:
        with pytest.raises(BadInput, match="in a few words why"):
            registry.retire(session, story.lead, one.id, "  ")
        registry.retire(session, story.lead, one.id, "Replaced\n# by `two`")
    assert _stands(engine, story) == ["retired", "candidate"]
    assert "**RETIRED** on" in adapter_cards.markdown(_card(engine, one))
    assert "`Replaced # by 'two'`" in adapter_cards.markdown(_card(engine, one))
    with reading(engine) as session:
        assert adapter_files.package(session, one.id, HERE())
    with writing(engine) as session, pytest.raises(RuleBroken, match="already retired"):
        registry.retire(session, story.lead, one.id, "Again")
    with pytest.raises(RuleBroken, match=r"is retired\. Approve it first"):
        promoted.promote(engine, story, one, Stage.PRODUCTION)
    with writing(engine) as session, pytest.raises(RuleBroken, match="was in production before"):
        registry.rollback(session, story.lead, story.project.id, HERE(), "Retired ones stay")
    promoted.promote(engine, story, one, Stage.APPROVED, Stage.PRODUCTION)
    assert _stands(engine, story) == ["production", "candidate"]
    assert two.number == 2


def test_two_leads_promote_at_once(engine: Engine) -> None:
    story, one, two = _two(engine)
    for adapter in (one, two):
        promoted.waive(engine, story, adapter)
        promoted.promote(engine, story, adapter, Stage.APPROVED)
    other = stories.person(engine, "lou", Role.LEAD)
    refused: list[str] = []
    start = threading.Barrier(4)

    def go(who: object, adapter: Adapter) -> None:
        start.wait()
        try:
            with writing(engine) as session:
                registry.promote(session, who, adapter.id, Stage.PRODUCTION, HERE())  # type: ignore[arg-type]
        except AssayError as error:
            refused.append(str(error))

    asked = [(who, adapter) for who in (story.lead, other) for adapter in (one, two)]
    threads = [threading.Thread(target=go, args=each) for each in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(_stands(engine, story)) == ["approved", "production"]
    assert all("already" in words for words in refused)


def test_the_database_itself_refuses(engine: Engine) -> None:
    """Plain SQL, as any other program would write it."""
    story, one, two = _two(engine)
    promoted.in_production(engine, story, one)
    refused = driver().IntegrityError
    insert = (
        "INSERT INTO adapter_stage (adapter_id, number, stage, user_id, reason, gate, created_at)"
        " VALUES (?, ?, ?, ?, '', '[]', '2026-01-01')"
    )
    lead = story.lead.id
    with closing(driver().connect(HERE().database, isolation_level=None, timeout=5)) as sql:
        before = sql.execute("SELECT * FROM adapter_stage").fetchall()
        for statement in (
            "UPDATE adapter_stage SET stage = 'retired'",
            "DELETE FROM adapter_stage",
        ):
            with pytest.raises(refused, match="adapter_stage is insert-only"):
                sql.execute(statement)
        with pytest.raises(refused, match="has this row already"):
            sql.execute("REPLACE INTO adapter_stage SELECT * FROM adapter_stage")
        with pytest.raises(refused, match="has this row already"):
            sql.execute(insert.replace("INSERT", "REPLACE", 1), (one.id, 1, "retired", lead))
        assert sql.execute("SELECT * FROM adapter_stage").fetchall() == before
        with pytest.raises(refused, match="CHECK constraint"):
            sql.execute(insert, (two.id, 1, "perfect", lead))
        sql.execute(insert, (two.id, 1, "approved", lead))
        with pytest.raises(refused, match="one adapter in production"):
            sql.execute(insert, (two.id, 2, "production", lead))
        sql.execute(insert, (one.id, 3, "retired", lead))
        with pytest.raises(refused, match="approved before it goes into production"):
            sql.execute(insert, (one.id, 4, "production", lead))
        sql.execute("UPDATE user SET kind = 'machine' WHERE id = ?", (lead,))
        with pytest.raises(refused, match="a person moves an adapter"):
            sql.execute(insert, (two.id, 2, "retired", lead))


def test_changed_files_block_and_cannot_be_waived(engine: Engine) -> None:
    story, one, _ = _two(engine)
    promoted.waive(engine, story, one)
    promoted.promote(engine, story, one, Stage.APPROVED)
    weights = HERE().data / one.path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert "changed since the run recorded them" in _gate(engine, one)["files"].measured
    with pytest.raises(RuleBroken, match="“Its files”"):
        promoted.promote(engine, story, one, Stage.PRODUCTION)


def _on_folder(engine: Engine, adapter: Adapter, folder: Path) -> Adapter:
    """The same adapter, as if trained on a base model in a folder."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    base = {"kind": "folder", "where": str(folder)}
    result = {**adapter.card["result"], "base": {"sha256": model_files.folder_sha256(folder)}}
    with closing(driver().connect(HERE().database)) as raw:
        raw.execute("DROP TRIGGER adapter_no_update")
        raw.commit()
    with writing(engine) as session:
        card = {**adapter.card, "base": base, "result": result}
        session.execute(update(AdapterRow).where(AdapterRow.id == adapter.id).values(card=card))
        return adapters.get(session, adapter.id)


def test_a_base_model_that_changed_or_went_is_told_and_blocks(
    engine: Engine, tmp_path: Path
) -> None:
    story, one, two = _two(engine)
    folder = tmp_path / "base"
    one = _on_folder(engine, one, folder)
    promoted.in_production(engine, story, one)
    promoted.in_production(engine, story, two)
    (folder / "config.json").write_text("{ }")
    assert _gate(engine, one)["base"].measured == "its base model changed since it was trained"
    (folder / "config.json").unlink()
    assert _gate(engine, one)["base"].measured == "its base model is gone"
    with pytest.raises(RuleBroken, match="“Its base model”"):
        promoted.promote(engine, story, one, Stage.PRODUCTION)
    with writing(engine) as session, pytest.raises(RuleBroken, match="its base model is gone"):
        registry.rollback(session, story.lead, story.project.id, HERE(), "Bad answers")
    with reading(engine) as session:
        told = {e.adapter.number: e.troubles for e in registry.overview(session, 1, HERE())}
    assert told == {1: ("its base model is gone",), 2: ()}


def test_rows_of_a_retired_era_are_counted_and_block(engine: Engine) -> None:
    story, one, _ = _two(engine)
    with writing(engine) as session:
        era = eras.add(session, story.lead, story.project.id, "old", date(2020, 1, 1))
        rows = archive.rows(session, story.version.id)
        learnt = [row.pair_id for row in rows if row.split is not Split.TEST]
        tests = [row.pair_id for row in rows if row.split is Split.TEST]
        ids = [*learnt[:3], *tests[:1]]
        session.execute(update(PairRow).where(PairRow.id.in_(ids)).values(era_id=era.id))
    assert _gate(engine, one)["eras"].met
    with writing(engine) as session:
        eras.retire(session, story.lead, era.id)
    line = _gate(engine, one)["eras"]
    assert line.measured == "3 of 16 pairs it learnt from"
    assert set(line.pairs.ids) == set(learnt[:3])
    promoted.waive(engine, story, one, "runs", "format", "regression", "redteam", "trial")
    with pytest.raises(RuleBroken, match="Pairs of a retired policy era"):
        promoted.promote(engine, story, one, Stage.APPROVED)


def test_nothing_of_a_sealed_trial_is_told(engine: Engine) -> None:
    story, adapter = promoted.ready(engine)
    with reading(engine) as session:
        entry = registry.overview(session, story.project.id, HERE())[0]
        newest = gate.compared(session, adapter)
    assert (entry.right, entry.sealed, entry.verdict) == ((8, 8), False, "better")
    assert newest is not None
    with writing(engine) as session:
        blind.plan(session, story.lead, newest.id, 4)
    lines = _gate(engine, adapter)
    for key in ("format", "regression", "redteam"):
        assert lines[key].measured == "kept back while a blind trial is open"
        assert not lines[key].met
    assert lines["trial"].measured.startswith("open")
    with reading(engine) as session:
        entries = registry.overview(session, story.project.id, HERE())
    # The others answered the same messages: they are sealed as well.
    assert [(e.right, e.sealed) for e in entries] == [(None, True)] * 3
    card = _card(engine, adapter)
    assert (card["checks"], card["evaluations"]) == (None, [])
    with pytest.raises(RuleBroken, match="kept back while a blind trial is open"):
        promoted.promote(engine, story, adapter, Stage.APPROVED)


def test_a_model_at_its_provider_needs_no_files_here(engine: Engine) -> None:
    story, one, _ = _two(engine)
    with closing(driver().connect(HERE().database)) as raw:
        raw.execute("DROP TRIGGER adapter_no_update")
        raw.commit()
    with writing(engine) as session:
        consent = {
            "endpoint": "house",
            "rows": 16,
            "version_sha256": "0" * 64,
            "given_by": "lena",
        }
        told = {"fine_tuned_model": "ft:1", "remote_job": "job-1", "files_told": "Files removed."}
        card = {
            **one.card,
            "kind": "provider",
            "base": {"kind": "provider", "where": "house/small"},
            "consent": consent,
            "result": {**one.card["result"], **told},
        }
        session.execute(update(AdapterRow).where(AdapterRow.id == one.id).values(card=card))
    (HERE().data / one.path / "adapter_model.safetensors").unlink()
    lines = _gate(engine, one)
    assert lines["files"].met
    assert lines["base"].met
    assert lines["redteam"].measured == "not asked: an endpoint keeps the model"
    with writing(engine) as session, pytest.raises(RuleBroken, match="lives at its provider"):
        asks.check(session, story.lead, one.id)
    promoted.in_production(engine, story, one)
    with reading(engine) as session:
        assert adapter_files.package(session, one.id, HERE())
