/* The code of this program, as pages of a mapped file. */
#ifndef PM_RUN_CODE_H
#define PM_RUN_CODE_H

#include "../kernels/kernel.h"

/* Let a page of code that is needed bring none of its neighbours into memory; Linux brings 16 at a time. */
void run_split_code(const pm_kernel_table *kernels);

/* Give back the pages of what is done with; they come back when they are needed. */
void run_drop_code(void);

#endif
