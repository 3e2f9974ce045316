#include "team.h"

void pm_team_reset(pm_team *team, int count) {
  team->count = count;
  team->stop = PM_OK;
  atomic_store(&team->arrived, 0);
  atomic_store(&team->next, 0);
  atomic_store(&team->failed, PM_OK);
}

static void open_gate(pm_team *team, unsigned epoch) {
  team->stop = atomic_load_explicit(&team->failed, memory_order_relaxed);
  atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
  atomic_store_explicit(&team->next, 0, memory_order_relaxed);
  atomic_store(&team->epoch, epoch + 1);
  if (team->wake) team->wake(team);
}

static void wait_at_gate(pm_team *team, unsigned epoch) {
  for (int i = 0; atomic_load_explicit(&team->epoch, memory_order_acquire) == epoch; i++) {
    if (i >= team->spins && team->sleep) team->sleep(team, epoch);
    pm_relax();
  }
}

void pm_barrier(const pm_worker *worker) {
  pm_team *team = worker->team;
  if (worker->count == 1) {
    atomic_store_explicit(&team->next, 0, memory_order_relaxed);
    return;
  }
  const unsigned epoch = atomic_load_explicit(&team->epoch, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) == team->count - 1)
    open_gate(team, epoch);
  else
    wait_at_gate(team, epoch);
}

/* The next part of the share of worker `owner`, -1 when all `size` are taken. */
static int64_t take_of(pm_team *team, int owner, int64_t size) {
  const unsigned long long epoch = atomic_load_explicit(&team->epoch, memory_order_relaxed);
  atomic_ullong *taken = &team->taken[owner].value;
  unsigned long long old = atomic_load_explicit(taken, memory_order_relaxed), number;
  do {
    number = old >> 32 == epoch ? old & UINT32_MAX : 0;
    if ((int64_t)number >= size) return -1;
  } while (!atomic_compare_exchange_weak_explicit(taken, &old, (epoch << 32) + number + 1,
                                                  memory_order_relaxed, memory_order_relaxed));
  return (int64_t)number;
}

int64_t pm_take_near(const pm_worker *worker, int64_t parts) {
  if (worker->count == 1) {
    const int64_t next = pm_take(worker, 1);
    return next < parts ? next : -1;
  }
  for (int i = 0; i < worker->count; i++) {
    pm_worker owner = *worker;
    owner.id = (worker->id + i) % worker->count;
    int64_t begin, end;
    pm_share(&owner, parts, &begin, &end);
    const int64_t number = take_of(worker->team, owner.id, end - begin);
    if (number >= 0) return begin + number;
  }
  return -1;
}
