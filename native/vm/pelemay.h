/* The engine's public types and calls.

   In: the bytes of a program (a .plm file), an arena, the caller's inputs and outputs. Out: the
   outputs, or a status. Nothing here allocates, prints or ends the process. */
#ifndef PELEMAY_H
#define PELEMAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PM_FORMAT_MAJOR 1
#define PM_FORMAT_MINOR 0
#define PM_MAX_RANK 8
#define PM_MAX_OPERANDS 16
#define PM_MAX_WORKERS 64
#define PM_ALIGNMENT 64
#define PM_NONE UINT32_MAX /* an operand that is left out, a name that is not kept */

typedef enum {
#define PM_STATUS(name, text) PM_##name,
#include "status.def"
#undef PM_STATUS
  PM_STATUS_COUNT
} pm_status;

const char *pm_status_text(pm_status status);

typedef enum {
#define PM_DTYPE(name, text, size) PM_##name,
#include "dtypes.def"
#undef PM_DTYPE
  PM_DTYPE_COUNT
} pm_dtype;

size_t pm_dtype_size(unsigned dtype);

typedef enum { PM_ARENA, PM_WEIGHTS, PM_INPUT, PM_OUTPUT, PM_SPACE_COUNT } pm_space;

/* Rows of the file's tables, as they lie in it: little-endian, no padding. */

typedef struct {
  uint8_t dtype, rank, space, flags;
  uint32_t index;   /* of the input, the output, or the block of weights, where the space is one of those */
  uint64_t offset;  /* bytes, from the start of the space, input or output */
  uint32_t ring;    /* rows of dimension rank-3 that are held at a time; 0 means all */
  uint32_t name;    /* byte in the strings, or PM_NONE */
  uint64_t reserved;
  uint32_t dims[PM_MAX_RANK];
  int64_t strides[PM_MAX_RANK]; /* in elements, not negative */
} pm_tensor;

typedef struct {
  uint16_t opcode, flags;
  uint8_t n_in, n_out;
  uint16_t n_params;
  uint32_t operands; /* first of n_in + n_out numbers of tensors */
  uint32_t params;   /* first of n_params */
  uint32_t name;     /* byte in the strings, or PM_NONE */
  uint32_t node;     /* number of the graph's node that it is made of */
  uint64_t cost;     /* multiply-accumulates, or elements written */
} pm_instr;

#define PM_SERIAL 1u /* pm_instr.flags: so small that one worker does it alone */

typedef struct {
  uint64_t offset, nbytes; /* from the start of the weights */
  uint32_t crc;            /* CRC-32 of zlib */
  uint32_t name;           /* byte in the strings, or PM_NONE */
} pm_block;

typedef struct {
  uint64_t offset, count;
} pm_section;

typedef struct {
  uint8_t magic[8];
  uint16_t major, minor;
  uint32_t header_bytes;
  uint64_t file_bytes;
  uint8_t sha256[32]; /* of the whole file, with these 32 bytes zero */
  uint64_t arena_bytes;
  uint64_t weights_offset, weights_bytes;
  uint32_t flags;
  uint32_t head_crc; /* CRC-32 of what lies before the weights, with sha256 and this zero */
  pm_section tensors, instrs, operands, params, inputs, outputs, blocks, strings, metadata;
  pm_section more; /* of a file: the headers of its plans; of such a header: its forms */
  uint32_t sizes;  /* that such a plan is for; 0 and 1 are one */
  uint32_t across; /* the same of a second size, which has nothing to do with the first */
} pm_header;

/* A number of a plan's tables that depends on the size m, and on a second size n: (terms[0] + terms[1] m +
   terms[2] m (m - 1) / 2) times 1, n, or n (n - 1) / 2. Forms of one number follow each other, and are added. */
typedef struct {
  uint32_t row;    /* of the tensors, or of the parameters */
  uint16_t field;  /* a pm_field */
  uint16_t factor; /* 0, 1 or 2: which of the three */
  int64_t terms[3];
} pm_form;

/* PM_DIM + i and PM_STRIDE + i are those of dimension i. */
typedef enum { PM_PARAM, PM_OFFSET, PM_DIM, PM_STRIDE = PM_DIM + PM_MAX_RANK, PM_FIELDS = PM_STRIDE + PM_MAX_RANK } pm_field;

_Static_assert(sizeof(pm_tensor) == 128, "as in the file");
_Static_assert(sizeof(pm_instr) == 32, "as in the file");
_Static_assert(sizeof(pm_block) == 24, "as in the file");
_Static_assert(sizeof(pm_header) == 256, "as in the file");
_Static_assert(sizeof(pm_form) == 32, "as in the file");

/* A program that has been checked: pointers into the caller's bytes. */
typedef struct {
  const pm_header *header;
  const pm_tensor *tensors;
  const pm_instr *instrs;
  const uint32_t *operands;
  const int64_t *params;
  const uint32_t *inputs, *outputs;
  const pm_block *blocks;
  const char *strings;
  const char *metadata;
  const uint8_t *weights; /* NULL where only the head was opened */
  const uint8_t *head;    /* of the file */
  const pm_header *plans; /* of a file that has several, or one for several sizes */
  const pm_form *forms;   /* of a plan */
  size_t n_plans, n_forms;
  size_t n_tensors, n_instrs, n_operands, n_params, n_inputs, n_outputs, n_blocks;
  size_t strings_bytes, metadata_bytes;
} pm_program;

