"""The tables: one per kind of workload, and the goals."""

import os
import platform

from .programs import FLOOR, OURS
from .workloads import (
    BACKLOG, BROADCAST, CONNECT_TLS, DEFLATE, ECHO, ECHO_TLS, EMBEDDED, IDLE, IDLE_TLS, KEEPALIVE, KIB, SEND, SINGLE)

# Over TCP, and over TLS.
ALL_ECHO = list(dict.fromkeys([*ECHO, *ECHO_TLS]))
CONNECTS = [w.name for w in CONNECT_TLS]

# The ways to send a frame to many whose instructions are counted.
ONE_FRAME, EACH_FRAME, SEND_LOOP, AT_ONCE = (
    "a loop of send, one frame for all", "a loop that builds each frame and sends it", "a loop of ws_send",
    "ws_broadcast")


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


# Columns of a table: the head, and the text for a program; the figures that all tables begin with are not among them.
def measured(field, head):
    return head, lambda results, workload, program: digits(results.figure(workload, program, field))


def syscalls(unit):
    return f"system calls/{unit}", lambda results, workload, program: digits(results.syscalls.get((workload, program)))


def share(field, head):
    def text(results, workload, program):
        value = results.figure(workload, program, field)
        return "–" if value is None else f"{value:.1%}"
    return head, text


def latencies(unit):
    return [measured("rate", f"{unit}s/s"), measured("p50_us", "p50 µs"), measured("p99_us", "p99 µs"), syscalls(unit)]


def workload_table(results, workload, columns, unit="message"):
    """The CPU time of each program, beside the floor and the best peer, and more columns."""
    best = results.best_peer(workload)
    rows = [[name_text(program), digits(results.cpu(workload, program)),
             f"{results.spread(workload, program):.0%}",
             ratio_text(results.ratio(workload, program, FLOOR)),
             ratio_text(best and results.ratio(workload, program, best)),
             *(text(results, workload, program) for _, text in columns)]
            for program in results.programs(workload)]
    head = ["", f"CPU ns/{unit}", "±", "× floor", "× best peer", *(head for head, _ in columns)]
    return table(head, rows) + "\n" + failures(results, workload)


def broadcast_table(results, workload):
    columns = [measured("rate", "messages/s"), syscalls("message")]
    if workload.slow:
        columns += [measured("slow_bytes", "bytes of memory/slow connection"),
                    share("slow_taken", "of the messages taken by it")]
    return workload_table(results, workload.name, columns)


def deflate_table(results, workload):
    """CPU time is worth what it compresses to: the size of what was sent stands beside it."""
    def of_message(results, name, program):
        return f"{results.figure(name, program, 'wire') / workload.size:.1%}"
    return workload_table(results, workload.name, [measured("wire", "bytes/message"), ("of the message", of_message)])


def keepalive_table(results):
    """What it costs for each connection in a minute."""
    rows = []
    for program in results.programs(KEEPALIVE.name):
        pings = results.figure(KEEPALIVE.name, program, "rate") * 60 / KEEPALIVE.conns
        cpu, calls = results.cpu(KEEPALIVE.name, program), results.syscalls.get((KEEPALIVE.name, program))
        rows.append([name_text(program), digits(pings), digits(cpu * pings / 1000), digits(calls and calls * pings),
                     digits(cpu), digits(calls)])
    head = ["", "pings/connection and minute", "CPU µs/connection and minute", "system calls/connection and minute",
            "CPU ns/ping and pong", "system calls/ping and pong"]
    return table(head, rows) + "\n" + failures(results, KEEPALIVE.name)


def embedded_table(results, workload):
    """The library as a guest in another loop, beside its own."""
    names = {OURS: "the library's own loop"}
    rows = [[names.get(program, f"in {program}'s loop" if program == "GLib" else f"in a loop on {program}"),
             *(digits(results.figure(workload.name, program, field)) for field in ("p50_us", "p99_us", "cpu_ns")),
             ratio_text(results.ratio(workload.name, program, OURS)),
             digits(results.syscalls.get((workload.name, program)))]
            for program in results.programs(workload.name)]
    head = ["", "p50 µs", "p99 µs", "CPU ns/message", "× own loop", "system calls/message"]
    return table(head, rows) + "\n" + failures(results, workload.name)


