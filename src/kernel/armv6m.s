@ Sums of products on Armv6-M (Cortex-M0, M0+, M1): eight registers that every instruction takes, no product wider than
@ 32 bits, no multiply-accumulate. Called from armv6m.rs, which says what goes in.
@
@ All functions have one signature:
@   (weights, skip, second, input, bulk, end, count, out, start)
@ weights   first row
@ skip      bytes from where reading a row ends to the next row; of nibbles none
@ second    bytes to the second row of a pair, less 4
@ input     prepared values, aligned
@ bulk      of bytes, end of the part of the input that the unrolled loop takes; of nibbles, not 0 where the loop is
@           entered in its middle; of nibbles of four samples, the input once more
@ end       end of the input
@ count     how often the outer loop runs, at least once
@ out       sums
@ start     where it stands what each sample's sums of nibbles start from

    .syntax unified
    .thumb

    .equ ARG_WEIGHTS, 0
    .equ ARG_SKIP, 4
    .equ ARG_SECOND, 8
    .equ ARG_INPUT, 12
    .equ ARG_BULK, 52
    .equ ARG_END, 56
    .equ ARG_COUNT, 60
    .equ ARG_OUT, 64
    .equ ARG_START, 68

    .macro enter name
    .section .text.\name, "ax", %progbits
    .global \name
    .hidden \name
    .type \name, %function
    .thumb_func
    .p2align 2
\name:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    push {r0-r3}
    .endm

    .macro leave name
    add sp, sp, #16
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .size \name, . - \name
    .endm

