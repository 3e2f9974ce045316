#define _GNU_SOURCE
#include "stream.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "stream_plan.h"

#define STACK_BYTES (64u << 10)
#define POLL_NS 20000000
#define BOUNCE_BYTES (128u << 10)
#define NOBODY INT64_MAX

/* While one reader takes a checksum the other keeps the disk busy. */
#define READERS 2

/* Steps that may have been taken beyond the first that is not made; less than a run of them, so that
   none is taken again before it is made. */
#define MOST_AHEAD 64

/* Readers make steps: the first reads the small blocks that stay, then one for each load. Steps and
   instructions are counted on from run to run. */
struct pm_stream {
  const pm_source *source;
  pm_program program; /* what is the same for all sizes of a plan: neither tensors nor parameters */
  pm_stream_plan plan;
  uint8_t *memory, *given; /* given: the caller's, that was not taken yet */
  bool own;                /* whether the memory is to be freed here */
  const uint8_t **places;
  bool *there;    /* for each load that stays, whether it has been read; its reader's own */
  bool has_small; /* the same for the small blocks */
  pid_t owner;    /* the process that memory and threads are of; 0 before the first run */
  int64_t begun;  /* runs that were begun since the readers began anew; written between runs */
  _Alignas(64) _Atomic int64_t made; /* steps: this one and all before */
  _Alignas(64) _Atomic int64_t done; /* instructions */
  _Atomic int64_t waits_for;         /* how many must be done for a reader to go on */
  pthread_mutex_t lock;              /* over the following; `made` is written under it too */
  pthread_cond_t moved, freed;
  int64_t next;      /* the first step that nobody has taken */
  uint64_t finished; /* bit i: step made + i */
  int reading;       /* readers that have taken a step */
  pm_status failed;  /* why nothing more comes in this run */
  bool ended;        /* what readers are told */
  const pm_run_args *args;
  int64_t rows_for; /* the instruction that rows are being read for, or were; counted as `done` */
  pm_status rows_status; /* PM_STATUS_COUNT while they are being read */
  pthread_t threads[READERS];
};

static int64_t steps_of(const pm_stream *s) { return 1 + (int64_t)s->plan.n_loads; }

/* Reading. */

static pm_status check_block(const pm_stream *s, uint32_t number, const uint8_t *at) {
  const pm_block *block = &s->program.blocks[number];
  if (pm_crc32(0, at, (size_t)block->nbytes) == block->crc) return PM_OK;
  return pm_source_unchanged(s->source) == PM_E_CHANGED ? PM_E_CHANGED : PM_E_CRC;
}

static pm_status read_load(const pm_stream *s, const pm_load *load) {
  const uint64_t weights = s->program.header->weights_offset;
  const uint64_t left = s->source->file_bytes - load->offset;
  uint8_t *slot = s->memory + load->slot;
  pm_status status =
      pm_source_read(s->source, load->offset, (size_t)(load->nbytes < left ? load->nbytes : left), slot);
  for (uint32_t i = load->blocks; i < load->blocks + load->count && status == PM_OK; i++) {
    const uint32_t block = s->plan.held[i];
    status = check_block(s, block, slot + (weights + s->program.blocks[block].offset - load->offset));
  }
  return status;
}

/* How many of the small blocks from `first` on are read at once, and where the last of them ends. */
static size_t small_group(const pm_stream *s, size_t first, uint64_t begin, uint64_t *end) {
  const uint64_t weights = s->program.header->weights_offset;
  size_t i = first;
  for (*end = begin; i < s->plan.n_small; i++) {
    const pm_block *block = &s->program.blocks[s->plan.small[i].block];
    const uint64_t last = weights + block->offset + block->nbytes;
    if (last > begin + BOUNCE_BYTES || (i > first && weights + block->offset > *end + PM_SMALL_BLOCK)) break;
    if (last > *end) *end = last;
  }
  return i;
}

static pm_status read_small(const pm_stream *s, uint8_t *bounce) {
  const uint64_t weights = s->program.header->weights_offset;
  pm_status status = PM_OK;
  for (size_t i = 0, next; i < s->plan.n_small && status == PM_OK; i = next) {
    uint64_t end;
    const uint64_t begin = (weights + s->program.blocks[s->plan.small[i].block].offset) / PM_PAGE * PM_PAGE;
    next = small_group(s, i, begin, &end);
    status = pm_source_read(s->source, begin, (size_t)(end - begin), bounce);
    for (; i < next && status == PM_OK; i++) {
      const pm_small *small = &s->plan.small[i];
      const pm_block *block = &s->program.blocks[small->block];
      const uint8_t *from = bounce + (weights + block->offset - begin);
      uint8_t *to = s->memory + small->place;
      for (uint64_t k = 0; k < block->nbytes; k++) to[k] = from[k];
      status = check_block(s, small->block, to);
    }
  }
  return status;
}

