"""Training: how long it will take, its curve while it runs, and what it has won on the test images."""

import streamlit as st

from compression.data.cifar10 import TEST, TRAIN
from compression.errors import DataError, DataMissing
from compression.evaluation.reading import Reading
from compression.experiments.training.run_state import Run, Stage, TrainingReading
from compression.library.recovered import epochs_in_words
from compression.networks.bundled import bundled_names
from compression.networks.untrained import is_untrained
from compression.retraining.start import has_to_learn
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.charts import show
from pages.ui.charts.recover import training as training_charts
from pages.ui.compute import accuracy, images, networks
from pages.ui.frame.warnings import without_folders
from pages.ui.recover import recipe, recipe_controls, runs
from pages.ui.settings import selection
from pages.ui.state import session

POLL_SECONDS = 1.0
REFUSED = "why training was refused"
FLOAT32 = """\
Trained weights fill a float32, and those of the bundled networks were stored as float16. So the file of a network that
is only pruned grows by training; quantize its weights as well, before or after, and it shrinks."""
HELD_OUT = """\
The curve counts 1,000 training images that are held out from this training. The test images are counted once, at the
end."""
SEEN = """\
The network may have seen the held-out images when it was trained before; then they are easier than the test images."""


def draw(model: str) -> None:
    """Draws the section for the settings of now."""
    untrained = selection.spec(model)
    spec = recipe.spec_to_train(untrained)
    if not has_to_learn(networks.float_model(model), spec):
        return
    st.subheader("By training", anchor=False)
    problem = images.missing_training_images()
    if problem:
        _explain(problem)
        return
    now = session.now()
    recipe_controls.draw(spec)
    try:
        teacher = recipe.teacher_of(now, model)
        run = runs.run_of(spec, recipe.recipe_of(now, spec), teacher)
    except ValueError as error:
        st.info(f"{wording.capital(str(error))}.", icon=":material/info:")
        return
    _watch(run, untrained, teacher)


def _explain(problem: DataError) -> None:
    """Shows why there are no training images, and a button that downloads them if they are missing."""
    if not isinstance(problem, DataMissing):
        st.warning(f"Nothing can be trained: {without_folders(str(problem))}.", icon=":material/broken_image:")
        return
    st.info(
        "Training needs the 50,000 training images of CIFAR-10, and there are none here. Download them, or set the "
        "environment variable CIFAR10_ROOT to a folder that has them.",
        icon=":material/image_search:",
    )
    missing_images.offer_download(
        TRAIN, "Download 120 MB", "download training images", lambda: images.missing_training_images.clear()
    )


def _watch(run: Run, untrained: CompressionSpec, teacher: str | None) -> None:
    """Draws what is known of the run, and draws it again while it runs, and while its network is counted."""
    reading = runs.look(run)
    is_counting = _is_counting(reading)

    @st.fragment(run_every=POLL_SECONDS if reading.is_active or is_counting else None)
    def again() -> None:
        now = runs.look(run)
        _progress(run, now, teacher)
        if len(now.points) > 1:
            epochs = run.total / run.recipe.steps_per_epoch(run.images)
            figure = training_charts.curve(now.points, run.total, epochs, show.ink())
            show.chart(figure, "training", "Training loss, and accuracy on held-out training images, by epochs")
            st.caption(HELD_OUT if is_untrained(run.parent) else f"{HELD_OUT} {SEEN}")
        _result(untrained, now)
        if (now.is_active, now.network, _is_counting(now)) != (reading.is_active, reading.network, is_counting):
            st.rerun()

    again()


