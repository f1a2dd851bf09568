# Sums of products on 32-bit RISC-V with a multiplier. Called from rv32im.rs, which says what goes in.
#
# All functions have one signature:
#   a0 weights   first row; rows follow each other
#   a1 stride    bytes from row to row; 0 reads one row again and again
#   a2 input     prepared values; of several samples, of the first
#   a3 end       end of the input; of several samples, of the first
#   a4 count     how often the outer loop runs, at least once
#   a5 out       sums
#   a6 apart     bytes from sample to sample
#   a7 start     where it stands what each sample's sums of nibbles start from

# The assembler is told what the build script found in the target's name.
    .option push
    .option arch, +m

    .macro enter name
    .section .text.\name, "ax", @progbits
    .global \name
    .hidden \name
    .type \name, @function
\name:
    addi sp, sp, -64
    sw ra, 0(sp)
    sw s0, 4(sp)
    sw s1, 8(sp)
    sw s2, 12(sp)
    sw s3, 16(sp)
    sw s4, 20(sp)
    sw s5, 24(sp)
    sw s6, 28(sp)
    sw s7, 32(sp)
    sw s8, 36(sp)
    sw s9, 40(sp)
    sw s10, 44(sp)
    sw s11, 48(sp)
    .endm

    .macro leave name
    lw ra, 0(sp)
    lw s0, 4(sp)
    lw s1, 8(sp)
    lw s2, 12(sp)
    lw s3, 16(sp)
    lw s4, 20(sp)
    lw s5, 24(sp)
    lw s6, 28(sp)
    lw s7, 32(sp)
    lw s8, 36(sp)
    lw s9, 40(sp)
    lw s10, 44(sp)
    lw s11, 48(sp)
    addi sp, sp, 64
    ret
    .size \name, . - \name
    .endm

# Four rows: weights at t0 to t3, input at t4, sums in s0 to s3.
    .macro column_of_rows load, k, bytes
    \load t6, (\k * \bytes)(t4)
    lb t5, \k(t0)
    mul t5, t5, t6
    add s0, s0, t5
    lb t5, \k(t1)
    mul t5, t5, t6
    add s1, s1, t5
    lb t5, \k(t2)
    mul t5, t5, t6
    add s2, s2, t5
    lb t5, \k(t3)
    mul t5, t5, t6
    add s3, s3, t5
    .endm

    .macro four_rows load, bytes
1:
    mv t0, a0
    add t1, t0, a1
    add t2, t1, a1
    add t3, t2, a1
    add a0, t3, a1
    mv t4, a2
    li s0, 0
    li s1, 0
    li s2, 0
    li s3, 0
2:
    column_of_rows \load, 0, \bytes
    column_of_rows \load, 1, \bytes
    column_of_rows \load, 2, \bytes
    column_of_rows \load, 3, \bytes
    column_of_rows \load, 4, \bytes
    column_of_rows \load, 5, \bytes
    column_of_rows \load, 6, \bytes
    column_of_rows \load, 7, \bytes
    addi t0, t0, 8
    addi t1, t1, 8
    addi t2, t2, 8
    addi t3, t3, 8
    addi t4, t4, (8 * \bytes)
    bne t4, a3, 2b
    sw s0, 0(a5)
    sw s1, 4(a5)
    sw s2, 8(a5)
    sw s3, 12(a5)
    addi a5, a5, 16
    addi a4, a4, -1
    bnez a4, 1b
    .endm

    enter ancestral_rv32im_bytes_x4
    four_rows lbu, 1
    leave ancestral_rv32im_bytes_x4

    enter ancestral_rv32im_halves_x4
    four_rows lh, 2
    leave ancestral_rv32im_halves_x4

# One row, four samples: weights at t0, inputs at t1 to t4, sums in s0 to s3.
    .macro column_of_samples load, k, bytes
    lb t5, \k(t0)
    \load t6, (\k * \bytes)(t1)
    mul t6, t6, t5
    add s0, s0, t6
    \load t6, (\k * \bytes)(t2)
    mul t6, t6, t5
    add s1, s1, t6
    \load t6, (\k * \bytes)(t3)
    mul t6, t6, t5
    add s2, s2, t6
    \load t6, (\k * \bytes)(t4)
    mul t6, t6, t5
    add s3, s3, t6
    .endm

# The samples' sums are 15 words apart in `out`.
    .macro four_samples load, bytes
    mv t0, a0
1:
    mv t1, a2
    add t2, t1, a6
    add t3, t2, a6
    add t4, t3, a6
    li s0, 0
    li s1, 0
    li s2, 0
    li s3, 0
2:
    column_of_samples \load, 0, \bytes
    column_of_samples \load, 1, \bytes
    column_of_samples \load, 2, \bytes
    column_of_samples \load, 3, \bytes
    column_of_samples \load, 4, \bytes
    column_of_samples \load, 5, \bytes
    column_of_samples \load, 6, \bytes
    column_of_samples \load, 7, \bytes
    addi t0, t0, 8
    addi t1, t1, (8 * \bytes)
    addi t2, t2, (8 * \bytes)
    addi t3, t3, (8 * \bytes)
    addi t4, t4, (8 * \bytes)
    bne t1, a3, 2b
    sw s0, 0(a5)
    sw s1, 60(a5)
    sw s2, 120(a5)
    sw s3, 180(a5)
    addi a5, a5, 4
    addi a4, a4, -1
    bnez a4, 1b
    .endm

    enter ancestral_rv32im_bytes_s4
    four_samples lbu, 1
    leave ancestral_rv32im_bytes_s4

    enter ancestral_rv32im_halves_s4
    four_samples lh, 2
    leave ancestral_rv32im_halves_s4

