"""What a reader of a figure would miss, asked of the measured runs and of crowded made-up ones."""

import csv
import math
from collections import defaultdict
from functools import cache
from itertools import combinations
from pathlib import Path

import matplotlib.colors
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

import avalanche_hsf.evaluation
from avalanche_hsf.experiments import BENCHMARKS, LEARNERS, Runs
from avalanche_hsf.experiments.commands import compare_report, diagnose_report, reproduce, sweep
from avalanche_hsf.experiments.runs.text import runs_of_text
from avalanche_hsf.report import (
    colors,
    plot_accuracy_over_stream,
    plot_curves,
    plot_frontier,
    plot_interactions,
    plot_matrix,
    plot_paths,
    plot_reconstructions,
    plot_shares,
    plot_task_over_stream,
    plot_variations,
)

MEASURED = Path(__file__).parents[2] / "measured"
COMPARED = sorted(path.parent.name for path in MEASURED.glob("*/comparison.csv"))


@cache
def measured(folder):
    return runs_of_text((MEASURED / folder / "results.json").read_text())[0]


def compared(folder):
    """The runs of a folder's tables."""
    names = ("benchmark", "learner", "seed", "configuration")
    with (MEASURED / folder / "comparison.csv").open() as file:
        rows = [
            row | {"learner": row.get("learner") or row["strategy"]} for row in csv.DictReader(file)
        ]
    runs = {tuple(str(getattr(run.key, name)) for name in names): run for run in measured(folder)}
    return Runs([runs[tuple(row[name] for name in names)] for row in rows])


def comparison(folder):
    """Both figures of a comparison."""
    runs = compared(folder)
    problem, looks = BENCHMARKS[runs[0].benchmark], colors(runs.learners)
    stream = compare_report.over_stream(problem, runs, looks) if problem.classifies else None
    figures = [*compare_report.frontier(problem, LEARNERS, runs, looks).values(), stream]
    return runs, [figure for figure in figures if figure is not None]


