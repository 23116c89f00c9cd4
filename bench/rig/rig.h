/* What the upstream and the load generator share: a clock, and reading HTTP/1.1 bodies however they are framed. */
#ifndef RIG_H
#define RIG_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

static inline uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The value of a header in a head of n bytes, up to its line's end; NULL = not there. name is "\r\nname:". */
static inline const char *header(const char *head, size_t n, const char *name)
{
    size_t length = strlen(name);
    for (const char *p = head, *end = head + n; (p = memchr(p, '\r', (size_t)(end - p))) != NULL; p++) {
        if ((size_t)(end - p) < length)
            return NULL;
        if (strncasecmp(p, name, length) == 0) {
            p += length;
            return p + strspn(p, " ");
        }
    }
    return NULL;
}

/* Bytes of the head with its empty line; 0 = it is not complete. */
static inline size_t head_length(const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    return end ? (size_t)(end - p) + 4 : 0;
}

enum framing { BY_LENGTH, CHUNK_SIZE, CHUNK_LINE_END, CHUNK_CONTENT, AFTER_CHUNK, TRAILER, UNTIL_CLOSE, WHOLE, BROKEN };

struct body {
    enum framing state;
    uint64_t left; /* bytes of content to come in this body or chunk; in TRAILER: bytes of the line so far */
    int digits;
};

static inline struct body body_begin(const char *head, size_t n, enum framing otherwise)
{
    const char *value = header(head, n, "\r\ntransfer-encoding:");
    if (value && strncasecmp(value, "chunked", 7) == 0)
        return (struct body){CHUNK_SIZE, 0, 0};
    if ((value = header(head, n, "\r\ncontent-length:")) != NULL) {
        uint64_t length = strtoull(value, NULL, 10);
        return (struct body){length ? BY_LENGTH : WHOLE, length, 0};
    }
    return (struct body){otherwise, 0, 0};
}

static inline int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = memchr(digits, c | 0x20, 16);
    return at ? (int)(at - digits) : c >= '0' && c <= '9' ? c - '0' : -1;
}

static inline void body_framing_byte(struct body *b, char c)
{
    int digit;
    switch (b->state) {
    case CHUNK_SIZE:
        if ((digit = hex_digit(c)) >= 0 && b->digits < 15) {
            b->left = b->left * 16 + (uint64_t)digit;
            b->digits++;
            break;
        }
        b->state = b->digits ? CHUNK_LINE_END : BROKEN;
        /* fall through */
    case CHUNK_LINE_END:
        if (c == '\n') {
            b->state = b->left ? CHUNK_CONTENT : TRAILER;
            b->digits = 0;
        }
        break;
    case AFTER_CHUNK:
        if (c == '\n')
            b->state = CHUNK_SIZE;
        else if (c != '\r')
            b->state = BROKEN;
        break;
    case TRAILER:
        if (c == '\n' && b->left == 0)
            b->state = WHOLE;
        else if (c == '\n')
            b->left = 0;
        else if (c != '\r')
            b->left++;
        break;
    default:
        b->state = BROKEN;
    }
}

/* Take bytes from p until a piece of content is found or nothing is left; the piece is *content, *length. */
static inline size_t body_take(struct body *b, const char *p, size_t n, const char **content, size_t *length)
{
    size_t at = 0;
    *length = 0;
    while (at < n && b->state != WHOLE && b->state != BROKEN) {
        if (b->state != BY_LENGTH && b->state != CHUNK_CONTENT && b->state != UNTIL_CLOSE) {
            body_framing_byte(b, p[at++]);
            continue;
        }
        size_t take = n - at;
        if (b->state != UNTIL_CLOSE && take > b->left)
            take = (size_t)b->left;
        *content = p + at;
        *length = take;
        if (b->state != UNTIL_CLOSE && (b->left -= take) == 0)
            b->state = b->state == BY_LENGTH ? WHOLE : AFTER_CHUNK;
        return at + take;
    }
    return at;
}

#endif
