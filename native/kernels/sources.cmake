# Families of kernels: each has kernels/<family>.c, compiled once for each instruction set,
# and kernels/<family>_check.c, compiled once.
set(PELEMAY_FAMILIES
)
