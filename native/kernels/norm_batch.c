/* Batch normalisation where its statistics are not known when the program is made. The error is below
   1e-6 of the sum of the sizes of the product and the bias. */
#include "norm_batch.h"

#include <math.h>

enum { PIECE = 1024 };

#define BATCH_NORM(type)                                                                 \
  static void run_##type(const pm_path *path, const pm_call *call, const pm_spot *spot, int64_t begin, \
                         int64_t count, double epsilon) {                                \
    const int64_t *step = path->rank ? path->steps[path->rank - 1] : spot->at;           \
    type *at[PM_BATCH_TENSORS];                                                          \
    for (int i = 0; i < PM_BATCH_TENSORS; i++) {                                         \
      uint8_t *data = i == PM_BATCH_Y ? call->out[0].data : call->in[i > PM_BATCH_Y ? i - 1 : 0].data; \
      at[i] = (type *)data + spot->offset[i] + begin * step[i];                          \
    }                                                                                    \
    for (int64_t i = 0; i < count; i++) {                                                \
      const double spread = sqrt((double)at[PM_BATCH_VARIANCE][i * step[PM_BATCH_VARIANCE]] + epsilon); \
      const double factor = (double)at[PM_BATCH_SCALE][i * step[PM_BATCH_SCALE]] / spread; \
      const double x = (double)at[PM_BATCH_X][i * step[PM_BATCH_X]];                     \
      const double centred = x - (double)at[PM_BATCH_MEAN][i * step[PM_BATCH_MEAN]];     \
      const double bias = (double)at[PM_BATCH_BIAS][i * step[PM_BATCH_BIAS]];            \
      at[PM_BATCH_Y][i * step[PM_BATCH_Y]] = (type)(centred * factor + bias);            \
    }                                                                                    \
  }

BATCH_NORM(float)
BATCH_NORM(double)

PM_KERNEL(batch_norm) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t, call->in[1].t,
                                call->in[2].t, call->in[3].t,  call->in[4].t};
  if (!pm_count(tensors[0])) return;
  pm_path path = pm_path_over(tensors, PM_BATCH_TENSORS, ~0u);
  const double epsilon = pm_param_f64(call->params[0]);
  pm_path outer = path;
  const int64_t inner = outer.rank ? pm_path_pop(&outer) : 1;
  const int64_t pieces = (inner + PIECE - 1) / PIECE;
  int64_t first, last;
  pm_share(worker, outer.count * pieces, &first, &last);
  for (int64_t i = first; i < last; i++) {
    const pm_spot spot = pm_path_seek(&outer, i / pieces);
    const int64_t begin = i % pieces * PIECE, count = PM_MIN(PIECE, inner - begin);
    if (tensors[0]->dtype == PM_F32)
      run_float(&path, call, &spot, begin, count, epsilon);
    else
      run_double(&path, call, &spot, begin, count, epsilon);
  }
}
