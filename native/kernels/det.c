/* Determinants by Gauss's elimination with the largest pivot of each column, in double precision. */
#include "det.h"

#include <math.h>

static void take_matrix(const pm_call *call, int64_t offset, double *to, int64_t n) {
  const pm_tensor *x = call->in[0].t;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      const int64_t at = offset + i * pm_step(x, x->rank - 2) + j * pm_step(x, x->rank - 1);
      const uint8_t *data = call->in[0].data;
      to[i * n + j] = x->dtype == PM_F32 ? (double)((const float *)data)[at] : ((const double *)data)[at];
    }
}

static void swap_rows(double *a, double *b, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    const double kept = a[i];
    a[i] = b[i];
    b[i] = kept;
  }
}

static double determinant(double *a, int64_t n) {
  double result = 1;
  for (int64_t i = 0; i < n; i++) {
    int64_t pivot = i;
    for (int64_t row = i + 1; row < n; row++)
      if (fabs(a[row * n + i]) > fabs(a[pivot * n + i])) pivot = row;
    if (pivot != i) {
      swap_rows(a + i * n, a + pivot * n, n);
      result = -result;
    }
    result *= a[i * n + i];
    if (a[i * n + i] == 0) return 0;
    for (int64_t row = i + 1; row < n; row++) {
      const double factor = a[row * n + i] / a[i * n + i];
      for (int64_t j = i; j < n; j++) a[row * n + j] -= factor * a[i * n + j];
    }
  }
  return result;
}

PM_KERNEL(det) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t};
  const int64_t n = tensors[0]->dims[tensors[0]->rank - 1];
  if (!pm_count(tensors[1])) return;
  const pm_path path = pm_path_over(tensors, 2, ~(3u << (tensors[0]->rank - 2)));
  double *scratch = (double *)call->own_scratch;
  int64_t begin, end;
  pm_share(worker, path.count, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const pm_spot spot = pm_path_seek(&path, i);
    take_matrix(call, spot.offset[0], scratch, n);
    const double result = determinant(scratch, n);
    if (tensors[0]->dtype == PM_F32)
      ((float *)call->out[0].data)[spot.offset[1]] = (float)result;
    else
      ((double *)call->out[0].data)[spot.offset[1]] = result;
  }
}