/* Where a check failed. */
typedef struct {
  uint32_t instr;   /* or PM_NONE */
  uint32_t operand; /* or PM_NONE */
} pm_place;

/* Check the bytes of a whole file and point into them. The tables are only read. */
pm_status pm_program_open(pm_program *program, const uint8_t *bytes, size_t nbytes, pm_place *place);

/* The same for the head alone, all that comes before the weights, of a file of so many bytes. */
pm_status pm_program_open_head(pm_program *program, const uint8_t *head, size_t head_bytes,
                               uint64_t file_bytes, pm_place *place);

/* The plan of that number, of program->n_plans, checked as a program is. It is itself a program: for the
   largest of its sizes, until pm_program_at() gives it another. */
pm_status pm_program_plan(pm_program *plan, const pm_program *file, size_t number, pm_place *place);

/* Sizes that a plan is for: one, or as many as its forms are for. Of two that are independent, number m + n * (how
   many the first has) is the first at m, the second at n. */
uint64_t pm_program_sizes(const pm_program *plan);

typedef struct {
  unsigned rank;
  uint64_t dims[PM_MAX_RANK];
} pm_shape;

/* Whether a plan is for inputs of these shapes, and which of its sizes that is. */
bool pm_program_fits(const pm_program *plan, const pm_shape *inputs, uint64_t *size);

/* A plan at one of its sizes, checked. `tensors` and `params` have room for as many rows as the plan has;
   the program points to them, and to the plan's other tables. */
pm_status pm_program_at(pm_program *program, const pm_program *plan, uint64_t size, pm_tensor *tensors,
                        int64_t *params, pm_place *place);

/* What an instruction takes of the scratch: bytes that its workers share, then bytes of each; both
   are multiples of PM_ALIGNMENT. */
typedef struct {
  size_t shared, own;
} pm_scratch;

/* Bytes that a run with so many workers needs beside the arena. Each instruction's part of them is
   written to `layout`, of n_instrs rows, where that is not NULL. */
size_t pm_scratch_bytes(const pm_program *program, int workers, pm_scratch *layout);

/* Bytes of the span of a tensor: from its first byte to its last. */
uint64_t pm_span_bytes(const pm_tensor *tensor);

uint32_t pm_crc32(uint32_t crc, const uint8_t *bytes, size_t nbytes);

typedef struct pm_team pm_team;

typedef struct {
  pm_team *team;
  int id, count; /* of this worker, and of all that share this instruction */
} pm_worker;

/* Called by worker 0 alone. A status other than PM_OK ends the run. */
typedef struct {
  void *user;
  /* A node that has no instruction; may be NULL. */
  pm_status (*host)(void *user, uint32_t instr);
  /* Between instructions, now and then; may be NULL. */
  pm_status (*poll)(void *user);
} pm_callbacks;

/* Weights that come and go while a program runs. */
typedef struct {
  void *user;
  /* Where each operand among the weights lies, instruction after instruction; NULL: all of them lie
     where the program is. */
  const uint8_t *const *places;
  const uint32_t *first; /* for each instruction and one more, the first of its places */
  /* Called by each worker before an instruction that has such operands; returns when they are there,
     or will not be: the same to all of them. Worker 0 gives what is to be called now and then while
     it waits, the others NULL. */
  pm_status (*need)(void *user, uint32_t instr, const pm_callbacks *polling);
  /* Called by each worker of an instruction when it is done by all. */
  void (*done)(void *user, uint32_t instr, const pm_worker *worker);
} pm_blocks;

/* The kernels of one instruction set. */
typedef struct pm_kernel_table pm_kernel_table;

typedef struct {
  const pm_program *program;
  const pm_kernel_table *kernels;
  uint8_t *arena;           /* aligned to PM_ALIGNMENT, header->arena_bytes */
  uint8_t *scratch;         /* aligned to PM_ALIGNMENT, pm_scratch_bytes() */
  const pm_scratch *layout; /* of the scratch, for as many workers as there are */
  const uint8_t *const *inputs;
  uint8_t *const *outputs;  /* each of pm_span_bytes() at least */
  pm_callbacks callbacks;
  pm_blocks blocks;
  uint64_t (*now_ns)(void); /* a clock, where times are wanted, or NULL */
  uint64_t *times_ns;       /* for each instruction, or NULL */
} pm_run_args;

/* The first byte of a tensor. Only what lies in the arena or in an output may be written. */
uint8_t *pm_data_of(const pm_run_args *args, const pm_tensor *t);

/* What one worker of a team does in a run. All of the team must call it; each gives the status of
   the whole run. */
pm_status pm_walk(const pm_run_args *args, const pm_worker *worker);

/* Whether there is an instruction for more than one worker. */
bool pm_needs_workers(const pm_program *program);

#endif
