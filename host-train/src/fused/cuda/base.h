// What all kernels share. They are plain C: nvcc compiles them for a GPU, and a test compiles them for the CPU (emulator.h), where each
// thread of a block is a coroutine. So every kernel is checked where there is no GPU.
//
// A kernel takes one structure of parameters; host-train/src/fused/device/params.rs has the same structures, field by field.
#ifndef BASE_H
#define BASE_H

typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned long long u64;

// Threads of every block; also in params.rs.
#define THREADS 256
// Threads of a block that share a row, where rows are summed.
#define LANES 32
#define ROWS (THREADS / LANES)

#ifdef __CUDACC__
#define DEVICE static __device__ __forceinline__
#define SHARED __shared__
#define KERNEL(name, Params) extern "C" __global__ void __launch_bounds__(THREADS) name(const __grid_constant__ Params p)
#define BLOCK blockIdx.x
#define BLOCK_Y blockIdx.y
#define BLOCKS gridDim.x
#define THREAD threadIdx.x
#define SYNC() __syncthreads()
#define HIGH_64(a, b) __umul64hi(a, b)
#define LEADING_ZEROS(a) __clz((int)(a))
#define BITS(f) __float_as_uint(f)
#define FLOAT(u) __uint_as_float(u)
typedef float4 Four;
#else
#include "emulator.h"
#endif

// This thread's number among all of a launch.
#define HERE ((u64)BLOCK * THREADS + THREAD)

// An f32, or the nearest bf16 in 16 bits, ties to even.
DEVICE float wide(u16 half) { return FLOAT((u32)half << 16); }

DEVICE u16 half_of(float value) {
    u32 bits = BITS(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

DEVICE float load(const void *values, u64 at, u32 half) {
    return half ? wide(((const u16 *)values)[at]) : ((const float *)values)[at];
}

DEVICE void store(void *values, u64 at, u32 half, float value) {
    if (half) {
        ((u16 *)values)[at] = half_of(value);
    } else {
        ((float *)values)[at] = value;
    }
}

// Whether four values from `at`, a multiple of four, are one access to memory.
DEVICE int aligned(const void *values) { return ((u64)values & 15) == 0; }

// Up to four values from `at` on, as wide accesses to memory where that is possible.
DEVICE void load_four(const void *values, u64 at, u32 count, u32 half, float out[4]) {
    if (count == 4 && aligned(values)) {
        if (half) {
            u64 four = *(const u64 *)((const u16 *)values + at);
            for (u32 i = 0; i < 4; i++) out[i] = wide((u16)(four >> (16 * i)));
        } else {
            Four four = *(const Four *)((const float *)values + at);
            out[0] = four.x, out[1] = four.y, out[2] = four.z, out[3] = four.w;
        }
        return;
    }
    for (u32 i = 0; i < count; i++) out[i] = load(values, at + i, half);
}

DEVICE void store_four(void *values, u64 at, u32 count, u32 half, const float in[4]) {
    if (count == 4 && aligned(values)) {
        if (half) {
            u64 four = 0;
            for (u32 i = 0; i < 4; i++) four |= (u64)half_of(in[i]) << (16 * i);
            *(u64 *)((u16 *)values + at) = four;
        } else {
            Four four;
            four.x = in[0], four.y = in[1], four.z = in[2], four.w = in[3];
            *(Four *)((float *)values + at) = four;
        }
        return;
    }
    for (u32 i = 0; i < count; i++) store(values, at + i, half, in[i]);
}

// How many of the four values from `at` there are.
DEVICE u32 left(u64 at, u64 count) { return at >= count ? 0 : (count - at < 4 ? (u32)(count - at) : 4); }

// The sum over groups of `group` neighbouring threads, in a fixed order, for all threads of the group. All threads of the block call it.
DEVICE double sum_over(u32 group, double own) {
    SHARED double parts[THREADS];
    u32 first = THREAD - THREAD % group;
    parts[THREAD] = own;
    SYNC();
    for (u32 half = group / 2; half > 0; half /= 2) {
        if (THREAD - first < half) parts[THREAD] += parts[THREAD + half];
        SYNC();
    }
    double sum = parts[first];
    SYNC();
    return sum;
}

// First place in an ascending list whose value is not below `value`.
DEVICE u64 lower_bound(const u32 *list, u64 count, u32 value) {
    u64 low = 0, high = count;
    while (low < high) {
        u64 middle = (low + high) / 2;
        if (list[middle] < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

#endif
