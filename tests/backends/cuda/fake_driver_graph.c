/* The driver for tests: modules, launches, graphs. See fake_driver.h. */
#include "fake_driver.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct KernelParameters {
    Object *function;
    unsigned grid[3], block[3], shared_bytes;
    void **arguments, **extra;
    void *kernel, *context;
} KernelParameters;

typedef struct FillParameters {
    uint64_t to;
    size_t pitch;
    unsigned value, unit;
    size_t width, height;
} FillParameters;

static const size_t NONE = (size_t)-1;

/* ---- modules ---- */

static uint64_t number(const unsigned char *at, int bytes) {
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;) value = value << 8 | at[i];
    return value;
}

/* PTX: the parameters between the brackets of an entry. */
static size_t entry_of_text(const Object *module, const char *symbol) {
    char head[300];
    const char *at, *end;
    size_t count = 0;
    snprintf(head, sizeof head, ".entry %s(", symbol);
    at = strstr((const char *)module->start, head);
    if (!at) return NONE;
    end = strchr(at + strlen(head), ')');
    while ((at = strstr(at, ".param ")) && at < end) {
        count++;
        at++;
    }
    return count;
}

/* A cubin is an ELF file: the section .nv.info.NAME has one record for each parameter. */
static size_t entry_of_elf(const Object *module, const char *symbol) {
    const unsigned char *file = module->start, *sections = file + number(file + 40, 8);
    size_t count = (size_t)number(file + 60, 2), found = 0;
    const unsigned char *names = file + number(sections + 64 * number(file + 62, 2) + 24, 8);
    char wanted[300];
    snprintf(wanted, sizeof wanted, ".nv.info.%s", symbol);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *section = sections + 64 * i;
        const unsigned char *at = file + number(section + 24, 8);
        const unsigned char *end = at + number(section + 32, 8);
        if (strcmp((const char *)names + number(section, 4), wanted)) continue;
        for (; at + 4 <= end; at += 4 + (at[0] == 4 ? number(at + 2, 2) : 0))
            found += at[0] == 4 && at[1] == 0x17;
        return found;
    }
    return NONE;
}

size_t fake_entries(const Object *module, const char *symbol) {
    int is_elf = !memcmp(module->start, "\177ELF", 4);
    return is_elf ? entry_of_elf(module, symbol) : entry_of_text(module, symbol);
}

static size_t image_bytes(const unsigned char *image) {
    if (memcmp(image, "\177ELF", 4)) return strlen((const char *)image) + 1;
    return (size_t)(number(image + 40, 8) + number(image + 58, 2) * number(image + 60, 2));
}

int cuModuleLoadDataEx(Object **module, const void *image, unsigned count, int *options,
                       void **values) {
    size_t bytes = image_bytes(image);
    int is_elf = !memcmp(image, "\177ELF", 4);
    ENTER("cuModuleLoadDataEx", 1);
    if (!is_elf && !strstr(image, ".version")) {
        for (unsigned i = 0; i < count; i++)
            if (options[i] == 5) strcpy(values[i], "ptxas fatal: no .version");
        return BAD_PTX;
    }
    *module = fake_new(MODULE);
    (*module)->start = memcpy(malloc(bytes), image, bytes);
    fake_log("cuModuleLoadDataEx module%d %s", (*module)->id, is_elf ? "cubin" : "ptx");
    return OK;
}

int cuModuleUnload(Object *module) {
    ENTER("cuModuleUnload", 1);
    NEED(module, MODULE);
    module->alive = 0;
    return OK;
}

int cuModuleGetFunction(Object **function, Object *module, const char *name) {
    size_t parameters;
    ENTER("cuModuleGetFunction", 1);
    NEED(module, MODULE);
    parameters = fake_entries(module, name);
    if (parameters == NONE) return NOT_FOUND;
    *function = fake_new(FUNCTION);
    (*function)->owner = module;
    (*function)->parameters = parameters;
    snprintf((*function)->name, sizeof(*function)->name, "%s", name);
    return OK;
}

/* ---- nodes ---- */

int cuFuncSetAttribute(Object *function, int attribute, int value) {
    ENTER("cuFuncSetAttribute", 1);
    NEED(function, FUNCTION);
    if (attribute != 8 || value > MOST_SHARED) return INVALID;
    function->bytes = (size_t)value;
    fake_log("shared %s %d", function->name, value);
    return OK;
}

static int make_kernel(Node *node, Object *function, unsigned grid, unsigned block,
                       unsigned shared, void **slots) {
    NEED(function, FUNCTION);
    NEED(function->owner, MODULE);
    if (shared > SHARED && shared > function->bytes) {
        fake_wrong("%s: %u bytes of shared memory were not asked for", function->name, shared);
        return INVALID;
    }
    if (!grid || !block || block > 1024 || function->parameters > MAX_ARGUMENTS) return INVALID;
    node->function = function;
    node->grid = grid;
    node->block = block;
    node->shared = shared;
    node->count = function->parameters;
    for (size_t i = 0; i < node->count; i++) node->arguments[i] = *(uint64_t *)slots[i];
    return OK;
}