def _progress(run: Run, reading: TrainingReading, teacher: str | None) -> None:
    """Draws how far the run is, and the button that starts, stops or resumes it."""
    if refusal := st.session_state.pop(REFUSED, None):
        st.warning(f"{wording.capital(refusal)}.", icon=":material/error:")
    if reading.error:
        st.warning(f"The training stopped: {without_folders(reading.error)}.", icon=":material/error:")
    if reading.problem:
        st.warning(f"{wording.capital(reading.problem)}.", icon=":material/trending_down:")
    with st.container(horizontal=True, vertical_alignment="center"):
        if reading.is_active:
            st.progress(reading.share, _in_words(reading))
            st.button("Stop", key="training stop", icon=":material/stop:", on_click=runs.stop, args=(run,))
        elif reading.stage is Stage.DONE:
            seconds = wording.duration(reading.seconds)
            epochs = epochs_in_words(reading.step / run.recipe.steps_per_epoch(run.images))
            st.caption(f"Trained for {epochs}, {reading.step:,} steps, in {seconds}.")
        else:
            is_begun = reading.stage is Stage.STOPPED
            left = runs.estimate(run) * (1 - reading.share)
            label = "Resume training" if is_begun else "Train"
            st.button(
                label,
                key="training start",
                icon=":material/play_arrow:",
                type="secondary" if is_begun else "primary",
                on_click=_start,
                args=(run, teacher),
            )
            done = f"{reading.step:,} of {reading.total:,} steps are done. " if is_begun else ""
            st.caption(
                f"{done}About {wording.duration(left)} on this server, behind everything that is live. You may leave "
                "the page: the link finds the training again."
            )


def _start(run: Run, teacher: str | None) -> None:
    try:
        runs.start(run, teacher)
    except ValueError as error:
        st.session_state[REFUSED] = str(error)


def _in_words(reading: TrainingReading) -> str:
    if reading.stage is Stage.WAITING and reading.place:
        return f"Waiting: {reading.place} training{'s are' if reading.place > 1 else ' is'} before this one"
    left = f", {wording.seconds_left(reading.seconds_left)}" if reading.seconds_left else ""
    held_out = f", {wording.percent(reading.points[-1].accuracy)} of held-out images" if reading.points else ""
    return f"{reading.step:,} of {reading.total:,} steps{held_out}{left}"


# ---- what it has won


def _look(reading: TrainingReading) -> Reading | None:
    """Returns what is known of the accuracy of the network that came out, on the test images; workers count it."""
    if reading.is_active or not reading.network or reading.network not in networks.names():
        return None
    if isinstance(images.test_images(), DataError):
        return None
    return accuracy.look(CompressionSpec(reading.network), side="trained")


def _is_counting(reading: TrainingReading) -> bool:
    """Returns whether workers count the test images or the costs of the network that came out."""
    counted = _look(reading)
    if counted is None or counted.error:
        return False
    whole = counted.whole
    if whole is None or whole.total < TEST.images:
        return not counted.exact
    return not runs.note_result(counted.spec.model, whole.accuracy)


def _result(untrained: CompressionSpec, reading: TrainingReading) -> None:
    """Draws the rung that training is: accuracy on the test images, points won against `untrained`, and the time."""
    if reading.is_active or not reading.network or reading.network not in networks.names():
        return
    counted = _look(reading)
    before = accuracy.look(untrained, go=False, side="untrained") if counted else None
    size = networks.file_bytes(reading.network) or 0
    with st.container(border=True):
        name, accuracy_place, won, seconds, use = st.columns([2.2, 1.2, 1.1, 1.2, 0.9], vertical_alignment="center")
        so_far = "" if reading.stage is Stage.DONE else ", the best so far"
        name.markdown(f"**Training{so_far}**  \n{networks.labels()[reading.network]}, {wording.size(size)}")
        if counted and counted.estimate:
            shown = counted.estimate
            exact = wording.percent(shown.accuracy, 2)
            about = wording.plus_minus(shown.accuracy, shown.half_width)
            accuracy_place.metric("Accuracy", exact if counted.exact else about)
            if before and before.estimate:
                won.metric("Points won", wording.points(shown.accuracy - before.estimate.accuracy).partition(" ")[0])
        seconds.metric("Time", wording.duration(reading.seconds))
        if use.button("Use", key="use trained", width="stretch", help="Picks this network on all pages"):
            session.change(model=reading.network)
            st.rerun()
    if not untrained.quantizes_weights and untrained.model in bundled_names():
        st.caption(FLOAT32)
