"""The uploaded networks of one browser session."""

import streamlit as st

from pages.ui.compute import uploads

FORGOTTEN = "forgotten"  # in the session: how many uploads were forgotten


def draw() -> None:
    """Shows the uploaded networks of this session, each with a button that deletes it."""
    own = uploads.own()
    if not own:
        return
    st.caption(
        f"Your networks ({len(own)} of at most {uploads.MOST_OF_ONE_SESSION}). "
        "Only those who have the link of one can see it."
    )
    for name in list(own):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"`{name}`", width=420)
            if st.button("Delete", key=f"forget {name}", icon=":material/delete:"):
                uploads.forget(name)
                # an uploader with another key is empty
                st.session_state[FORGOTTEN] = st.session_state.get(FORGOTTEN, 0) + 1
                st.rerun()
