"""What the site has besides the pages in docs/, which stay readable where they lie.

- A link out of docs/, as to `../examples/no_task_ids.py`, leads to a copy in the site.
- Some documents outside docs/ are pages, see `PAGES`.
- A fence `help` is replaced by what a command says of itself.
- A notebook is a page with its outputs.
"""

from __future__ import annotations

import base64
import json
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "stopwatches.md",
}
"""By their path in the repository, where they are in the site."""

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HELP = re.compile(r"^```help\n(\w+)\n```$", re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_NOTE = re.compile(r"^<!-- .*?-->\n", re.MULTILINE | re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    for source, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / source)))
    for notebook in [f for f in files if f.src_uri.endswith(".ipynb")]:
        stem = notebook.src_uri.removesuffix(".ipynb")
        text, pictures = _as_page(json.loads(Path(notebook.abs_src_path).read_text()), stem)
        files.append(File.generated(config, f"{stem}.md", content=text))
        for uri, content in pictures.items():
            files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    markdown = _HELP.sub(lambda found: f"```text\n{_help(found[1])}```", markdown)
    here = {uri: source for source, uri in PAGES.items()}.get(
        page.file.src_uri, f"docs/{page.file.src_uri}"
    )

    def led(found: re.Match[str]) -> str:
        address, mark, part = found[0].partition("#")
        if not address or ":" in address:
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), address))
        if target.startswith("docs/"):
            uri = target.removeprefix("docs/")
        elif target in PAGES:
            uri = PAGES[target]
        else:
            uri = target
            if files.get_file_from_path(uri) is None:
                if not (ROOT / target).is_file():
                    raise PluginError(f"{here}: no file {target}")
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / target)))
        return posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".") + mark + part

    def outside_fences() -> Iterator[str]:
        end = 0
        for fence in _FENCE.finditer(markdown):
            yield _LINK.sub(led, _NOTE.sub("", markdown[end : fence.start()]))
            yield fence[0]
            end = fence.end()
        yield _LINK.sub(led, _NOTE.sub("", markdown[end:]))

    return "".join(outside_fences())


def _help(command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "avalanche_hsf.cli", command, "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _as_page(notebook: dict[str, Any], stem: str) -> tuple[str, dict[str, bytes]]:
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            shown = output.get("data", {})
            if "image/png" in shown:
                uri = f"{stem}-{len(pictures)}.png"
                pictures[uri] = base64.b64decode("".join(shown["image/png"]))
                parts.append(f"![Output of the cell above]({posixpath.basename(uri)})")
            else:
                text = "".join(output.get("text", shown.get("text/plain", "")))
                parts.append(f"```text\n{text.rstrip()}\n```")
    name = posixpath.basename(stem)
    first, *rest = parts
    parts = [first, f"This page is a notebook: [{name}.ipynb]({name}.ipynb).", *rest]
    return "\n\n".join(parts), pictures
