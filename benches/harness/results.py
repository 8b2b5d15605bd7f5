"""What was measured, and the file that it is kept in."""

import json
from statistics import median

from .programs import BEFORE, BUFFERED, FLOOR, OURS, RAW

NOT_PEERS = {OURS, BEFORE, FLOOR, RAW, BUFFERED}


class Results:
    def __init__(self, **about):
        # runs: each in words; tls, connections, programs
        self.about = about
        self.rounds = {}        # (workload, program) -> [measurement]
        self.failed = {}        # (workload, program) -> reason
        self.syscalls = {}      # (workload, program) -> per message
        self.instructions = {}  # (workload, way) -> per message
        self.idle = {}          # program -> [resident, tables]

    def add(self, workload, program, measurement):
        self.rounds.setdefault((workload, program), []).append(measurement)

    def save(self, path):
        pairs = {name: [[*key, value] for key, value in getattr(self, name).items()]
                 for name in ("rounds", "failed", "syscalls", "instructions")}
        lines = [f'"about": {json.dumps(self.about, ensure_ascii=False)}', f'"idle": {json.dumps(self.idle)}']
        for name, rows in pairs.items():
            lines.append(f'"{name}": [\n' + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "]")
        path.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")

    @classmethod
    def load(cls, path):
        kept = json.loads(path.read_text(encoding="utf-8"))
        results = cls(**kept["about"])
        for name in ("rounds", "failed", "syscalls", "instructions"):
            getattr(results, name).update({(one, other): value for one, other, value in kept[name]})
        results.idle = kept["idle"]
        return results

    def merge(self, other):
        """Adds what another run has measured; a workload that both have is the other's alone."""
        again = {workload for workload, _ in other.rounds}
        for name in ("rounds", "failed", "syscalls", "instructions"):
            mine = {key: value for key, value in getattr(self, name).items() if key[0] not in again}
            setattr(self, name, {**mine, **getattr(other, name)})
        self.idle = other.idle or self.idle
        about, more = self.about, other.about
        about["runs"] = list(dict.fromkeys([*about["runs"], *more["runs"]]))
        if other.idle:
            about["connections"] = more["connections"]
        known = [p["name"] for p in about["programs"]]
        about["programs"] += [p for p in more["programs"] if p["name"] not in known]

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
        """The cheapest other library that speaks for itself: not a proxy in front of this one."""
        peers = [p for p in self.programs(workload) if p not in NOT_PEERS and not p.endswith("+ this")]
        return peers[0] if peers else None

    def spread(self, workload, program):
        """Half the distance from the cheapest to the dearest round, relative to the median."""
        values = [m["cpu_ns"] for m in self.rounds[workload, program]]
        return (max(values) - min(values)) / 2 / median(values)
