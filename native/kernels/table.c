/* The kernels of this instruction set, in the order of their opcodes. */
#include "../vm/opcodes.h"
#include "kernel.h"

#define PM_OP(name) pm_kernel_fn PM_FOR_ISA(pm_##name);
#include "../vm/opcodes.def"
#undef PM_OP

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

static pm_kernel_fn *const kernels[PM_OPCODE_COUNT] = {
    NULL,
#define PM_OP(name) PM_FOR_ISA(pm_##name),
#include "../vm/opcodes.def"
#undef PM_OP
};

extern const pm_kernel_table PM_FOR_ISA(pm_kernels);
const pm_kernel_table PM_FOR_ISA(pm_kernels) = {TEXT(PM_ISA), kernels};
