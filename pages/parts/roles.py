"""What the roles may do, in plain words."""

from storage.types import Role

MAY = {
    Role.EXPERT: "write, import and draft pairs, review, scrub, audit",
    Role.REVIEWER: "approve or reject drafts, vote in blind trials",
    Role.LEAD: "everything about the project, its runs and its trials",
    Role.ADMIN: "say who may do what",
}
