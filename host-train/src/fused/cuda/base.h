// Definitions for all kernels. They are plain C: nvcc compiles them for a GPU, and a test compiles them for the CPU
// (emulator.h), where each thread of a block is a coroutine. So every kernel is tested without a GPU.
//
// A kernel takes one structure of parameters; host-train/src/fused/device/params.rs has the same structures, field by
// field.
#ifndef BASE_H
#define BASE_H

typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned long long u64;

// Threads of every block; also in params.rs.
#define THREADS 256
// Threads of a block that share a row, in kernels that sum rows; also in params.rs.
#define LANES 32
#define ROWS (THREADS / LANES)

#ifdef __CUDACC__
#define DEVICE static __device__ __forceinline__
#define SHARED __shared__
#define KERNEL(name, Params)                                                                                          \
    extern "C" __global__ void __launch_bounds__(THREADS) name(const __grid_constant__ Params p)
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

// Number of this thread among all of a launch.
#define HERE ((u64)BLOCK * THREADS + THREAD)

// From a bf16 in 16 bits to an f32.
DEVICE float from_bf16(u16 value) { return FLOAT((u32)value << 16); }

// To the nearest bf16, ties to even.
DEVICE u16 to_bf16(float value) {
    u32 bits = BITS(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// One value of f32 or bf16.
DEVICE float load(const void *values, u64 at, u32 bf16) {
    return bf16 ? from_bf16(((const u16 *)values)[at]) : ((const float *)values)[at];
}

DEVICE void store(void *values, u64 at, u32 bf16, float value) {
    if (bf16) {
        ((u16 *)values)[at] = to_bf16(value);
    } else {
        ((float *)values)[at] = value;
    }
}

// True if four values from a multiple of four on are one access to memory.
DEVICE int aligned(const void *values) { return ((u64)values & 15) == 0; }

// Up to four values from `at` on, in one access to memory if possible.
DEVICE void load_four(const void *values, u64 at, u32 count, u32 bf16, float out[4]) {
    if (count == 4 && aligned(values)) {
        if (bf16) {
            u64 four = *(const u64 *)((const u16 *)values + at);
            for (u32 i = 0; i < 4; i++) out[i] = from_bf16((u16)(four >> (16 * i)));
        } else {
            Four four = *(const Four *)((const float *)values + at);
            out[0] = four.x, out[1] = four.y, out[2] = four.z, out[3] = four.w;
        }
        return;
    }
    for (u32 i = 0; i < count; i++) out[i] = load(values, at + i, bf16);
}

DEVICE void store_four(void *values, u64 at, u32 count, u32 bf16, const float in[4]) {
    if (count == 4 && aligned(values)) {
        if (bf16) {
            u64 four = 0;
            for (u32 i = 0; i < 4; i++) four |= (u64)to_bf16(in[i]) << (16 * i);
            *(u64 *)((u16 *)values + at) = four;
        } else {
            Four four;
            four.x = in[0], four.y = in[1], four.z = in[2], four.w = in[3];
            *(Four *)((float *)values + at) = four;
        }
        return;
    }
    for (u32 i = 0; i < count; i++) store(values, at + i, bf16, in[i]);
}

// Number of the four values from `at` on that exist.
DEVICE u32 left(u64 at, u64 count) { return at >= count ? 0 : (count - at < 4 ? (u32)(count - at) : 4); }

// Sum over groups of `group` neighboring threads, in a fixed order, for all threads of the group. All threads of the
// block must call it.
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

// First position in an ascending list whose value is not below `value`.
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
