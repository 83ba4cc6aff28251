"""EmbeddingTablePlugin."""

import torch
from avalanche.core import SupervisedPlugin
from torch import nn
from under_naive import naive, small, stream

from avalanche_hsf.training import EmbeddingTablePlugin


def test_embeddings_move_as_the_rows_of_one_table():
    # The rival: an AdamW that holds all rows from the start, those of tasks to come with gradient
    # zero. Gradients are prescribed; without weight decay the two must agree exactly.
    gradients = torch.randn(3, 20, 16)
    model = small()
    embedding = model.hypernetwork.task_embedding

    class Prescribe(SupervisedPlugin):
        def after_backward(self, strategy, **kwargs):
            task, step = strategy.experience.task_label, strategy.clock.train_exp_epochs
            for p in model.parameters():
                p.grad = None
            # Finished tasks get no gradient: the table's rows go on by momentum.
            embedding.embeddings[task].grad = gradients[task, step].clone()

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    plugins = EmbeddingTablePlugin(), Prescribe()
    strategy = naive(*plugins, model=model, optimizer=optimizer, train_epochs=20)
    start = []
    for experience in stream(5)[:3]:
        model.pre_adapt(None, experience)  # grows the embedding, so that its start can be noted
        start.append(embedding([experience.task_label])[0].detach().clone())
        strategy.train(experience)
    table = nn.Parameter(torch.stack(start))
    rows = torch.optim.AdamW([table], lr=1e-2, weight_decay=0.0)
    for task in range(3):
        for step in range(20):
            table.grad = torch.zeros(3, 16)
            table.grad[task] = gradients[task, step]
            rows.step()
    assert torch.allclose(embedding([0, 1, 2]), table, atol=1e-6)


def test_an_optimizer_without_state_is_left_alone():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    naive(EmbeddingTablePlugin(), model=model, optimizer=optimizer).train(stream(5)[:2])
    assert not any(optimizer.state.values())
