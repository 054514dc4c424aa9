// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdint.h>

// Threads that wait asleep for work. libgomp's teams spin between two regions, and the processor they
// spin on is one that other programs, or a container's quota, could use.
//
// Calls `body` once for each share below `shares` and returns when all have returned. The caller works;
// helpers come when they can, and whoever is there takes the next share, so it makes no difference how
// many come. May be called from several threads at once. Every helper has one thread of OpenMP.
void thaw_team_run(int shares, void (*body)(void *context, int share), void *context);

// How many threads may work on `count` shares: OMP_THREAD_LIMIT holds here, too.
int thaw_team_granted(int count);
