"""Training on workers, shared by all sessions, and the recovered networks that come out."""

import streamlit as st

from compression.engine.jobs import JobKind
from compression.experiments.training.run_state import Run, TrainingReading
from compression.library import recovered
from compression.library.recovered import Recovered
from compression.retraining.recipe import Recipe
from compression.spec import CompressionSpec
from pages.ui.compute import experiments, jobs, networks

OWN_RUN = "own training run"  # in the session: the name of the run that it has started

LEAST_STEPS = 50  # of a run that says how long a step takes

OVERHEAD = 1.2  # of rounding and of crops, beside the bare network
COUNTING = 0.35  # the time to count an image, as a share of that to train on it


def run_of(spec: CompressionSpec, recipe: Recipe, teacher: str | None) -> Run:
    """Returns the run that trains the network of `spec`. Raises ValueError where they do not fit."""
    other = networks.float_model(teacher) if teacher else None
    return experiments.trainer().run(networks.float_model(spec.model), spec, recipe, other)


def look(run: Run) -> TrainingReading:
    """Returns what is known of a run; the queue of long jobs shows it while it is active."""
    reading = experiments.trainer().look(run)
    if run.name == st.session_state.get(OWN_RUN):
        jobs.look(JobKind.TRAINING, reading.is_active, reading.share)
    return reading


def start(run: Run, teacher: str | None) -> None:
    """Puts a run into the queue. Raises ValueError if this session has another one there."""
    other = networks.float_model(teacher) if teacher else None
    experiments.trainer().start(jobs.session_name(), run, networks.float_model(run.parent), other)
    st.session_state[OWN_RUN] = run.name


def stop(run: Run) -> None:
    """Stops a run; the best network so far becomes a recovered network."""
    experiments.trainer().stop(run)


def estimate(run: Run) -> float:
    """Returns about how many seconds a run takes here, if nothing else runs. Takes a moment for a new network.

    A run of the same network that was done here, or the one that it came out of, says best how long its steps take.
    """
    recipe = run.recipe
    for each in all_recovered():
        lineage = each.lineage
        if (
            (lineage.digest == run.digest or each.name == run.parent)
            and not each.is_bundled
            and lineage.steps > LEAST_STEPS
            and lineage.recipe.precision is recipe.precision
        ):
            return lineage.seconds / (lineage.steps * lineage.recipe.batch_size) * run.total * recipe.batch_size
    counted = (recipe.points + 1) * recipe.held_out * COUNTING
    seconds = experiments.seconds_to_train_on_an_image(run.parent, recipe.precision)
    return seconds * OVERHEAD * (run.total * recipe.batch_size + counted)


def all_recovered() -> list[Recovered]:
    """Returns all recovered networks of this server."""
    return recovered.all_recovered()


def note_result(name: str, accuracy: float) -> bool:
    """Notes the accuracy (0..1) of a recovered network on all test images, and lets workers count its costs.

    With both it is a point of Trade-offs. Returns whether the costs are there, or cannot be counted.
    """
    recovered.remember_accuracy(name, accuracy)
    return experiments.sweep((CompressionSpec(name),), go=True).done


def delete(name: str) -> None:
    """Deletes a recovered network, for everybody on this server. Raises OSError."""
    recovered.delete_recovered(name)
