#include "qsoftmax.h"

#include "elements.h"
#include "move.h"
#include "qround.h"

typedef struct {
  pm_path lines; /* of x and y: all axes but one, */
  int64_t n, x_step, y_step; /* and that one */
  const int32_t *powers;
  float factor, low, high;
  int32_t zero;
  uint8_t flip; /* to be without a sign, in the same order */
} softmax;

/* Its loop over bytes that lie together is one over vectors. */
PM_INLINE uint8_t largest(const uint8_t *x, int64_t step, uint8_t flip, int64_t n) {
  uint8_t most = 0;
  if (step == 1)
    for (int64_t i = 0; i < n; i++) most = PM_MAX(most, (uint8_t)(x[i] ^ flip));
  else
    for (int64_t i = 0; i < n; i++) most = PM_MAX(most, (uint8_t)(x[i * step] ^ flip));
  return most;
}

/* The numbers of up to a block of x, and their sum. */
static uint64_t look_up(const softmax *s, const int32_t *powers, const uint8_t *x, int64_t n, int32_t *to) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < n; i++) {
    to[i] = powers[x[i * s->x_step] ^ s->flip];
    sum += (uint64_t)(int64_t)to[i];
  }
  return sum;
}

static void soft_line(const softmax *s, const uint8_t *x, uint8_t *y) {
  const int32_t *powers = s->powers + 255 - largest(x, s->x_step, s->flip, s->n);
  _Alignas(64) int32_t found[PM_BLOCK];
  uint8_t bytes[PM_BLOCK];
  uint64_t sum = 0;
  for (int64_t i = 0; i < s->n; i += PM_BLOCK)
    sum += look_up(s, powers, x + i * s->x_step, PM_MIN(s->n - i, PM_BLOCK), found);
  const float total = (float)(int64_t)sum;
  for (int64_t i = 0; i < s->n; i += PM_BLOCK) {
    const int64_t n = PM_MIN(s->n - i, PM_BLOCK);
    if (s->n > PM_BLOCK) look_up(s, powers, x + i * s->x_step, n, found);
    for (int64_t j = 0; j < n; j += PM_VL) {
      const pm_vf share = __builtin_convertvector((pm_vi)pm_load((const float *)(const void *)(found + j)), pm_vf);
      pm_qstore_rounded(bytes + j, share * s->factor / total, s->low, s->high, s->zero, PM_VL);
    }
    pm_move_row(y + i * s->y_step, s->y_step, bytes, 1, 1, n);
  }
}

PM_KERNEL(qsoftmax) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t};
  const int64_t *p = call->params;
  const int axis = (int)p[PM_QSOFTMAX_AXIS];
  if (!pm_count(tensors[0])) return;
  softmax s = {.lines = pm_path_over(tensors, 2, ~(1u << axis)), .n = tensors[0]->dims[axis]};
  s.x_step = pm_step(tensors[0], axis), s.y_step = pm_step(tensors[1], axis);
  s.powers = (const int32_t *)(const void *)call->in[1].data;
  s.factor = (float)pm_param_f64(p[PM_QSOFTMAX_FACTOR]);
  s.zero = (int32_t)p[PM_QSOFTMAX_ZERO];
  const int32_t least = tensors[1]->dtype == PM_U8 ? 0 : INT8_MIN;
  s.low = (float)(least - s.zero), s.high = (float)(least + 255 - s.zero);
  s.flip = tensors[0]->dtype == PM_I8 ? 0x80 : 0;
  int64_t begin, end;
  pm_share(worker, s.lines.count, &begin, &end);
  pm_spot spot = pm_path_seek(&s.lines, begin);
  for (int64_t i = begin; i < end; i++, pm_path_next(&s.lines, &spot))
    soft_line(&s, call->in[0].data + spot.offset[0], call->out[0].data + spot.offset[1]);
}
