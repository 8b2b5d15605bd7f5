"""Where results go: plots beside the tables, and into the repository."""

import re

from . import report, svg
from .process import Failed
from .programs import FLOOR, OURS, SOURCE
from .results import NOT_PEERS
from .workloads import BROADCAST, CONNECT_TLS, DEFLATE, ECHO, ECHO_TLS

FIGURES = SOURCE / "figures"
# What the picture in README.md has: few workloads, and the best others.
OVERVIEW = ["64×1×125 B", "16×64×125 B", "16×64×1 KiB", "16×16×16 KiB"]
OTHERS = 3


def name_of(results):
    return "wss" if results.about["tls"] else "ws"


def the_best(results, workload):
    others = [p for p in results.programs(workload) if p not in NOT_PEERS]
    return [FLOOR, OURS, *others[:OTHERS]]


def pictures(results):
    """Names of files, and the plots of what was measured."""
    def there(workloads, field="cpu_ns"):
        names = dict.fromkeys(w.name for w in workloads)
        return [n for n in names if any(results.figure(n, p, field) is not None for p in results.programs(n))]

    def compressed_to(results, workload, program):
        size = next(w.size for w in DEFLATE if w.name == workload)
        return f", to {results.figure(workload, program, 'wire') / size:.1%}"

    tls = results.about["tls"]
    prefix, wire = ("wss-", "TLS") if tls else ("", "TCP")
    echo = there([*(ECHO_TLS if tls else ECHO), *CONNECT_TLS])
    cpu = f"WebSocket over {wire}: CPU time of the server per message"
    if echo:
        yield prefix + "echo", svg.plot(results, echo, f"{cpu}; the dashed line is the floor")
    if not tls and all(name in echo for name in OVERVIEW):
        yield "overview", svg.plot(results, OVERVIEW, f"{cpu}; the floor and the best others", programs=the_best)
    timed = there([*(ECHO_TLS if tls else ECHO), *CONNECT_TLS], "p99_us")
    if timed:
        yield prefix + "latency", svg.plot(results, timed, f"WebSocket over {wire}: the slowest of 100 answers took so long",
                                           "p99_us", "µs")
    if results.idle:
        yield prefix + "memory", svg.plot_memory(
            results, f"{results.about['connections']:,} idle connections over {wire}, each: resident + page tables")
    compressed = there(DEFLATE)
    if compressed:
        yield "compression", svg.plot(results, compressed, "Compressed echo: CPU time of the server per message, and what "
                                      "it is compressed to", remark=compressed_to)
    broadcast = there(BROADCAST)
    if broadcast:
        yield "broadcast", svg.plot(results, broadcast, "One message to many: CPU time of the server per message that "
                                    "arrives; the floor is a loop of send")


def draw(results, output):
    for name, picture in pictures(results):
        (output / f"{name}.svg").write_text(picture, encoding="utf-8")


def publish(runs):
    """Into the repository: plots, whole tables, and the summary in benches/README.md. Several runs of a kind become
    one."""
    kinds = {}
    for run in runs:
        if name_of(run) in kinds:
            kinds[name_of(run)].merge(run)
        else:
            kinds[name_of(run)] = run
    FIGURES.mkdir(exist_ok=True)
    for name, results in kinds.items():
        results.save(FIGURES / f"{name}.json")
        (FIGURES / f"{name}.md").write_text(report.markdown(results), encoding="utf-8")
        draw(results, FIGURES)
        fill_in(SOURCE / "README.md", name, report.figures(results))


def fill_in(page, name, tables):
    text, places = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda found: f"{found[1]}\n{tables}\n{found[2]}",
                           page.read_text(encoding="utf-8"), flags=re.S)
    if places != 1:
        raise Failed(f"no place for {name} in {page}")
    page.write_text(text, encoding="utf-8")
