/* The checks of all instructions, in the order of their opcodes. */
#include "../kernels/kernel.h"
#include "opcodes.h"

#define PM_OP(name) pm_check_fn pm_##name##_check;
#include "opcodes.def"
#undef PM_OP

pm_check_fn *const pm_checks[PM_OPCODE_COUNT] = {
    NULL,
#define PM_OP(name) pm_##name##_check,
#include "opcodes.def"
#undef PM_OP
};
