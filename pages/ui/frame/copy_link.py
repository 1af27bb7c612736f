"""A button that copies the browser's address, which says all settings."""

import streamlit as st

HTML = '<button type="button" title="Copy link" aria-label="Copy link"></button><span role="status"></span>'
CSS = """
button { font: inherit; color: var(--st-text-color); background: transparent; cursor: pointer; height: 2.5rem; white-space: nowrap;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: 0 0.75rem; }
button:hover, button:focus-visible { color: var(--st-primary-color); border-color: var(--st-primary-color); }
"""
# Outside https and localhost there is no clipboard; a hidden text field and the command copy work there too.
JS = """
export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  const status = parentElement.querySelector("[role=status]");
  button.textContent = "Copy link";
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
