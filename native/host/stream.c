#define _GNU_SOURCE
#include "stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../vm/team.h"
#include "cache.h"
#include "file.h"
#include "reads.h"
#include "stream_read.h"
#include "wait.h"

#define POLL_NS 20000000
#define NOBODY INT64_MAX

/* How long it takes to wake who sleeps, about: as long is looked for what is waited for. */
#define SPIN_NS 100000
#define LOOKS 100

/* Reads at a time. With one the disk waits for the next; more than some take the memory's time from the kernels:
   who reads for a virtual machine copies. */
#define MOST_READS 3

/* Steps that may have been begun beyond the first that is not made; less than a run of them, so that none is begun
   again before it is made. */
#define MOST_AHEAD PM_READ_SLOTS

/* What became of a step: its bytes are there once it is READ, and right once it is MADE. */
typedef enum { READING, READ, CHECKING, MADE } state;

/* A run of steps: the small blocks that stay, then the loads, one after the other. Reads go on by themselves; the
   workers begin them as room becomes free, and take the checksums of what has come when they need some of it. Steps
   and instructions are counted on from run to run. */
struct pm_stream {
  const pm_source *source;
  pm_program program; /* what is the same for all sizes of a plan: neither tensors nor parameters */
  pm_stream_plan plan;
  uint8_t *memory, *given; /* given: the caller's, that was not taken yet */
  bool own;                /* whether the memory is to be freed here */
  const uint8_t **places;
  bool flushes;  /* whether places are flushed before they are read into */
  bool *there;   /* for each step that is made in the first run only, whether it was */
  pid_t owner;   /* the process that memory and reads are of; 0 before the first run */
  int64_t begun; /* runs that were begun since the reads began anew; written between runs */
  _Alignas(64) _Atomic int64_t made; /* steps: this one and all before */
  _Alignas(64) _Atomic int64_t done; /* instructions */
  _Atomic int64_t waits_for;         /* how many must be done for another look at what can begin */
  _Atomic int64_t news;              /* how often something has changed that is waited for */
  _Atomic int failed;                /* a pm_status: why nothing more is made in this run */
  pthread_mutex_t lock;              /* over the following; `made` and `failed` are written under it too */
  pthread_cond_t told;               /* of news */
  pm_reads *reads;
  int64_t next;             /* the first step that was not begun */
  uint8_t states[MOST_AHEAD]; /* of the steps from made to next, each at its number */
  int under_way, checking;  /* reads, and steps of which the checksums are being taken */
  bool looked_after;        /* whether somebody looks for reads that have ended */
  const pm_run_args *args;
  int64_t rows_for; /* the instruction that rows are being read for, or were; counted as `done` */
  pm_status rows_status; /* PM_STATUS_COUNT while they are being read */
};

static int64_t steps_of(const pm_stream *s) { return 1 + (int64_t)s->plan.n_loads; }

/* NULL for the small blocks. */
static const pm_load *load_of(const pm_stream *s, int64_t number) {
  const int64_t step = number % steps_of(s);
  return step ? &s->plan.loads[step - 1] : NULL;
}

static uint8_t *state_of(pm_stream *s, int64_t number) { return &s->states[number % MOST_AHEAD]; }

static pm_stream_files files_of(const pm_stream *s) {
  return (pm_stream_files){s->source, &s->program, &s->plan, s->memory};
}

/* All that follows with the lock held. */

static void tell(pm_stream *s) {
  atomic_fetch_add(&s->news, 1);
  pthread_cond_broadcast(&s->told);
}

static void fail(pm_stream *s, pm_status status) {
  if (atomic_load(&s->failed) == PM_OK) atomic_store(&s->failed, status);
}

/* Steps. */

/* How many instructions must be done before a step may begin. Steps are not more than a run ahead. */
static int64_t room_for(const pm_stream *s, int64_t number) {
  const int64_t run = number / steps_of(s), n_instrs = (int64_t)s->program.n_instrs;
  const pm_load *load = load_of(s, number);
  if (!load || load->stays || load->after == PM_ANY_TIME) return (run - 1) * n_instrs;
  return run * n_instrs + load->after + 1;
}

static void finish(pm_stream *s, int64_t number) {
  int64_t made = atomic_load(&s->made);
  *state_of(s, number) = MADE;
  while (made < s->next && *state_of(s, made) == MADE) made++;
  atomic_store(&s->made, made);
}

