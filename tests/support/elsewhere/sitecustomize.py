"""Python runs this when it starts, in each process that has this folder on `PYTHONPATH`."""

import another_system  # noqa: F401 - importing it does it
