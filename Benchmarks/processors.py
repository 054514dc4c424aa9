# SPDX-License-Identifier: Apache-2.0
"""Who used the processors, as Linux counts it."""

import glob
import os

TICKS = os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """Processor seconds since boot in which any program ran, all processors together."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq = map(int, file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def group_seconds(group):
    """Processor seconds used so far by the processes of a process group that are still alive, and by those
    that they started and waited for."""
    total = 0
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                # The name, in parentheses, may contain anything.
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            total += sum(map(int, fields[11:15]))
    return total / TICKS
