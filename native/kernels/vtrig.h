/* Sine and cosine of a vector of floats, and functions that are done one element after the other. */
#ifndef PM_VTRIG_H
#define PM_VTRIG_H

#include "vmath.h"

/* A function of libm for each element. */
PM_INLINE pm_vf pm_lanes(float (*function)(float), pm_vf x) {
  for (int i = 0; i < PM_VL; i++) x[i] = function(x[i]);
  return x;
}

PM_INLINE pm_vf pm_lanes2(float (*function)(float, float), pm_vf a, pm_vf b) {
  for (int i = 0; i < PM_VL; i++) a[i] = function(a[i], b[i]);
  return a;
}

/* Beyond this the reduction below loses bits. */
#define PM_TRIG_LIMIT 8192.0f

static inline int pm_is_far(pm_vf x) {
  int far = 0;
  for (int i = 0; i < PM_VL; i++) far |= !(fabsf(x[i]) <= PM_TRIG_LIMIT);
  return far;
}

/* sin(x + quarters pi / 2), with an absolute error below 2e-7, for |x| <= PM_TRIG_LIMIT. */
PM_INLINE pm_vf pm_sine_from(pm_vf x, int quarters) {
  /* x = n pi/2 + r; see pm_exp_reduced for the magic number. pi/2 is in three parts, and n
     times the first two is exact. */
  const float magic = 12582912.0f;
  const pm_vf sum = pm_vaxpb(x, 0.636619772f, magic), n = sum - magic;
  pm_vf r = pm_vfma(n, pm_splat(-1.5703125f), x);
  r = pm_vfma(n, pm_splat(-4.837512969970703e-4f), r);
  r = pm_vfma(n, pm_splat(-7.5497899548918822e-8f), r);
  const pm_vf s = r * r;
  pm_vf odd = pm_splat(-1.95166562e-4f);
  odd = pm_vstep(odd, s, 8.33217334e-3f);
  odd = pm_vstep(odd, s, -0.166666552f);
  odd = pm_vfma(odd, s * r, r);
  pm_vf even = pm_splat(2.44377297e-5f);
  even = pm_vstep(even, s, -1.38873619e-3f);
  even = pm_vstep(even, s, 4.16666456e-2f);
  even = pm_vfma(even, s * s, pm_vaxpb(s, -0.5f, 1.0f));
  const pm_vi quarter = (pm_vi)sum + quarters;
  const pm_vf size = pm_select(-(quarter & 1), even, odd);
  return (pm_vf)((pm_vu)size ^ ((pm_vu)(quarter & 2) << 30));
}

PM_INLINE pm_vf pm_vsin(pm_vf x) {
  return pm_is_far(x) ? pm_lanes(sinf, x) : pm_sine_from(x, 0);
}

PM_INLINE pm_vf pm_vcos(pm_vf x) {
  return pm_is_far(x) ? pm_lanes(cosf, x) : pm_sine_from(x, 1);
}

#endif
