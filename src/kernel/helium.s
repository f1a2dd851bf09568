@ Sums of products, and what makes activations of them, with Helium (Armv8.1-M vector extension). Called from
@ helium.rs, which says what goes in. Nothing here needs alignment but what is loaded in words.

    .syntax unified
    .thumb
    .cpu cortex-m55

@ Where the arguments are after `enter`: what came in r0–r3, then what came on the stack.
    .equ ARG_STRIDE, 40
    .equ ARG_INPUT, 44
    .equ ARG_TURNS, 48
    .equ ARG_REST, 52
    .equ ARG_COUNT, 56
    .equ ARG_OUT, 60

    .macro enter name
    .section .text.\name, "ax", %progbits
    .global \name
    .hidden \name
    .type \name, %function
    .thumb_func
    .p2align 2
\name:
    push {r0-r3}
    push {r4-r11, lr}
    .endm

    .macro leave name
    pop {r4-r11, lr}
    add sp, sp, #16
    bx lr
    .size \name, . - \name
    .endm

@ (weights, stride, input, turns, rest, count, out): four rows of `turns` turns of the unrolled loop and `rest` columns
@ (of nibbles, turns only); `count` times four rows.
@ Rows at r1, r3, r5, r7, sums in r4, r6, r8, r10, the input at r9.
    .macro bytes_of_four
    vldrb.u8 q0, [r9], #16
    vldrb.u8 q1, [r1], #16
    vmlava.s8 r4, q1, q0
    vldrb.u8 q2, [r3], #16
    vmlava.s8 r6, q2, q0
    vldrb.u8 q1, [r5], #16
    vmlava.s8 r8, q1, q0
    vldrb.u8 q2, [r7], #16
    vmlava.s8 r10, q2, q0
    .endm

    .macro halves_of_four
    vldrh.u16 q0, [r9], #16
    vldrb.s16 q1, [r1], #8
    vmlava.s16 r4, q1, q0
    vldrb.s16 q2, [r3], #8
    vmlava.s16 r6, q2, q0
    vldrb.s16 q1, [r5], #8
    vmlava.s16 r8, q1, q0
    vldrb.s16 q2, [r7], #8
    vmlava.s16 r10, q2, q0
    .endm

    .macro nibbles_of_row row, sum
    vldrb.u8 q2, [\row], #16
    vshl.i8 q3, q2, #4
    vshr.s8 q2, q2, #4
    vshr.s8 q3, q3, #4
    vmlava.s8 \sum, q2, q1
    vmlava.s8 \sum, q3, q0
    .endm

    .macro begin_four
