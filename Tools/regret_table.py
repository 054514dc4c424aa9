# SPDX-License-Identifier: Apache-2.0
"""The tables of Tools/diagnosis_regret.py, from networks and what was answered about them."""

# What a diagnosis may say without blaming the batch norms; anything else is an alarm.
HARMLESS = {"healthy", "preprocessing", "label_order", "overfitting", "weak", "no_batch_norm",
            "domain_shift", "undertrained", "too_few_photos", "cannot_tell"}
# Accuracy that a trap must cost before a diagnosis is asked to find it.
HARM = 0.03


class Case:
    """One network asked about in one way."""

    def __init__(self, network, result):
        self.network, self.result = network, result
        truth = network["truth"]
        self.as_it_is, self.twin = truth["judge"], truth["twin"]
        self.real = {name: fix["real"] for name, fix in result["fixes"].items()
                     if fix["real"] is not None}
        # Where the diagnosis tried nothing, a new head that PyTorch solved on the same photos says
        # what was to be had.
        shown = "unseen" if result["way"].startswith("b") else "train"
        self.reference = truth[f"head_of_{shown}"]
        self.is_alarm = result["kind"] not in HARMLESS
        self.is_healthy = network["healthy"]
        self.is_harmed = not self.is_healthy and self.twin - self.as_it_is >= HARM

    @property
    def complete(self):
        """Whether the recommended fix could be judged."""
        return self.result["recommended"] is None or self.result["recommended"] in self.real

    @property
    def recommended(self):
        return self.real.get(self.result["recommended"], self.as_it_is)

    @property
    def best(self):
        others = self.real.values() if self.result["fixes"] else [self.reference]
        return max([self.as_it_is, *others])

    @property
    def regret(self):
        """Points that the best of the fixes, doing nothing included, is better than the advice."""
        return (self.best - self.recommended) * 100

    @property
    def intervals(self):
        """Of every number that claims to hold on new photos: whether it does."""
        fixes = self.result["fixes"].items()
        return [fix["interval"][0] - 1e-4 <= self.real[name] <= fix["interval"][1] + 1e-4
                for name, fix in fixes if fix["fair"] and name in self.real]

    @property
    def finding(self):
        if self.is_healthy:
            return "**false alarm**" if self.is_alarm else "no alarm"
        if self.is_harmed:
            return "found" if self.is_alarm else "**missed**"
        return f"harmless, {'named' if self.is_alarm else 'not named'}"


def points(share):
    return f"{share * 100:.1f}"


def percent(values):
    values = list(values)
    return f"{100 * sum(values) / len(values):.0f} % of {len(values)}" if values else "-"


def row(case):
    fixes = []
    for name, fix in case.result["fixes"].items():
        real = points(fix["real"]) if fix["real"] is not None else "?"
        said = points(fix["promised"]) + ("" if fix["fair"] else ", called biased")
        fixes.append(f"{name} {real} ({said})")
    network = case.network
    held = case.intervals
    return "| " + " | ".join([
        network["trap"], network["collection"], network["backbone"], case.result["way"],
        points(case.as_it_is), points(case.twin), ", ".join(fixes) or f"none tried, a new head {points(case.reference)}",
        case.result["recommended"] or "nothing",
        f"{case.regret:.1f}" if case.complete else "?",
        f"{sum(held)} of {len(held)}" if held else "-", case.finding]) + " |"


def summary(cases):
    """Cells: cases, mean and worst regret, cases above 3 points, found, false alarms, held."""
    judged = [case.regret for case in cases if case.complete]
    mean = sum(judged) / len(judged) if judged else 0
    return [
        str(len(cases)), f"{mean:.2f}", f"{max(judged, default=0):.1f}",
        str(sum(regret > 3 for regret in judged)),
        percent(case.is_alarm for case in cases if case.is_harmed),
        percent(case.is_alarm for case in cases if case.is_healthy),
        percent(held for case in cases for held in case.intervals)]


def grouped(cases, title, key):
    names = list(dict.fromkeys(map(key, cases)))
    lines = [f"| {title} | cases | mean regret | worst | above 3 | found | false alarms"
             " | intervals that held |", "|---|---|---|---|---|---|---|---|"]
    for name in names:
        cells = summary([case for case in cases if key(case) == name])
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    if len(names) > 1:
        lines.append("| all | " + " | ".join(summary(cases)) + " |")
    return lines


def text(pairs):
    """All tables in Markdown: by way, by trap, case by case."""
    cases = [Case(network, result) for network, result in pairs]
    if not cases:
        return "Nothing was asked yet."
    seconds = [case.result["seconds"] for case in cases]
    lines = grouped(cases, "way of asking", lambda case: case.result["way"])
    lines += ["", *grouped(cases, "photos and network", lambda case:
                           f"{case.network['collection']}, {case.network['backbone']}")]
    lines += ["", *grouped(cases, "trap", lambda case: case.network["trap"])]
    lines += ["", "Real accuracy on the judging photos, in brackets what was promised.", "",
              "| trap | collection | backbone | way | as it is | healthy twin | fixes | recommended"
              " | regret | intervals that held | disease |", "|" + "---|" * 11]
    lines += [row(case) for case in cases]
    lines += ["", f"A diagnosis took {sum(seconds) / len(seconds):.0f} s, {max(seconds):.0f} s at"
                  " most."]
    return "\n".join(lines)
