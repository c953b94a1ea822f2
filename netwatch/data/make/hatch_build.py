"""Build hook: compiles signatures/ into the wheel, so that an installed netwatch reads no TOML when it starts."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CATALOGUE = "netwatch/data/catalogue.json"


class CompiledSignatures(BuildHookInterface[Any]):
    """Puts the compiled catalogue into wheels; an editable install has it beside its code."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the signatures. Raises DataError, which names file and line, where they break a rule."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        sys.path.insert(0, self.root)
        from netwatch.runtime.signatures import compile_catalogue

        if version == "editable":  # beside the code of the clone: it is used while the TOML files are the same
            (root / CATALOGUE).write_bytes(compile_catalogue(root / "signatures"))
            return
        compiled = Path(tempfile.mkdtemp(prefix="netwatch-build-")) / "catalogue.json"
        compiled.write_bytes(compile_catalogue(root / "signatures"))
        build_data["force_include"][str(compiled)] = CATALOGUE
