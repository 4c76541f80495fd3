"""Choose the pages this person may open and run one; `streamlit run app.py` serves it."""

import streamlit as st
from starlette.middleware import Middleware

from pages.curate.versions import delivery
from pages.frame import index, profiles, security, server, shell, uploads

if __name__ == "__main__":  # a draw: Streamlit executes this file anew for each one
    shell.run()
else:  # the server imports this module once
    app = st.App(
        __file__,
        lifespan=server.lifespan,
        middleware=[Middleware(security.Gate, key=server.KEY), Middleware(uploads.Limit)],
        routes=[profiles.ROUTE, delivery.ROUTE, *index.routes(shell.addresses())],
        on_script_error=server.on_script_error,
        exception_handlers={Exception: security.broken},
    )
