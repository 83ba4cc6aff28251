"""ChunkedHyperNetwork; see also test_task_weights.py and test_task_conditional.py."""

import io
from itertools import pairwise
from math import prod

import pytest
import torch
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.models import ChunkedHyperNetwork, TaskConditional
from avalanche_hsf.training import FreezeEmbeddingsPlugin, OutputRegularizerPlugin

# 12, 4, 8 and 1 numbers, so that tensors begin and end within chunks, and one chunk has parts of
# three.
SHAPES = {"a.weight": (4, 3), "a.bias": (4,), "b.weight": (2, 2, 2), "a.scale": ()}


def small(chunk_size=7, **options):
    initial = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in SHAPES.items()}
    options = {"embedding_dim": 3, "chunk_embedding_dim": 2, "hidden_dims": (6, 5)} | options
    return ChunkedHyperNetwork(initial, chunk_size=chunk_size, **options)


def flattened(weights):
    return torch.cat([w.reshape(len(w), -1) for w in weights.values()], dim=1)


def mlp(*widths):
    layers = [nn.Flatten()]
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def n_numbers(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("chunk_size", [1, 5, 7, 25, 40])
def test_chunks_are_what_one_network_makes_of_both_embeddings(chunk_size):
    hypernetwork, e = small(chunk_size), torch.randn(3, 3, dtype=torch.float64)
    weights = hypernetwork.write(e)
    assert {name: tuple(w.shape[1:]) for name, w in weights.items()} == SHAPES
    for k in range(3):
        chunks = [
            hypernetwork.head(hypernetwork.trunk(torch.cat([e[k], c])))
            for c in hypernetwork.chunk_embeddings
        ]
        assert len(chunks) == -(-25 // chunk_size)
        expected = torch.cat(chunks)[:25]
        torch.testing.assert_close(flattened(weights)[k], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("prefix", ["", "a", "a.", "a.bias", "a.scale", "b.", "c."])
@pytest.mark.parametrize("chunk_size", [1, 5, 7, 25, 40])
def test_a_part_is_written_from_its_chunks_alone(chunk_size, prefix):
    hypernetwork, e = small(chunk_size), torch.randn(2, 3, dtype=torch.float64)
    whole = hypernetwork.write(e)
    rows = []
    hypernetwork.head.register_forward_hook(lambda _, args, out: rows.append(out[0].shape[0]))
    part = hypernetwork.write(e, prefix)
    assert list(part) == [name for name in SHAPES if name.startswith(prefix)]
    for name, value in part.items():
        torch.testing.assert_close(value, whole[name], rtol=1e-12, atol=1e-12)
    position, needed = 0, set()
    for name, shape in SHAPES.items():
        numbers = range(position, position := position + prod(shape))
        needed |= {i // chunk_size for i in numbers if name.startswith(prefix)}
    assert rows == ([len(needed)] if needed else [])


def test_all_chunks_are_one_product():
    hypernetwork, calls = small(1), []
    hypernetwork.head.register_forward_hook(lambda *_: calls.append(1))
    hypernetwork.write(torch.randn(4, 3, dtype=torch.float64))
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("network", "options", "chunk_size", "n_chunks"),
    [
        ((784, 400, 400, 10), {}, 42_000, 12),
        (
            (1024, 1000, 1000, 10),
            {"embedding_dim": 24, "chunk_embedding_dim": 8, "hidden_dims": (25, 25)},
            75_622,  # published: 78,000, as many chunks
            27,
        ),
    ],
)
def test_default_sizes_are_the_published_ones(network, options, chunk_size, n_chunks):
    network = mlp(*network)
    hypernetwork = ChunkedHyperNetwork(dict(network.named_parameters()), **options)
    assert hypernetwork.head.out_features == chunk_size
    assert len(hypernetwork.chunk_embeddings) == n_chunks
    assert n_numbers(hypernetwork) < n_numbers(network)


def test_it_starts_as_published():
    torch.manual_seed(0)
    hypernetwork = ChunkedHyperNetwork(
        {"w": torch.zeros(100_000)}, chunk_size=500, chunk_embedding_dim=100, hidden_dims=(300, 200)
    )
    assert hypernetwork.chunk_embeddings.shape == (200, 100)
    assert abs(float(hypernetwork.chunk_embeddings.detach().std()) - 1) < 0.02
    for layer in (hypernetwork.trunk[0], hypernetwork.trunk[2], hypernetwork.head):
        spread = (2 / (layer.in_features + layer.out_features)) ** 0.5
        assert abs(float(layer.weight.detach().std()) / spread - 1) < 0.02
        assert not layer.bias.any()
    hypernetwork.add_task(0)
    assert 0.7 < float(hypernetwork.task_embedding([0]).detach().std()) < 1.3


def under_naive(model, *plugins):
    return Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=5e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=8,
        eval_mb_size=400,
        plugins=list(plugins),
        evaluator=EvaluationPlugin(loggers=[]),
    )


def conditional(seed=0):
    torch.manual_seed(seed)
    options = {"embedding_dim": 8, "chunk_embedding_dim": 8}
    network = mlp(64, 32, 10)
    return TaskConditional(
        network, hypernetwork="chunked", hypernetwork_options=options, masking=True, seed=seed
    )


def errors(model, stream):
    found = []
    for experience in stream:
        data = experience.dataset
        x, y = torch.stack([row[0] for row in data]), torch.tensor([row[1] for row in data])
        wrong = model.eval()(x, experience.task_labels[0]).argmax(1) != y
        found.append(float(wrong.float().mean()))
    return found


def test_trained_held_saved_loaded_and_mixed():
    benchmark = SplitDigits(5, seed=0)
    stream, test = benchmark.train_stream[:3], list(benchmark.test_stream)[:3]
    forgetful, model = conditional(), conditional()
    under_naive(forgetful).train(stream)
    held = [OutputRegularizerPlugin(0.1, lookahead=True), FreezeEmbeddingsPlugin()]
    under_naive(model, *held).train(stream)
    assert max(errors(model, test)) < 0.15 < max(errors(forgetful, test))
    frozen = model.hypernetwork.task_embedding.embeddings
    assert [label for label in frozen if frozen[label].requires_grad] == [2]

    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = conditional(seed=1)
    other.load_state_dict(torch.load(file))
    x, labels = torch.rand(9, 1, 8, 8), torch.arange(9) % 3
    mixed = model.eval()(x, labels)
    assert torch.equal(other.eval()(x, labels), mixed)
    for task in range(3):
        torch.testing.assert_close(mixed[labels == task], model(x[labels == task], task))


def test_far_larger_than_its_network_says_so():
    with pytest.warns(UserWarning, match=r'"chunked" has .* times .*chunk_size, hidden_dims'):
        TaskConditional(
            nn.Linear(1000, 400),
            hypernetwork="chunked",
            hypernetwork_options={"hidden_dims": (4000, 4000)},
        )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"chunk_size": 0}, ValueError, "chunk_size must be at least 1, got 0"),
        ({"chunk_size": 2.5}, TypeError, "chunk_size must be an integer, got 2.5"),
        ({"chunk_embedding_dim": 0}, ValueError, "chunk_embedding_dim must be at least 1"),
        ({"hidden_dims": ()}, ValueError, "at least one width"),
        ({"hidden_dims": 10}, TypeError, "hidden_dims must be a list of widths, got 10"),
        ({"activation": nn.ELU()}, TypeError, "activation must make modules"),
        ({"activation": dict}, TypeError, "activation must make modules, but makes"),
        ({"chunk_size": 2**31 - 1, "hidden_dims": (2**20,)}, ValueError, "choose smaller sizes"),
    ],
)
def test_options_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message):
        small(**options)


