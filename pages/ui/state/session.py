"""The settings of one browser session: what they are now, what they were, and what the browser's address says of them.

The settings are the session's, and the address follows them; `arrival` says when the address is obeyed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from compression.spec import CompressionSpec
from pages.ui.compute import networks
from pages.ui.state import link, specs
from pages.ui.state.value import Settings

HISTORY, PAGE, MOUNTED = "history", "page", "mounted"
MOST_STEPS = 200
ONE_STEP_SECONDS = 1.0  # changes of one setting that follow each other faster are one step, as when a key is held


@dataclass
class History:
    """The settings of now, those before and those that were undone, each in the order of time."""

    now: Settings = field(default_factory=Settings)
    past: list[Settings] = field(default_factory=list)
    future: list[Settings] = field(default_factory=list)
    changed: frozenset[str] = frozenset()  # the settings that the last step changed
    changed_at: float = -1.0
    left: list[Settings] = field(default_factory=list)  # what the last step has passed, from where it began
    layers_of: dict[str, str] = field(default_factory=dict)  # of networks that were left, by name


def history() -> History:
    """Returns the history of this session."""
    return st.session_state.setdefault(HISTORY, History())


def now() -> Settings:
    """Returns the settings of this session."""
    return history().now


def change(**changes: Any) -> None:
    """Changes settings: one step that can be undone. Another network gets the settings of layers that it had before."""
    here = history()
    model = changes.pop("model", here.now.model)
    if model != here.now.model:
        here.layers_of[here.now.model] = here.now.layers
        step(replace(of_network(here.now, model), **changes))
    else:
        step(replace(here.now, **changes))


def of_network(settings: Settings, model: str) -> Settings:
    """Returns the settings for another network: those of single layers belong to the old one.

    A network that is compressed already is shown as it is.
    """
    settings = replace(settings, model=model, layers=history().layers_of.get(model, ""))
    return specs.with_spec(settings, CompressionSpec(model)) if networks.is_compressed(model) else settings


def step(settings: Settings) -> None:
    """Makes `settings` those of now. Does nothing if they are."""
    _note_mounted()
    here, moment = history(), time.monotonic()
    changed = frozenset(
        each.name for each in fields(Settings) if getattr(settings, each.name) != getattr(here.now, each.name)
    )
    if not changed:
        return
    if not (changed == here.changed and len(changed) == 1 and moment - here.changed_at < ONE_STEP_SECONDS):
        here.past, here.left = [*here.past, here.now][-MOST_STEPS:], []
    here.left = [*here.left, here.now][-MOST_STEPS:]
    here.now, here.future, here.changed, here.changed_at = settings, [], changed, moment


def undo() -> None:
    """Goes back one step."""
    here = history()
    if here.past:
        here.future.append(here.now)
        here.now, here.changed = here.past.pop(), frozenset()


def redo() -> None:
    """Takes the last undone step again."""
    here = history()
    if here.future:
        here.past.append(here.now)
        here.now, here.changed = here.future.pop(), frozenset()


def defaults(settings: Settings) -> Settings:
    """Returns the defaults for the same network. Large text and pins, results that the reader keeps, stay."""
    return Settings(model=settings.model, present=settings.present, pins=settings.pins)


def reset() -> None:
    """Gives the settings their defaults, in one step."""
    step(defaults(now()))


def go_to(settings: Settings) -> None:
    """Makes `settings` those of now; if they are a step of the past or the future, the steps between are kept."""
    here = history()
    if settings in here.past:
        while here.now != settings:
            undo()
    elif settings in here.future:
        while here.now != settings:
            redo()
    else:
        step(settings)


def bound(key: str, value: Any, after: Callable[[], None] | None = None, range_of: object = None) -> dict[str, Any]:
    """Returns the options that make a widget a view of the setting `key`: it shows `value` and changes the setting.

    `after` is called after a change. `range_of` is what the range of a slider depends on. Streamlit takes a widget on
    another page, and a slider with another range, for a new one, which does not have the value of the old one. And it
    says a value only once, which a browser that is still loading the widget forgets with the next run.
    """
    state, identities = st.session_state, st.session_state.setdefault("identities", {})
    identity = state.get(PAGE), range_of
    if key not in state or state[key] != value or identities.get(key) != identity or not _is_mounted(key):
        state[key] = value
        identities[key] = identity
    return {"key": key, "on_change": _changed, "args": (key, after)}


def _is_mounted(key: str) -> bool:
    """Returns whether the browser has shown the widget: then it has sent its value."""
    if key not in st.session_state.get(MOUNTED, ()):
        _note_mounted()
    return key in st.session_state[MOUNTED]


def _note_mounted() -> None:
    """Notes the widgets that the browser has sent, as a callback and the run after a message find them."""
    context, state = get_script_run_ctx(), st.session_state
    sent = context.session_state.get_widget_states() if context else []
    state[MOUNTED] = state.get(MOUNTED, frozenset()) | {each.id.split("-", 2)[-1] for each in sent}


def _changed(key: str, after: Callable[[], None] | None) -> None:
    """Stores what the reader has picked, in the type that the setting has."""
    value, default = st.session_state[key], getattr(link.DEFAULTS, key)
    if isinstance(value, list):
        value = tuple(value)
    change(**{key: type(default)(value) if isinstance(default, Enum) else value})
    if after:
        after()


def show_address() -> None:
    """Makes the browser's address say the settings of now. The browser notes a step only where that changes it."""
    wanted = link.parameters(now())
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
