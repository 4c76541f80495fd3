"""MLflow's own tracking server on a free port, with a database of its own; for the tests.

`python -m tests.support.mlflow_server FOLDER` prints its address once it listens.
"""

import os
import sys
from pathlib import Path


def serve(folder: Path) -> None:
    """Serve until the process is ended."""
    os.environ |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder / 'mlflow.db'}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(folder / "artifacts"),
    }
    from mlflow.server import app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