static int make_fill(Node *node, const FillParameters *p) {
    if ((p->unit != 1 && p->unit != 4) || p->to % p->unit || p->height != 1) return INVALID;
    node->function = NULL;
    node->arguments[0] = p->to;
    node->value = p->value;
    node->unit = p->unit;
    node->count = p->width;
    return OK;
}

static void describe(char *text, size_t size, const Node *node) {
    int at;
    if (!node->function) {
        snprintf(text, size, "fill to=%s value=%u bytes=%zu", fake_place(node->arguments[0]),
                 node->value, node->count * node->unit);
        return;
    }
    at = snprintf(text, size, "kernel=%s grid=%u block=%u ", node->function->name, node->grid,
                  node->block);
    if (node->shared)
        at += snprintf(text + at, size - (size_t)at, "shared=%u ", node->shared);
    at += snprintf(text + at, size - (size_t)at, "arguments=");
    for (size_t i = 0; i < node->count && (size_t)at < size; i++)
        at += snprintf(text + at, size - (size_t)at, "%s%s", i ? "," : "",
                       fake_place(node->arguments[i]));
}

static void run_node(const Node *node) {
    uint64_t first = node->arguments[0], last;
    if (!node->function) {
        if (!fake_find(first, node->count * node->unit, BLOCK)) {
            fake_wrong("a fill outside of all memory");
            return;
        }
        for (size_t i = 0; i < node->count; i++)
            memcpy((char *)(uintptr_t)first + i * node->unit, &node->value, node->unit);
        return;
    }
    if (!fake_is(node->function->owner, MODULE)) return;
    for (size_t i = 0; i < node->count; i++)
        if (!fake_find(node->arguments[i], 1, BLOCK)) {
            fake_wrong("%s: argument %zu is no memory", node->function->name, i);
            return;
        }
    last = node->count ? node->arguments[node->count - 1] : 0;
    if (!strncmp(node->function->name, "accumulate", 10))
        *(int64_t *)(uintptr_t)last += *(int64_t *)(uintptr_t)first;
    if (!strncmp(node->function->name, "move", 4))
        *(int64_t *)(uintptr_t)last = *(int64_t *)(uintptr_t)first;
}

void fake_run(const Node *nodes, size_t count) {
    for (size_t i = 0; i < count; i++) run_node(&nodes[i]);
}

static void queue_nodes(Object *stream, Node *nodes, size_t count) {
    Work work = {RUN, 0, 0, 0, nodes, count, NULL};
    fake_queue(stream, work);
}

int cuLaunchKernel(Object *function, unsigned grid, unsigned gy, unsigned gz, unsigned block,
                   unsigned by, unsigned bz, unsigned shared, Object *stream, void **slots,
                   void **extra) {
    Node *node = calloc(1, sizeof *node);
    char text[4096];
    int status;
    (void)extra;
    ENTER("cuLaunchKernel", 1);
    NEED(fake_stream(stream), STREAM);
    status = gy * gz * by * bz == 1 ? make_kernel(node, function, grid, block, shared, slots) : INVALID;
    if (status) return status;
    describe(text, sizeof text, node);
    fake_log("cuLaunchKernel s%d %s", fake_stream(stream)->id, text);
    queue_nodes(stream, node, 1);
    return OK;
}

static int fill(const char *name, uint64_t to, unsigned value, unsigned unit, size_t count,
                Object *stream) {
    FillParameters p = {to, 0, value, unit, count, 1};
    Node *node = calloc(1, sizeof *node);
    int status;
    ENTER(name, 1);
    NEED(fake_stream(stream), STREAM);
    status = make_fill(node, &p);
    if (status) return status;
    fake_log("%s s%d to=%s value=%u bytes=%zu", name, fake_stream(stream)->id, fake_place(to),
             value, count * unit);
    queue_nodes(stream, node, 1);
    return OK;
}

int cuMemsetD32Async(uint64_t to, unsigned value, size_t count, Object *stream) {
    return fill("cuMemsetD32Async", to, value, 4, count, stream);
}

int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, Object *stream) {
    return fill("cuMemsetD8Async", to, value, 1, count, stream);
}

/* ---- graphs ---- */

int cuGraphCreate(Object **graph, unsigned flags) {
    (void)flags;
    ENTER("cuGraphCreate", 1);
    *graph = fake_new(GRAPH);
    fake_log("cuGraphCreate g%d", (*graph)->id);
    return OK;
}

