#include "nest.h"

/* cast: one input, broadcast to the output's shape; no parameters. */
PM_CHECK(cast) {
  (void)need;
  if (!pm_has(call, 1, 1, 0) || !pm_are_whole(call)) return PM_E_PARAMS;
  return pm_broadcasts(call->in[0].t, call->out[0].t) ? PM_OK : PM_E_PARAMS;
}
