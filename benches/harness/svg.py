"""Plots: the CPU time per message, one panel per workload with bars relative to the floor; the memory of idle
connections."""

from html import escape

from .programs import FLOOR, OURS, RAW
from .report import digits

PANEL, ROW, LEFT, BAR, GAP, TOP, NOTE, COLUMNS = 430, 17, 112, 170, 26, 36, 14, 2
LONGEST = 4.0   # × floor; longer bars are cut
COLOURS = {OURS: "#c2410c", FLOOR: "#64748b", RAW: "#cbd5e1"}


def colour(program):
    return COLOURS.get(program, "#60a5fa")


def row_text(x, y, text, program, anchor=""):
    weight = ' class="ours"' if program == OURS else ""
    return f'<text{weight} x="{x:.1f}" y="{y}"{anchor}>{escape(text)}</text>'


def panel(results, workload, programs, x, y, field, unit, remark):
    figures = {p: results.figure(workload, p, field) for p in programs}
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
        text = f"{digits(figures[program])} {unit}, × {ratio:.2f}{' ▸' if ratio > LONGEST else ''}"
        out += [row_text(x + LEFT - 6, base, program, program, ' text-anchor="end"'),
                f'<rect x="{x + LEFT}" y="{top + 1}" width="{width:.1f}" height="{ROW - 4}" fill="{colour(program)}"/>',
                row_text(x + LEFT + width + 5, base, text + remark(results, workload, program), program)]
    return out


def picture(title, runs, body, height):
    """The title above the body, and which runs it shows below."""
    width, end = 16 + COLUMNS * PANEL, height + NOTE * len(runs)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{end}" '
        f'viewBox="0 0 {width} {end}" font-family="sans-serif" font-size="11" fill="#0f172a">',
        "<style>.title{font-size:13px;font-weight:bold}.ours{font-weight:bold}"
        "line{stroke:#94a3b8;stroke-dasharray:3 3}</style>",
        f'<rect width="{width}" height="{end}" fill="#ffffff"/>',
        f'<text x="16" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        *body,
        *(f'<text x="16" y="{height + NOTE * i}" font-size="9">{escape(run)}</text>' for i, run in enumerate(runs)),
        "</svg>", ""])


def plot_memory(results, title):
    """Resident memory and page tables of an idle connection, the smallest first."""
    figures = sorted(results.idle.items(), key=lambda item: sum(item[1]))
    scale = 2 * BAR / max(sum(figure) for _, figure in figures)
    body, y = [], TOP + 4
    for i, (program, (resident, tables)) in enumerate(figures):
        top, base, x = y + i * ROW, y + i * ROW + 11, 16 + LEFT
        body += [row_text(x - 6, base, program, program, ' text-anchor="end"')]
        for start, length, opacity in ((0, resident, 1), (resident, tables, 0.5)):
            body += [f'<rect x="{x + start * scale:.1f}" y="{top + 1}" width="{length * scale:.1f}" height="{ROW - 4}" '
                     f'fill="{colour(program)}" opacity="{opacity}"/>']
        body += [row_text(x + (resident + tables) * scale + 5, base, f"{digits(resident)} + {digits(tables)} bytes",
                          program)]
    return picture(title, results.about["runs"], body, y + ROW * len(figures) + GAP)


def nothing(*_):
    return ""


def plot(results, workloads, title, field="cpu_ns", unit="ns", programs=None, remark=nothing):
    """A panel for each workload, with the measured field of each program, or of some of them."""
    body, y = [], TOP + 20
    shown = {w: programs(results, w) if programs else results.programs(w) for w in workloads}
    for row in range(0, len(workloads), COLUMNS):
        some = workloads[row:row + COLUMNS]
        for i, workload in enumerate(some):
            body += panel(results, workload, shown[workload], 16 + i * PANEL, y, field, unit, remark)
        y += ROW * max(len(shown[w]) for w in some) + GAP + 14
    return picture(title, results.about["runs"], body, y)
