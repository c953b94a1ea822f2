"""The style sheet: light and dark, narrow and wide, screen and paper; its hash stands in the page's policy."""

from typing import Final

# Okabe-Ito colours; each text has at least 4.5:1 to its ground, each border and bar 3:1
LIGHT: Final = {
    "ground": "#ffffff",
    "panel": "#f4f5f7",
    "text": "#17191c",
    "soft": "#50555c",
    "line": "#c9cdd3",
    "edge": "#767c85",
    "link": "#005a8f",
    "track": "#e3e6ea",
    "sent": "#0072b2",
    "received": "#8a5a00",
}
DARK: Final = {
    "ground": "#15181c",
    "panel": "#1e2227",
    "text": "#e9ebee",
    "soft": "#b3b9c1",
    "line": "#3a4048",
    "edge": "#8b929c",
    "link": "#7fc6f2",
    "track": "#2c3138",
    "sent": "#56b4e9",
    "received": "#e69f00",
}
BADGES: Final = {
    "FAIL": ("#d55e00", "#000000"),
    "PASS": ("#0072b2", "#ffffff"),
    "INCONCLUSIVE": ("#f0e442", "#000000"),
}

_RULES: Final = """
*{box-sizing:border-box}
html{background:var(--ground);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0 auto;max-width:80rem;padding:1rem 1.5rem 3rem}
h1{font-size:1.75rem;line-height:1.25;margin:.5rem 0 .25rem}
h2{font-size:1.3rem;line-height:1.3;margin:2.75rem 0 .5rem;padding-top:.75rem;border-top:2px solid var(--text)}
h3{font-size:1.05rem;line-height:1.35;margin:1.75rem 0 .25rem;overflow-wrap:anywhere}
p,ul,ol,dl{margin:.4rem 0;max-width:75ch}
a{color:var(--link);text-underline-offset:.15em}
a:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:2px}
code{font:.875em ui-monospace,"SF Mono",Menlo,Consolas,"Noto Sans Mono",monospace;line-height:inherit;
overflow-wrap:anywhere}
bdi{overflow-wrap:anywhere}
.skip{position:absolute;left:-999rem}
.skip:focus{position:static}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;padding:0;margin:1rem 0 0;max-width:none}
.soft,.note,caption,.more{color:var(--soft)}
.note,.more{font-size:.9375rem}
.verdict{display:flex;flex-wrap:wrap;align-items:center;gap:.25rem .9rem}
.badge{display:inline-block;font-weight:700;padding:.05em .55em;border-radius:.3em;border:2px solid transparent;
white-space:nowrap;line-height:1.4}
.small{font-size:.8125rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.75rem,1fr));gap:.6rem;max-width:none;margin:1.1rem 0}
.tiles div{background:var(--panel);border:1px solid var(--line);border-radius:.4rem;padding:.55rem .8rem}
.tiles dt{color:var(--soft);font-size:.875rem}
.tiles dd{margin:0;font-size:1.3rem;font-weight:650;line-height:1.3}
.tiles dd small{display:block;font-size:.8125rem;font-weight:400;color:var(--soft)}
table{border-collapse:collapse;width:100%;margin:.6rem 0 .4rem;font-size:.9rem}
caption{text-align:left;font-size:.9375rem;padding:0 0 .35rem}
th,td{text-align:left;vertical-align:top;padding:.4rem .5rem;border-bottom:1px solid var(--line);font-weight:400}
th:first-child{padding-left:0}
td:last-child,th:last-child{padding-right:0}
thead th{color:var(--soft);font-size:.8125rem;font-weight:600;border-bottom:2px solid var(--edge);vertical-align:bottom}
tbody th{font-weight:600;overflow-wrap:anywhere}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.w{min-width:7rem}tbody th>code{display:inline-block;min-width:9rem}
td.w>div>code{display:block;min-width:9rem}
td small,th small{display:block;font-size:.8125rem;font-weight:400;color:var(--soft)}
tr:target,table:target caption{background:var(--panel)}
.bar{display:block;width:100%;min-width:5rem;height:.7rem;margin-top:.4rem}
.strip{display:block;width:100%;min-width:8rem;height:2.75rem;margin-bottom:.2rem}
.track{fill:var(--track)}.fill,.sent{fill:var(--sent)}.received{fill:var(--received)}
.base{stroke:var(--edge);stroke-width:1;vector-effect:non-scaling-stroke;fill:none}
details{border-bottom:1px solid var(--line)}
summary{cursor:pointer;padding:.5rem 0;overflow-wrap:anywhere}
details>table,details>p{margin-left:1.1rem;width:calc(100% - 1.1rem)}
.terms{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;font-size:.9375rem;max-width:none}
.terms dd{margin:0}
.law{background:var(--panel);border-left:4px solid var(--edge);padding:.5rem .8rem;max-width:none}
.settle li{margin:.5rem 0}
footer{margin-top:3rem;border-top:2px solid var(--text);padding-top:.75rem}
"""

# rows become stacks of "head: value"; the roles in the markup keep them a table for a screen reader
_NARROW: Final = """
body{padding:.75rem .9rem 2rem}
h1{font-size:1.4rem}
.tiles{grid-template-columns:1fr 1fr}
.terms{grid-template-columns:1fr}.terms dt{font-weight:600;margin-top:.3rem}
table,caption,tbody,tr,th,td{display:block;width:auto}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
tbody tr{border:1px solid var(--line);border-radius:.4rem;padding:.5rem .7rem;margin:.55rem 0}
tbody th,tbody td,tbody td.n{border:0;padding:.12rem 0;text-align:left;white-space:normal}
tbody td{display:grid;grid-template-columns:7.5rem 1fr;gap:.6rem}
tbody td::before{content:attr(data-h);color:var(--soft);font-size:.8125rem;line-height:1.7}
tbody td>div{min-width:0}
details>table,details>p{margin-left:0;width:auto}
"""

_PAPER: Final = """
@page{margin:14mm 12mm}
html{font-size:10pt;background:none}
body{max-width:none;padding:0}
nav,.skip{display:none}
h1{font-size:18pt}h2{font-size:13pt;margin-top:1.4rem}h3{font-size:11pt}
h2,h3,caption,thead,summary,.note{break-after:avoid}
tr,.tiles div,li,.law,.strip{break-inside:avoid}
thead{display:table-header-group}
table{font-size:8.5pt}
th,td{padding:.25rem .4rem}
.tiles{grid-template-columns:repeat(6,1fr)}
.tiles div,.law{background:none}
.badge{background:none;color:#000;border-color:#000}
details::details-content{content-visibility:visible;block-size:auto}
summary{list-style:none}
a{color:inherit;text-decoration:none}
.bar{min-width:3rem}.w{min-width:5.6rem}tbody th>code,td.w>div>code{min-width:0}tbody th>code{white-space:nowrap}
"""


def _variables(colours: dict[str, str]) -> str:
    return ":root{" + ";".join(f"--{name}:{colour}" for name, colour in colours.items()) + "}"


def _sheet() -> str:
    badges = "".join(
        f".{word.lower()}{{background:{ground};color:{text};border-color:{ground}}}"
        for word, (ground, text) in BADGES.items()
    )
    parts = (
        _variables(LIGHT),
        f"@media screen and (prefers-color-scheme:dark){{{_variables(DARK)}}}",
        f"{_RULES}{badges}",
        "@media (min-width:75rem){.role{white-space:nowrap}}",
        f"@media screen and (max-width:46rem){{{_NARROW}}}",
        f"@media print{{{_PAPER}}}",
    )
    return "\n".join(parts)


STYLE: Final = _sheet()