static void begin_step(pm_stream *s, int64_t number) {
  const pm_load *load = load_of(s, number);
  *state_of(s, number) = load ? READING : READ;
  if (s->there[number % steps_of(s)]) {
    finish(s, number);
  } else if (load) {
    const uint64_t left = s->source->file_bytes - load->offset, nbytes = load->nbytes < left ? load->nbytes : left;
    const pm_read read = {load->offset, (size_t)nbytes, s->memory + load->slot};
    s->under_way++;
    s->reads->begin(s->reads, (uint32_t)(number % MOST_AHEAD), read);
  }
}

/* All that there is room for. */
static void begin_steps(pm_stream *s) {
  for (;;) {
    const int64_t ahead = s->next - atomic_load(&s->made);
    const bool may = atomic_load(&s->failed) == PM_OK && ahead < MOST_AHEAD && ahead < steps_of(s);
    const int64_t room = may ? room_for(s, s->next) : NOBODY;
    atomic_store(&s->waits_for, s->under_way ? 0 : room);
    if (!may || s->under_way == MOST_READS || atomic_load(&s->done) < room) return;
    begin_step(s, s->next++);
  }
}

/* The lock is left while checksums are taken. */
static void make(pm_stream *s, int64_t number, const pm_callbacks *polling) {
  const pm_stream_files files = files_of(s);
  const pm_load *load = load_of(s, number);
  *state_of(s, number) = CHECKING;
  s->checking++;
  pthread_mutex_unlock(&s->lock);
  const pm_status status =
      load ? pm_stream_check_load(&files, load) : pm_stream_read_small(&files, &s->failed, polling);
  pthread_mutex_lock(&s->lock);
  s->checking--;
  if (status != PM_OK) fail(s, status);
  if (atomic_load(&s->failed) == PM_OK) {
    s->there[number % steps_of(s)] = !load || load->stays;
    finish(s, number);
    begin_steps(s);
  }
  tell(s);
}

/* The first step of which all has been read; -1 if there is none. */
static int64_t first_read(pm_stream *s) {
  for (int64_t i = atomic_load(&s->made); i < s->next; i++)
    if (*state_of(s, i) == READ) return i;
  return -1;
}

/* Waiting. */

/* Looks for reads that have ended, for at most so long; the lock is left meanwhile. */
static void look_after_reads(pm_stream *s, uint64_t wait_ns) {
  pm_read_end ends[PM_READ_SLOTS];
  s->looked_after = true;
  pthread_mutex_unlock(&s->lock);
  const size_t count = s->reads->ended(s->reads, ends, wait_ns);
  pthread_mutex_lock(&s->lock);
  s->looked_after = false;
  s->under_way -= (int)count;
  for (size_t i = 0; i < count; i++) {
    s->states[ends[i].slot] = READ;
    if (ends[i].status != PM_OK) fail(s, ends[i].status);
  }
  begin_steps(s);
  if (count) tell(s);
}

static void wait_for_news(pm_stream *s, uint64_t wait_ns) {
  const int64_t seen = atomic_load(&s->news);
  if (wait_ns) {
    pm_cond_wait(&s->told, &s->lock, wait_ns);
    return;
  }
  pthread_mutex_unlock(&s->lock);
  for (int i = 0; i < LOOKS && atomic_load(&s->news) == seen; i++) pm_relax();
  pthread_mutex_lock(&s->lock);
}

static void poll(pm_stream *s, const pm_callbacks *polling) {
  if (!polling || !polling->poll) return;
  pthread_mutex_unlock(&s->lock);
  const pm_status status = polling->poll(polling->user);
  pthread_mutex_lock(&s->lock);
  if (status != PM_OK) fail(s, status);
}

/* Sleeps only after a while. Nobody sleeps at the disk while what he needs is made here. */
static void wait(pm_stream *s, uint64_t since, const pm_callbacks *polling) {
  const uint64_t wait_ns = pm_now_ns() < since + SPIN_NS ? 0 : POLL_NS;
  if (s->under_way && !s->looked_after && !s->checking)
    look_after_reads(s, wait_ns);
  else
    wait_for_news(s, wait_ns);
  if (wait_ns) poll(s, polling);
}

/* What the instructions ask for. */

static const pm_table *table_of(const pm_stream *s, uint32_t instr) {
  for (size_t i = 0; i < s->plan.n_tables; i++)
    if (s->plan.tables[i].instr == instr) return &s->plan.tables[i];
  return NULL;
}