def instructions_table(results):
    names = list(dict.fromkeys(w for w, _ in results.instructions))
    rows = []
    for way in (ONE_FRAME, EACH_FRAME, SEND_LOOP, AT_ONCE):
        row = [f"**{way}**" if way == AT_ONCE else way]
        for name in names:
            count = results.instructions.get((name, way))
            each = results.instructions.get((name, EACH_FRAME))
            row += [digits(count), ratio_text(count and each and count / each)]
        rows.append(row)
    head = ["instructions/message", *(text for name in names for text in (name, "× a frame each"))]
    return table(head, rows) + "\n" + "".join(failures(results, f"instructions, {name}") for name in names)


def summary(results):
    """One row per workload: the floor, the best peer, ours."""
    rows = []
    for workload in [w.name for w in ALL_ECHO] + CONNECTS + [w.name for w in (*DEFLATE, *BROADCAST)]:
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


def runs(results):
    """Where the figures come from: what all runs have in common, and then each."""
    parts = [run.split(", ") for run in results.about["runs"]]
    common = [part for part in parts[0] if all(part in run for run in parts)]
    each = [", ".join(part for part in run if part not in common) for run in parts]
    runs_ = [f"- {run}" for run in each if run]
    return "\n".join([", ".join(common) + (". Medians of:\n" if runs_ else ". Medians."), *runs_, ""])


def figures(results):
    """What benches/README.md shows of a run."""
    rest = [table_ for is_there, table_ in (
        (results.idle, lambda: idle_table(results)), (results.instructions, lambda: instructions_table(results)),
        (results.programs(KEEPALIVE.name), lambda: keepalive_table(results)),
        *((results.programs(w.name), lambda w=w: embedded_table(results, w)) for w in EMBEDDED[:1])) if is_there]
    return "\n".join([runs(results), summary(results),
                      *(text() for text in rest)])


def goals(results):
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

    for w in [] if results.about["tls"] else ECHO:
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
    for w in ECHO_TLS if results.about["tls"] else []:
        ratio_goal(w.name, FLOOR, 1.15 if w.size <= 16 * KIB else 1.2)
        ratio_goal(w.name, results.best_peer(w.name), 1.0)
    for w in SEND:
        ratio_goal(w.name, FLOOR, 1.05 if w.batch == 1 else 1.1)
    syscalls_goal("message, 16×64×1 KiB", "16×64×1 KiB", 0.05)
    syscalls_goal("message, one connection", SINGLE.name, 3.0)
    for w in DEFLATE:
        ratio_goal(w.name, FLOOR, 1.1)
        ratio_goal(w.name, results.best_peer(w.name), 1.0)
    for w in BROADCAST:
        ratio_goal(w.name, FLOOR, 1.2)
        ratio_goal(w.name, results.best_peer(w.name), 1.0)
        calls, loop = (results.syscalls.get((w.name, p)) for p in (OURS, FLOOR))
        goal(loop and not w.slow, f"{w.name}: system calls × floor", calls and loop and calls / loop, 1.0)
        if w.slow:
            # What the rest of the server needs is in it.
            grown = results.figure(w.name, OURS, "slow_bytes")
            goal(grown is not None, f"{w.name}: memory per slow connection", grown and grown / KIB,
                 (BACKLOG + w.size) // KIB, " KiB")
    for name in dict.fromkeys(w for w, _ in results.instructions):
        ours, each = (results.instructions.get((name, way)) for way in (AT_ONCE, EACH_FRAME))
        goal(True, f"{name}: instructions × {EACH_FRAME}", ours and each and ours / each, 1.2)
    for w in EMBEDDED:
        own = results.syscalls.get((w.name, OURS))
        for program in results.programs(w.name):
            calls = results.syscalls.get((w.name, program))
            goal(program != OURS and own, f"{w.name}, {program}: system calls more than in the library's own loop",
                 calls and own and calls - own, 1.0)
    for workload in CONNECTS:
        ratio_goal(workload, results.best_peer(workload), 1.05 if results.about["tls"] else 1.0)
    if not results.about["tls"]:
        syscalls_goal("connect, upgrade, close", "connect", 12)
    idle = results.idle.get(OURS)
    goal(results.idle, "memory per idle connection", idle and idle[0] / KIB,
         10.0 if results.about["tls"] else 5.0, " KiB")
    return table(["goal", "measured", "at most", "met"], rows) if rows else "None of what was measured has one.\n"


def idle_table(results):
    rows = sorted((resident, tables, program) for program, (resident, tables) in results.idle.items())
    text = table(["", "resident bytes/connection", "page tables"],
                 [[name_text(p), digits(r), digits(t)] for r, t, p in rows])
    if results.about["connections"] < (IDLE_TLS if results.about["tls"] else IDLE):
        text += f"\nOnly {results.about['connections']} connections: the limit of open files is too low.\n"
    return text + "\n" + failures(results, "idle")


def single_table(results):
    rows = sorted((n, p) for (w, p), n in results.syscalls.items() if w == SINGLE.name)
    return table(["", "system calls/message"], [[name_text(p), digits(n)] for n, p in rows])


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")),
                     platform.machine())
    return f"{model}, {os.cpu_count()} processors, Linux {platform.release()}"


