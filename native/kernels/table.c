/* The kernels of this instruction set, in the order of their opcodes. One that differs from another, its
   base, in products of 8-bit integers alone has all others from there. */
#include "../vm/opcodes.h"
#include "kernel.h"

#ifdef PM_BASE_ISA
#define NAME(name) PM_JOIN(PM_JOIN(pm_##name, _), PM_BASE_ISA)
#else
#define NAME(name) PM_FOR_ISA(pm_##name)
#endif
#define NAME_DOT(name) PM_FOR_ISA(pm_##name)

#define PM_OP(name) pm_kernel_fn NAME(name);
#define PM_OP_DOT(name) pm_kernel_fn NAME_DOT(name);
#include "../vm/opcodes.def"
#undef PM_OP

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

static pm_kernel_fn *const kernels[PM_OPCODE_COUNT] = {
    NULL,
#define PM_OP(name) NAME(name),
#define PM_OP_DOT(name) NAME_DOT(name),
#include "../vm/opcodes.def"
#undef PM_OP
};

extern const pm_kernel_table PM_FOR_ISA(pm_kernels);
const pm_kernel_table PM_FOR_ISA(pm_kernels) = {TEXT(PM_ISA), kernels};
