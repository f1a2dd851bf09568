// The part of base.h that replaces a GPU: the threads of a block are coroutines that run one after another from barrier
// to barrier, and blocks run one after another. Slow, but the same kernels to the letter.
#include <math.h>
#include <ucontext.h>

#define DEVICE static inline __attribute__((unused))
#define SHARED static
#define BLOCK here.block
#define BLOCK_Y here.block_y
#define BLOCKS here.blocks
#define THREAD here.thread
#define SYNC() wait_for_all()
#define HIGH_64(a, b) ((u64)(((unsigned __int128)(a) * (b)) >> 64))
#define LEADING_ZEROS(a) __builtin_clz(a)
#define BITS(f) (((union { float value; u32 bits; }){.value = (f)}).bits)
#define FLOAT(u) (((union { u32 bits; float value; }){.bits = (u)}).value)

typedef struct {
    float x, y, z, w;
} Four;

// Volatile: it changes while a thread waits.
static volatile struct {
    u32 block, block_y, blocks, thread;
} here;

static ucontext_t scheduler, threads[THREADS];
static char stacks[THREADS][1 << 15];
static volatile int ended[THREADS];
static const void *volatile parameters;

static void wait_for_all(void) {
    u32 own = here.thread;
    swapcontext(&threads[own], &scheduler);
}

// Returns 0, or 1 if some threads of a block waited for others that had ended.
static int run(void (*kernel)(void), u32 x, u32 y) {
    for (u32 block = 0; block < x * y; block++) {
        here.block = block % x, here.block_y = block / x, here.blocks = x;
        for (u32 i = 0; i < THREADS; i++) {
            getcontext(&threads[i]);
            threads[i].uc_stack.ss_sp = stacks[i];
            threads[i].uc_stack.ss_size = sizeof stacks[i];
            threads[i].uc_link = &scheduler;
            makecontext(&threads[i], kernel, 0);
            ended[i] = 0;
        }
        for (u32 done = 0; done < THREADS;) {
            u32 waiting = 0;
            for (u32 i = 0; i < THREADS; i++) {
                if (ended[i]) continue;
                here.thread = i;
                swapcontext(&scheduler, &threads[i]);
                if (ended[i]) {
                    done++;
                } else {
                    waiting++;
                }
            }
            if (waiting && done) return 1;
        }
    }
    return 0;
}

#define KERNEL(name, Params)                                    \
    static void name##_thread(const Params p);                  \
    static void name##_begin(void) {                            \
        name##_thread(*(const Params *)parameters);             \
        ended[here.thread] = 1;                                 \
    }                                                           \
    int emulate_##name(const void *params, u32 x, u32 y) {      \
        parameters = params;                                    \
        return run(name##_begin, x, y);                         \
    }                                                           \
    static void name##_thread(const Params p)
