"""Every test starts from the same seed, on one thread; small files in the layout of MNIST's."""

import struct
from fnmatch import fnmatchcase

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _same_start():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def write_files(root, name="MNIST", *, n_train=200, n_test=50):
    """The four files of a data set whose classes are easily told: a bright bar in a place each."""
    raw = root / name / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for part, n in (("train", n_train), ("t10k", n_test)):
        classes = generator.permutation(np.arange(n, dtype=np.uint8) % 10)
        images = generator.integers(0, 100, (n, 28, 28), dtype=np.uint8)
        for image, c in zip(images, classes, strict=True):
            image[2 * c + 4 : 2 * c + 6] = 255
        head = struct.pack(">4I", 2051, n, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = struct.pack(">2I", 2049, n)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(head + classes.tobytes())
    return root


@pytest.fixture(scope="session")
def _data_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for name in ("MNIST", "FashionMNIST"):
        write_files(root, name)
    return root


@pytest.fixture
def data_root(_data_folder, monkeypatch):
    """A folder with both data sets, small, which is not to be changed, where they are looked for"""
    monkeypatch.setenv("AVALANCHE_HSF_DATA", str(_data_folder))
    return _data_folder


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """A folder of MNIST's files that a test may damage; they are not looked for there."""
    monkeypatch.setenv("AVALANCHE_HSF_DATA", str(tmp_path / "nowhere"))
    return write_files(tmp_path / "own")


# What takes seconds and resembles another test, which runs always: with `make test-slow` alone.
RESEMBLING = (
    "checkpoints/test_resume.py::test_a_resumed_run_can_be_stopped_again",
    "checkpoints/test_resume.py::test_a_whole_stream_in_one_call",
    "checkpoints/test_resume.py::test_between_two_calls_of_train[[]isolated]",
    "checkpoints/test_resume.py::test_checkpoints_change_nothing",
    "checkpoints/test_resume.py::test_stopped_and_resumed_it_ends_the_same[[]compact]",
    "evaluation/test_measures.py::test_positive_forgetting_is_worse_whichever_way_*",
    "experiments/test_failing_disk.py::test_streams_that_cannot_be_written*",
    "experiments/test_inferring_learners.py::test_a_run_goes_on_from_its_checkpoint*",
    "experiments/test_inferring_learners.py::test_each_runs_and_forgets_*[[]ids-autoencoder]",
    "experiments/test_inferring_learners.py::test_each_runs_and_forgets_*[[]ids-entropy]",
    "experiments/test_inferring_learners.py::test_each_runs_and_forgets_*[[]net-replay-more]",
    "experiments/test_inferring_learners.py::test_replay_may_keep_what_ours_keeps*",
    "experiments/test_inferring_learners.py::test_told_tasks_are_not_made_use_of*",
    "experiments/test_network_learners.py::test_the_command",
    "experiments/test_sweep.py::test_the_command",
    "forensics/test_verdict.py::test_a_run_without_forgetting_is_given_no_culprit[[]1]",
    "forensics/test_watched_runs.py::test_a_recorder_alone_saved_between_experiences[[]growing]",
    "forensics/test_watched_runs.py::test_stopped_within_and_at_the_end_of_an_experience[[]*[sd]]",
    "logging/test_file_loggers.py::test_stopped_and_resumed[[]3]",
    "models/test_chunked.py::test_it_writes_what_the_authors_library_writes*Permuted*",
    "models/test_export.py::test_outputs_are_those_of_the_model[[]mobilenet-isolated]",
    "models/test_footprint.py::test_it_is_what_compare_counts[[]flow-delta]",
    "models/test_loading.py::test_no_model_takes_the_state_of_another[[]chunked]",
    "models/test_loading.py::test_no_model_takes_the_state_of_another[[]mlp]",
    "models/test_zoo.py::test_gradients_are_those_of_the_plain_module*-delta]",
    "models/test_zoo.py::test_gradients_are_those_of_the_plain_module[[]mobilenet-isolated]",
    "models/test_zoo.py::test_outputs_are_those_of_the_plain_module[[]False-*",
    "models/test_zoo.py::test_outputs_are_those_of_the_plain_module[[]True-mobilenet-delta]",
    "report/test_figures.py::test_any_number_of_learners_and_tasks[[]14-20-*",
    "report/test_figures.py::test_any_number_of_learners_and_tasks[[]5-100-MSE]",
    "test_documents.py::test_notebook*",
    "test_image_examples.py::test_learns_every_task_and_forgets_none[[]permuted*",
    "test_image_examples.py::test_learns_every_task_and_forgets_none[[]split-cifar10-*",
    "test_pipelines.py::test_strategy[[]*-mlp]",
    "test_protected_pipelines.py::test_gradient_accumulation_*[[]isolated]",
    "training/plugins/test_generated_replay.py::test_a_learner_that_is_told_no_task_*",
    "training/plugins/test_generated_replay.py::test_targets_that_are_probabilities_*[[]criterion1]",
    "training/test_strategy.py::test_with_a_head_it_classifies[[]paper]",
)


@pytest.hookimpl(tryfirst=True)  # before the tests with this mark are left out
def pytest_collection_modifyitems(items):
    for item in items:
        name = item.nodeid.removeprefix("tests/")
        if any(fnmatchcase(name, pattern) for pattern in RESEMBLING):
            item.add_marker(pytest.mark.slow)
