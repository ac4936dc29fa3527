/* launches.h: runs launch plans on the CUDA driver; the same text for every library of graphc.
 *
 * A plan is a table of nodes: launches of kernels, fills, and loops of which only the device knows
 * how long they go on. Nodes between two loops become one CUDA graph, with the edges of the plan;
 * a loop is run by the host. All addresses are offsets in one block of device memory.
 */
#ifndef GRAPHC_LAUNCHES_H
#define GRAPHC_LAUNCHES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_driver.h"

typedef struct {
    const char *name;      /* the entry in the machine code */
    uint32_t threads;      /* of a block */
    uint32_t shared;       /* bytes of shared memory to ask for */
    uint32_t arguments;    /* pointers */
} launches_kernel;

enum { LAUNCHES_KERNEL, LAUNCHES_FILL, LAUNCHES_LOOP };

typedef struct {
    int32_t kind;
    uint32_t what;   /* the number of the kernel or of the loop; what a fill repeats */
    uint32_t blocks; /* of a launch */
    uint64_t first;  /* of a launch: its first argument; of a fill: where */
    uint64_t bytes;  /* of a fill */
} launches_node;

/* Rows of a table of nodes. */
#define LAUNCH(kernel, blocks, first_argument) {LAUNCHES_KERNEL, kernel, blocks, first_argument, 0}
#define FILL(offset, bytes, value) {LAUNCHES_FILL, value, 0, offset, bytes}
#define LOOP(number) {LAUNCHES_LOOP, number, 0, 0, 0}

typedef struct {
    uint32_t first, count; /* nodes */
} launches_range;

typedef struct {
    uint32_t iterations;   /* at most */
    uint32_t turns;        /* 0, or after how many steps places repeat: see `launches_iteration` */
    int64_t count;         /* where an int64 says how many; -1: nowhere */
    int64_t conditions;    /* the first of `offsets` that say whether to go on; -1: none do */
    launches_range before;
    uint32_t repeated;     /* the first of `ranges`, one an iteration and turn */
    int64_t after;         /* the first of `ranges`, for 0, 1, ... iterations; -1: none */
} launches_loop;

typedef struct {
    const launches_kernel *kernels;
    const launches_node *nodes;
    const uint64_t *arguments; /* offsets */
    const uint32_t (*edges)[2];
    const launches_loop *loops;
    const launches_range *ranges;
    const uint64_t *offsets;
    uint32_t kernel_count, edge_count, argument_count;
    launches_range step, prepare;
} launches_plan;

/* A CUDA graph, or a loop. */
typedef struct {
    CUgraph graph;
    CUgraphExec executable;
    uint32_t loop;
} launches_part;

typedef struct {
    const launches_plan *plan;
    CUmodule module;
    CUfunction *functions;
    CUdeviceptr *addresses; /* the arguments */
    void **slots;           /* where each of them is */
    launches_part *step, *prepare;
    uint32_t step_count, prepare_count;
    CUdeviceptr base;
    CUcontext context;
    CUstream stream;
    unsigned char *answer; /* pinned: 8 bytes */
} launches_bound;

#define LAUNCHES_TRY(call)                                                                         \
    do {                                                                                           \
        CUresult launches_status = (call);                                                         \
        if (launches_status != CUDA_SUCCESS) return launches_status;                               \
    } while (0)

static CUresult launches_run_range(const launches_bound *b, launches_range range);

/* ---- one node by itself ---- */

/* Which of the ranges a step of so many runs: with turns, places depend on what is left. */
static int64_t launches_iteration(const launches_loop *loop, int64_t step, int64_t steps) {
    if (!loop->turns) return step;
    return ((int64_t)loop->iterations - steps + step) * loop->turns + step % loop->turns;
}

