/* When each waiting connection is due: a binary heap whose members know their place. */
#include "upstream.h"

static struct conn *heap[MAX_CONNECTIONS + 1]; /* counted from 1 */
static size_t heap_used;

static void heap_put(struct conn *c, size_t at)
{
    heap[at] = c;
    c->heap_at = at;
}

static void heap_settle(struct conn *c, size_t at)
{
    for (; at > 1 && heap[at / 2]->due_us > c->due_us; at /= 2)
        heap_put(heap[at / 2], at);
    for (size_t child; (child = at * 2) <= heap_used; at = child) {
        if (child < heap_used && heap[child + 1]->due_us < heap[child]->due_us)
            child++;
        if (heap[child]->due_us >= c->due_us)
            break;
        heap_put(heap[child], at);
    }
    heap_put(c, at);
}

void not_due(struct conn *c)
{
    size_t at = c->heap_at;
    if (!at)
        return;
    c->heap_at = 0;
    struct conn *last = heap[heap_used--];
    if (last != c)
        heap_settle(last, at);
}

void due(struct conn *c, uint64_t t_us)
{
    not_due(c);
    c->due_us = t_us;
    heap_settle(c, ++heap_used);
}

struct conn *next_due(void)
{
    return heap_used ? heap[1] : NULL;
}

size_t due_count(void)
{
    return heap_used;
}
