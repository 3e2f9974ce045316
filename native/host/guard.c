#define _GNU_SOURCE
#include "guard.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 128 /* guards that are held at one time */

/* What the handler reads: it may run in any thread, at any time. */
static _Atomic(pm_file *) guarded[SLOTS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int holders;             /* under the lock, as the following */
static struct sigaction before; /* whom faults went to that are not ours */

/* Zeros from the page at `place` to the end of the mapping: all behind a page that is gone is gone too. */
static bool lose(pm_file *file, uintptr_t place) {
  const uintptr_t first = (uintptr_t)file->bytes, page = (uintptr_t)sysconf(_SC_PAGESIZE);
  if (place < first || place - first >= file->nbytes) return false;
  const uintptr_t begin = place / page * page;
  const size_t nbytes = first + file->nbytes - begin;
  void *zeros = mmap((void *)begin, nbytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (zeros == MAP_FAILED) return false;
  atomic_store(&file->lost, true);
  return true;
}

/* What would have happened without us. Where nothing handled it, the instruction faults again when this
   returns, or the signal that somebody sent comes again, and ends the process. */
static void pass_on(int number, siginfo_t *info, void *context) {
  if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(number, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(number);
  } else if (before.sa_handler == SIG_DFL || info->si_code > 0) {
    signal(number, SIG_DFL);
    if (info->si_code <= 0) raise(number);
  }
}

static void on_fault(int number, siginfo_t *info, void *context) {
  const int error = errno;
  bool ours = false;
  for (int i = 0; i < SLOTS && info->si_code > 0 && !ours; i++) {
    pm_file *file = atomic_load(&guarded[i]);
    ours = file && lose(file, (uintptr_t)info->si_addr);
  }
  if (!ours) pass_on(number, info, context);
  errno = error;
}

static void take_lock(void) { pthread_mutex_lock(&lock); }
static void leave_lock(void) { pthread_mutex_unlock(&lock); }
static void survive_fork(void) { pthread_atfork(take_lock, leave_lock, leave_lock); }

/* The first one in puts the handler there, the last one out takes it away; not where somebody put another
   in its place, which may lead here. */
static void enter(void) {
  struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, found;
  pthread_once(&once, survive_fork);
  take_lock();
  if (!holders++ && !sigaction(SIGBUS, NULL, &found) && found.sa_sigaction != on_fault) {
    before = found;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, &ours, NULL);
  }
  leave_lock();
}

static void leave(void) {
  struct sigaction found;
  take_lock();
  if (!--holders && !sigaction(SIGBUS, NULL, &found) && found.sa_sigaction == on_fault)
    sigaction(SIGBUS, &before, NULL);
  leave_lock();
}

static int take_slot(pm_file *file) {
  for (;;) {
    for (int i = 0; i < SLOTS; i++) {
      pm_file *nobody = NULL;
      if (atomic_compare_exchange_strong(&guarded[i], &nobody, file)) return i;
    }
    sched_yield();
  }
}

pm_status pm_guard_begin(pm_guard *guard, pm_file *file) {
  *guard = (pm_guard){.slot = -1};
  if (!file->bytes) return PM_OK;
  if (atomic_load(&file->lost)) return PM_E_CHANGED;
  enter();
  *guard = (pm_guard){file, take_slot(file)};
  return PM_OK;
}

pm_status pm_guard_end(pm_guard *guard, pm_status status) {
  if (!guard->file) return status;
  atomic_store(&guarded[guard->slot], NULL);
  leave();
  return atomic_load(&guard->file->lost) ? PM_E_CHANGED : status;
}