def random_matrices(n_learners, *, n_tasks=5, n_seeds=3, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda: scale * torch.rand(n_tasks, n_tasks, generator=generator)  # noqa: E731
    return {f"learner-{k}": [draw() for _ in range(n_seeds)] for k in range(n_learners)}


def texts_in(figure):
    """What is written in a figure with its place in pixels; what is out of view is not."""
    FigureCanvasAgg(figure)
    figure.set_dpi(150)
    figure.canvas.draw()
    unseen = set()
    for panel in figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            low, high = sorted(axis.get_view_interval())
            reach = 1e-9 * (high - low)
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low - reach <= tick.get_loc() <= high + reach:
                    unseen |= {tick.label1, tick.label2}
    seen = [t for t in figure.findobj(Text) if t not in unseen and t.get_visible()]
    seen = [t for t in seen if t.get_text().strip() and t.axes in (None, *figure.axes)]
    return [(t, t.get_window_extent()) for t in seen]


def check_readable(figure):
    """Every text is whole, inside the figure, of 8 points at least, and on no other."""
    texts = texts_in(figure)
    assert texts and max(figure.get_size_inches()[0], 0) <= 7.0
    for text, box in texts:
        assert text.get_fontsize() >= 8, text.get_text()
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, f"{text.get_text()} is cut"
        assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, f"{text.get_text()} is cut"
    for (a, first), (b, second) in combinations(texts, 2):
        x = min(first.x1, second.x1) - max(first.x0, second.x0)
        y = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert x <= 0.5 or y <= 0.5, f"{a.get_text()!r} is on {b.get_text()!r}"


def written(figure):
    return {text.get_text() for text, _ in texts_in(figure)}


def marks(figure):
    """Colour and marker by label of a line."""
    lines = [line for panel in figure.axes for line in panel.lines]
    return {
        line.get_label(): (line.get_color(), line.get_marker())
        for line in lines
        if not line.get_label().startswith("_")
    }


@pytest.mark.parametrize("folder", COMPARED)
def test_comparisons_that_were_measured(folder):
    runs, figures = comparison(folder)
    for figure in figures:
        check_readable(figure)
        assert set(runs.learners) <= written(figure)  # under the names of the tables, whole
        assert marks(figure) == {n: look[:2] for n, look in colors(runs.learners).items()}
        assert runs[0].benchmark in figure.get_suptitle()


@pytest.mark.parametrize(
    "folder",
    [f if f == "split-digits" else pytest.param(f, marks=pytest.mark.slow) for f in COMPARED],
)
def test_matrices_that_were_measured(folder):
    runs = compared(folder)
    matrices = {name: [run.matrix for run in group] for name, group in runs.by("learner").items()}
    measure = BENCHMARKS[runs[0].benchmark].measure
    check_readable(plot_matrix(matrices, measure=measure))
    check_readable(plot_task_over_stream(matrices, measure=measure, task=1))


def test_the_papers_figures_that_were_measured():
    for figure in reproduce.figures(measured("paper")).values():
        check_readable(figure)
        said = {text.replace("\n", " ") for text in written(figure)}
        assert set(reproduce.NAMES.values()) <= said


@pytest.mark.slow
def test_diagnoses_that_were_measured():
    groups = defaultdict(list)
    for run in measured("diagnosis"):
        groups[diagnose_report.name_of(run.learner, run.configuration)].append(run)
    for name, runs in groups.items():
        for figure in diagnose_report.figures(name, runs).values():
            check_readable(figure)
            assert name in figure.get_suptitle()


def test_a_sweep_that_was_measured():
    groups = defaultdict(list)
    for run in measured("sweep"):
        if run.benchmark == "synthetic":
            groups[f"{run.epochs} {run.key.configuration[12:40]}"].append(run)
    (figure,) = sweep.figures("paper", groups, 5).values()
    check_readable(figure)
    assert set(groups) <= written(figure)


@pytest.mark.parametrize("spread", [0.0, 1e-3, 1.0])
def test_crowded_points(spread):
    matrices = random_matrices(24)
    at = 0.3 + spread * torch.rand(24, 2, generator=torch.Generator().manual_seed(1))
    matrices = {
        name: [float(y) * torch.ones(2, 2)] for name, y in zip(matrices, at[:, 0], strict=True)
    }
    kept = dict(zip(matrices, (1e6 * at[:, 1]).tolist(), strict=True))
    figure = plot_frontier(matrices, kept=kept, measure="error rate", ours=["learner-3"])
    check_readable(figure)
    assert set(matrices) <= written(figure)


def test_where_names_have_no_place_there_is_a_legend():
    matrices = random_matrices(60, scale=0) | {"learner-0": torch.ones(5, 5)}
    figure = plot_frontier(matrices, kept=dict.fromkeys(matrices, 5e6))
    check_readable(figure)
    assert set(matrices) <= written(figure) and not figure.axes[0].texts
    check_readable(plot_accuracy_over_stream(matrices))


@pytest.mark.parametrize("measure", ["MSE", "error rate"])
@pytest.mark.parametrize(("n_learners", "n_tasks"), [(1, 1), (1, 2), (2, 5), (14, 20), (5, 100)])
def test_any_number_of_learners_and_tasks(measure, n_learners, n_tasks):
    matrices = random_matrices(n_learners, n_tasks=n_tasks, n_seeds=2, scale=0.05)
    check_readable(plot_matrix(matrices, measure=measure))
    check_readable(plot_task_over_stream(matrices, measure=measure))
    check_readable(plot_accuracy_over_stream(matrices, measure=measure))
    kept = {name: 10.0**k for k, name in enumerate(matrices)}
    check_readable(plot_frontier(matrices, kept=kept, measure=measure))
    check_readable(plot_variations(matrices, title="Changed", measure=measure))


def test_crowded_lines_are_enlarged():
    matrices = random_matrices(5, scale=0.03) | {"net-naive": [torch.ones(5, 5)] * 3}
    figure = plot_accuracy_over_stream(matrices)
    enlarged, everything = figure.axes
    assert enlarged.get_ylim()[0] > 90 and everything.get_ylim()[0] <= 0
    check_readable(figure)
    assert len(plot_accuracy_over_stream(random_matrices(5)).axes) == 1


def test_a_learner_has_one_look_in_all_figures():
    matrices = random_matrices(12)
    looks = colors(matrices)
    some = {name: matrices[name] for name in list(matrices)[4:9]}
    kept = {name: 10.0**k for k, name in enumerate(matrices)}
    expected = {name: look[:2] for name, look in looks.items()}
    for figure in (
        plot_task_over_stream(some, colors=looks),
        plot_accuracy_over_stream(some, colors=looks),
        plot_frontier(some, kept=kept, colors=looks),
    ):
        assert marks(figure) == {name: expected[name] for name in some}
    with pytest.raises(ValueError, match="no look for learner-0"):
        plot_task_over_stream(matrices, colors=colors(some))


def test_learners_can_be_told_apart():
    names = [f"learner-{k}" for k in range(77)]
    looks = colors(names)
    assert len({look[:2] for look in looks.values()}) == len(names)  # without line styles, too
    assert len({look.color for look in list(looks.values())[:7]}) == 7
    assert colors([*names[:3], names[0]]) == colors(names[:3])
    for look in looks.values():  # on white and on dark pages
        light = luminance(look.color)
        assert 1.05 / (light + 0.05) > 2 and (light + 0.05) / (luminance("#111111") + 0.05) > 3


def luminance(color):
    """The relative luminance of WCAG 2.1."""
    parts = [c / 12.92 if c <= 0.04 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(color)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def rgb(color):
    return matplotlib.colors.to_rgb(color)


def in_view(panel, x, y):
    """Whether a point is drawn inside the axes."""
    place = panel.transAxes.inverted().transform(panel.transData.transform((x, y)))
    return all(math.isfinite(c) and 0 <= c <= 1 for c in place)


def test_zeros_are_drawn():
    zero, some = torch.zeros(3, 3), torch.full((3, 3), 1e-4)
    matrices = {"perfect": [zero, zero], "at times": [zero, some], "never": [some, 50 * some]}
    kept = {"perfect": 0.0, "at times": 1e3, "never": 1e6}
    for measure in ("MSE", "error rate"):
        figure = plot_frontier(matrices, kept=kept, measure=measure)
        (panel,) = figure.axes
        check_readable(figure)
        assert in_view(panel, 0, 0) and {"perfect", "0"} <= written(figure)
        for bars in panel.collections:  # both ends
            for x, y in bars.get_segments()[0]:
                assert in_view(panel, x, y)
        assert "keeps" not in " ".join(written(figure))  # no key without need
    panel = plot_task_over_stream(matrices).axes[0]
    assert in_view(panel, 0, 0)
    (panel, *_) = plot_variations(matrices, title="").axes
    assert in_view(panel, 0, 0)
    figure = plot_matrix(matrices)
    assert "MSE, grey: 0" in written(figure) and "0" in written(figure)
    for figure in (plot_matrix({"a": zero}), plot_frontier({"a": zero}, kept={"a": 0})):
        check_readable(figure)


def test_ticks_behind_a_break_have_room():
    zero, some = torch.zeros(3, 3), torch.full((3, 3), 0.09)
    check_readable(plot_frontier({"a": some, "b": some / 4}, kept={"a": 0, "b": 10_240}))
    check_readable(plot_frontier({"a": zero, "b": some}, kept={"a": 0, "b": 9_990}))


def test_a_break_is_marked_only_where_there_is_a_zero():
    matrices = random_matrices(2)
    has_break = lambda figure: any(line.get_label() == "_break" for line in figure.axes[0].lines)  # noqa: E731
    assert not has_break(plot_frontier(matrices, kept={"learner-0": 1.0, "learner-1": 9.0}))
    assert has_break(plot_frontier(matrices, kept={"learner-0": 0.0, "learner-1": 9.0}))


def test_figures_show_what_they_are_given(tmp_path):
    r = torch.tensor([[0.1, 7.0], [0.4, 0.0]], dtype=torch.float64)
    figure = plot_matrix({"a": r, "b": [r, 3 * r]})
    panels = [panel for panel in figure.axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == ["a", "b"]
    assert [text.get_text() for text in panels[0].texts] == ["0.1000", "0.4000", "0"]
    assert [text.get_text() for text in panels[1].texts] == ["0.2000", "0.8000", "0"]
    figure.savefig(tmp_path / "r.svg")
    (panel,) = plot_task_over_stream({"a": [r], "b": [r, 2 * r]}).axes
    assert panel.lines[0].get_ydata().tolist() == [0.1, 0.4]
    assert panel.lines[1].get_ydata() == pytest.approx([0.15, 0.6])
    assert panel.get_yscale() == "log"
    (panel,) = plot_accuracy_over_stream({"a": [r / 2]}).axes
    assert panel.lines[0].get_ydata() == pytest.approx([95, 90])
    (panel,) = plot_frontier({"a": [r, 3 * r]}, kept={"a": 50}, unit="floats").axes
    assert [line.get_xydata().tolist() for line in panel.lines] == [[[50, pytest.approx(0.4)]]]
    ((_, low), (_, high)) = panel.collections[0].get_segments()[0]
    assert (low, high) == pytest.approx((0.2, 0.6))


def test_runs_that_cannot_be_drawn_are_named():
    r = torch.ones(2, 2)
    bad = torch.tensor([[1.0, 0.0], [math.nan, math.nan]])
    with pytest.raises(ValueError, match="a has errors that are finite in some runs alone"):
        plot_task_over_stream({"a": [r, bad]})
    with pytest.raises(ValueError, match="a final error of a is not finite"):
        plot_frontier({"a": [bad]}, kept={"a": 1})
    with pytest.raises(ValueError, match="a has no runs"):
        plot_matrix({"a": []})
    with pytest.raises(ValueError, match="needs a learner"):
        plot_matrix({})
    with pytest.raises(ValueError, match="of one number of tasks, got a 2, b 3"):
        plot_matrix({"a": r, "b": torch.ones(3, 3)})
    with pytest.raises(ValueError, match="kept has no bytes of a"):
        plot_frontier({"a": r}, kept={})
    with pytest.raises(ValueError, match="task must be at most 1"):
        plot_task_over_stream({"a": r}, task=2)


COMPONENTS = ["encoder hypernetwork", "decoder hypernetwork", "embeddings", "encoder, shared"]


def test_analyses():
    shares = {c: [[0.1 * k, -1e-3, 12345.0, 0.0]] * 5 for k, c in enumerate(COMPONENTS)}
    check_readable(plot_shares(shares))
    check_readable(plot_shares({c: runs[:1] for c, runs in shares.items()}))
    pairs = {a: {b: 0.25 for b in COMPONENTS if b != a} for a in COMPONENTS}
    for n_tasks in (1, 2, 3, 4):
        figure = plot_interactions({f"T{j}": [pairs, pairs] for j in range(n_tasks)})
        check_readable(figure)
        assert set(COMPONENTS) <= written(figure)
    walks = {f"T{j}": torch.randn(9, 11, 3).cumsum(1) for j in range(5)}
    check_readable(plot_paths(walks, n_coordinates=3))
    for n_tasks in (1, 5, 7):
        true = [torch.randn(20, 3) for _ in range(n_tasks)]
        made = {name: [(x + 0.1, 2 * x) for x in true] for name in ("hsf-paper", "mlp-paper")}
        check_readable(plot_reconstructions(made, true=true))
    points = [(x, (-1) ** x * 10.0 ** (x % 6)) for x in range(1, 60)]
    check_readable(plot_curves({"loss": {"a": points}, "of": {"b": []}}, steps=20, title="Loss"))


def test_tasks_of_unequal_length_are_drawn_where_they_began():
    points = [(x, 0.01 * (x - begin)) for begin in (0, 10, 16) for x in range(begin + 1, begin + 6)]
    figure = plot_curves({"drift": {"a": points}}, begins=[0, 10, 16], title="Drift")
    (panel,) = figure.axes
    check_readable(figure)
    assert {"T0", "T1", "T2"} <= written(figure)
    curve = panel.lines[0].get_xydata()
    gaps = [float(x) for x, y in curve if math.isnan(y)]
    assert gaps == [11, 17]  # where a task begins the curve starts anew
    marks = [x for line in panel.lines[2:] for x in set(line.get_xdata())]
    assert {0, 10, 16} <= set(marks)
    with pytest.raises(ValueError, match="steps above 0, or begins"):
        plot_curves({"drift": {"a": points}}, title="Drift")


def test_former_names_work_from_the_former_place():
    r = torch.ones(2, 2)
    for name in ("plot_task_over_stream", "plot_mse_matrices", "plot_curves", "plot_shares"):
        with pytest.warns(DeprecationWarning, match=f"{name} is in avalanche_hsf.report now"):
            assert callable(getattr(avalanche_hsf.evaluation, name))
    with pytest.warns(DeprecationWarning):
        assert avalanche_hsf.evaluation.plot_mse_matrices({"a": r}).axes[0].get_title() == "a"
