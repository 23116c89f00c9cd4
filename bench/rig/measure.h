/* Many measured times, and their spread as JSON. */
#ifndef MEASURE_H
#define MEASURE_H

#include "rig.h"

struct list {
    uint32_t *at;
    size_t used, room;
};

static inline void add(struct list *list, uint64_t value)
{
    if (list->used == list->room) {
        list->room = list->room ? list->room * 2 : 1 << 16;
        if ((list->at = realloc(list->at, list->room * sizeof *list->at)) == NULL)
            die("realloc");
    }
    list->at[list->used++] = (uint32_t)value;
}

static inline int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static inline void print_spread(const char *name, struct list *list)
{
    if (!list->used) {
        printf(",\"%s\":null", name);
        return;
    }
    qsort(list->at, list->used, sizeof *list->at, by_size);
    printf(",\"%s\":{\"p50\":%u,\"p99\":%u,\"max\":%u}", name, list->at[list->used / 2], list->at[list->used * 99 / 100],
           list->at[list->used - 1]);
}

#endif