static int add(Object **made, Object *graph, Object *const *after, size_t count, const Node *node) {
    char text[4096], list[4096] = "";
    size_t at = 0;
    NEED(graph, GRAPH);
    for (size_t i = 0; i < count; i++) {
        NEED(after[i], NODE);
        if (after[i]->owner != graph) return INVALID;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%zu", i ? "," : "",
                               after[i]->position);
    }
    *made = fake_new(NODE);
    (*made)->owner = graph;
    (*made)->node = *node;
    (*made)->position = graph->node_count;
    (*made)->node.after_count = count;
    (*made)->node.after = malloc((count + 1) * sizeof(Object *));
    if (count) memcpy((*made)->node.after, after, count * sizeof(Object *));
    graph->nodes = realloc(graph->nodes, (graph->node_count + 1) * sizeof(Object *));
    graph->nodes[graph->node_count++] = *made;
    describe(text, sizeof text, node);
    fake_log("node g%d %zu after=%s %s", graph->id, (*made)->position, list, text);
    return OK;
}

int cuGraphAddKernelNode_v2(Object **made, Object *graph, Object *const *after, size_t count,
                            const KernelParameters *p) {
    Node node = {0};
    int status;
    ENTER("cuGraphAddKernelNode", 1);
    status = make_kernel(&node, p->function, p->grid[0], p->block[0], p->shared_bytes,
                         p->arguments);
    return status ? status : add(made, graph, after, count, &node);
}

int cuGraphAddMemsetNode(Object **made, Object *graph, Object *const *after, size_t count,
                         const FillParameters *p, Object *context) {
    Node node = {0};
    int status;
    ENTER("cuGraphAddMemsetNode", 1);
    NEED(context, CONTEXT);
    status = make_fill(&node, p);
    return status ? status : add(made, graph, after, count, &node);
}

int cuGraphInstantiateWithFlags(Object **executable, Object *graph, uint64_t flags) {
    (void)flags;
    ENTER("cuGraphInstantiate", 1);
    NEED(graph, GRAPH);
    *executable = fake_new(EXECUTABLE);
    (*executable)->owner = graph;
    (*executable)->node_count = graph->node_count;
    (*executable)->nodes = malloc((graph->node_count + 1) * sizeof(Object *));
    for (size_t i = 0; i < graph->node_count; i++) {
        Object *copy = calloc(1, sizeof *copy);
        *copy = *graph->nodes[i];
        (*executable)->nodes[i] = copy;
    }
    fake_log("cuGraphInstantiate x%d g%d", (*executable)->id, graph->id);
    return OK;
}

static int change(Object *executable, Object *node, const Node *made) {
    char text[4096];
    Node *mine;
    NEED(executable, EXECUTABLE);
    NEED(node, NODE);
    if (node->owner != executable->owner) return INVALID;
    mine = &executable->nodes[node->position]->node;
    describe(text, sizeof text, made);
    fake_log("change x%d %zu %s", executable->id, node->position, text);
    {
        Node changed = *made;
        changed.after = mine->after;
        changed.after_count = mine->after_count;
        *mine = changed;
    }
    return OK;
}

int cuGraphExecKernelNodeSetParams_v2(Object *executable, Object *node,
                                      const KernelParameters *p) {
    Node made = {0};
    int status;
    ENTER("cuGraphExecKernelNodeSetParams", 1);
    status = make_kernel(&made, p->function, p->grid[0], p->block[0], p->shared_bytes,
                         p->arguments);
    return status ? status : change(executable, node, &made);
}

int cuGraphExecMemsetNodeSetParams(Object *executable, Object *node, const FillParameters *p,
                                   Object *context) {
    Node made = {0};
    int status;
    ENTER("cuGraphExecMemsetNodeSetParams", 1);
    NEED(context, CONTEXT);
    status = make_fill(&made, p);
    return status ? status : change(executable, node, &made);
}

/* Nodes run in a legal order that is as far from that in which they were added as it can be. */
static void sort_nodes(const Object *executable, Node *sorted) {
    size_t count = executable->node_count, done = 0;
    char *ran = calloc(count + 1, 1);
    while (done < count) {
        size_t i = count;
        while (i-- > 0) {
            const Node *node = &executable->nodes[i]->node;
            size_t ready = 0;
            if (ran[i]) continue;
            for (size_t j = 0; j < node->after_count; j++) ready += ran[node->after[j]->position];
            if (ready == node->after_count) break;
        }
        ran[i] = 1;
        sorted[done++] = executable->nodes[i]->node;
    }
    free(ran);
}

int cuGraphLaunch(Object *executable, Object *stream) {
    Node *nodes;
    ENTER("cuGraphLaunch", 1);
    NEED(executable, EXECUTABLE);
    NEED(fake_stream(stream), STREAM);
    fake_log("cuGraphLaunch x%d s%d", executable->id, fake_stream(stream)->id);
    nodes = calloc(executable->node_count + 1, sizeof *nodes);
    sort_nodes(executable, nodes);
    queue_nodes(stream, nodes, executable->node_count);
    return OK;
}

int cuGraphExecDestroy(Object *executable) {
    ENTER("cuGraphExecDestroy", 1);
    NEED(executable, EXECUTABLE);
    executable->alive = 0;
    return OK;
}

int cuGraphDestroy(Object *graph) {
    ENTER("cuGraphDestroy", 1);
    NEED(graph, GRAPH);
    graph->alive = 0;
    return OK;
}
