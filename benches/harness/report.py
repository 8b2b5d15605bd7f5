"""The tables: one per kind of workload, and the goals."""

import os
import platform
from statistics import median

from .programs import BUFFERED, FLOOR, OURS, RAW
from .workloads import BROADCAST, DEFLATE, ECHO, ECHO_TLS, IDLE, KIB, SEND, SINGLE

NOT_PEERS = {OURS, FLOOR, RAW, BUFFERED}

# Over TCP, and over TLS.
ALL_ECHO = list(dict.fromkeys([*ECHO, *ECHO_TLS]))
CONNECTS = ["connect", "connect, resumed"]


class Results:
    """What was measured: by workload and program a list of rounds, or why there is none."""

    def __init__(self):
        self.rounds = {}    # (workload, program) -> [measurement]
        self.failed = {}    # (workload, program) -> reason
        self.syscalls = {}  # (workload, program) -> per message
        self.idle = {}      # program -> [(resident, tables)]

    def add(self, workload, program, measurement):
        self.rounds.setdefault((workload, program), []).append(measurement)

    def programs(self, workload):
        """The measured programs, cheapest first."""
        names = {p for w, p in self.rounds if w == workload}
        return sorted(names, key=lambda p: self.cpu(workload, p))

    def figure(self, workload, program, field):
        values = [m.get(field) for m in self.rounds.get((workload, program), [])]
        values = [v for v in values if v is not None]
        return median(values) if values else None

    def cpu(self, workload, program):
        return self.figure(workload, program, "cpu_ns")

    def ratio(self, workload, program, to):
        """Median over the rounds of the ratio within a round."""
        one = self.rounds.get((workload, program), [])
        other = self.rounds.get((workload, to), [])
        ratios = [a["cpu_ns"] / b["cpu_ns"] for a, b in zip(one, other)]
        return median(ratios) if ratios else None

    def best_peer(self, workload):
        peers = [p for p in self.programs(workload) if p not in NOT_PEERS]
        return peers[0] if peers else None

    def spread(self, workload, program):
        """Half the distance from the cheapest to the dearest round, relative to the median."""
        values = [m["cpu_ns"] for m in self.rounds[workload, program]]
        return (max(values) - min(values)) / 2 / median(values)


def digits(value, unit=""):
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}{unit}"
    places = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{places}f}{unit}"


def ratio_text(value):
    return "–" if value is None else f"{value:.2f}"


def name_text(name):
    return f"**{name}**" if name == OURS else name


