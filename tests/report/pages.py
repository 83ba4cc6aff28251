"""A report with everything in it, and with texts that would break a page that did not escape."""

from matplotlib.figure import Figure

from avalanche_hsf.report import Report, Section, Table

HOSTILE = (
    "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 1'> & \"q\""
)


def plot(title="A curve", points=(1, 3, 2)):
    figure = Figure(figsize=(9, 4), layout="constrained")
    panel = figure.subplots()
    panel.plot(points, label="y")
    panel.imshow([[0.1, 0.9]], extent=(0, 1, 1, 2))
    panel.set(title=title, xlabel="x")
    panel.legend()
    return figure


def wide(n_columns=14):
    headers = ["learner", *(f"column number {i}" for i in range(n_columns))]
    cells = ["-", "2.0 ± 0.5", "1,200 [900, 1,500]", "10", "9.0", ""]
    rows = [
        [name, *(cells[(i + k) % 6] for i in range(n_columns))] for k, name in enumerate("abcdef")
    ]
    return Table("A wide table: mean and 95 % interval", headers, rows)


def full():
    grouped = Table("Grouped", ["task", "", "T0"], [["T0", "ours", "1"], ["", "paper", "2"]])
    return Report(
        "some_report",
        [Table(HOSTILE, ["learner", HOSTILE, "blank"], [[HOSTILE, "1 ± 2", "-"]])],
        notes=[HOSTILE],
        figures={"b.png": plot(HOSTILE)},
        failures=["one: ValueError"],
        diverged=[HOSTILE],
        headline=f"What was found: {HOSTILE}",
        sections=[Section("First", "A sentence.", [wide(), grouped], {"a.png": plot()})],
        about={
            "command": "avalanche-hsf compare " + "--very-long-option value " * 20,
            "date": "today",
        },
    )
