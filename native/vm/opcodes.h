/* The numbers of the instructions. Kernels do not know them, so that a new one changes none of them. */
#ifndef PM_OPCODES_H
#define PM_OPCODES_H

typedef enum {
  PM_OP_host, /* a node that the engine has no instruction for: the caller runs it */
#define PM_OP(name) PM_OP_##name,
#include "opcodes.def"
#undef PM_OP
  PM_OPCODE_COUNT
} pm_opcode;

#endif