static CUresult launches_run_loop(const launches_bound *b, const launches_loop *loop) {
    const launches_plan *plan = b->plan;
    int64_t most = loop->iterations, done = 0, at_step;
    if (loop->count >= 0) {
        LAUNCHES_TRY(cuMemcpyDtoHAsync(b->answer, b->base + (uint64_t)loop->count, 8, b->stream));
        LAUNCHES_TRY(cuStreamSynchronize(b->stream));
        memcpy(&most, b->answer, 8);
        if (most > (int64_t)loop->iterations) most = loop->iterations;
        if (most < 0) most = 0;
    }
    LAUNCHES_TRY(launches_run_range(b, loop->before));
    for (; done < most; done++) {
        if (loop->conditions >= 0) {
            CUdeviceptr at = b->base + plan->offsets[loop->conditions + done];
            LAUNCHES_TRY(cuMemcpyDtoHAsync(b->answer, at, 1, b->stream));
            LAUNCHES_TRY(cuStreamSynchronize(b->stream));
            if (!b->answer[0]) break;
        }
        at_step = launches_iteration(loop, done, most);
        LAUNCHES_TRY(launches_run_range(b, plan->ranges[loop->repeated + at_step]));
    }
    if (loop->after < 0) return CUDA_SUCCESS;
    return launches_run_range(b, plan->ranges[loop->after + done]);
}

static CUresult launches_run_node(const launches_bound *b, const launches_node *node) {
    CUdeviceptr at = b->base + node->first;
    const launches_kernel *kernel;
    if (node->kind == LAUNCHES_LOOP) return launches_run_loop(b, &b->plan->loops[node->what]);
    if (node->kind == LAUNCHES_FILL && node->bytes % 4)
        return cuMemsetD8Async(at, (unsigned char)node->what, node->bytes, b->stream);
    if (node->kind == LAUNCHES_FILL)
        return cuMemsetD32Async(at, node->what, node->bytes / 4, b->stream);
    kernel = &b->plan->kernels[node->what];
    return cuLaunchKernel(b->functions[node->what], node->blocks, 1, 1, kernel->threads, 1, 1,
                          kernel->shared, b->stream, b->slots + node->first, NULL);
}

static CUresult launches_run_range(const launches_bound *b, launches_range range) {
    for (uint32_t i = 0; i < range.count; i++)
        LAUNCHES_TRY(launches_run_node(b, &b->plan->nodes[range.first + i]));
    return CUDA_SUCCESS;
}

/* ---- graphs ---- */

static CUresult launches_add(const launches_bound *b, CUgraph graph, const launches_node *node,
                             const CUgraphNode *after, size_t count, CUgraphNode *made) {
    if (node->kind == LAUNCHES_FILL) {
        CUDA_MEMSET_NODE_PARAMS fill;
        memset(&fill, 0, sizeof fill);
        fill.elementSize = node->bytes % 4 ? 1 : 4;
        fill.value = node->bytes % 4 ? node->what & 255 : node->what;
        fill.dst = b->base + node->first;
        fill.width = node->bytes / fill.elementSize;
        fill.height = 1;
        return cuGraphAddMemsetNode(made, graph, after, count, &fill, b->context);
    } else {
        CUDA_KERNEL_NODE_PARAMS launch;
        memset(&launch, 0, sizeof launch);
        launch.func = b->functions[node->what];
        launch.gridDimX = node->blocks;
        launch.blockDimX = b->plan->kernels[node->what].threads;
        launch.gridDimY = launch.gridDimZ = launch.blockDimY = launch.blockDimZ = 1;
        launch.sharedMemBytes = b->plan->kernels[node->what].shared;
        launch.kernelParams = b->slots + node->first;
        return cuGraphAddKernelNode(made, graph, after, count, &launch);
    }
}

