"""Plots: the CPU time per message, one panel per workload with bars relative to the floor; the memory of idle
connections."""

from html import escape
from statistics import median

from .programs import FLOOR, OURS, RAW
from .report import digits

PANEL, ROW, LEFT, BAR, GAP, TOP, COLUMNS = 430, 17, 112, 190, 26, 52, 2
LONGEST = 4.0   # × floor; longer bars are cut
COLOURS = {OURS: "#c2410c", FLOOR: "#64748b", RAW: "#cbd5e1"}


def panel(results, workload, x, y, field, unit):
    figures = {p: results.figure(workload, p, field) for p in results.programs(workload)}
    programs = sorted((p for p in figures if figures[p] is not None), key=figures.get)
    one = figures.get(FLOOR) or figures[programs[0]]
    line = x + LEFT + BAR / LONGEST
    height = ROW * len(programs)
    out = [f'<text class="title" x="{x}" y="{y - 8}">{escape(workload)}</text>',
           f'<line x1="{line:.1f}" x2="{line:.1f}" y1="{y - 2}" y2="{y + height}"/>']
    for i, program in enumerate(programs):
        ratio = figures[program] / one
        width = min(ratio, LONGEST) * BAR / LONGEST
        top, base = y + i * ROW, y + i * ROW + 11
        weight = ' class="ours"' if program == OURS else ""
        cut = " ▸" if ratio > LONGEST else ""
        out += [f'<text{weight} x="{x + LEFT - 6}" y="{base}" text-anchor="end">'
                f'{escape(program)}</text>',
                f'<rect x="{x + LEFT}" y="{top + 1}" width="{width:.1f}" height="{ROW - 4}" '
                f'fill="{COLOURS.get(program, "#60a5fa")}"/>',
                f'<text{weight} x="{x + LEFT + width + 5:.1f}" y="{base}">'
                f'{digits(figures[program])} {unit}, × {ratio:.2f}{cut}</text>']
    return out


def memory(results, y):
    """Resident memory and page tables of an idle connection, the smallest first."""
    figures = {program: [median(column) for column in zip(*rounds)] for program, rounds in results.idle.items()}
    longest = max(sum(figure) for figure in figures.values())
    out = []
    for i, (program, (resident, tables)) in enumerate(sorted(figures.items(), key=lambda item: sum(item[1]))):
        top, base = y + i * ROW, y + i * ROW + 11
        scale = 2 * BAR / longest
        weight = ' class="ours"' if program == OURS else ""
        colour = COLOURS.get(program, "#60a5fa")
        out += [f'<text{weight} x="{16 + LEFT - 6}" y="{base}" text-anchor="end">{escape(program)}</text>',
                f'<rect x="{16 + LEFT}" y="{top + 1}" width="{resident * scale:.1f}" height="{ROW - 4}" '
                f'fill="{colour}"/>',
                f'<rect x="{16 + LEFT + resident * scale:.1f}" y="{top + 1}" width="{tables * scale:.1f}" '
                f'height="{ROW - 4}" fill="{colour}" opacity="0.5"/>',
                f'<text{weight} x="{16 + LEFT + (resident + tables) * scale + 5:.1f}" y="{base}">'
                f'{digits(resident)} + {digits(tables)} bytes</text>']
    return out, y + ROW * len(figures)


def picture(title, subtitle, body, height):
    width = 16 + COLUMNS * PANEL
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" fill="#0f172a">',
        "<style>.title{font-size:13px;font-weight:bold}.ours{font-weight:bold}"
        "line{stroke:#94a3b8;stroke-dasharray:3 3}</style>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        f'<text x="16" y="38">{escape(subtitle)}</text>',
        *body, "</svg>", ""])


def plot_memory(results, connections, where):
    body, y = memory(results, TOP + 4)
    return picture(f"{connections:,} idle connections, each: resident + page tables", where, body, y + GAP)


def plot(results, workloads, title, subtitle, field="cpu_ns", unit="ns"):
    """A panel for each workload, with the measured field of each program."""
    body, y = [], TOP + 20
    for row in range(0, len(workloads), COLUMNS):
        some = workloads[row:row + COLUMNS]
        for i, workload in enumerate(some):
            body += panel(results, workload, 16 + i * PANEL, y, field, unit)
        y += ROW * max(len(results.programs(w)) for w in some) + GAP + 14
    return picture(title, subtitle, body, y)
