"""Files made and checked by workers, the command that does the same, and the script that makes a network again."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from distributed import Client

from compression.__main__ import main
from compression.core.compress import compress
from compression.deploy.deployer import Deployer
from compression.deploy.deployment import compare_answers
from compression.deploy.pytorch_files import script
from compression.deploy.runtime import logits, open_session
from compression.deploy.variants import VariantKind
from compression.engine.cluster import Engine
from compression.evaluation.evaluation import evaluate
from compression.paths import PROJECT
from compression.spec import CompressionSpec, PruneSpec, QuantSpec, Scheme

SPEC = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5), QuantSpec(4, Scheme.K_MEANS))
FLOAT = CompressionSpec("simple_cnn")


@pytest.fixture(scope="module")
def deployments(here, simple_cnn, test_images):
    deployer = Deployer(here, test_images[:200])
    while not all(each.done for each in deployer.look(simple_cnn, SPEC)):
        time.sleep(0.05)
    return {each.variant.kind: each for each in deployer.look(simple_cnn, SPEC)}


@pytest.fixture(scope="module")
def without_images(here, simple_cnn):
    """Returns a deployer without images that has built all files of FLOAT."""
    deployer = Deployer(here, None)
    while not all(each.done for each in deployer.look(simple_cnn, FLOAT)):
        time.sleep(0.05)
    return deployer


def test_every_variant_becomes_a_file_and_answers_all_images(deployments):
    assert list(deployments) == [kind for kind in VariantKind if kind is not VariantKind.SMALLER]
    for kind, each in deployments.items():
        if each.error:  # a machine may have no training images
            assert kind is VariantKind.INT8_CHAIN
            assert "training images" in each.error
        else:
            assert len(each.answers) == 200


def test_a_float_file_answers_as_the_simulation_does(deployments, simple_cnn, test_images):
    compressed = compress(simple_cnn.module, SPEC)
    expected = evaluate(compressed.module, test_images[:200], simple_cnn.normalization)
    check = compare_answers(deployments[VariantKind.COMPRESSED].answers, expected)
    assert (check.images, check.correct, check.agree) == (200, expected.correct, 200)


def test_answers_are_those_of_the_file(deployments, test_images):
    each = deployments[VariantKind.INT8]
    expected = logits(open_session(each.file.graph), test_images[:200].pixels.numpy()).argmax(1)
    assert (each.answers == expected).all()


def test_without_images_files_are_made_and_not_checked(without_images, simple_cnn, deployments):
    deployment = without_images.look(simple_cnn, FLOAT)[0]
    assert deployment.file.graph == deployments[VariantKind.FLOAT].file.graph
    assert deployment.answers is None


def test_files_that_are_looked_at_are_kept_however_many_there_are(without_images, simple_cnn):
    """A class deploys at the same time. If files were discarded between two looks, no deployment would be completed."""
    for percent in range(1, 41):
        others = CompressionSpec("simple_cnn", PruneSpec(sparsity=percent / 100))
        without_images.look(simple_cnn, others, go=False)
    assert all(each.done for each in without_images.look(simple_cnn, FLOAT, go=False))


def test_files_that_nobody_looks_at_are_discarded_for_lack_of_room(here, simple_cnn):
    deployer = Deployer(here, None, most_bytes=0, keep_seconds=0)
    while not deployer.look(simple_cnn, FLOAT)[0].done:
        time.sleep(0.05)
    deployer.rest(simple_cnn, FLOAT)
    deployer.look(simple_cnn, CompressionSpec("another"), go=False)
    assert not deployer.look(simple_cnn, FLOAT, go=False)[0].done


def test_workers_with_several_threads_refuse_to_export(simple_cnn):
    """During an export, computations of other threads fail; after two exports at once, all later exports fail."""
    with Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, set_as_default=False) as it:
        deployer = Deployer(Engine(it.scheduler.address), None)
        while not (deployment := deployer.look(simple_cnn, FLOAT)[0]).done:
            time.sleep(0.05)
        assert "--nthreads 1" in deployment.error


def test_an_export_whose_worker_and_scheduler_are_killed_makes_the_same_files(deployments, simple_cnn, test_images):
    engine = Engine(address="", workers=1, preload=["compression.deploy.tasks"])
    deployer = Deployer(engine, test_images[:200])
    victims = [lambda: engine.worker_pids[0], lambda: engine._workers._scheduler.running.pid]
    found = deployer.look(simple_cnn, SPEC)
    while not all(each.done for each in found):
        if victims and any(each.file for each in found):
            os.kill(victims.pop(0)(), signal.SIGKILL)
            time.sleep(1)
        time.sleep(0.05)
        found = deployer.look(simple_cnn, SPEC)
    engine.close()
    assert not victims
    for each in found:
        expected = deployments[each.variant.kind]
        assert each.error == expected.error
        assert (each.file and each.file.graph) == (expected.file and expected.file.graph)
        assert np.array_equal(each.answers, expected.answers)


def test_the_script_prints_the_accuracy_of_the_network(simple_cnn, test_images, tmp_path):
    """The script is beside the folder `compression`, as it asks for. The working directory does not matter."""
    file = tmp_path / "network.py"
    file.write_text(script(SPEC))
    (tmp_path / "compression").symlink_to(PROJECT / "compression")
    process = subprocess.run([sys.executable, str(file)], env={"PATH": ""}, capture_output=True, text=True, check=True)
    expected = evaluate(compress(simple_cnn.module, SPEC).module, test_images, simple_cnn.normalization)
    assert process.stdout == f"{expected.correct:,} of 10,000 test images correct: {expected.accuracy:.2%}\n"


def test_the_command_reports_every_file(here, test_images, capsys):
    assert main(["latency", "--model", "simple_cnn", "--images", "200", "--fewer-filters", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    as_float = report["kinds"]["float"]
    assert as_float["check"]["agree"] == 200
    assert [each["batch"] for each in as_float["latencies"]] == [1, 64]
    assert report["kinds"]["int8"]["convolutions"] == {"int8": 2, "float": 0}
    assert report["kinds"]["int8"]["bytes_moved"] < as_float["bytes_moved"]
    assert report["kinds"]["int8"]["bytes"] < as_float["bytes"] / 3
    assert report["kinds"]["smaller"]["macs"] < as_float["macs"]
    assert any("Int8 is" in sentence for sentence in report["verdict"])


def test_the_command_refuses_zero_threads_before_it_starts(capsys):
    assert main(["latency", "--model", "simple_cnn", "--threads", "0"]) == 2
    assert capsys.readouterr().err == "error: threads must be at least 1, got 0\n"