/* The first of the workers reads, the others wait for it. */
static pm_status need_rows(pm_stream *s, const pm_table *table) {
  const int64_t number = (s->begun - 1) * (int64_t)s->program.n_instrs + table->instr + 1;
  if (s->rows_for != number) {
    const pm_stream_files files = files_of(s);
    s->rows_for = number;
    s->rows_status = PM_STATUS_COUNT;
    pthread_mutex_unlock(&s->lock);
    const pm_status status =
        s->args ? pm_stream_read_rows(&files, table, s->args, s->places[s->plan.first[table->instr] + 1]) : PM_E_HOST;
    pthread_mutex_lock(&s->lock);
    s->rows_status = status;
    if (status != PM_OK) fail(s, status);
    tell(s);
  }
  while (s->rows_status == PM_STATUS_COUNT) wait_for_news(s, POLL_NS);
  return s->rows_status;
}

/* All workers get the same answer: `made` does not move after a failure, which only matters to those that still
   wait. */
static pm_status need(void *user, uint32_t instr, const pm_callbacks *polling) {
  pm_stream *s = user;
  const int64_t wanted = (s->begun - 1) * steps_of(s) + 1 + s->plan.needs[instr];
  const pm_table *table = table_of(s, instr);
  if (!table && atomic_load_explicit(&s->made, memory_order_acquire) >= wanted) return PM_OK;
  uint64_t since = pm_now_ns();
  pthread_mutex_lock(&s->lock);
  while (atomic_load(&s->made) < wanted && atomic_load(&s->failed) == PM_OK) {
    const int64_t number = first_read(s);
    if (number < 0) {
      wait(s, since, polling);
    } else {
      make(s, number, polling);
      since = pm_now_ns();
    }
  }
  pm_status status = atomic_load(&s->made) >= wanted ? PM_OK : (pm_status)atomic_load(&s->failed);
  if (status == PM_OK && table) status = need_rows(s, table);
  if (status != PM_OK) tell(s);
  pthread_mutex_unlock(&s->lock);
  return status;
}

/* This worker's share of the places that an instruction was the last to use. */
static void flush(const pm_stream *s, uint32_t instr, const pm_worker *worker) {
  for (size_t i = s->plan.needs[instr]; i > 0 && s->plan.loads[i - 1].last == instr; i--) {
    const pm_load *load = &s->plan.loads[i - 1];
    int64_t begin, end;
    if (load->stays) continue;
    pm_share(worker, (int64_t)(load->nbytes / PM_PAGE), &begin, &end);
    pm_flush(s->memory + load->slot + begin * PM_PAGE, (size_t)(end - begin) * PM_PAGE);
  }
}

/* Worker 0 comes in order, and only after all others are done with the instruction. */
static void done(void *user, uint32_t instr, const pm_worker *worker) {
  pm_stream *s = user;
  if (s->flushes) flush(s, instr, worker);
  if (worker->id) return;
  const pm_table *table = table_of(s, instr);
  if (table) madvise(s->memory + table->place, (size_t)table->nbytes, MADV_DONTNEED);
  const int64_t count = (s->begun - 1) * (int64_t)s->program.n_instrs + instr + 1;
  atomic_store(&s->done, count);
  if (atomic_load(&s->waits_for) > count) return;
  pthread_mutex_lock(&s->lock);
  if (s->under_way && !s->looked_after)
    look_after_reads(s, 0);
  else
    begin_steps(s);
  pthread_mutex_unlock(&s->lock);
}

/* Making and ending. */

pm_status pm_stream_need_of(const pm_program *program, uint64_t budget, pm_stream_need *need_of) {
  pm_stream_plan plan;
  const pm_status status = pm_stream_plan_new(&plan, program, budget);
  *need_of = (pm_stream_need){plan.least, plan.most, plan.memory, plan.window, plan.resident, plan.read, plan.overhead};
  if (status == PM_OK) pm_stream_plan_free(&plan);
  return status;
}

pm_status pm_stream_new(pm_stream **stream, const pm_source *source, const pm_program *program,
                        uint64_t budget) {
  pm_stream *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
  if (!s) return PM_E_MEMORY;
  *s = (pm_stream){.source = source, .program = *program, .waits_for = NOBODY};
  s->program.tensors = NULL;
  s->program.params = NULL;
  const pm_status status = pm_stream_plan_new(&s->plan, program, budget);
  if (status == PM_OK) {
    s->places = calloc(s->plan.first[program->n_instrs] + 1u, sizeof *s->places);
    s->there = calloc((size_t)steps_of(s), sizeof *s->there);
    if (s->places && s->there) {
      *stream = s;
      return PM_OK;
    }
    pm_stream_plan_free(&s->plan);
  }
  free(s->places);
  free(s->there);
  free(s);
  return status == PM_OK ? PM_E_MEMORY : status;
}

