"""A button that copies the browser's address, which says all settings."""

import streamlit as st

HTML = '<button type="button" title="Copies the address of this page with all settings">Copy link</button>'
CSS = """
button { font: inherit; font-size: 0.875rem; color: var(--st-text-color); background: transparent; border: 0;
  padding: 0; height: 2.5rem; white-space: nowrap; cursor: pointer; }
button:hover, button:focus-visible { color: var(--st-primary-color); }
"""
# Outside https and localhost there is no clipboard; a hidden text field and the command copy work there too.
JS = """
export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  button.onclick = async () => {
    const address = window.location.href;
    try {
      await navigator.clipboard.writeText(address);
    } catch {
      const field = document.createElement("textarea");
      field.value = address;
      document.body.appendChild(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy link"; }, 1500);
  };
}
"""

_button = st.components.v2.component("copy_link", html=HTML, css=CSS, js=JS)


def draw() -> None:
    """Draws the button."""
    _button(key="copy link", height="content", width="content")
