"""The sandbox that a live capture, and whoever reads hostile bytes, steps into before the first of them."""

from netwatch.runtime.guard.guard import GuardState, Mode, apply
from netwatch.runtime.guard.preloading import preload
from netwatch.runtime.guard.privileges import Identity, unprivileged

__all__ = ["GuardState", "Identity", "Mode", "apply", "preload", "unprivileged"]
