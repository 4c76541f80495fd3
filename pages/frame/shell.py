"""The frame around each page: navigation by role, sidebar, headings, empty states, figures."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from pages.frame import identity, theme, wiring
from pages.frame.plain import plain
from storage import projects
from storage.types import Project, Role, User

_EXPERT = frozenset({Role.EXPERT, Role.LEAD})
_REVIEWER = frozenset({Role.EXPERT, Role.REVIEWER, Role.LEAD})
_LEAD = frozenset({Role.LEAD})
_OPERATOR = frozenset({Role.LEAD, Role.ADMIN})
_ALL = frozenset(Role)
_LONGEST_NAME = 24
"""Letters of a name that fit into the bar."""


@dataclass(frozen=True, slots=True)
class Place:
    """One page in the navigation. Roles decide what is listed; verbs decide what is allowed."""

    path: str
    title: str
    icon: str
    roles: frozenset[Role]
    section: str

    @property
    def address(self) -> str:
        """The last part of its URL: the name of its folder."""
        folder = Path(self.path).parent.name
        return "import" if folder == "imports" else folder  # no package can be called `import`


SIGN_IN = Place("pages/account/sign_in/page.py", "Profiles", "badge", _ALL, "Account")
PLACES = (
    Place("pages/operate/home/page.py", "Home", "home", _ALL, ""),
    Place("pages/label/write/page.py", "Write", "edit_note", _EXPERT, "Label"),
    Place("pages/label/imports/page.py", "Import", "upload_file", _EXPERT, "Label"),
    Place("pages/label/draft/page.py", "Draft", "auto_awesome", _EXPERT, "Label"),
    Place("pages/label/review/page.py", "Review", "fact_check", _REVIEWER, "Label"),
    Place("pages/label/browse/page.py", "Browse", "table_rows", _REVIEWER, "Label"),
    Place("pages/curate/scrub/page.py", "Scrub", "shield_person", _REVIEWER, "Curate"),
    Place("pages/curate/duplicates/page.py", "Duplicates", "difference", _REVIEWER, "Curate"),
    Place("pages/curate/audit/page.py", "Audit", "verified", _REVIEWER, "Curate"),
    Place("pages/curate/health/page.py", "Health", "monitor_heart", _REVIEWER, "Curate"),
    Place("pages/curate/eras/page.py", "Eras", "event", _LEAD, "Curate"),
    Place("pages/curate/ready/page.py", "Ready", "checklist", _LEAD, "Curate"),
    Place("pages/curate/versions/page.py", "Versions", "inventory_2", _LEAD, "Curate"),
    Place("pages/train/decide/page.py", "Decide", "balance", _LEAD, "Train"),
    Place("pages/train/launch/page.py", "Launch", "play_circle", _LEAD, "Train"),
    Place("pages/train/runs/page.py", "Runs", "monitoring", _LEAD, "Train"),
    Place("pages/train/experiments/page.py", "Experiments", "science", _LEAD, "Train"),
    Place("pages/train/adapters/page.py", "Adapters", "extension", _LEAD, "Train"),
    Place("pages/prove/compare/page.py", "Compare", "compare", _LEAD, "Prove"),
    Place("pages/prove/blind/page.py", "Blind", "visibility_off", _REVIEWER, "Prove"),
    Place("pages/operate/people/page.py", "People", "group", _OPERATOR, "Operate"),
    Place("pages/operate/activity/page.py", "Activity", "history", _OPERATOR, "Operate"),
    Place("pages/operate/backups/page.py", "Backups", "backup", _OPERATOR, "Operate"),
    SIGN_IN,
    Place("pages/account/settings/page.py", "Settings", "settings", _ALL, "Account"),
)


def at(address: str) -> Place:
    """The page at an address."""
    return next(place for place in PLACES if place.address == address)


def open_to(user: User | None) -> list[Place]:
    """The pages listed for this person; signed-out people see only the sign-in page."""
    if user is None:
        return [SIGN_IN]
    return [place for place in PLACES if place.roles & user.roles]


def addresses() -> list[str]:
    """The last part of each page's URL."""
    return [place.address for place in PLACES]


def run() -> None:
    """Draw one page inside the frame. `st.navigation` is always called: it closes other routes."""
    st.set_page_config(page_title="Assay", page_icon=theme.ICON, layout="wide")
    user = identity.current()
    sections: dict[str, list[StreamlitPage]] = {}
    for place in open_to(user):
        # The account menu bears the person's name, so that each page shows who is deciding.
        section = _named(user) if user and place.section == "Account" else place.section
        title = place.title if user else "Sign in"
        entry = st.Page(
            place.path,
            title=title,
            icon=f":material/{place.icon}:",
            url_path=place.address,
        )
        sections.setdefault(section if user else "", []).append(entry)
    st.navigation(sections, position="top").run()


def _named(user: User) -> str:
    short = user.name if len(user.name) <= _LONGEST_NAME else user.name[:_LONGEST_NAME] + "…"
    return f":material/person: {plain(short)}"


def project_choice(user: User) -> None:
    """Which project the pages show, for those who have several."""
    with wiring.looking() as session:
        names = {project.id: project.name for project in projects.everything(session)}
    project = wiring.current_project(user)
    if project is None:
        return
    key = f"project-of-{user.id}"
    st.selectbox(
        "Project",
        list(names),
        index=list(names).index(project.id),
        format_func=lambda number: names.get(number, ""),
        key=key,
        on_change=lambda: wiring.choose_project(user, st.session_state[key]),
    )


def header(title: str, subtitle: str = "") -> None:
    """The heading of a page, and in one line what it is for."""
    st.title(plain(title), anchor=False)
    if subtitle:
        note(subtitle)


def note(text: str) -> None:
    """A quiet line. Streamlit's own caption is too pale to read on a projector."""
    st.markdown(f":small[:gray[{plain(text)}]]")


def link(address: str, label: str) -> None:
    """A way to another page; for those who may not open it, who can."""
    place = at(address)
    if place in open_to(identity.current()):
        st.page_link(place.path, label=label, icon=f":material/{place.icon}:")
    else:
        roles = " or ".join(sorted(role.value for role in place.roles))
        note(f"{label}: someone with the role {roles} can do this on {place.title}.")


def empty(message: str, address: str, label: str) -> None:
    """What to say where there is nothing yet: why, and the one next step."""
    with st.container(border=True):
        st.text(message)
        link(address, label)


def require_project(user: User) -> Project:
    """The open project, or the end of this draw with the way to one."""
    project = wiring.current_project(user)
    if project is None:
        empty("There is no project yet.", "home", "Start one on Home")
        st.stop()
    return project


def stats(figures: dict[str, str]) -> None:
    """A row of figures by name; what stands in brackets goes on a quiet line below."""
    for column, (name, value) in zip(st.columns(len(figures)), figures.items(), strict=True):
        figure, _, detail = value.partition(" (")
        with column.container(border=True, height="stretch"):
            st.metric(plain(name), plain(figure))
            if detail:
                note(detail.removesuffix(")"))