OF_MLP = [(400, 784), (400,), (400, 400), (400,), (10, 400), (10,)]
OF_LARGE_MLP = [(1000, 1024), (1000,), (1000, 1000), (1000,), (10, 1000), (10,)]
PUBLISHED = {
    "small": ([(4, 3), (4,), (2, 2, 2)], 3, 2, 7, (6, 5), nn.ReLU),
    "one chunk": ([(4, 3), (4,)], 3, 2, 16, (6,), nn.ELU),
    "Split MNIST": (OF_MLP, 96, 96, 42_000, (10, 10), nn.ReLU),
    "Permuted MNIST": (OF_LARGE_MLP, 24, 8, 78_000, (25, 25), nn.ELU),
}
"""Shapes, sizes of both embeddings, of a chunk, hidden widths, activation."""


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_it_writes_what_the_authors_library_writes(name, dtype, tolerance):
    """hypnettorch's chunked hypernetwork, Apache 2.0, with the same numbers in both."""
    hnets = pytest.importorskip("hypnettorch.hnets")
    shapes, embedding_dim, chunk_embedding_dim, chunk_size, hidden_dims, activation = PUBLISHED[
        name
    ]
    torch.manual_seed(0)
    theirs = hnets.ChunkedHMLP(
        [list(shape) for shape in shapes],
        chunk_size=chunk_size,
        chunk_emb_size=chunk_embedding_dim,
        cond_in_size=embedding_dim,
        layers=hidden_dims,
        activation_fn=activation(),
        num_cond_embs=3,
        verbose=False,
    ).to(dtype)
    ours = ChunkedHyperNetwork(
        {str(i): torch.zeros(shape, dtype=dtype) for i, shape in enumerate(shapes)},
        embedding_dim=embedding_dim,
        chunk_embedding_dim=chunk_embedding_dim,
        chunk_size=chunk_size,
        hidden_dims=hidden_dims,
        activation=activation,
    )
    *layers, c = theirs.unconditional_params
    with torch.no_grad():
        ours.chunk_embeddings.copy_(c)
        # Theirs sees the chunk's embedding first.
        layers[0] = layers[0].roll(embedding_dim, dims=1)
        linear = [module for module in ours.modules() if isinstance(module, nn.Linear)]
        for module, weight, bias in zip(linear, layers[::2], layers[1::2], strict=True):
            module.weight.copy_(weight)
            module.bias.copy_(torch.randn_like(bias) * 0.1)
            bias.copy_(module.bias)
        for task in (2, 0, 1):
            ours.add_task(task)
            ours.task_embedding.embeddings[task].copy_(theirs.conditional_params[task])
    written = ours([0, 1, 2])
    expected = theirs(cond_id=[0, 1, 2])
    for task in range(3):
        for mine, other in zip(written.values(), expected[task], strict=True):
            torch.testing.assert_close(mine[task], other, rtol=0, atol=tolerance)
    # And so does training: the gradient of the same loss is the same.
    torch.cat([w.flatten() for w in written.values()]).square().mean().backward()
    torch.cat([w.flatten() for task in expected for w in task]).square().mean().backward()
    pairs = [(ours.chunk_embeddings, c), (ours.head.weight, layers[-2])]
    for mine, other in pairs:
        scale = other.grad.abs().max()
        assert scale > 0
        torch.testing.assert_close(
            mine.grad / scale, other.grad / scale, rtol=0, atol=10 * tolerance
        )
