/* Products of matrices of any type, one element at a time: integers wrap around. */
#include "matmul.h"

/* Strides of the last two axes as the product sees them, swapped where the operand is. */
typedef struct {
  int64_t row, column;
} pair;

typedef struct {
  const pm_call *call;
  int64_t m, n, k;
  pair a, b, y, r;
  double alpha;
} plain;

static pair pair_of(const pm_tensor *t, bool swapped) {
  if (!t) return (pair){0, 0};
  const int64_t first = t->strides[t->rank - 2], second = t->strides[t->rank - 1];
  return swapped ? (pair){second, first} : (pair){first, second};
}

static plain prepare(const pm_call *call) {
  const pm_tensor *a = call->in[0].t, *y = call->out[0].t;
  const bool trans_a = call->params[MATMUL_TRANS_A] != 0;
  plain p = {.call = call, .m = y->dims[y->rank - 2], .n = y->dims[y->rank - 1]};
  p.k = a->dims[trans_a ? a->rank - 2 : a->rank - 1];
  p.a = pair_of(a, trans_a);
  p.b = pair_of(call->in[1].t, call->params[MATMUL_TRANS_B] != 0);
  p.y = pair_of(y, false);
  p.r = pair_of(call->in[3].t, false);
  p.alpha = pm_param_f64(call->params[MATMUL_ALPHA]);
  return p;
}

/* Elements from the start of an operand to matrix `index` of the output's stack. */
static int64_t matrix_at(const plain *p, const pm_tensor *t, int64_t index) {
  const pm_tensor *y = p->call->out[0].t;
  int64_t offset = 0;
  for (int i = y->rank - 3; i >= 0; index /= y->dims[i], i--)
    offset += index % y->dims[i] * pm_outer_step(t, i);
  return offset;
}

static int64_t whole_part(double x) {
  if (!(x > -9.2e18)) return INT64_MIN;
  return x < 9.2e18 ? (int64_t)x : INT64_MAX;
}

/* Sums are 64 bits without a sign, or a double: what is cut off does not matter, or is rounded. */
#define ROW(name, TYPE, SUM, SCALED) \
  static void name(const plain *p, int64_t row) { \
    const pm_view *in = p->call->in; \
    const int64_t index = row / p->m, i = row % p->m; \
    const TYPE *a = (const TYPE *)in[0].data + matrix_at(p, in[0].t, index) + i * p->a.row; \
    const TYPE *b = (const TYPE *)in[1].data + matrix_at(p, in[1].t, index); \
    const TYPE *bias = (const TYPE *)in[2].data, *r = (const TYPE *)in[3].data; \
    TYPE *y = (TYPE *)p->call->out[0].data; \
    y += matrix_at(p, p->call->out[0].t, index) + i * p->y.row; \
    if (r) r += matrix_at(p, in[3].t, index) + i * p->r.row; \
    for (int64_t j = 0; j < p->n; j++) { \
      SUM sum = 0; \
      for (int64_t k = 0; k < p->k; k++) \
        sum += (SUM)a[k * p->a.column] * (SUM)b[k * p->b.row + j * p->b.column]; \
      if (p->alpha != 1) sum = (SUM)SCALED((double)(TYPE)sum * p->alpha); \
      if (bias) sum += (SUM)bias[j * in[2].t->strides[0]]; \
      if (r) sum += (SUM)r[j * p->r.column]; \
      y[j * p->y.column] = (TYPE)sum; \
    } \
  }

ROW(row_f32, float, double, )
ROW(row_f64, double, double, )
ROW(row_i8, int8_t, uint64_t, whole_part)
ROW(row_i16, int16_t, uint64_t, whole_part)
ROW(row_i32, int32_t, uint64_t, whole_part)
ROW(row_i64, int64_t, uint64_t, whole_part)
ROW(row_u8, uint8_t, uint64_t, whole_part)
ROW(row_u16, uint16_t, uint64_t, whole_part)
ROW(row_u32, uint32_t, uint64_t, whole_part)
ROW(row_u64, uint64_t, uint64_t, whole_part)

typedef void row_function(const plain *p, int64_t row);

static row_function *const ROWS[PM_DTYPE_COUNT] = {
    [PM_F32] = row_f32, [PM_F64] = row_f64, [PM_I8] = row_i8,   [PM_I16] = row_i16, [PM_I32] = row_i32,
    [PM_I64] = row_i64, [PM_U8] = row_u8,   [PM_U16] = row_u16, [PM_U32] = row_u32, [PM_U64] = row_u64};

PM_KERNEL(matmul_plain) {
  const plain p = prepare(call);
  row_function *const row = ROWS[call->out[0].t->dtype];
  int64_t begin, end, rows = p.m;
  for (int i = 0; i < call->out[0].t->rank - 2; i++) rows *= call->out[0].t->dims[i];
  pm_share(worker, rows, &begin, &end);
  if (p.n)
    for (int64_t i = begin; i < end; i++) row(&p, i);
}