@ Runs the outer loop again; `bne` does not reach that far.
    .macro again
    ldr r5, [sp, #ARG_SKIP]
    adds r0, r0, r5
    ldr r5, [sp, #ARG_COUNT]
    subs r5, r5, #1
    str r5, [sp, #ARG_COUNT]
    beq 9f
    b 1b
9:
    .endm

@ Byte \k of \word with its sign.
    .macro byte to, word, k
    .if \k == 0
    sxtb \to, \word
    .elseif \k == 3
    asrs \to, \word, #24
    .else
    lsls \to, \word, #(24 - 8 * \k)
    asrs \to, \to, #24
    .endif
    .endm

@ Two rows, bytes: r0 weights, r1 input, r2 second, r3 and r4 a word of each row, r5 a weight, r6 an input, r7 and r8
@ sums.
    .macro two_rows_byte k, at
    ldrb r6, [r1, #\at]
    byte r5, r3, \k
    muls r5, r6, r5
    adds r7, r7, r5
    byte r5, r4, \k
    muls r5, r6, r5
    add r8, r5
    .endm

    .macro two_rows_bytes at
    ldm r0!, {r3}
    ldr r4, [r0, r2]
    two_rows_byte 0, (\at)
    two_rows_byte 1, (\at + 1)
    two_rows_byte 2, (\at + 2)
    two_rows_byte 3, (\at + 3)
    .endm

    enter ancestral_v6m_bytes_x2
    ldr r5, [sp, #ARG_BULK]
    mov r9, r5
    ldr r5, [sp, #ARG_END]
    mov r10, r5
1:
    ldr r1, [sp, #ARG_INPUT]
    movs r7, #0
    mov r8, r7
    cmp r1, r9
    bne 2f
    b 3f
2:
    two_rows_bytes 0
    two_rows_bytes 4
    two_rows_bytes 8
    two_rows_bytes 12
    adds r1, r1, #16
    cmp r1, r9
    beq 3f
    b 2b
3:
    cmp r1, r10
    beq 5f
4:
    two_rows_bytes 0
    adds r1, r1, #4
    cmp r1, r10
    bne 4b
5:
    ldr r5, [sp, #ARG_OUT]
    mov r6, r8
    str r7, [r5]
    str r6, [r5, #4]
    adds r5, r5, #8
    str r5, [sp, #ARG_OUT]
    again
    leave ancestral_v6m_bytes_x2

@ Two rows, inputs of 16 bits, two to a word in r7; sums in r8 and r11.
    .macro two_rows_half k
    byte r5, r3, \k
    muls r5, r6, r5
    add r8, r5
    byte r5, r4, \k
    muls r5, r6, r5
    add r11, r5
    .endm

    enter ancestral_v6m_halves_x2
    ldr r5, [sp, #ARG_END]
    mov r10, r5
1:
    ldr r1, [sp, #ARG_INPUT]
    movs r7, #0
    mov r8, r7
    mov r11, r7
2:
    ldm r0!, {r3}
    ldr r4, [r0, r2]
    ldm r1!, {r7}
    sxth r6, r7
    two_rows_half 0
    asrs r6, r7, #16
    two_rows_half 1
    ldm r1!, {r7}
    sxth r6, r7
    two_rows_half 2
    asrs r6, r7, #16
    two_rows_half 3
    cmp r1, r10
    bne 2b
    ldr r5, [sp, #ARG_OUT]
    mov r6, r8
    str r6, [r5]
    mov r6, r11
    str r6, [r5, #4]
    adds r5, r5, #8
    str r5, [sp, #ARG_OUT]
    again
    leave ancestral_v6m_halves_x2

@ One row, four samples, whose bytes lie side by side: each weight is unpacked once, into r3. Sums in r8 to r11.
    .macro four_bytes k, at
    byte r3, r2, \k
    ldrb r4, [r1, #(\at)]
    muls r4, r3, r4
    add r8, r4
    ldrb r4, [r1, #(\at + 1)]
    muls r4, r3, r4
    add r9, r4
    ldrb r4, [r1, #(\at + 2)]
    muls r4, r3, r4
    add r10, r4
    ldrb r4, [r1, #(\at + 3)]
    muls r4, r3, r4
    add r11, r4
    .endm

@ The samples' sums are 15 words apart in `out`.
    .macro store_four
    ldr r5, [sp, #ARG_OUT]
    mov r6, r8
    str r6, [r5]
    mov r6, r9
    str r6, [r5, #60]
    mov r6, r10
    str r6, [r5, #120]
    mov r6, r11
    adds r5, r5, #180
    str r6, [r5]
    subs r5, r5, #176
    str r5, [sp, #ARG_OUT]
    .endm

    enter ancestral_v6m_bytes_s4
    ldr r5, [sp, #ARG_END]
    mov r12, r5
1:
    ldr r1, [sp, #ARG_INPUT]
    movs r7, #0
    mov r8, r7
    mov r9, r7
    mov r10, r7
    mov r11, r7
2:
    ldm r0!, {r2}
    four_bytes 0, 0
    four_bytes 1, 4
    four_bytes 2, 8
    four_bytes 3, 12
    ldm r0!, {r2}
    four_bytes 0, 16
    four_bytes 1, 20
    four_bytes 2, 24
    four_bytes 3, 28
    adds r1, r1, #32
    cmp r1, r12
    bne 2b
    store_four
    again
    leave ancestral_v6m_bytes_s4

@ Nibbles: r0 input, r1 weights, r2 a word of eight, r3 a pair of nibbles, r4 the mask of a pair, r5 and r6 pairs of
@ inputs, r7 what makes nibbles unsigned. The product of two pairs has the sum of their products in its upper half and
@ something below that never carries: the halves of sixteen columns fit 16 bits each.
    .macro pair_of_nibbles shift
    .if \shift
    lsrs r3, r2, #\shift
    .else
    movs r3, r2
    .endif
    ands r3, r4
    .endm

    .macro nibble_constants
    ldr r4, 7f
    ldr r7, 6f
    b 8f
    .p2align 2
7:
    .word 0x000F000F
6:
    .word 0x88888888
8:
    .endm

    .macro eight_nibbles begin
    ldm r1!, {r2}
    eors r2, r7
    ldm r0!, {r5, r6}
    pair_of_nibbles 0
    muls r3, r5, r3
    .if \begin
    mov r8, r3
    .else
    add r8, r3
    .endif
    pair_of_nibbles 4
    muls r3, r6, r3
    add r8, r3
    ldm r0!, {r5, r6}
    pair_of_nibbles 8
    muls r3, r5, r3
    add r8, r3
    pair_of_nibbles 12
    muls r3, r6, r3
    add r8, r3
    .endm

    .macro sixteen_nibbles
    eight_nibbles 1
    eight_nibbles 0
    mov r3, r8
    lsrs r3, r3, #16
    add r9, r3
    .endm

    enter ancestral_v6m_nibbles_x1
    nibble_constants
    ldr r1, [sp, #ARG_WEIGHTS]
    ldr r5, [sp, #ARG_END]
    mov r10, r5
1:
    ldr r0, [sp, #ARG_INPUT]
    ldr r5, [sp, #ARG_START]
    ldr r5, [r5]
    mov r9, r5
    ldr r5, [sp, #ARG_BULK]
    cmp r5, #0
    bne 3f
2:
    sixteen_nibbles
3:
    sixteen_nibbles
    cmp r0, r10
    bne 2b
    ldr r5, [sp, #ARG_OUT]
    mov r6, r9
    stm r5!, {r6}
    str r5, [sp, #ARG_OUT]
    ldr r5, [sp, #ARG_COUNT]
    subs r5, r5, #1
    str r5, [sp, #ARG_COUNT]
    bne 1b
    leave ancestral_v6m_nibbles_x1

@ One row, four samples; their totals are in the frame.
    .macro four_pairs shift, begin
    pair_of_nibbles \shift
    ldm r0!, {r5, r6}
    muls r5, r3, r5
    muls r6, r3, r6
    .if \begin
    mov r8, r5
    mov r9, r6
    .else
    add r8, r5
    add r9, r6
    .endif
    ldm r0!, {r5, r6}
    muls r5, r3, r5
    muls r6, r3, r6
    .if \begin
    mov r10, r5
    mov r11, r6
    .else
    add r10, r5
    add r11, r6
    .endif
    .endm

    .macro eight_nibbles_s4 begin
    ldm r1!, {r2}
    eors r2, r7
    four_pairs 0, \begin
    four_pairs 4, 0
    four_pairs 8, 0
    four_pairs 12, 0
    .endm

@ Overwrites the arguments weights to input with the totals; what is still needed of them is in registers.
    .macro widen sum, at
    mov r5, \sum
    lsrs r5, r5, #16
    ldr r6, [sp, #\at]
    adds r6, r6, r5
    str r6, [sp, #\at]
    .endm

    enter ancestral_v6m_nibbles_s4
    nibble_constants
    mov r1, r0
    ldr r5, [sp, #ARG_END]
    mov r12, r5
1:
    ldr r0, [sp, #ARG_START]
    ldm r0!, {r2, r3, r5, r6}
    str r2, [sp, #0]
    str r3, [sp, #4]
    str r5, [sp, #8]
    str r6, [sp, #12]
    ldr r0, [sp, #ARG_BULK]
2:
    eight_nibbles_s4 1
    eight_nibbles_s4 0
    widen r8, 0
    widen r9, 4
    widen r10, 8
    widen r11, 12
    cmp r0, r12
    bne 2b
    ldr r5, [sp, #ARG_OUT]
    ldr r6, [sp, #0]
    str r6, [r5]
    ldr r6, [sp, #4]
    str r6, [r5, #60]
    ldr r6, [sp, #8]
    str r6, [r5, #120]
    ldr r6, [sp, #12]
    adds r5, r5, #180
    str r6, [r5]
    subs r5, r5, #176
    str r5, [sp, #ARG_OUT]
    ldr r5, [sp, #ARG_COUNT]
    subs r5, r5, #1
    str r5, [sp, #ARG_COUNT]
    beq 9f
    b 1b
9:
    leave ancestral_v6m_nibbles_s4

    .text
