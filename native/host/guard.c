#define _GNU_SOURCE
#include "guard.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 127

/* Guards that are held. A table that is full gets another one, which stays. */
typedef struct table {
  _Atomic(pm_file *) slots[SLOTS];
  _Atomic(struct table *) next;
} table;

/* What the handler reads: it may run in any thread, at any time. */
static table guarded;
static atomic_int looking; /* handlers that are among the slots; a file that they may see stays */
static atomic_int passing; /* handlers that have called another one */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int holders;                   /* under the lock, as the following */
static struct sigaction before, base; /* whom faults went to that are not ours: now, and at first */

static void on_fault(int number, siginfo_t *info, void *context);

/* Zeros from the page at `place` to the end of the mapping: all behind a page that is gone is gone too. */
static bool lose(pm_file *file, uintptr_t place) {
  const uintptr_t first = (uintptr_t)file->bytes, page = (uintptr_t)sysconf(_SC_PAGESIZE);
  if (place < first || place - first >= file->nbytes) return false;
  const uintptr_t begin = place / page * page;
  const size_t nbytes = first + file->nbytes - begin;
  void *zeros = mmap((void *)begin, nbytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (zeros == MAP_FAILED) return false;
  if (!atomic_exchange(&file->lost, true) && file->on_loss) file->on_loss();
  return true;
}

static bool is_ours(const struct sigaction *action) {
  return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_fault;
}

/* What would have happened without us. Where nothing handled it, the instruction faults again when this
   returns, or the signal that somebody sent comes again, and ends the process. One that was put in our place
   before we came back may lead here, by a call or by sending the signal again: then it goes to the first. */
static void pass_on(int number, siginfo_t *info, void *context) {
  const struct sigaction *to = atomic_fetch_add(&passing, 1) ? &base : &before;
  if (to->sa_flags & SA_SIGINFO) {
    to->sa_sigaction(number, info, context);
  } else if (to->sa_handler != SIG_DFL && to->sa_handler != SIG_IGN) {
    to->sa_handler(number);
  } else if (to->sa_handler == SIG_DFL || info->si_code > 0) {
    signal(number, SIG_DFL);
    if (info->si_code <= 0) raise(number);
  }
  atomic_fetch_sub(&passing, 1);
  sigset_t waiting;
  struct sigaction found;
  if (!sigpending(&waiting) && sigismember(&waiting, number) == 1 && !sigaction(number, NULL, &found) &&
      is_ours(&found))
    sigaction(number, &base, NULL);
}

static void on_fault(int number, siginfo_t *info, void *context) {
  const int error = errno;
  bool ours = false;
  atomic_fetch_add(&looking, 1);
  for (table *t = &guarded; t && info->si_code > 0 && !ours; t = atomic_load(&t->next))
    for (int i = 0; i < SLOTS && !ours; i++) {
      pm_file *file = atomic_load(&t->slots[i]);
      ours = file && lose(file, (uintptr_t)info->si_addr);
    }
  atomic_fetch_sub(&looking, 1);
  if (!ours) pass_on(number, info, context);
  errno = error;
}

static void take_lock(void) { pthread_mutex_lock(&lock); }
static void leave_lock(void) { pthread_mutex_unlock(&lock); }

/* Of the threads that were handling a fault, a child has only the one that forked. */
static void begin_child(void) {
  atomic_store(&looking, 0);
  atomic_store(&passing, 0);
  leave_lock();
}

static void survive_fork(void) { pthread_atfork(take_lock, leave_lock, begin_child); }

/* Each one in sees that the handler is there, though somebody put another in its place; the last one out
   takes it away, not where another is in its place, which may lead here. */
static void enter(void) {
  struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, found;
  pthread_once(&once, survive_fork);
  take_lock();
  if (!sigaction(SIGBUS, NULL, &found) && !is_ours(&found)) {
    if (!holders) base = found;
    before = found;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, &ours, NULL);
  }
  holders++;
  leave_lock();
}

static void leave(void) {
  struct sigaction found;
  take_lock();
  if (!--holders && !sigaction(SIGBUS, NULL, &found) && is_ours(&found)) sigaction(SIGBUS, &before, NULL);
  leave_lock();
}

/* Another table behind the last one; the one that somebody else put there meanwhile. NULL: no memory. */
static table *add_table(table *last) {
  table *made = (table *)(void *)pm_pages_new(sizeof *made), *nothing = NULL;
  if (!made) return NULL;
  if (atomic_compare_exchange_strong(&last->next, &nothing, made)) return made;
  pm_pages_free((uint8_t *)made, sizeof *made);
  return nothing;
}

static _Atomic(pm_file *) *take_slot(pm_file *file) {
  for (table *t = &guarded, *next; t; t = next) {
    for (int i = 0; i < SLOTS; i++) {
      pm_file *nobody = NULL;
      if (atomic_compare_exchange_strong(&t->slots[i], &nobody, file)) return &t->slots[i];
    }
    next = atomic_load(&t->next);
    if (!next) next = add_table(t);
  }
  return NULL;
}

pm_status pm_guard_begin(pm_guard *guard, pm_file *file) {
  *guard = (pm_guard){.slot = NULL};
  if (!file->bytes) return PM_OK;
  if (atomic_load(&file->lost)) return PM_E_CHANGED;
  enter();
  guard->slot = take_slot(file);
  if (guard->slot) guard->file = file;
  else leave();
  return guard->slot ? PM_OK : PM_E_MEMORY;
}

static bool is_shorter(const pm_file *file) {
  struct stat found;
  return file->fd >= 0 && !fstat(file->fd, &found) && (uint64_t)found.st_size < file->nbytes;
}

pm_status pm_guard_end(pm_guard *guard, pm_status status) {
  if (!guard->file) return status;
  if (is_shorter(guard->file)) atomic_store(&guard->file->lost, true);
  atomic_store(guard->slot, NULL);
  while (atomic_load(&looking)) sched_yield();
  leave();
  return atomic_load(&guard->file->lost) ? PM_E_CHANGED : status;
}
