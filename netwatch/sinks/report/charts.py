"""Pictures of numbers as inline SVG; the numbers stand beside them as text, so that nothing hangs on a picture."""

from collections.abc import Sequence

from netwatch.sinks.report.markup import Html

TALL = 40  # units of a strip's height; it is stretched to what the page gives


def bar(part: float, whole: float) -> Html:
    """Return a bar, part of whole filled; hidden from screen readers, as the number is said beside it."""
    width = 0.0 if whole <= 0 else max(0.0, min(100.0, 100 * part / whole))
    if part > 0:
        width = max(width, 0.6)
    return Html(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="track" width="100" height="10"></rect>'
        f'<rect class="fill" width="{width:.1f}" height="10"></rect></svg>'
    )


def strip(values: Sequence[float], cls: str, told: str) -> Html:
    """Return one bar a value, the highest as tall as the strip; told: what it shows, in words of ours."""
    peak = max(values, default=0.0)
    path = []
    for at, value in enumerate(values):
        if value > 0:
            tall = max(1.0, TALL * value / peak)
            path.append(f"M{at} {TALL}v-{tall:.1f}h.9v{tall:.1f}z")
    return Html(
        f'<svg class="strip" viewBox="0 0 {max(len(values), 1)} {TALL}" preserveAspectRatio="none" role="img"'
        f' aria-label="{told}"><path class="{cls}" d="{"".join(path) or "M0 0"}"></path>'
        f'<path class="base" d="M0 {TALL}h{max(len(values), 1)}"></path></svg>'
    )
