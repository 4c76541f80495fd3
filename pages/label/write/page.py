"""Write page: gold pairs in an expert's own words, beside the guidelines."""

from pages.frame import shell
from pages.frame.identity import require_user
from pages.label.write import form

user = require_user()
shell.header("Write", "Gold pairs: an input as it really comes, and the answer you would sign.")
project = shell.require_project(user)
form.show(user, project)
