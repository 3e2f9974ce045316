/* Which kernels this machine can run. */
#ifndef PM_CPU_H
#define PM_CPU_H

#include "../vm/pelemay.h"

/* The kernels of that instruction set, or the best that there are for NULL; NULL if the machine
   cannot run them. */
const pm_kernel_table *pm_kernels_for(const char *isa);

/* The names of the instruction sets that this machine can run, best first, ended by NULL. */
const char *const *pm_isas(void);

const char *pm_kernels_isa(const pm_kernel_table *kernels);

#endif