/* The graph of nodes without loops; in `prepare` each waits for the one before. */
static CUresult launches_make_graph(const launches_bound *b, launches_range range, int in_order,
                                    launches_part *part) {
    const launches_plan *plan = b->plan;
    CUgraphNode *made = calloc(2 * (size_t)range.count, sizeof *made), *after = made + range.count;
    CUresult status = made ? cuGraphCreate(&part->graph, 0) : CUDA_ERROR_OUT_OF_MEMORY;
    uint32_t edge = 0;
    for (uint32_t i = 0; i < range.count && status == CUDA_SUCCESS; i++) {
        size_t count = 0;
        if (in_order && i) after[count++] = made[i - 1];
        /* edges are sorted by the later node, and a range starts at its number */
        for (; !in_order && edge < plan->edge_count; edge++) {
            uint32_t earlier = plan->edges[edge][0], later = plan->edges[edge][1];
            if (later > range.first + i) break;
            if (later == range.first + i && earlier >= range.first)
                after[count++] = made[earlier - range.first];
        }
        status = launches_add(b, part->graph, &plan->nodes[range.first + i], after, count, &made[i]);
    }
    free(made);
    if (status == CUDA_SUCCESS) status = cuGraphInstantiate(&part->executable, part->graph, 0);
    return status;
}

static CUresult launches_make_parts(const launches_bound *b, launches_range range, int in_order,
                                    launches_part **parts, uint32_t *count) {
    uint32_t start = range.first, end = range.first + range.count;
    *parts = calloc(2 * (size_t)range.count + 1, sizeof **parts);
    if (!*parts) return CUDA_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = start; i <= end; i++) {
        launches_range run = {start, i - start};
        if (i < end && b->plan->nodes[i].kind != LAUNCHES_LOOP) continue;
        if (run.count) {
            launches_part *part = &(*parts)[(*count)++];
            LAUNCHES_TRY(launches_make_graph(b, run, in_order, part));
        }
        if (i < end) (*parts)[(*count)++].loop = b->plan->nodes[i].what;
        start = i + 1;
    }
    return CUDA_SUCCESS;
}

static CUresult launches_run(const launches_bound *b, const launches_part *parts, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].graph)
            LAUNCHES_TRY(cuGraphLaunch(parts[i].executable, b->stream));
        else
            LAUNCHES_TRY(launches_run_loop(b, &b->plan->loops[parts[i].loop]));
    }
    return CUDA_SUCCESS;
}

/* Load the machine code of a plan and make its graphs; `base`, `context`, `stream` and `answer`
 * have been set. What was made is given back by `launches_unbind`, also after a failure. */
static CUresult launches_bind(launches_bound *b, const launches_plan *plan, const char *image) {
    size_t arguments = plan->argument_count;
    b->plan = plan;
    b->functions = calloc(plan->kernel_count + 1, sizeof *b->functions);
    b->addresses = calloc(arguments + 1, sizeof *b->addresses);
    b->slots = calloc(arguments + 1, sizeof *b->slots);
    if (!b->functions || !b->addresses || !b->slots) return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < arguments; i++) {
        b->addresses[i] = b->base + plan->arguments[i];
        b->slots[i] = &b->addresses[i];
    }
    LAUNCHES_TRY(cuModuleLoadDataEx(&b->module, image, 0, NULL, NULL));
    for (uint32_t i = 0; i < plan->kernel_count; i++) {
        const launches_kernel *kernel = &plan->kernels[i];
        LAUNCHES_TRY(cuModuleGetFunction(&b->functions[i], b->module, kernel->name));
        if (kernel->shared)
            LAUNCHES_TRY(cuFuncSetAttribute(b->functions[i],
                                            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                            (int)kernel->shared));
    }
    LAUNCHES_TRY(launches_make_parts(b, plan->prepare, 1, &b->prepare, &b->prepare_count));
    return launches_make_parts(b, plan->step, 0, &b->step, &b->step_count);
}

static void launches_drop_parts(launches_part *parts, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].executable) cuGraphExecDestroy(parts[i].executable);
        if (parts[i].graph) cuGraphDestroy(parts[i].graph);
    }
    free(parts);
}

static void launches_unbind(launches_bound *b) {
    launches_drop_parts(b->prepare, b->prepare_count);
    launches_drop_parts(b->step, b->step_count);
    if (b->module) cuModuleUnload(b->module);
    free(b->functions);
    free(b->addresses);
    free(b->slots);
}
#endif