def title(name):
    return name[0].upper() + name[1:]


def sections(results):
    """Title, whether there is anything to tell, and the table."""
    def has(name):
        return results.programs(name) or failures(results, name)

    yield "Summary", any(has(w.name) for w in (*ALL_ECHO, *CONNECT_TLS, *DEFLATE, *BROADCAST)), lambda: summary(results)
    yield "Goals", any(p == OURS for _, p in results.rounds), lambda: goals(results)
    for w in ALL_ECHO:
        yield w.name, has(w.name), lambda w=w: workload_table(results, w.name, latencies("message"))
    yield (f"One connection: {SINGLE.name}", any(w == SINGLE.name for w, _ in results.syscalls),
           lambda: single_table(results))
    for name in CONNECTS:
        yield (f"{title(name)}: upgrade, close", has(name),
               lambda name=name: workload_table(results, name, latencies("connection"), "connection"))
    yield (f"{results.about['connections']:,} idle connections, after one echo each",
           results.idle or failures(results, "idle"), lambda: idle_table(results))
    for w in DEFLATE:
        yield title(w.name), has(w.name), lambda w=w: deflate_table(results, w)
    for w in BROADCAST:
        yield title(w.name), has(w.name), lambda w=w: broadcast_table(results, w)
    yield "Instructions of a broadcast to 1,000", results.instructions, lambda: instructions_table(results)
    yield f"{KEEPALIVE.conns:,} connections with keepalive", has(KEEPALIVE.name), lambda: keepalive_table(results)
    for w in EMBEDDED:
        yield f"In another loop: {w.name.removeprefix('embedded, ')}", has(w.name), lambda w=w: embedded_table(results, w)
    for w in SEND:
        yield f"Client to sink: {w.name}", has(w.name), lambda w=w: workload_table(results, w.name,
                                                                                 [measured("rate", "messages/s")])


def markdown(results):
    about = results.about
    out = [f"# WebSocket over {'TLS' if about['tls'] else 'TCP'}\n",
           runs(results),
           "± is half the range over the rounds. CPU is the processor time of the server's process, user and kernel.\n"]
    for heading, is_there, text in sections(results):
        if is_there:
            out += [f"## {heading}\n", text()]
    out += ["## Who took part\n",
            table(["", "version", "remark"],
                  [[name_text(p["name"]), p["version"] or "–",
                    f"**absent**: {p['absent']}" if p["absent"] else p["note"] or "–"] for p in about["programs"]],
                  "---")]
    return "\n".join(out)
