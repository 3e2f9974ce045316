/* An instruction with its operands found. */
#ifndef PM_CALL_H
#define PM_CALL_H

#include "../kernels/kernel.h"

/* Fill in all but the data and the scratch. The numbers in the program must have been checked. */
void pm_call_of(const pm_program *program, uint32_t number, pm_call *call);

#endif
