@ Sums of products with the DSP instructions of Armv7E-M and Armv8-M. Called from dsp.rs, which says what goes in.
@
@ All functions have one signature:
@   (weights, skip, stride, input, units, end, count, out)
@ weights   first row
@ skip      bytes from where reading a row ends to the next row
@ stride    bytes from row to row
@ input     prepared words, aligned
@ units     blocks of eight columns
@ end       end of the input
@ count     how often the outer loop runs, at least once
@ out       sums
@
@ UNROLL_3, UNROLL_1, UNROLL_S4: powers of two by which the loops over three rows, one row, and one row of four samples
@ are unrolled.

    .syntax unified
    .thumb

@ Where the arguments are after `enter`: what came in r0–r3, then what came on the stack. `units` becomes the address
@ at which the unrolled loop is entered.
    .equ ARG_SKIP, 40
    .equ ARG_STRIDE, 44
    .equ ARG_INPUT, 48
    .equ ARG_ENTRY, 52
    .equ ARG_END, 56
    .equ ARG_COUNT, 60
    .equ ARG_OUT, 64

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
    sub r2, r0, r1
    .endm

    .macro leave name
    pop {r4-r11, lr}
    add sp, sp, #16
    bx lr
    .size \name, . - \name
    .endm

@ Where the unrolled loop of 2^\log units is entered, so that it ends after all of them: as many before its end as do
@ not fill a turn.
    .macro entry log
    adr.w r5, 3f
    adr.w r6, 2f
    sub r6, r5, r6
    lsr r6, r6, #\log
    ldr r4, [sp, #ARG_ENTRY]
    ands r4, r4, #((1 << \log) - 1)
    it eq
    moveq r4, #(1 << \log)
    mls r5, r4, r6, r5
    orr r5, r5, #1
    str r5, [sp, #ARG_ENTRY]
    .endm

@ Eight columns of one row: four words of input in r4–r7, weights at \p.
    .macro eight_bytes p, sum
    ldrd r8, r9, [\p], #8
    sxtb16 r10, r8
    smlad \sum, r10, r4, \sum
    sxtb16 r8, r8, ror #8
    smlad \sum, r8, r5, \sum
    sxtb16 r10, r9
    smlad \sum, r10, r6, \sum
    sxtb16 r9, r9, ror #8
    smlad \sum, r9, r7, \sum
    .endm

    .macro unit_w8x3
    ldm r3!, {r4-r7}
    eight_bytes r0, r11
    eight_bytes r1, r12
    eight_bytes r2, lr
    .endm

    .macro unit_w8x1
    ldm r3!, {r4-r7}
    eight_bytes r0, r11
    .endm

@ Eight columns of 4 bits: the nibbles are moved to the top of each half word, where they have a sign; so the sum is
@ 4096 times what it should be, and r10 holds the mask.
    .macro eight_nibbles p, sum
    ldr r8, [\p], #4
    and r9, r10, r8, lsl #12
    smlad \sum, r9, r4, \sum
    and r9, r10, r8, lsl #8
    smlad \sum, r9, r5, \sum
    and r9, r10, r8, lsl #4
    smlad \sum, r9, r6, \sum
    and r9, r10, r8
    smlad \sum, r9, r7, \sum
    .endm

    .macro unit_w4x3
    ldm r3!, {r4-r7}
    eight_nibbles r0, r11
    eight_nibbles r1, r12
    eight_nibbles r2, lr
    .endm

    .macro unit_w4x1
    ldm r3!, {r4-r7}
    eight_nibbles r0, r11
    .endm

    .macro rows3 unit, shift
    entry UNROLL_3
1:
    ldrd r4, r5, [sp, #ARG_SKIP]
    ldrd r3, r6, [sp, #ARG_INPUT]
    add r0, r2, r4
    add r1, r0, r5
    add r2, r1, r5
    mov r11, #0
    mov r12, #0
    mov lr, #0
    bx r6
    .p2align 2
2:
    .rept 1 << UNROLL_3
    \unit
    .endr
3:
    ldr r4, [sp, #ARG_END]
    cmp r3, r4
    bne 2b
    ldrd r4, r5, [sp, #ARG_COUNT]
    .if \shift
    asr r11, r11, #\shift
    asr r12, r12, #\shift
    asr lr, lr, #\shift
    .endif
    stm r5!, {r11, r12, lr}
    subs r4, r4, #1
    strd r4, r5, [sp, #ARG_COUNT]
    bne 1b
    .endm

@ For the one or two rows that threes leave over.
    .macro rows1 unit, shift
    entry UNROLL_1
1:
    ldrd r3, r6, [sp, #ARG_INPUT]
    mov r11, #0
    bx r6
    .p2align 2
2:
    .rept 1 << UNROLL_1
    \unit
    .endr
3:
    ldr r4, [sp, #ARG_END]
    cmp r3, r4
    bne 2b
    ldr r6, [sp, #ARG_SKIP]
    ldrd r4, r5, [sp, #ARG_COUNT]
    add r0, r0, r6
    .if \shift
    asr r11, r11, #\shift
    .endif
    str r11, [r5], #4
    subs r4, r4, #1
    strd r4, r5, [sp, #ARG_COUNT]
    bne 1b
    .endm

    enter ancestral_dsp_w8x3
    rows3 unit_w8x3, 0
    leave ancestral_dsp_w8x3

    enter ancestral_dsp_w8x1
    rows1 unit_w8x1, 0
    leave ancestral_dsp_w8x1

    enter ancestral_dsp_w4x3
    mov r10, #0xF000F000
    rows3 unit_w4x3, 12
    leave ancestral_dsp_w4x3

    enter ancestral_dsp_w4x1
    mov r10, #0xF000F000
    rows1 unit_w4x1, 12
    leave ancestral_dsp_w4x1

@ One row, four samples: each weight is loaded and unpacked once. The words of the four samples lie side by side.
    .macro four_products w
    ldm r1!, {r4-r7}
    smlad r8, \w, r4, r8
    smlad r9, \w, r5, r9
    smlad r10, \w, r6, r10
    smlad r11, \w, r7, r11
    .endm

    .macro unit_w8s4
    ldrd r2, r3, [r0], #8
    sxtb16 r12, r2
    four_products r12
    sxtb16 r2, r2, ror #8
    four_products r2
    sxtb16 r12, r3
    four_products r12
    sxtb16 r3, r3, ror #8
    four_products r3
    .endm

    .macro unit_w4s4
    ldr r2, [r0], #4
    and r12, r3, r2, lsl #12
    four_products r12
    and r12, r3, r2, lsl #8
    four_products r12
    and r12, r3, r2, lsl #4
    four_products r12
    and r12, r3, r2
    four_products r12
    .endm

@ The samples' sums are APART bytes apart in `out`.
    .macro rows_s4 unit, shift
    entry UNROLL_S4
    ldr lr, [sp, #ARG_END]
1:
    ldrd r1, r4, [sp, #ARG_INPUT]
    mov r8, #0
    mov r9, #0
    mov r10, #0
    mov r11, #0
    bx r4
    .p2align 2
2:
    .rept 1 << UNROLL_S4
    \unit
    .endr
3:
    cmp r1, lr
    bne 2b
    ldr r6, [sp, #ARG_SKIP]
    ldrd r4, r5, [sp, #ARG_COUNT]
    add r0, r0, r6
    .if \shift
    asr r8, r8, #\shift
    asr r9, r9, #\shift
    asr r10, r10, #\shift
    asr r11, r11, #\shift
    .endif
    str r11, [r5, #(3 * APART)]
    str r10, [r5, #(2 * APART)]
    str r9, [r5, #APART]
    str r8, [r5], #4
    subs r4, r4, #1
    strd r4, r5, [sp, #ARG_COUNT]
    bne 1b
    .endm

    enter ancestral_dsp_w8s4
    rows_s4 unit_w8s4, 0
    leave ancestral_dsp_w8s4

    enter ancestral_dsp_w4s4
    mov r3, #0xF000F000
    rows_s4 unit_w4s4, 12
    leave ancestral_dsp_w4s4

@ Bringing an input into pairs: (input, units, words). Eight columns are eight bytes or sixteen. Of one sample the four
@ words of a unit follow each other; of four samples each word has those of the others beside it.
    .macro prepare name, load, step
    .section .text.\name, "ax", %progbits
    .global \name
    .hidden \name
    .type \name, %function
    .thumb_func
    .p2align 2
\name:
    push {r4-r7, lr}
1:
    \load
    .if \step == 1
    stm r2!, {r4-r7}
    .else
    str r7, [r2, #48]
    str r6, [r2, #32]
    str r5, [r2, #16]
    str r4, [r2], #64
    .endif
    subs r1, r1, #1
    bne 1b
    pop {r4-r7, pc}
    .size \name, . - \name
    .endm

    .macro load_bytes
    ldr r5, [r0], #4
    ldr r7, [r0], #4
    sxtb16 r4, r5
    sxtb16 r5, r5, ror #8
    sxtb16 r6, r7
    sxtb16 r7, r7, ror #8
    .endm

    .macro load_halves
    ldr r4, [r0], #4
    ldr r3, [r0], #4
    ldr r6, [r0], #4
    ldr r12, [r0], #4
    pkhtb r5, r3, r4, asr #16
    pkhbt r4, r4, r3, lsl #16
    pkhtb r7, r12, r6, asr #16
    pkhbt r6, r6, r12, lsl #16
    .endm

    .macro load_bytes_for_nibbles
    ldr r3, [r0], #4
    ldr r12, [r0], #4
    sxtb16 r5, r3
    sxtb16 r6, r12
    pkhbt r4, r5, r6, lsl #16
    pkhtb r6, r6, r5, asr #16
    sxtb16 r3, r3, ror #8
    sxtb16 r12, r12, ror #8
    pkhbt r5, r3, r12, lsl #16
    pkhtb r7, r12, r3, asr #16
    .endm

    prepare ancestral_dsp_bytes_1, load_bytes, 1
    prepare ancestral_dsp_bytes_4, load_bytes, 4
    prepare ancestral_dsp_halves_1, load_halves, 1
    prepare ancestral_dsp_halves_4, load_halves, 4
    prepare ancestral_dsp_nibbles_1, load_bytes_for_nibbles, 1
    prepare ancestral_dsp_nibbles_4, load_bytes_for_nibbles, 4

    .text