/* The checksum of a table, which is never there as a whole. */
static pm_status check_table(const pm_stream *s, const pm_block *block, uint8_t *bounce) {
  const uint64_t begin = s->program.header->weights_offset + block->offset, end = begin + block->nbytes;
  uint32_t crc = 0;
  for (uint64_t at = begin; at < end;) {
    const uint64_t next = (at + BOUNCE_BYTES) / PM_PAGE * PM_PAGE, stop = next < end ? next : end;
    uint8_t *data = bounce + at % PM_PAGE;
    const pm_status status = pm_source_read(s->source, at, (size_t)(stop - at), data);
    if (status != PM_OK) return status;
    crc = pm_crc32(crc, data, (size_t)(stop - at));
    at = stop;
  }
  if (crc == block->crc) return PM_OK;
  return pm_source_unchanged(s->source) == PM_E_CHANGED ? PM_E_CHANGED : PM_E_CRC;
}

static pm_status read_all_small(const pm_stream *s) {
  if (!s->plan.n_small && !s->plan.n_tables) return PM_OK;
  uint8_t *bounce = pm_pages_new(BOUNCE_BYTES + PM_PAGE);
  if (!bounce) return PM_E_MEMORY;
  pm_status status = read_small(s, bounce);
  for (size_t i = 0; i < s->plan.n_tables && status == PM_OK; i++)
    status = check_table(s, &s->program.blocks[s->plan.tables[i].block], bounce);
  pm_pages_free(bounce, BOUNCE_BYTES + PM_PAGE);
  return status;
}

static bool *is_there(pm_stream *s, size_t step) { return step ? &s->there[step - 1] : &s->has_small; }

static pm_status make_step(pm_stream *s, size_t number) {
  bool *there = is_there(s, number);
  if (*there) return PM_OK;
  const pm_status status = number ? read_load(s, &s->plan.loads[number - 1]) : read_all_small(s);
  *there = status == PM_OK && (!number || s->plan.loads[number - 1].stays);
  return status;
}

/* The readers; all with the lock held. */

/* How many instructions must be done before a step may be made. Readers are not more than a run
   ahead. */
static int64_t room_for(const pm_stream *s, int64_t number) {
  const int64_t run = number / steps_of(s), step = number % steps_of(s);
  const int64_t n_instrs = (int64_t)s->program.n_instrs;
  const pm_load *load = step ? &s->plan.loads[step - 1] : NULL;
  if (!load || load->stays || load->after == PM_ANY_TIME) return (run - 1) * n_instrs;
  return run * n_instrs + load->after + 1;
}

static void finish(pm_stream *s, int64_t number) {
  int64_t made = atomic_load(&s->made);
  s->finished |= (uint64_t)1 << (number - made);
  for (; s->finished & 1; s->finished >>= 1) made++;
  atomic_store(&s->made, made);
}

/* Takes a step that has something to be read; false where none may be taken now. */
static bool take(pm_stream *s, int64_t *number) {
  for (;;) {
    const int64_t ahead = s->next - atomic_load(&s->made);
    if (s->ended || s->failed != PM_OK || ahead >= MOST_AHEAD || ahead >= steps_of(s)) return false;
    const int64_t room = room_for(s, s->next);
    atomic_store(&s->waits_for, room);
    if (atomic_load(&s->done) < room) return false;
    *number = s->next++;
    if (!*is_there(s, (size_t)(*number % steps_of(s)))) return true;
    finish(s, *number);
  }
}

static void make_and_tell(pm_stream *s, int64_t number) {
  s->reading++;
  pthread_mutex_unlock(&s->lock);
  const pm_status status = make_step(s, (size_t)(number % steps_of(s)));
  pthread_mutex_lock(&s->lock);
  s->reading--;
  if (s->failed == PM_OK) s->failed = status;
  if (s->failed == PM_OK) finish(s, number);
  pthread_cond_broadcast(&s->freed);
}

