/* What a kernel gets, and what it has to give.

   For each instruction of opcodes.def there are two functions:
     pm_<name>_check   once, when a program is opened: are number, types, shapes and strides of the
                       operands and the parameters what the kernel needs? How much scratch?
                       It sees no data. Every access that the kernel will make must be covered.
     pm_<name>_<isa>   each run, by every worker at once; trusts what was checked.
   The result may not depend on the number of workers, not in the last bit. */
#ifndef PM_KERNEL_H
#define PM_KERNEL_H

#include "../vm/pelemay.h"
#include "../vm/team.h"

typedef struct {
  const pm_tensor *t; /* NULL where the operand is left out */
  uint8_t *data;      /* NULL while checking */
} pm_view;

typedef struct {
  const pm_instr *instr;
  const int64_t *params;
  int n_in, n_out, n_params;
  pm_view in[PM_MAX_OPERANDS], out[PM_MAX_OPERANDS];
  uint8_t *scratch;     /* shared by the workers: pm_need.shared bytes, aligned */
  uint8_t *own_scratch; /* this worker's: pm_need.own bytes, aligned */
  uint32_t number;      /* of the instruction */
} pm_call;

/* Bytes of scratch. `workers` is given; what is possible for one is for more. */
typedef struct {
  int workers;
  size_t shared, own;
} pm_need;

typedef pm_status pm_check_fn(const pm_call *call, pm_need *need);
typedef void pm_kernel_fn(const pm_call *call, const pm_worker *worker);

struct pm_kernel_table {
  const char *isa;
  pm_kernel_fn *const *kernels; /* by opcode; NULL for PM_OP_host */
};

/* By opcode; NULL for PM_OP_host. */
extern pm_check_fn *const pm_checks[];

#define PM_JOIN_(a, b) a##b
#define PM_JOIN(a, b) PM_JOIN_(a, b)
/* The name of something that is compiled once for each instruction set; PM_ISA is set by CMake. */
#define PM_FOR_ISA(name) PM_JOIN(PM_JOIN(name, _), PM_ISA)
#define PM_KERNEL(name) \
  void PM_FOR_ISA(pm_##name)(const pm_call *call, const pm_worker *worker); \
  void PM_FOR_ISA(pm_##name)(const pm_call *call, const pm_worker *worker)
#define PM_CHECK(name) \
  pm_status pm_##name##_check(const pm_call *call, pm_need *need); \
  pm_status pm_##name##_check(const pm_call *call, pm_need *need)

/* A parameter that is a floating-point number: the bits of a double. */
static inline double pm_param_f64(int64_t bits) {
  union {
    int64_t i;
    double f;
  } u = {bits};
  return u.f;
}

static inline int64_t pm_count(const pm_tensor *t) {
  int64_t count = 1;
  for (int i = 0; i < t->rank; i++) count *= t->dims[i];
  return count;
}

/* Whether the elements lie one after the other, in C order. */
static inline bool pm_is_contiguous(const pm_tensor *t) {
  int64_t expected = 1;
  for (int i = t->rank - 1; i >= 0; i--) {
    if (t->dims[i] != 1 && t->strides[i] != expected) return false;
    expected *= t->dims[i];
  }
  return true;
}

static inline bool pm_same_shape(const pm_tensor *a, const pm_tensor *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dims[i] != b->dims[i]) return false;
  return true;
}

/* Whether all operands are there, in the numbers given. */
static inline bool pm_has(const pm_call *call, int n_in, int n_out, int n_params) {
  if (call->n_in != n_in || call->n_out != n_out || call->n_params != n_params) return false;
  for (int i = 0; i < n_in; i++)
    if (!call->in[i].t) return false;
  for (int i = 0; i < n_out; i++)
    if (!call->out[i].t) return false;
  return true;
}

/* Whether all rows are held: most kernels know nothing of rolling buffers. */
static inline bool pm_is_whole(const pm_tensor *t) {
  return !t->ring || t->ring >= t->dims[t->rank - 3];
}

/* The same of all operands that are not left out; pm_has() says whether any is. */
static inline bool pm_are_whole(const pm_call *call) {
  for (int i = 0; i < call->n_in; i++)
    if (call->in[i].t && !pm_is_whole(call->in[i].t)) return false;
  for (int i = 0; i < call->n_out; i++)
    if (call->out[i].t && !pm_is_whole(call->out[i].t)) return false;
  return true;
}

static inline size_t pm_aligned(size_t nbytes) {
  return (nbytes + PM_ALIGNMENT - 1) / PM_ALIGNMENT * PM_ALIGNMENT;
}

#define PM_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PM_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
