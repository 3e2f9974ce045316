#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "reads.h"
#include "wait.h"

#define STACK_BYTES (64u << 10)

/* While one waits for the disk the other has done so, and puts its pages away. */
#define THREADS 2

/* Reads are counted on, those that began and those that a thread took; `order` has their slots. */
typedef struct {
  pm_reads reads;
  const pm_source *source;
  pthread_mutex_t lock; /* over all that follows */
  pthread_cond_t begun, made;
  pm_read wanted[PM_READ_SLOTS];
  uint32_t order[PM_READ_SLOTS];
  size_t n_begun, n_taken;
  pm_read_end ends[PM_READ_SLOTS];
  size_t n_ended;
  bool over;
  pthread_t threads[THREADS];
} thread_reads;

static void begin(pm_reads *reads, uint32_t slot, pm_read read) {
  thread_reads *r = (thread_reads *)(void *)reads;
  pthread_mutex_lock(&r->lock);
  r->wanted[slot] = read;
  r->order[r->n_begun++ % PM_READ_SLOTS] = slot;
  pthread_cond_signal(&r->begun);
  pthread_mutex_unlock(&r->lock);
}

static void *work(void *argument) {
  thread_reads *r = argument;
  pthread_mutex_lock(&r->lock);
  for (;;) {
    while (r->n_taken == r->n_begun && !r->over) pthread_cond_wait(&r->begun, &r->lock);
    if (r->n_taken == r->n_begun) break;
    const uint32_t slot = r->order[r->n_taken++ % PM_READ_SLOTS];
    const pm_read w = r->wanted[slot];
    pthread_mutex_unlock(&r->lock);
    const pm_status status = pm_source_read(r->source, w.offset, w.nbytes, w.to);
    pthread_mutex_lock(&r->lock);
    r->ends[r->n_ended++] = (pm_read_end){slot, status};
    pthread_cond_signal(&r->made);
  }
  pthread_mutex_unlock(&r->lock);
  return NULL;
}

static size_t ended(pm_reads *reads, pm_read_end ends[PM_READ_SLOTS], uint64_t wait_ns) {
  thread_reads *r = (thread_reads *)(void *)reads;
  pthread_mutex_lock(&r->lock);
  if (!r->n_ended && wait_ns) pm_cond_wait(&r->made, &r->lock, wait_ns);
  const size_t count = r->n_ended;
  for (size_t i = 0; i < count; i++) ends[i] = r->ends[i];
  r->n_ended = 0;
  pthread_mutex_unlock(&r->lock);
  return count;
}

static void end_threads(thread_reads *r, int count) {
  pthread_mutex_lock(&r->lock);
  r->over = true;
  pthread_cond_broadcast(&r->begun);
  pthread_mutex_unlock(&r->lock);
  for (int i = 0; i < count; i++) pthread_join(r->threads[i], NULL);
  pthread_mutex_destroy(&r->lock);
  pthread_cond_destroy(&r->begun);
  pthread_cond_destroy(&r->made);
}

static void end(pm_reads *reads) {
  thread_reads *r = (thread_reads *)(void *)reads;
  end_threads(r, THREADS);
  free(r);
}

/* Signals go to the caller's thread. */
static bool make_threads(thread_reads *r) {
  sigset_t all, before;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int made = 0;
  while (made < THREADS && !pthread_create(&r->threads[made], &attributes, work, r)) made++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (made < THREADS) end_threads(r, made);
  return made == THREADS;
}

pm_reads *pm_thread_reads_new(const pm_source *source) {
  thread_reads *r = calloc(1, sizeof *r);
  if (!r) return NULL;
  r->reads = (pm_reads){begin, ended, end};
  r->source = source;
  if (!pthread_mutex_init(&r->lock, NULL) && pm_cond_new(&r->begun) && pm_cond_new(&r->made) && make_threads(r))
    return &r->reads;
  free(r);
  return NULL;
}
