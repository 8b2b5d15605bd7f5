"""A plot of the CPU time per message: one panel per workload, bars relative to the floor."""

from html import escape

from .programs import FLOOR, OURS, RAW
from .report import digits

PANEL, ROW, LEFT, BAR, GAP, TOP, COLUMNS = 430, 17, 112, 190, 26, 52, 2
LONGEST = 4.0   # × floor; longer bars are cut
COLOURS = {OURS: "#c2410c", FLOOR: "#64748b", RAW: "#cbd5e1"}


def panel(results, workload, x, y):
    floor = results.cpu(workload, FLOOR)
    programs = results.programs(workload)
    unit = floor or results.cpu(workload, programs[0])
    line = x + LEFT + BAR / LONGEST
    height = ROW * len(programs)
    out = [f'<text class="title" x="{x}" y="{y - 8}">{escape(workload)}</text>',
           f'<line x1="{line:.1f}" x2="{line:.1f}" y1="{y - 2}" y2="{y + height}"/>']
    for i, program in enumerate(programs):
        cpu = results.cpu(workload, program)
        ratio = cpu / unit
        width = min(ratio, LONGEST) * BAR / LONGEST
        top, base = y + i * ROW, y + i * ROW + 11
        weight = ' class="ours"' if program == OURS else ""
        cut = " ▸" if ratio > LONGEST else ""
        out += [f'<text{weight} x="{x + LEFT - 6}" y="{base}" text-anchor="end">'
                f'{escape(program)}</text>',
                f'<rect x="{x + LEFT}" y="{top + 1}" width="{width:.1f}" height="{ROW - 4}" '
                f'fill="{COLOURS.get(program, "#60a5fa")}"/>',
                f'<text{weight} x="{x + LEFT + width + 5:.1f}" y="{base}">'
                f'{digits(cpu)} ns, × {ratio:.2f}{cut}</text>']
    return out


def plot(results, workloads, title):
    """The whole picture as text."""
    body, y = [], TOP + 20
    for row in range(0, len(workloads), COLUMNS):
        some = workloads[row:row + COLUMNS]
        for i, workload in enumerate(some):
            body += panel(results, workload, 16 + i * PANEL, y)
        y += ROW * max(len(results.programs(w)) for w in some) + GAP + 14
    width = 16 + COLUMNS * PANEL
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" '
        f'viewBox="0 0 {width} {y}" font-family="sans-serif" font-size="11" fill="#0f172a">',
        "<style>.title{font-size:13px;font-weight:bold}.ours{font-weight:bold}"
        "line{stroke:#94a3b8;stroke-dasharray:3 3}</style>",
        f'<rect width="{width}" height="{y}" fill="#ffffff"/>',
        f'<text x="16" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        '<text x="16" y="38">CPU time of the server per message; the dashed line is the floor'
        "</text>",
        *body, "</svg>", ""])