# Nibbles: pairs of inputs in s4 to s11, sums of rows in s0 to s3, the mask of a pair of nibbles in ra, what makes
# nibbles unsigned in a6. The product of two pairs has the sum of their products in its upper half and something below
# that never carries: the halves of sixteen columns fit 16 bits each.
    .macro more_nibbles shift, pair
    srli a0, t6, \shift
    and a0, a0, ra
    mul a0, a0, \pair
    add t5, t5, a0
    .endm

    .macro sixteen_of_row row, sum
    lw t6, 0(\row)
    xor t6, t6, a6
    and t5, t6, ra
    mul t5, t5, s4
    more_nibbles 4, s5
    more_nibbles 8, s6
    more_nibbles 12, s7
    lw t6, 4(\row)
    xor t6, t6, a6
    and a0, t6, ra
    mul a0, a0, s8
    add t5, t5, a0
    more_nibbles 4, s9
    more_nibbles 8, s10
    more_nibbles 12, s11
    srli t5, t5, 16
    add \sum, \sum, t5
    .endm

    enter ancestral_rv32im_nibbles_x4
    lw a7, 0(a7)
    li ra, 0x000F000F
    li a6, 0x88888888
    mv t3, a0
1:
    mv t0, t3
    add t1, t0, a1
    add t2, t1, a1
    add t3, t2, a1
    mv t4, a2
    mv s0, a7
    mv s1, a7
    mv s2, a7
    mv s3, a7
2:
    lw s4, 0(t4)
    lw s5, 4(t4)
    lw s6, 8(t4)
    lw s7, 12(t4)
    lw s8, 16(t4)
    lw s9, 20(t4)
    lw s10, 24(t4)
    lw s11, 28(t4)
    sixteen_of_row t0, s0
    sixteen_of_row t1, s1
    sixteen_of_row t2, s2
    sixteen_of_row t3, s3
    addi t0, t0, 8
    addi t1, t1, 8
    addi t2, t2, 8
    addi t3, t3, 8
    addi t4, t4, 32
    bne t4, a3, 2b
    sw s0, 0(a5)
    sw s1, 4(a5)
    sw s2, 8(a5)
    sw s3, 12(a5)
    addi a5, a5, 16
    addi a4, a4, -1
    bnez a4, 1b
    leave ancestral_rv32im_nibbles_x4

# One row, four samples: products of eight columns in s4 to s7, sums in s0 to s3.
    .macro pair_of_samples shift, at, begin
    .if \shift
    srli t5, t6, \shift
    and t5, t5, ra
    .else
    and t5, t6, ra
    .endif
    .if \begin
    lw s4, \at(t1)
    mul s4, s4, t5
    lw s5, \at(t2)
    mul s5, s5, t5
    lw s6, \at(t3)
    mul s6, s6, t5
    lw s7, \at(t4)
    mul s7, s7, t5
    .else
    lw s8, \at(t1)
    mul s8, s8, t5
    add s4, s4, s8
    lw s9, \at(t2)
    mul s9, s9, t5
    add s5, s5, s9
    lw s10, \at(t3)
    mul s10, s10, t5
    add s6, s6, s10
    lw s11, \at(t4)
    mul s11, s11, t5
    add s7, s7, s11
    .endif
    .endm

    .macro take_out products, sum
    srli \products, \products, 16
    add \sum, \sum, \products
    .endm

    enter ancestral_rv32im_nibbles_s4
    li ra, 0x000F000F
    li a1, 0x88888888
    mv t0, a0
1:
    mv t1, a2
    add t2, t1, a6
    add t3, t2, a6
    add t4, t3, a6
    lw s0, 0(a7)
    lw s1, 4(a7)
    lw s2, 8(a7)
    lw s3, 12(a7)
2:
    lw t6, 0(t0)
    xor t6, t6, a1
    pair_of_samples 0, 0, 1
    pair_of_samples 4, 4, 0
    pair_of_samples 8, 8, 0
    pair_of_samples 12, 12, 0
    lw t6, 4(t0)
    xor t6, t6, a1
    pair_of_samples 0, 16, 0
    pair_of_samples 4, 20, 0
    pair_of_samples 8, 24, 0
    pair_of_samples 12, 28, 0
    take_out s4, s0
    take_out s5, s1
    take_out s6, s2
    take_out s7, s3
    addi t0, t0, 8
    addi t1, t1, 32
    addi t2, t2, 32
    addi t3, t3, 32
    addi t4, t4, 32
    bne t1, a3, 2b
    sw s0, 0(a5)
    sw s1, 60(a5)
    sw s2, 120(a5)
    sw s3, 180(a5)
    addi a5, a5, 4
    addi a4, a4, -1
    bnez a4, 1b
    leave ancestral_rv32im_nibbles_s4

    .text
    .option pop