1:
    ldr r11, [sp, #ARG_STRIDE]
    ldrd r9, r12, [sp, #ARG_INPUT]
    mov r1, r0
    add r3, r1, r11
    add r5, r3, r11
    add r7, r5, r11
    add r0, r7, r11
    mov r4, #0
    mov r6, #0
    mov r8, #0
    mov r10, #0
    wls lr, r12, 3f
2:
    .endm

    .macro end_four
    ldrd r11, r9, [sp, #ARG_COUNT]
    stm r9!, {r4, r6, r8, r10}
    subs r11, r11, #1
    strd r11, r9, [sp, #ARG_COUNT]
    bne 1b
    .endm

    .macro four_rows unit, lanes
    begin_four
    .rept 4
    \unit
    .endr
    le lr, 2b
3:
    ldr r11, [sp, #ARG_REST]
    wlstp.\lanes lr, r11, 5f
4:
    \unit
    letp lr, 4b
5:
    end_four
    .endm

    enter ancestral_mve_bytes_x4
    four_rows bytes_of_four, 8
    leave ancestral_mve_bytes_x4

    enter ancestral_mve_halves_x4
    four_rows halves_of_four, 16
    leave ancestral_mve_halves_x4

    enter ancestral_mve_nibbles_x4
    begin_four
    vld20.8 {q0, q1}, [r9]
    vld21.8 {q0, q1}, [r9]!
    nibbles_of_row r1, r4
    nibbles_of_row r3, r6
    nibbles_of_row r5, r8
    nibbles_of_row r7, r10
    le lr, 2b
3:
    end_four
    leave ancestral_mve_nibbles_x4

@ (weights, stride, input, turns, rest, count, out): two rows and four samples, whose bytes lie beside each other in
@ blocks of 16; `rest` is blocks that do not fill a turn. Sums of the first row in r0, r2, r4, r6, of the second in r8,
@ r10, r12, lr.
    .macro block_of_eight
    vldrb.u8 q0, [r1], #16
    vldrb.u8 q1, [r3], #16
    vldrb.u8 q2, [r5], #16
    vmlava.s8 r0, q0, q2
    vmlava.s8 r8, q1, q2
    vldrb.u8 q3, [r5], #16
    vmlava.s8 r2, q0, q3
    vmlava.s8 r10, q1, q3
    vldrb.u8 q2, [r5], #16
    vmlava.s8 r4, q0, q2
    vmlava.s8 r12, q1, q2
    vldrb.u8 q3, [r5], #16
    vmlava.s8 r6, q0, q3
    vmlava.s8 lr, q1, q3
    .endm

    enter ancestral_mve_bytes_x2s4
    mov r3, r0
1:
    ldrd r9, r5, [sp, #ARG_STRIDE]
    ldrd r7, r11, [sp, #ARG_TURNS]
    mov r1, r3
    add r3, r1, r9
    mov r0, #0
    mov r2, #0
    mov r4, #0
    mov r6, #0
    mov r8, #0
    mov r10, #0
    mov r12, #0
    mov lr, #0
    cmp r7, #0
    beq 3f
2:
    .rept 4
    block_of_eight
    .endr
    subs r7, r7, #1
    bne 2b
3:
    cmp r11, #0
    beq 5f
4:
    block_of_eight
    subs r11, r11, #1
    bne 4b
5:
    ldrd r11, r9, [sp, #ARG_COUNT]
    strd r0, r8, [r9]
    strd r2, r10, [r9, #128]
    strd r4, r12, [r9, #256]
    strd r6, lr, [r9, #384]
    add r9, r9, #8
    subs r11, r11, #1
    strd r11, r9, [sp, #ARG_COUNT]
    bne 1b
    leave ancestral_mve_bytes_x2s4

@ (sums, requant, biases, before, out, count): activations of four rows a turn, `count` turns; `before` is what a
@ residual layer adds. Shifts by a vector take the lowest byte of each word, and go right where it is negative.
    .macro four_results
    vld20.32 {q0, q1}, [r1]
    vld21.32 {q0, q1}, [r1]!
    vldrw.u32 q2, [r0], #16
    vadd.i32 q2, q2, q0
    vneg.s8 q0, q1
    vshr.u32 q3, q0, #16
    vshr.u32 q0, q0, #24
    vshl.s32 q2, q2, q3
    vldrh.s32 q3, [r2], #8
    vqadd.s32 q2, q2, q3
    vqmovnb.s32 q2, q2
    vmullb.s16 q3, q2, q1
    vrshl.s32 q2, q3, q0
    .endm

    .macro store_four
    vqmovnb.s32 q2, q2
    vqmovnb.s16 q2, q2
    vstrb.32 q2, [r5], #4
    .endm

    enter ancestral_mve_activate
    ldrd r5, lr, [sp, #52]
    mov r4, #128
    dls lr, lr
1:
    four_results
    vsub.i32 q2, q2, r4
    store_four
    le lr, 1b
    leave ancestral_mve_activate

    enter ancestral_mve_activate_residual
    ldrd r5, lr, [sp, #52]
    vpush {d8, d9}
    vmov.i32 q4, #0
    dls lr, lr
1:
    four_results
    vmax.s32 q2, q2, q4
    vldrb.s32 q3, [r3], #4
    vadd.i32 q2, q2, q3
    store_four
    le lr, 1b
    vpop {d8, d9}
    leave ancestral_mve_activate_residual

    .text