static void *work(void *argument) {
  pm_stream *s = argument;
  pthread_mutex_lock(&s->lock);
  while (!s->ended) {
    int64_t number;
    const bool taken = take(s, &number);
    pthread_cond_broadcast(&s->moved);
    if (taken)
      make_and_tell(s, number);
    else if (!s->ended)
      pthread_cond_wait(&s->freed, &s->lock);
    atomic_store(&s->waits_for, NOBODY);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

/* Waiting. */

static void add_ns(struct timespec *t, long ns) {
  t->tv_nsec += ns;
  if (t->tv_nsec < 1000000000) return;
  t->tv_nsec -= 1000000000;
  t->tv_sec++;
}

#if defined(__APPLE__)
#define CLOCK CLOCK_REALTIME
static int use_clock(pthread_condattr_t *attributes) { return attributes ? 0 : 1; }
#else
#define CLOCK CLOCK_MONOTONIC
static int use_clock(pthread_condattr_t *attributes) {
  return pthread_condattr_setclock(attributes, CLOCK_MONOTONIC);
}
#endif

/* With the lock held; the lock is left while the caller is asked. */
static void wait_and_poll(pm_stream *s, const pm_callbacks *polling) {
  struct timespec until;
  clock_gettime(CLOCK, &until);
  add_ns(&until, POLL_NS);
  pthread_cond_timedwait(&s->moved, &s->lock, &until);
  pthread_mutex_unlock(&s->lock);
  const pm_status status = polling->poll(polling->user);
  pthread_mutex_lock(&s->lock);
  if (s->failed == PM_OK) s->failed = status;
}

/* Rows of a table. */

static const pm_table *table_of(const pm_stream *s, uint32_t instr) {
  for (size_t i = 0; i < s->plan.n_tables; i++)
    if (s->plan.tables[i].instr == instr) return &s->plan.tables[i];
  return NULL;
}

static int64_t index_at(const pm_tensor *t, const uint8_t *data, int64_t number) {
  const int64_t place = number * t->strides[1];
  return t->dtype == PM_I64 ? ((const int64_t *)(const void *)data)[place]
                            : ((const int32_t *)(const void *)data)[place];
}

/* The rows that a gather takes, where they would lie if the whole table did. An index that is out of
   range is the kernel's to report. */
static pm_status read_rows(const pm_stream *s, const pm_table *table, uint32_t instr) {
  const pm_program *p = s->args->program;
  const pm_instr *i = &p->instrs[instr];
  const pm_tensor *x = &p->tensors[p->operands[i->operands]];
  const pm_tensor *indices = &p->tensors[p->operands[i->operands + 1]];
  const pm_tensor *y = &p->tensors[p->operands[i->operands + i->n_in]];
  const uint8_t *data = indices->space == PM_WEIGHTS ? s->places[s->plan.first[instr] + 1]
                                                     : pm_data_of(s->args, indices);
  const uint64_t row = x->dims[2] * pm_dtype_size(x->dtype), first = p->header->weights_offset + x->offset;
  const int64_t rows = x->dims[1], steps = indices->dims[1] == 1 ? 1 : y->dims[1];
  pm_status status = PM_OK;
  for (int64_t k = 0; k < steps && status == PM_OK; k++) {
    int64_t index = index_at(indices, data, k);
    if (index < 0) index += rows;
    if (index < 0 || index >= rows) continue;
    const uint64_t offset = first + (uint64_t)index * row;
    status = pm_source_read(s->source, offset, (size_t)row, s->memory + table->place + (offset - table->begin));
  }
  return status == PM_OK ? pm_source_unchanged(s->source) : status;
}

/* With the lock held: the first of the workers reads, the others wait for it. */
static pm_status need_rows(pm_stream *s, const pm_table *table, uint32_t instr) {
  const int64_t number = (s->begun - 1) * (int64_t)s->program.n_instrs + instr + 1;
  if (s->rows_for != number) {
    s->rows_for = number;
    s->rows_status = PM_STATUS_COUNT;
    pthread_mutex_unlock(&s->lock);
    const pm_status status = s->args ? read_rows(s, table, instr) : PM_E_HOST;
    pthread_mutex_lock(&s->lock);
    s->rows_status = status;
    if (s->failed == PM_OK) s->failed = status;
    pthread_cond_broadcast(&s->moved);
  }
  while (s->rows_status == PM_STATUS_COUNT) pthread_cond_wait(&s->moved, &s->lock);
  return s->rows_status;
}

/* All workers get the same answer: `made` does not move after a failure, which only matters to those
   that still wait. */
static pm_status need(void *user, uint32_t instr, const pm_callbacks *polling) {
  pm_stream *s = user;
  const int64_t wanted = (s->begun - 1) * steps_of(s) + 1 + s->plan.needs[instr];
  const pm_table *table = table_of(s, instr);
  if (!table && atomic_load_explicit(&s->made, memory_order_acquire) >= wanted) return PM_OK;
  pthread_mutex_lock(&s->lock);
  while (atomic_load(&s->made) < wanted && s->failed == PM_OK) {
    if (polling && polling->poll)
      wait_and_poll(s, polling);
    else
      pthread_cond_wait(&s->moved, &s->lock);
  }
  pm_status status = atomic_load(&s->made) >= wanted ? PM_OK : s->failed;
  if (status == PM_OK && table) status = need_rows(s, table, instr);
  if (s->failed != PM_OK) pthread_cond_broadcast(&s->moved);
  pthread_mutex_unlock(&s->lock);
  return status;
}

/* By worker 0, in order. */
static void done(void *user, uint32_t instr) {
  pm_stream *s = user;
  const pm_table *table = table_of(s, instr);
  if (table) madvise(s->memory + table->place, (size_t)table->nbytes, MADV_DONTNEED);
  const int64_t count = (s->begun - 1) * (int64_t)s->program.n_instrs + instr + 1;
  atomic_store(&s->done, count);
  if (atomic_load(&s->waits_for) > count) return;
  pthread_mutex_lock(&s->lock);
  pthread_cond_broadcast(&s->freed);
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
    s->there = calloc(s->plan.n_loads + 1, sizeof *s->there);
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
  s->has_small = false;
  for (size_t i = 0; i < s->plan.n_loads; i++) s->there[i] = false;
  return PM_OK;
}

static void free_memory(pm_stream *s) {
  if (s->own) pm_pages_free(s->memory, (size_t)s->plan.reserved);
}

static bool make_lock(pm_stream *s) {
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes)) return false;
  const bool made = !use_clock(&attributes) && !pthread_mutex_init(&s->lock, NULL) &&
                    !pthread_cond_init(&s->moved, &attributes) && !pthread_cond_init(&s->freed, NULL);
  pthread_condattr_destroy(&attributes);
  return made;
}

