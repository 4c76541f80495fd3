"""Write page: gold pairs in an expert's own words, beside the guidelines."""

from pages.parts import label_write, shell
from pages.parts.identity import require_user

user = require_user()
shell.header("Write", "Gold pairs: an input as it really comes, and the answer you would sign.")
project = shell.require_project(user)
label_write.editor(user, project)
