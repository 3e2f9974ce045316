#include "couple.h"

#include <math.h>

/* What the rounds minimize: p' q p, where q[i][j] is minus how likely i is before j times the reverse. */
static void form(const float *pairs, double *q, int64_t n) {
  for (int64_t i = 0; i < n; i++) q[i * n + i] = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i + 1; j < n; j++) {
      const double first = *pairs++, second = 1 - first;
      q[i * n + j] = q[j * n + i] = -first * second;
      q[i * n + i] += second * second;
      q[j * n + j] += first * first;
    }
}

/* The products of q with p; their mean. */
static double products(const double *q, const double *p, double *gains, int64_t n) {
  double mean = 0;
  for (int64_t i = 0; i < n; i++) {
    gains[i] = 0;
    for (int64_t j = 0; j < n; j++) gains[i] += q[i * n + j] * p[j];
    mean += p[i] * gains[i];
  }
  return mean;
}

static bool agree(const double *gains, double mean, int64_t n) {
  double most = 0;
  for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(gains[i] - mean));
  return most < 0.005 / (double)n;
}

static void round_of(const double *q, double *p, double *gains, double mean, int64_t n) {
  for (int64_t t = 0; t < n; t++) {
    const double own = q[t * n + t], step = (mean - gains[t]) / own;
    p[t] += step;
    mean = (mean + step * (step * own + 2 * gains[t])) / (1 + step) / (1 + step);
    for (int64_t i = 0; i < n; i++) {
      gains[i] = (gains[i] + step * q[t * n + i]) / (1 + step);
      p[i] /= 1 + step;
    }
  }
}

PM_KERNEL(couple) {
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  const int64_t n = y->dims[1];
  double *q = (double *)call->own_scratch, *p = q + n * n, *gains = p + n;
  int64_t begin, end;
  pm_share(worker, x->dims[0], &begin, &end);
  for (int64_t row = begin; row < end; row++) {
    form((const float *)call->in[0].data + row * x->dims[1], q, n);
    for (int64_t i = 0; i < n; i++) p[i] = 1 / (double)n;
    for (int64_t left = PM_MAX(PM_COUPLE_ROUNDS, n); left; left--) {
      const double mean = products(q, p, gains, n);
      if (agree(gains, mean, n)) break;
      round_of(q, p, gains, mean, n);
    }
    for (int64_t i = 0; i < n; i++) ((float *)call->out[0].data)[row * n + i] = (float)p[i];
  }
}