size_t pm_stream_reserved(const pm_stream *s) { return (size_t)s->plan.reserved; }
size_t pm_stream_filled(const pm_stream *s) { return (size_t)(s->plan.window + s->plan.resident); }
void pm_stream_give(pm_stream *s, uint8_t *pages) { s->given = pages; }

bool pm_stream_use(pm_stream *s, const pm_source *source, const pm_program *program, uint64_t budget) {
  pm_stream_plan plan;
  /* Plans of one file have headers of their own; the sizes of a plan share it, and all tables that matter here. */
  if (s->source != source || s->program.header != program->header) return false;
  if (pm_stream_plan_new(&plan, program, budget) != PM_OK) return false;
  const bool is_same = pm_stream_plan_is_alike(&s->plan, &plan, program->n_instrs);
  for (uint32_t i = 0; is_same && i < plan.first[program->n_instrs]; i++) {
    s->plan.places[i] = plan.places[i];
    if (s->owner) s->places[i] = s->memory + plan.places[i];
  }
  pm_stream_plan_free(&plan);
  return is_same;
}

void pm_stream_attach(pm_stream *stream, const pm_run_args *args) { stream->args = args; }

pm_blocks pm_stream_blocks(pm_stream *stream) {
  return (pm_blocks){stream, stream->places, stream->plan.first, need, done};
}

/* A child of fork() does not get the pages: the parent's reads may be under way into them. */
static uint8_t *pages_of_its_own(const pm_stream *s) {
  uint8_t *pages = pm_pages_new_large((size_t)s->plan.reserved, pm_stream_filled(s));
#if defined(MADV_DONTFORK)
  if (pages && s->plan.reserved) madvise(pages, (size_t)s->plan.reserved, MADV_DONTFORK);
#endif
  return pages;
}

static pm_status take_memory(pm_stream *s) {
  s->own = !s->given;
  s->memory = s->own ? pages_of_its_own(s) : s->given;
  s->given = NULL;
  if (!s->memory) return PM_E_MEMORY;
  for (uint32_t i = 0; i < s->plan.first[s->program.n_instrs]; i++)
    s->places[i] = s->memory + s->plan.places[i];
  for (int64_t i = 0; i < steps_of(s); i++) s->there[i] = false;
  return PM_OK;
}

static void free_memory(pm_stream *s) {
  if (s->own) pm_pages_free(s->memory, (size_t)s->plan.reserved);
}

static bool take_reads(pm_stream *s) {
  s->reads = pm_kernel_reads_new(s->source);
  if (!s->reads) s->reads = pm_thread_reads_new(s->source);
  return s->reads != NULL;
}

/* Nothing is read until the first run begins. */
static pm_status begin_process(pm_stream *s) {
  s->owner = 0;
  s->under_way = s->checking = 0;
  s->looked_after = false;
  s->flushes = pm_can_flush();
  s->failed = PM_E_INTERRUPTED;
  const pm_status status = take_memory(s);
  if (status != PM_OK) return status;
  if (!pthread_mutex_init(&s->lock, NULL) && pm_cond_new(&s->told) && take_reads(s)) {
    s->owner = getpid();
    return PM_OK;
  }
  free_memory(s);
  return PM_E_MEMORY;
}

/* With the lock held: once nothing is read any more, from the first step on. */
static void begin_anew(pm_stream *s) {
  atomic_store(&s->failed, PM_E_INTERRUPTED);
  while (s->under_way) look_after_reads(s, POLL_NS);
  atomic_store(&s->made, 0);
  atomic_store(&s->done, 0);
  s->next = s->begun = s->rows_for = 0;
  atomic_store(&s->failed, PM_OK);
}

pm_status pm_stream_begin(pm_stream *s) {
  if (!s->program.n_instrs) return PM_OK; /* steps would be a run ahead without end */
  if (s->owner != getpid()) {
    const pm_status status = begin_process(s);
    if (status != PM_OK) return status;
  }
  pthread_mutex_lock(&s->lock);
  const bool whole = atomic_load(&s->done) == s->begun * (int64_t)s->program.n_instrs;
  if (!whole || atomic_load(&s->failed) != PM_OK) begin_anew(s);
  s->begun++;
  begin_steps(s);
  pthread_mutex_unlock(&s->lock);
  return PM_OK;
}

void pm_stream_free(pm_stream *s) {
  if (!s) return;
  if (s->owner == getpid()) {
    s->reads->free(s->reads);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->told);
    free_memory(s);
  }
  pm_stream_plan_free(&s->plan);
  free(s->places);
  free(s->there);
  free(s);
}
