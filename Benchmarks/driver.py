# SPDX-License-Identifier: Apache-2.0
"""Measures Thaw against its peers: one table of medians and ratios, and results.json.

Each contender is a process that is started once, warmed up, and told to do one round at a time. The
rounds are interleaved (A B C A B C ...), only one contender is active at a time and all have the
same number of threads, so a machine that changes its speed changes it for all of them. The ratio
is that of the medians; the spread is the smallest and largest ratio of rounds next to each other.

Run through run.sh; needs only Python's standard library itself.
"""

import argparse
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import time

import processors
import workloads

HERE = os.path.dirname(os.path.abspath(__file__))
# Seconds without an answer after which a contender counts as stuck.
PATIENCE = 900
# Seconds between rounds: the thread pools of the last contender spin for a while before they sleep.
SETTLE = 0.3
# Processors that other programs may keep busy before a result counts as disturbed. Runtimes whose
# threads wait for each other after every layer suffer more from that than those that do not.
QUIET = 0.1


class ContenderFailed(Exception):
    """A contender could not start or ended early."""


class Contender:
    """A running contender process and its results."""

    def __init__(self, name, command, variables, threads):
        self.name = name
        self.rounds = []
        self.cpu = []
        self.peak = 0
        environment = dict(
            os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads),
            MKL_NUM_THREADS=str(threads), PYTHONWARNINGS="ignore", **variables)
        self.errors = open(os.path.join(HERE, "work", f"{name}.log"), "w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            bufsize=1, env=environment, process_group=0)
        try:
            self.description = self.read()["description"]
        except ContenderFailed:
            self.process.kill()
            self.process.wait()
            raise

    def read(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.errors.flush()
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines()
            raise ContenderFailed(said[-1] if said else "no answer")
        answer = json.loads(line)
        if "error" in answer:
            raise ContenderFailed(answer["error"])
        return answer

    def ask(self, command):
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.read()

    def round(self):
        """One timed round; returns what other programs used of the processors, and its seconds."""
        busy, own = processors.busy_seconds(), processors.group_seconds(self.process.pid)
        answer = self.ask("round")
        own = processors.group_seconds(self.process.pid) - own
        self.rounds.append(answer["seconds"] / answer["images"])
        self.cpu.append(own / answer["images"])
        self.peak = max(self.peak, answer["peak_rss_bytes"])
        return max(processors.busy_seconds() - busy - own, 0), answer["seconds"]

    def stop(self):
        if self.process.poll() is None:
            try:
                self.process.stdin.write("quit\n")
                self.process.stdin.close()
                self.process.wait(timeout=10)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()
        self.errors.close()

    def report(self):
        return {
            "name": self.name, "description": self.description,
            "seconds_per_image": self.rounds,
            "median_seconds_per_image": statistics.median(self.rounds),
            "images_per_second": 1 / statistics.median(self.rounds),
            "median_cpu_seconds_per_image": statistics.median(self.cpu),
            "peak_rss_bytes": self.peak}


def main():
    options = parse_options()
    os.makedirs(os.path.join(HERE, "work"), exist_ok=True)
    machine = describe_machine(options)
    results = {"machine": machine, "rounds": options.rounds, "threads": options.threads}
    chosen = selected(options)
    networks = dict.fromkeys((workload.network, workload.batch) for workload in chosen)
    results["inputs"] = json.loads(run([
        sys.executable, os.path.join(HERE, "peers", "prepare.py"), options.work, options.photos]
        + [f"{name}={batch}" for name, batch in networks]))
    print(f"{machine['cpu']}, {options.threads} threads, {options.rounds} interleaved rounds, "
          f"load {machine['load']}")
    print(", ".join(f"{k} {v}" for k, v in results["inputs"]["versions"].items()))
    results["workloads"] = [measure(workload, options) for workload in chosen]
    with open(options.output, "w") as file:
        json.dump(results, file, indent=2)
    missed = [text for workload in results["workloads"] for text in workload["missed"]]
    for text in missed:
        print(f"under target: {text}")
    print(f"Details: {os.path.relpath(options.output)}")
    sys.exit(1 if missed and options.enforce else 0)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names or groups, comma-separated: "
                        + ", ".join(workload.name for workload in workloads.ALL))
    parser.add_argument("--rounds", type=int, default=7, help="at least 5 for a result to quote")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--photos", required=True, help="folder of JPEG files")
    parser.add_argument("--thaw", required=True, help="the thaw-bench executable")
    parser.add_argument("--work", default=os.path.join(HERE, "work"))
    parser.add_argument("--output", default=os.path.join(HERE, "results.json"))
    parser.add_argument("--enforce", action="store_true", help="fail when a target is missed")
    return parser.parse_args()


def selected(options):
    """The workloads named by --only, the measured ones by default."""
    if not options.only:
        return [workload for workload in workloads.ALL if workload.group == "inference"]
    names = options.only.split(",")
    chosen = [w for w in workloads.ALL if w.name in names or w.group in names]
    known = {w.name for w in workloads.ALL} | {w.group for w in workloads.ALL}
    if unknown := ", ".join(name for name in names if name not in known):
        sys.exit(f"error: no workload called {unknown}. Known: {', '.join(sorted(known))}")
    return chosen


def measure(workload, options):
    """Runs one workload with all its contenders and prints its part of the table."""
    print(f"\n{workload.name}: {workload.title}")
    running, missed, failed = [], [], {}
    try:
        for name, command, variables in workload.commands(options):
            label = f"{workload.name}-{name}"
            try:
                running.append(Contender(label, command, variables, options.threads))
            except ContenderFailed as error:
                failed[name] = str(error)
                print(f"  {name:12} not measured: {error}")
            time.sleep(SETTLE)
        foreign = elapsed = 0.0
        for _ in range(options.rounds):
            for contender in running:
                others, seconds = contender.round()
                foreign, elapsed = foreign + others, elapsed + seconds
                time.sleep(SETTLE)
        agreement = compare_outputs(workload, running, options)
    except ContenderFailed as error:
        failed["round"] = str(error)
        running_reports, agreement, disturbance = [], {}, 0.0
        missed = [f"{workload.name}: {error}"]
        print(f"  stopped: {error}")
    else:
        running_reports = [contender.report() for contender in running]
        disturbance = foreign / elapsed if elapsed else 0.0
    finally:
        for contender in running:
            contender.stop()
    rows = add_ratios(workload, running_reports)
    if running_reports:
        print_rows(rows, agreement)
        if disturbance > QUIET:
            print(f"  note: other programs kept {disturbance:.2f} processors busy meanwhile; "
                  "these numbers are not to be quoted")
        missed = workload.missed(rows, agreement)
        if "thaw" in failed:
            missed.append(f"{workload.name}: Thaw was not measured")
    return {
        "name": workload.name, "title": workload.title, "contenders": rows, "missed": missed,
        "agreement": agreement, "not_measured": failed, "disturbance": disturbance}


def add_ratios(workload, reports):
    """Adds `ratio`, `ratio_min` and `ratio_max` (Thaw's speed over the peer's) to the peers."""
    thaw = next((r for r in reports if r["name"] == f"{workload.name}-thaw"), None)
    for report in reports:
        if thaw is None or report is thaw:
            continue
        pairs = [
            peer / own
            for peer, own in zip(report["seconds_per_image"], thaw["seconds_per_image"])]
        report["ratio"] = report["median_seconds_per_image"] / thaw["median_seconds_per_image"]
        report["ratio_min"], report["ratio_max"] = min(pairs), max(pairs)
        report["target"] = workload.targets.get(report["name"].removeprefix(workload.name + "-"))
    return reports


def print_rows(rows, agreement):
    for row in rows:
        text = (f"  {row['name']:26} {row['images_per_second']:9.1f} images/s   "
                f"{row['median_cpu_seconds_per_image'] * 1e3:7.2f} CPU ms   "
                f"peak {row['peak_rss_bytes'] / 1e6:5.0f} MB")
        if "ratio" in row:
            text += (f"   Thaw is {row['ratio']:.2f}x "
                     f"({row['ratio_min']:.2f}-{row['ratio_max']:.2f})")
            text += f", target {row['target']:.2f}x" if row["target"] else ""
        print(text)
        print(f"      {row['description']}")
    for name, difference in agreement.items():
        print(f"  {name}: largest difference from PyTorch {difference['absolute']:.2g}, "
              f"{difference['relative']:.2g} of the largest feature, "
              f"cosine {difference['cosine']:.6f}")


def compare_outputs(workload, running, options):
    """The largest differences of all contenders' outputs from PyTorch's."""
    if not workload.compares:
        return {}
    outputs = {}
    for contender in running:
        path = os.path.join(options.work, f"{contender.name}.f32")
        contender.ask(f"output {path}")
        outputs[contender.name] = path
    reference = f"{workload.name}-torch"
    if reference not in outputs:
        return {}
    script = os.path.join(HERE, "peers", "compare.py")
    return {
        name: json.loads(run([sys.executable, script, outputs[reference], path]))
        for name, path in outputs.items() if name != reference}


def describe_machine(options):
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    versions = run([options.thaw, "version"]).strip()
    return {
        "cpu": f"{models[0] if models else platform.machine()}, {os.cpu_count()} processors",
        "system": platform.platform(), "load": "%.1f %.1f %.1f" % os.getloadavg(),
        "thaw": versions, "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}


def run(command):
    """What `command` writes to standard output; ends the program when it fails."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"error: {' '.join(command)} failed:\n{result.stderr}")
    return result.stdout


if __name__ == "__main__":
    main()
