"""The export of a large version: prepared by a job, then sent from the disk as it lies there."""

from collections.abc import Sequence

import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from curation import statistics
from pages.frame.identity import profile
from pages.frame.security import page
from pages.frame.wiring import act, looking
from pages.parts import job_panel
from storage import people, settings
from storage.errors import NotFound
from storage.types import JobKind, JobState, Role, Split, User, Version
from training import asks
from training.chores import delivering
from training.records import results, specs
from training.records.specs import DeliverySpec
from training.work import jobs

_ADDRESS = "/assay/export"


def show(user: User, version: Version, layout: str, splits: Sequence[Split]) -> None:
    """The button that asks for it; what became of the last one, with the way to fetch it."""
    pairs = sum(version.counts[split.value] for split in splits)
    wanted = DeliverySpec(
        version_id=version.id, layout=layout, splits=tuple(split.value for split in splits)
    )
    st.button(
        f"Prepare the export of {statistics.count(pairs, 'pair')}",
        key=f"deliver-{version.id}-{layout}-{'-'.join(wanted.splits)}",
        type="primary",
        on_click=act,
        args=("The export waits to start.", asks.deliver, user, version.project_id, wanted),
    )
    with looking() as session:
        newest = next(iter(jobs.listing(session, version.project_id, JobKind.LAYOUT)), None)
    if newest is None or specs.delivery(newest).version_id != version.id:
        return
    job_panel.panel(newest)
    made = results.delivery(newest)
    if made is not None and delivering.is_ready(settings.current(), newest):
        st.link_button(
            f"Download it ({made.size / 1e6:,.1f} MB)",
            f"{_ADDRESS}/{newest.id}",
            icon=":material/download:",
        )
    elif newest.state is JobState.FINISHED:
        st.caption("It made room for a later export. Prepare it again.")


def _deliver(request: Request) -> Response:
    """The zip, for someone who may see versions; read from the disk piece by piece."""
    with looking() as session:
        try:
            user = people.get(session, profile(request.cookies) or 0)
            path, name = delivering.file(
                session, settings.current(), str(request.path_params["job_id"])
            )
        except NotFound as error:
            return page(str(error), 404)
    if Role.LEAD not in user.roles:
        return page("An export is for people with the role lead. Ask an admin.", 403)
    return FileResponse(path, media_type="application/zip", filename=name)


ROUTE = Route(f"{_ADDRESS}/{{job_id}}", _deliver, methods=["GET"])
