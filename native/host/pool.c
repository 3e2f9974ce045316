#define _GNU_SOURCE
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

#include "../vm/team.h"

#ifndef PM_STACK_BYTES
#define PM_STACK_BYTES (256 << 10)
#endif

/* About 20 microseconds: longer than a small instruction, shorter than a turn of the scheduler. And
   about 250, where every worker can have a processor: longer than it takes to wake one that has slept
   for a while. Whoever sleeps at the first gate is woken where its waker is, and both are on one
   processor then for some milliseconds. */
enum { SPINS_SHARED = 1000, SPINS_ALONE = 10000 };

typedef struct {
  pm_pool *pool;
  int id;
  pthread_t thread;
} member;

struct pm_pool {
  pm_team team;
  _Alignas(64) atomic_int sleepers;
  const pm_run_args *args; /* of the run; NULL tells the threads to end */
  atomic_uint job;         /* changes when there is a run to do */
  atomic_int done;         /* threads that have left the run */
  int avoided;             /* the processor that the threads stay off; -1 if there is none */
  pid_t owner;             /* the process that the threads are of; 0 if there are none */
  member members[PM_MAX_WORKERS];
};

#if defined(__linux__)
static void wait_while(atomic_uint *word, unsigned value) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
static void wake_all(atomic_uint *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, PM_MAX_WORKERS, NULL, NULL, 0);
}
#else
static void wait_while(atomic_uint *word, unsigned value) {
  if (atomic_load(word) == value) sched_yield();
}
static void wake_all(atomic_uint *word) { (void)word; }
#endif

/* The team is the first member of the pool. */
static void sleep_at_gate(pm_team *team, unsigned epoch) {
  pm_pool *pool = (pm_pool *)(void *)team;
  atomic_fetch_add(&pool->sleepers, 1);
  wait_while(&team->epoch, epoch);
  atomic_fetch_sub(&pool->sleepers, 1);
}

static void wake_at_gate(pm_team *team) {
  pm_pool *pool = (pm_pool *)(void *)team;
  if (atomic_load(&pool->sleepers)) wake_all(&team->epoch);
}

/* A run often follows soon after another. */
static void wait_for_job(pm_pool *pool, unsigned seen) {
  for (int i = 0; i < 2000 && atomic_load_explicit(&pool->job, memory_order_relaxed) == seen; i++)
    pm_relax();
  while (atomic_load(&pool->job) == seen) wait_while(&pool->job, seen);
}

/* The threads stay off the processor that the caller is on. While others are busy with something else
   the scheduler wakes a thread where its waker is, and the two then wait for each other's turns. They
   are told while they still sleep: a thread that woke beside the caller would first have to get a turn
   there to go elsewhere. */
static void keep_off(pm_pool *pool) {
#if defined(__linux__)
  const int caller = sched_getcpu();
  cpu_set_t set;
  if (caller < 0 || caller == pool->avoided || sched_getaffinity(getpid(), sizeof set, &set)) return;
  if (!CPU_ISSET(caller, &set) || CPU_COUNT(&set) < 2) return;
  CPU_CLR(caller, &set);
  for (int i = 1; i < pool->team.count; i++)
    if (pthread_setaffinity_np(pool->members[i].thread, sizeof set, &set)) return;
  pool->avoided = caller;
#else
  (void)pool;
#endif
}

static void *work(void *argument) {
  member *self = argument;
  pm_pool *pool = self->pool;
  for (unsigned seen = 0;; seen++) {
    wait_for_job(pool, seen);
    if (!pool->args) return NULL;
    const pm_worker worker = {&pool->team, self->id, pool->team.count};
    pm_walk(pool->args, &worker);
    atomic_fetch_add(&pool->done, 1);
  }
}

pm_pool *pm_pool_new(int count) {
  if (count < 1 || count > PM_MAX_WORKERS) return NULL;
  pm_pool *pool = aligned_alloc(64, (sizeof *pool + 63) / 64 * 64);
  if (!pool) return NULL;
  *pool = (pm_pool){.team = {.count = count, .sleep = sleep_at_gate, .wake = wake_at_gate}};
  for (int i = 0; i < count; i++) pool->members[i] = (member){.pool = pool, .id = i};
  return pool;
}

static int spins_for(int count) {
#if defined(__linux__)
  cpu_set_t set;
  if (!sched_getaffinity(getpid(), sizeof set, &set) && CPU_COUNT(&set) >= count) return SPINS_ALONE;
#else
  (void)count;
#endif
  return SPINS_SHARED;
}

static int make_thread(member *m) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, PM_STACK_BYTES);
  const int status = pthread_create(&m->thread, &attributes, work, m);
  pthread_attr_destroy(&attributes);
  return status;
}

static void end_threads(pm_pool *pool, int count) {
  if (pool->owner != getpid()) return; /* after fork() they are not there */
  pool->args = NULL;
  atomic_fetch_add(&pool->job, 1);
  wake_all(&pool->job);
  for (int i = 1; i < count; i++) pthread_join(pool->members[i].thread, NULL);
  pool->owner = 0;
}

/* Signals go to the caller's thread, so that Ctrl-C is Python's. A fault is its thread's own: blocked, it
   would end the process without asking any handler. */
static void all_but_faults(sigset_t *set) {
  sigfillset(set);
  sigdelset(set, SIGBUS);
  sigdelset(set, SIGFPE);
  sigdelset(set, SIGILL);
  sigdelset(set, SIGSEGV);
}

static pm_status make_threads(pm_pool *pool) {
  sigset_t all, before;
  all_but_faults(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  atomic_store(&pool->job, 0);
  atomic_store(&pool->sleepers, 0);
  atomic_store(&pool->team.epoch, 0);
  pool->owner = getpid();
  pool->avoided = -1;
  pool->team.spins = spins_for(pool->team.count);
  int made = 1;
  while (made < pool->team.count && !make_thread(&pool->members[made])) made++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (made == pool->team.count) return PM_OK;
  end_threads(pool, made);
  return PM_E_MEMORY;
}

pm_status pm_pool_run(pm_pool *pool, const pm_run_args *args) {
  /* Where all that there is to do is small, waking threads would take longer than the run. */
  const pm_worker first = {&pool->team, 0, pm_needs_workers(args->program) ? pool->team.count : 1};
  if (first.count > 1 && pool->owner != getpid() && make_threads(pool) != PM_OK) return PM_E_MEMORY;
  pm_team_reset(&pool->team, pool->team.count);
  pool->args = args;
  atomic_store(&pool->done, 0);
  if (first.count > 1) {
    keep_off(pool);
    atomic_fetch_add(&pool->job, 1);
    wake_all(&pool->job);
  }
  const pm_status status = pm_walk(args, &first);
  while (atomic_load(&pool->done) < first.count - 1) sched_yield();
  return status;
}

void pm_pool_free(pm_pool *pool) {
  if (!pool) return;
  if (pool->owner) end_threads(pool, pool->team.count);
  free(pool);
}
