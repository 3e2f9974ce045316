/* The workers of a run: all of them walk through the same instructions, each does its part.

   A phase is what lies between two barriers; in each phase one range of parts may be shared out
   by a common counter. Whoever makes the threads (host/) fills in how to wait for long. */
#ifndef PM_TEAM_H
#define PM_TEAM_H

#include <stdatomic.h>

#include "pelemay.h"

/* How many parts of a worker's share are taken, below, and in which phase that was, above: what is
   left from another phase counts as nothing. */
typedef struct {
  _Alignas(64) atomic_ullong value;
} pm_taken;

struct pm_team {
  int count;
  int spins; /* looks at the gate before a worker sleeps there */
  _Alignas(64) atomic_int arrived;
  _Alignas(64) atomic_uint epoch;
  int stop; /* the status that all see after a barrier; written by the last one to arrive */
  _Alignas(64) atomic_llong next;
  _Alignas(64) atomic_int failed; /* the first status that any worker reported */
  /* Wait until `epoch` is no longer the team's, and wake those who do; may be NULL. */
  void (*sleep)(pm_team *team, unsigned epoch);
  void (*wake)(pm_team *team);
  pm_taken taken[PM_MAX_WORKERS];
};

/* While waiting for another processor. */
static inline void pm_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Before a run: nobody is running. */
void pm_team_reset(pm_team *team, int count);

/* All workers of the instruction wait for each other. Where there is only one it begins a phase. */
void pm_barrier(const pm_worker *worker);

/* The first of `step` parts that nobody has taken in this phase; may be past the end. */
static inline int64_t pm_take(const pm_worker *worker, int64_t step) {
  return atomic_fetch_add_explicit(&worker->team->next, step, memory_order_relaxed);
}

/* One of `parts` that nobody has taken in this phase, -1 when there are none left. This worker's own
   share comes first, then what is left of the others': a worker that finds its data where it left
   it is faster than one that fetches it from another's cache. */
int64_t pm_take_near(const pm_worker *worker, int64_t parts);

/* The parts [*begin, *end) of `parts` that are this worker's, without asking anybody. */
static inline void pm_share(const pm_worker *worker, int64_t parts, int64_t *begin, int64_t *end) {
  *begin = parts * worker->id / worker->count;
  *end = parts * (worker->id + 1) / worker->count;
}

/* The run ends with this status after the instruction. */
static inline void pm_fail(const pm_worker *worker, pm_status status) {
  int none = PM_OK;
  atomic_compare_exchange_strong(&worker->team->failed, &none, (int)status);
}

#endif
