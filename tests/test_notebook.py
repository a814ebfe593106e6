"""docs/notebook.ipynb runs, and what it shows is small and without script."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def test_it_runs_and_shows_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    # Nothing of the user's own is read or written by the kernel.
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not kept in the repository"
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    pages = {
        cell.id: "".join(output["data"].get("text/html", "") for output in cell.outputs if "data" in output)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    assert all(pages.values())
    assert all("<svg" in pages[name] for name in ("export", "read", "measure"))
    assert max(len(page.encode()) for page in pages.values()) <= 62_000
    assert "<script" not in "".join(pages.values())