def table(head, rows, column="---:"):
    lines = [f"| {' | '.join(head)} |", f"|---|{f'{column}|' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def failures(results, workload):
    return "".join(f"{p}: no figure: {reason}\n\n"
                   for (w, p), reason in results.failed.items() if w == workload)


def workload_table(results, workload, unit="message", latency=True):
    best = results.best_peer(workload)
    head = ["", f"CPU ns/{unit}", "±", "× floor", "× best peer", f"{unit}s/s"]
    head += ["p50 µs", "p99 µs", f"system calls/{unit}"] if latency else []
    rows = []
    for program in results.programs(workload):
        row = [name_text(program), digits(results.cpu(workload, program)),
               f"{results.spread(workload, program):.0%}",
               ratio_text(results.ratio(workload, program, FLOOR)),
               ratio_text(best and results.ratio(workload, program, best)),
               digits(results.figure(workload, program, "rate"))]
        if latency:
            row += [digits(results.figure(workload, program, "p50_us")),
                    digits(results.figure(workload, program, "p99_us")),
                    digits(results.syscalls.get((workload, program)))]
        rows.append(row)
    return table(head, rows) + "\n" + failures(results, workload)


def deflate_table(results, workload):
    """CPU time is worth what it compresses to: the size of what was sent stands beside it."""
    rows = []
    best = results.best_peer(workload.name)
    for program in results.programs(workload.name):
        wire = results.figure(workload.name, program, "wire")
        rows.append([name_text(program), digits(results.cpu(workload.name, program)),
                     f"{results.spread(workload.name, program):.0%}",
                     ratio_text(results.ratio(workload.name, program, FLOOR)),
                     ratio_text(best and results.ratio(workload.name, program, best)),
                     digits(wire), f"{wire / workload.size:.1%}"])
    head = ["", "CPU ns/message", "±", "× floor", "× best peer", "bytes/message", "of the message"]
    return table(head, rows) + "\n" + failures(results, workload.name)


def summary(results):
    """One row per workload: the floor, the best peer, ours."""
    rows = []
    for workload in [w.name for w in ALL_ECHO] + CONNECTS:
        if not results.programs(workload):
            continue
        best = results.best_peer(workload)
        rows.append([
            workload, digits(results.cpu(workload, FLOOR)),
            f"{digits(results.cpu(workload, best))} ({best})" if best else "–",
            digits(results.cpu(workload, OURS)),
            ratio_text(results.ratio(workload, OURS, FLOOR)),
            ratio_text(best and results.ratio(workload, OURS, best)),
            digits(results.figure(workload, FLOOR, "busy_ns"))])
    return table(["CPU ns/message", "floor", "best peer", "this", "× floor", "× best peer",
                  "(generator)"], rows)


def goals(results, options):
    """The limits, the figures, and whether they hold; without what was not asked for."""
    rows = []

    def goal(asked, text, value, limit, unit=""):
        if asked:
            verdict = "–" if value is None else "yes" if round(value, 2) <= limit else "**no**"
            rows.append([text, digits(value, unit), f"{limit}{unit}", verdict])

    def ratio_goal(workload, to, limit):
        value = to and results.ratio(workload, OURS, to)
        text = "floor" if to == FLOOR else "best peer"
        goal(results.programs(workload), f"{workload}: × {text}", value, limit)

    def syscalls_goal(text, workload, limit):
        asked = any(w == workload for w, _ in results.syscalls)
        goal(asked, f"system calls per {text}", results.syscalls.get((workload, OURS)), limit)

    for w in [] if options.tls else ECHO:
        best = results.best_peer(w.name)
        if w.text:
            binary = w.name.removesuffix(" text")
            ours, floor = results.cpu(w.name, OURS), results.cpu(binary, FLOOR)
            goal(results.programs(w.name), f"{w.name}: × binary floor",
                 ours and floor and ours / floor, 1.2)
        elif w.size <= 16 * KIB:
            ratio_goal(w.name, FLOOR, 1.05 if w.size <= KIB else 1.0)
        if w.size <= KIB:
            ratio_goal(w.name, best, 1.0)
        elif w.size > 16 * KIB:
            ratio_goal(w.name, best, 1.1)
    for w in ECHO_TLS if options.tls else []:
        ratio_goal(w.name, FLOOR, 1.15 if w.size <= 16 * KIB else 1.2)
        ratio_goal(w.name, results.best_peer(w.name), 1.0)
    for w in SEND:
        ratio_goal(send_name(w), FLOOR, 1.05 if w.batch == 1 else 1.1)
    syscalls_goal("message, 16×64×1 KiB", "16×64×1 KiB", 0.05)
    syscalls_goal("message, one connection", SINGLE.name, 3.0)
    for w in DEFLATE:
        ratio_goal(w.name, FLOOR, 1.1)
        ratio_goal(w.name, results.best_peer(w.name), 1.0)
    for w in BROADCAST:
        ratio_goal(w.name, FLOOR, 1.2)
        ratio_goal(w.name, results.best_peer(w.name), 1.0)
    for workload in CONNECTS:
        ratio_goal(workload, results.best_peer(workload), 1.05 if options.tls else 1.0)
    if not options.tls:
        syscalls_goal("connect, upgrade, close", "connect", 12)
    idle = results.idle.get(OURS)
    goal(results.idle, "memory per idle connection", idle and median(r for r, _ in idle) / KIB,
         10.0 if options.tls else 5.0, " KiB")
    return table(["goal", "measured", "at most", "met"], rows)


def send_name(workload):
    return f"client {workload.name}"


def idle_table(results, connections):
    rows = sorted((median(r for r, _ in v), median(t for _, t in v), p)
                  for p, v in results.idle.items())
    text = table(["", "resident bytes/connection", "page tables"],
                 [[name_text(p), digits(r), digits(t)] for r, t, p in rows])
    if connections < IDLE:
        text += f"\nOnly {connections} connections: the limit of open files is too low.\n"
    return text + "\n" + failures(results, "idle")


def single_table(results):
    rows = sorted((n, p) for (w, p), n in results.syscalls.items() if w == SINGLE.name)
    return table(["", "system calls/message"], [[name_text(p), digits(n)] for n, p in rows])


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")),
                     platform.machine())
    return f"{model}, {os.cpu_count()} processors, Linux {platform.release()}"


def markdown(results, programs, options, connections):
    out = ["# Echo, handshake, idle connections, sending client\n",
           f"{machine()}, {options.network}. {options.rounds} round(s) of {options.seconds} s, medians; "
           "± is half the range over the rounds. CPU is the processor time of the server's process, user and "
           "kernel.\n"]
    if any(results.programs(w) for w in [*(w.name for w in ALL_ECHO), *CONNECTS]):
        out += ["## Summary\n", summary(results)]
    if any(p.name == OURS and not p.absent for p in programs):
        out += ["## Goals\n", goals(results, options)]
    for workload in ALL_ECHO:
        if results.programs(workload.name) or failures(results, workload.name):
            out += [f"## {workload.name}\n", workload_table(results, workload.name)]
    if any(w == SINGLE.name for w, _ in results.syscalls):
        out += [f"## One connection: {SINGLE.name}\n", single_table(results)]
    for workload in CONNECTS:
        if results.programs(workload) or failures(results, workload):
            out += [f"## {workload.capitalize()}: upgrade, close\n",
                    workload_table(results, workload, "connection")]
    if results.idle or failures(results, "idle"):
        out += [f"## {connections:,} idle connections, after one echo each\n",
                idle_table(results, connections)]
    for workload in DEFLATE:
        if results.programs(workload.name) or failures(results, workload.name):
            out += [f"## {workload.name}\n", deflate_table(results, workload)]
    for workload in BROADCAST:
        if results.programs(workload.name) or failures(results, workload.name):
            out += [f"## One message to many: {workload.name}\n",
                    workload_table(results, workload.name)]
    sent = [w for w in SEND if results.programs(send_name(w))]
    for workload in sent:
        out += [f"## Client to sink: {workload.name}\n",
                workload_table(results, send_name(workload), latency=False)]
    out += ["## Who took part\n",
            table(["", "version", "remark"],
                  [[name_text(p.name), p.version or "–",
                    f"**absent**: {p.absent}" if p.absent else p.note or "–"] for p in programs],
                  "---")]
    return "\n".join(out)
