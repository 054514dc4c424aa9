# SPDX-License-Identifier: Apache-2.0
"""Asks `thaw diagnose batchnorm` about the zoo of Tools/diagnosis_regret.py and judges every answer."""

import hashlib
import json
import math
import shutil
import subprocess
import sys
import time

import regret_table

# Photos to show, and what else to say: as `--data`, as `--train-data`, options.
WAYS = {
    "a": ("train", None, []),
    "b": ("unseen", None, []),
    "c": ("unseen", "train", []),
    "a-said": ("train", None, ["--seen", "yes"]),
    "b-said": ("unseen", None, ["--seen", "no"]),
}


class Program:
    """A binary, and what it is able to do."""

    def __init__(self, path, work, threads):
        self.path, self.work = path.resolve(), work.resolve()
        self.extra = ["--threads", str(threads)] if threads else []
        self.identity = hashlib.sha256(self.path.read_bytes()).hexdigest()[:12]
        self.help = subprocess.run([self.path, "diagnose", "batchnorm", "--help"],
                                   capture_output=True, text=True, check=True).stdout

    def can(self, option):
        return f"{option} " in self.help or f"{option}\n" in self.help

    def knows(self, way):
        _, training, options = WAYS[way]
        needed = (["--train-data"] if training else []) + options[::2]
        return all(self.can(option) for option in needed)

    def run(self, *arguments):
        """The JSON of a command; runs where the zoo's Pretrained folder is."""
        command = [str(self.path), *map(str, arguments), *self.extra, "--json", "--quiet"]
        result = subprocess.run(command, cwd=self.work, capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{result.stderr.strip()[-2000:]}")
        return json.loads(result.stdout)


def subject(network):
    return ["--model", network["checkpoint"], "--card", network["card"],
            "--class-names", network["class_names"]]


def question(network, way, options):
    data, training, extra = WAYS[way]
    photos = network["photos"]
    command = ["diagnose", "batchnorm", *subject(network), "--data", photos[data], *extra]
    return command + (["--train-data", photos[training]] if training else []) + options


def ask(program, network, way, options, fixes):
    """The diagnosis and the folder with what its fixes made."""
    command = question(network, way, options.option)
    if program.can("--write-fixes"):
        return program.run(*command, "--write-fixes", fixes)
    recommended = fixes / "recommended.safetensors"
    try:
        answer = program.run(*command, "--apply", recommended)
    except RuntimeError as error:
        if "nothing to apply" not in str(error):
            raise
        answer = program.run(*command)
    if recommended.exists() and answer.get("recommended_fix"):
        recommended.rename(fixes / f"{answer['recommended_fix']}.safetensors")
    if options.every_fix:
        for fix in answer["fixes"]:
            file = fixes / f"{fix['name']}.safetensors"
            if not file.exists():
                program.run(*command, "--quick", "--apply", file, "--fix", fix["name"])
    return answer


def interval(promise, count):
    """The printed interval of an accuracy; Wilson's of 95 % where none is printed."""
    for key in ("accuracy_interval", "interval"):
        bounds = promise.get(key)
        if isinstance(bounds, dict):
            bounds = [bounds[k] for k in sorted(bounds)]
            return [min(bounds), max(bounds)]
        if bounds:
            return list(bounds)
    return wilson(promise["accuracy"], promise.get("photos", count))


def wilson(share, count, z=1.96):
    if not count:
        return [0.0, 1.0]
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(
        share * (1 - share) / count + z * z / (4 * count * count))
    return [max(centre - half, 0.0), min(centre + half, 1.0)]


def is_fair(promise):
    """Whether the number claims to hold on new photos; a number called biased does not."""
    return promise.get("fair", True) is not False and not promise.get("bias")


def examine(program, network, way, options):
    """One line of results.jsonl."""
    # Relative to the zoo, where the program runs, and absolute, for this one.
    fixes = (options.work / "fixes" / program.identity / network["name"] / way).resolve()
    shutil.rmtree(fixes, ignore_errors=True)
    fixes.mkdir(parents=True)
    start = time.time()
    answer = ask(program, network, way, options, fixes)
    seconds = time.time() - start
    count = answer.get("held_out_photos") or answer["photos"]
    judged = {}
    for fix in answer["fixes"]:
        file = fixes / f"{fix['name']}.safetensors"
        real = None
        if file.exists():
            real = program.run("evaluate", "--model", file, "--data",
                               network["photos"]["judge"])["accuracy"]
        judged[fix["name"]] = {
            "promised": fix["accuracy"], "interval": interval(fix, count), "fair": is_fair(fix),
            "real": real}
    shutil.rmtree(fixes)
    return {
        "network": network["name"], "way": way, "program": program.identity,
        "options": options.option, "kind": answer["kind"], "verdict": answer["verdict"],
        "recommendation": answer["recommendation"], "recommended": answer.get("recommended_fix"),
        "familiarity": (answer.get("judging_familiarity") or answer.get("familiarity") or {}).get("answer"),
        "measured": {key: answer.get(key) for key in (
            "head_preference", "checkpoint_preference", "other_epsilon", "familiarity")},
        "fixes": judged, "seconds": round(seconds, 1)}


def chosen(options):
    lines = (options.work / "zoo.jsonl").read_text().splitlines()
    networks = [json.loads(line) for line in lines]
    return [network for network in networks
            if not options.only or any(word in network["name"] for word in options.only)]


def evenly(pairs):
    """Networks and ways in turn by trap, within each in a fixed order that mixes the rest: however few of
    them are asked, they are a fair sample."""
    groups = {}
    for network, way in sorted(pairs, key=lambda pair: mixed(pair[0]["name"] + pair[1])):
        groups.setdefault(network["trap"], []).append((network, way))
    rounds = max(map(len, groups.values()), default=0)
    return [group[turn] for turn in range(rounds) for _, group in sorted(groups.items())
            if turn < len(group)]


def mixed(text):
    return hashlib.sha256(text.encode()).hexdigest()


def stored(options, program):
    store = options.work / "results.jsonl"
    lines = store.read_text().splitlines() if store.exists() else []
    results = [json.loads(line) for line in lines]
    return {(r["network"], r["way"]): r for r in results
            if r["program"] == program.identity and r["options"] == options.option}


def judge(options):
    """Asks what was not asked yet, then prints the table."""
    program = Program(options.thaw, options.work, options.threads)
    known = stored(options, program)
    for way in [way for way in options.ways if not program.knows(way)]:
        print(f"way {way} is left out: this program cannot be asked so.", file=sys.stderr)
    pairs = [(network, way) for network in chosen(options)
             for way in filter(program.knows, options.ways)]
    for network, way in evenly(pairs)[:options.sample]:
        if (network["name"], way) in known:
            continue
        try:
            result = examine(program, network, way, options)
        except RuntimeError as error:
            print(f"{network['name']} {way}: {error}", file=sys.stderr)
            continue
        with (options.work / "results.jsonl").open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(f"{result['seconds']:5.1f} s {network['name']} {way}: {result['kind']},"
              f" {result['recommended']}", file=sys.stderr, flush=True)
    table(options)


def table(options):
    """Prints what is known of this program."""
    known = stored(options, Program(options.thaw, options.work, options.threads))
    pairs = [(network, known[network["name"], way]) for network in chosen(options)
             for way in options.ways if (network["name"], way) in known]
    print(regret_table.text(pairs))