static void end_threads(pm_stream *s, int count) {
  pthread_mutex_lock(&s->lock);
  s->ended = true;
  pthread_cond_broadcast(&s->freed);
  pthread_mutex_unlock(&s->lock);
  for (int i = 0; i < count; i++) pthread_join(s->threads[i], NULL);
  pthread_mutex_destroy(&s->lock);
  pthread_cond_destroy(&s->moved);
  pthread_cond_destroy(&s->freed);
}

/* Signals go to the caller's thread. */
static bool make_threads(pm_stream *s) {
  sigset_t all, before;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int made = 0;
  while (made < READERS && !pthread_create(&s->threads[made], &attributes, work, s)) made++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (made < READERS) end_threads(s, made);
  return made == READERS;
}

/* The readers stand still until the first run begins. */
static pm_status begin_process(pm_stream *s) {
  s->owner = 0;
  s->ended = false;
  s->reading = 0;
  s->failed = PM_E_INTERRUPTED;
  const pm_status status = take_memory(s);
  if (status != PM_OK) return status;
  if (make_lock(s) && make_threads(s)) {
    s->owner = getpid();
    return PM_OK;
  }
  free_memory(s);
  return PM_E_MEMORY;
}

/* With the lock held: once nobody reads any more, from the first step on. */
static void begin_anew(pm_stream *s) {
  s->failed = PM_E_INTERRUPTED;
  while (s->reading) pthread_cond_wait(&s->moved, &s->lock);
  atomic_store(&s->made, 0);
  atomic_store(&s->done, 0);
  atomic_store(&s->waits_for, NOBODY);
  s->next = s->begun = s->rows_for = 0;
  s->finished = 0;
  s->failed = PM_OK;
}

pm_status pm_stream_begin(pm_stream *s) {
  if (!s->program.n_instrs) return PM_OK; /* readers would be a run ahead without end */
  if (s->owner != getpid()) {
    const pm_status status = begin_process(s);
    if (status != PM_OK) return status;
  }
  pthread_mutex_lock(&s->lock);
  const bool whole = atomic_load(&s->done) == s->begun * (int64_t)s->program.n_instrs;
  if (!whole || s->failed != PM_OK) begin_anew(s);
  s->begun++;
  pthread_cond_broadcast(&s->freed);
  pthread_mutex_unlock(&s->lock);
  return PM_OK;
}

void pm_stream_free(pm_stream *s) {
  if (!s) return;
  if (s->owner == getpid()) {
    end_threads(s, READERS);
    free_memory(s);
  }
  pm_stream_plan_free(&s->plan);
  free(s->places);
  free(s->there);
  free(s);
}
