"""Translation tasks of the studio, which use the same code as `ganvas translate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganvas import api
from ganvas.errors import PartialFailure, PolicyRefusal
from ganvas.image.files import read_image
from ganvas.methods.config import Direction
from ganvas.progress import Progress
from ganvas.serialization import read_json_lines
from ganvas.studio.redaction import Source, link_sources
from ganvas.studio.views import first_frame, write_view
from ganvas.video import is_film

__all__ = ["TranslateTask"]


@dataclass(frozen=True, kw_only=True)
class TranslateTask:
    """Translation of uploads like `ganvas translate`: gated before and after, and labeled."""

    run_path: Path
    run_name: str
    sources: Sequence[Source]
    direction: Direction
    tile: int | None
    folder: Path

    def run(self, progress: Progress) -> dict[str, Any]:
        """Return for each upload the paths of result and view, or the reason why there is none.

        Raises:
            PolicyRefusal: the content gate refused the only upload, or its translation.
            GanvasError: the run cannot be used.
        """
        source, out = self.folder / "in", self.folder / "out"
        link_sources(self.sources, source)
        problems: dict[str, str] = {}
        try:
            report = api.translate(self.run_path, source, out, direction=self.direction, tile=self.tile)
            notes = list(report.notes)
        except PartialFailure as failure:
            problems, notes = failure.failures, []
        except PolicyRefusal as refusal:
            if len(self.sources) == 1:
                raise
            problems, notes = self._refusals(out, refusal), []
        progress.check()
        return {
            "run": self.run_name,
            "notes": notes,
            "results": [self._result(one, out, problems) for one in self.sources],
        }

    def _refusals(self, out: Path, refusal: PolicyRefusal) -> dict[str, str]:
        """Return name -> reason of the refused uploads, from the manifest."""
        rows = read_json_lines(out / "translate.jsonl")
        found = {row["name"]: f"{row['name']}: refused: {row['problem']}" for row in rows if row.get("problem")}
        return found or {one.name: str(refusal) for one in self.sources}

    def _result(self, source: Source, out: Path, problems: dict[str, str]) -> dict[str, Any]:
        result = out / source.name
        if source.name in problems or not result.is_file():
            return {"id": source.id, "problem": problems.get(source.name, "it was not processed")}
        view = self.folder / f"{source.id}.view.png"
        picture = first_frame(result) if is_film(result) else read_image(result)
        write_view(picture, view)
        size = {"width": picture.width, "height": picture.height}
        return {"id": source.id, "result_path": str(result), "view_path": str(view), **size}
