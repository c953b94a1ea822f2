"""Build hook: compiles signatures/ into the wheel, so that an installed netwatch reads no TOML when it starts."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledSignatures(BuildHookInterface[Any]):
    """Puts netwatch/data/catalogue.json into wheels; an editable install reads the TOML files of its clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the signatures. Raises DataError, which names file and line, where they break a rule."""
        if version == "editable" or self.target_name != "wheel":
            return
        sys.path.insert(0, self.root)
        from netwatch.runtime.signatures import compile_catalogue

        folder = Path(tempfile.mkdtemp(prefix="netwatch-build-"))
        compiled = folder / "catalogue.json"
        compiled.write_bytes(compile_catalogue(Path(self.root) / "signatures"))
        build_data["force_include"][str(compiled)] = "netwatch/data/catalogue.json"
