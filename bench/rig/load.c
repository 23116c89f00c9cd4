/* Asks as many chat completions as it is told to, over keep-alive connections, and measures: one thread, epoll.
 *
 *   load --port P --connections C (--requests N | --seconds S) [--rig SPEC] [--model NAME] [--hold] [--give-up S]
 *
 * Closed loop: each connection sends its next request when the last one is answered. 2 000 at once are
 * --connections 2000 --requests 2000. SPEC is what the upstream is asked to do (upstream.c); one that begins with
 * "sse" makes the request a stream, whose events' own times give the delay of each on its way.
 * --hold: print "holding N" once every connection has received its first content, then only read, until stdin ends.
 * The last line of stdout is one JSON object; times in microseconds. An answer counts only if it is whole:
 * status 200, its framing kept to the end, a stream with its [DONE]. All else is an error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"
#include "rig.h"

enum { IN_BYTES = 65536, HEAD_BYTES = 8192, BODY_BYTES = 886, STAMP_DIGITS = 16, NOT_IN_STAMP = -1 };
enum phase { CONNECTING, AWAITING_HEAD, AWAITING_BODY, IDLE };

struct conn {
    int fd;
    enum phase phase;
    int closes, status, has_content, stamp_digits;
    size_t head_used, done_matched;
    struct body body;
    uint64_t sent_us, stamp;
    char head[HEAD_BYTES];
};

static struct { const char *rig, *model; int port, connections, hold; uint64_t requests; double seconds, give_up; }
    plan = {"json", "bench", 0, 1, 0, 0, 0, 60};
static char request[4096];
static size_t request_length;
static int epoll_fd, is_stream;
static uint64_t started, answered, errors, first_us, end_us, last_us, with_content;
static char first_error[80];
static struct list latency, ttfb, delay;

static void compose_request(void)
{
    static const char text[] = "Explain how a penstock feeds a turbine, why its gate is opened slowly, and what happens "
                               "to the pressure when it is shut at once. Use plain words and one example. ";
    char body[BODY_BYTES * 2];
    int n = snprintf(body, sizeof body,
                     "{\"model\":\"%s\",\"rig\":\"%s\",\"stream\":%s,\"temperature\":0.7,\"max_tokens\":256,\"messages\":"
                     "[{\"role\":\"system\",\"content\":\"You are a patient engineer.\"},{\"role\":\"user\",\"content\":\"",
                     plan.model, plan.rig, is_stream ? "true" : "false");
    for (size_t i = 0; n < BODY_BYTES - 4; i++)
        body[n++] = text[i % (sizeof text - 1)];
    n += sprintf(body + n, "\"}]}");
    int length = snprintf(request, sizeof request,
                          "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: penstock-bench/1\r\n"
                          "Accept: application/json\r\nAccept-Language: en\r\nContent-Type: application/json\r\n"
                          "Authorization: Bearer sk-bench-0123456789\r\nX-Client: bench\r\nX-Attempt: 0\r\n"
                          "Content-Length: %d\r\n\r\n%.*s", plan.port, n, n, body);
    request_length = (size_t)length;
}

/* ---- one connection's life */

static void open_connection(struct conn *c)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)plan.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if ((c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        die("connect");
    struct epoll_event e = {EPOLLOUT, {.ptr = c}};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e) < 0)
        die("epoll_ctl");
    c->phase = CONNECTING;
    c->sent_us = now_us(); /* the first request's latency includes connecting */
}

static int may_start(void)
{
    return plan.requests ? started < plan.requests : now_us() < end_us;
}

static void lose(struct conn *c, const char *why);

static void ask(struct conn *c)
{
    c->head_used = c->done_matched = 0;
    c->has_content = 0;
    c->stamp_digits = NOT_IN_STAMP;
    c->phase = AWAITING_HEAD;
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        lose(c, "the request could not be sent"); /* a fresh or drained socket takes all of it */
}

static void next(struct conn *c)
{
    if (!may_start()) {
        c->phase = IDLE;
        return;
    }
    started++;
    c->sent_us = now_us();
    if (c->fd >= 0)
        ask(c);
    else
        open_connection(c);
}

static void close_connection(struct conn *c)
{
    close(c->fd);
    c->fd = -1;
}

static void lose(struct conn *c, const char *why)
{
    if (!errors++)
        snprintf(first_error, sizeof first_error, "%s", why);
    last_us = now_us();
    close_connection(c);
    c->phase = IDLE;
}

static void answer_is_whole(struct conn *c)
{
    char why[40];
    last_us = now_us();
    if (c->status != 200) {
        snprintf(why, sizeof why, "status %d", c->status);
        lose(c, why);
    } else if (is_stream && c->done_matched != 6) {
        lose(c, "a stream without [DONE]");
    } else {
        answered++;
        add(&latency, last_us - c->sent_us);
        if (c->closes)
            close_connection(c);
        next(c);
    }
}

/* ---- reading */

static void scan_events(struct conn *c, const char *p, size_t n)
{
    for (const char *end = p + n; p < end; p++) {
        if (*p == '@') {
            c->stamp_digits = 0;
            c->stamp = 0;
        } else if (c->stamp_digits != NOT_IN_STAMP && *p >= '0' && *p <= '9') {
            c->stamp = c->stamp * 10 + (uint64_t)(*p - '0');
            if (++c->stamp_digits == STAMP_DIGITS) {
                add(&delay, now_us() - c->stamp);
                c->stamp_digits = NOT_IN_STAMP;
            }
        } else {
            c->stamp_digits = NOT_IN_STAMP;
        }
        if (c->done_matched < 6)
            c->done_matched = *p == "[DONE]"[c->done_matched] ? c->done_matched + 1 : *p == '[';
    }
}

static void take_content(struct conn *c, const char *p, size_t n)
{
    if (n && !c->has_content) {
        c->has_content = 1;
        with_content++;
        add(&ttfb, now_us() - c->sent_us);
    }
    if (is_stream)
        scan_events(c, p, n);
}

/* Take what belongs to the head; 1 = it is complete, 0 = more is to come, -1 = it is not one. */
static int take_head(struct conn *c, const char *p, size_t n, size_t *taken)
{
    size_t before = c->head_used, room = HEAD_BYTES - before;
    memcpy(c->head + before, p, n < room ? n : room);
    c->head_used += n < room ? n : room;
    size_t head = head_length(c->head, c->head_used);
    *taken = head ? head - before : n;
    if (!head)
        return n > room ? -1 : 0;
    if (strncmp(c->head, "HTTP/1.", 7) != 0)
        return -1;
    c->head_used = 0;
    c->status = atoi(c->head + 9);
    if (c->status < 200)
        return 0; /* 1xx: the head proper follows */
    const char *connection = header(c->head, head, "\r\nconnection:");
    c->body = body_begin(c->head, head, UNTIL_CLOSE);
    c->closes = (connection && strncasecmp(connection, "close", 5) == 0) || c->body.state == UNTIL_CLOSE;
    c->phase = AWAITING_BODY;
    return 1;
}

static void digest(struct conn *c, const char *p, size_t n)
{
    for (size_t taken; n && c->phase == AWAITING_HEAD; p += taken, n -= taken) {
        if (take_head(c, p, n, &taken) < 0) {
            lose(c, "no HTTP head");
            return;
        }
    }
    if (c->phase != AWAITING_BODY)
        return;
    while (n && c->body.state != WHOLE && c->body.state != BROKEN) {
        const char *content = p;
        size_t length, taken = body_take(&c->body, p, n, &content, &length);
        take_content(c, content, length);
        p += taken;
        n -= taken;
    }
    if (c->body.state == BROKEN || (c->body.state == WHOLE && n))
        lose(c, "broken framing");
    else if (c->body.state == WHOLE)
        answer_is_whole(c);
}

static void readable(struct conn *c)
{
    static char in[IN_BYTES];
    ssize_t n = recv(c->fd, in, sizeof in, 0);
    if (n > 0 && c->phase != IDLE)
        digest(c, in, (size_t)n);
    else if (n < 0 && errno == EAGAIN)
        return;
    else if (c->phase == IDLE)
        close_connection(c);
    else if (n == 0 && c->phase == AWAITING_BODY && c->body.state == UNTIL_CLOSE)
        answer_is_whole(c);
    else
        lose(c, n < 0 ? strerror(errno) : c->phase == AWAITING_BODY ? "closed in the middle" : "closed without an answer");
}

static void connected(struct conn *c)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    struct epoll_event e = {EPOLLIN, {.ptr = c}};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
    if (error)
        lose(c, strerror(error));
    else
        ask(c);
}

/* ---- the whole run */

static void run(struct conn *conns)
{
    struct epoll_event events[512];
    int told = 0, stdin_is_open = plan.hold;
    struct epoll_event on_stdin = {EPOLLIN, {.ptr = NULL}};
    if (plan.hold && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &on_stdin) < 0)
        die("stdin");
    uint64_t give_up_us = end_us + (uint64_t)(plan.give_up * 1e6);
    while (plan.hold ? stdin_is_open : answered + errors < started || may_start()) {
        int n = epoll_wait(epoll_fd, events, 512, 100);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c)
                stdin_is_open = read(0, events, 1) > 0;
            else if (c->phase == CONNECTING)
                connected(c);
            else
                readable(c);
        }
        if (plan.hold && !told && with_content + errors >= (uint64_t)plan.connections) {
            told = printf("holding %llu\n", (unsigned long long)(with_content));
            fflush(stdout);
        }
        for (int i = 0; i < plan.connections && !plan.hold; i++) /* lost ones try again; idle ones have ended */
            if (conns[i].fd < 0 && conns[i].phase == IDLE)
                next(&conns[i]);
        if (now_us() > give_up_us)
            break;
    }
    while (!plan.hold && answered + errors < started)
        if (!errors++)
            snprintf(first_error, sizeof first_error, "no answer in time");
}

static void print_result(void)
{
    double seconds = last_us > first_us ? (double)(last_us - first_us) / 1e6 : 0;
    printf("{\"requests\":%llu,\"errors\":%llu,\"first_error\":\"%s\",\"seconds\":%.6f,\"rps\":%.1f,\"chunks\":%zu",
           (unsigned long long)answered, (unsigned long long)errors, first_error, seconds,
           seconds > 0 ? (double)answered / seconds : 0, delay.used);
    print_spread("latency_us", &latency);
    print_spread("ttfb_us", &ttfb);
    print_spread("chunk_delay_us", &delay);
    printf("}\n");
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", 1, NULL, 'p'},  {"connections", 1, NULL, 'c'}, {"requests", 1, NULL, 'n'}, {"seconds", 1, NULL, 's'},
        {"rig", 1, NULL, 'r'},   {"model", 1, NULL, 'm'},       {"hold", 0, NULL, 'h'},     {"give-up", 1, NULL, 'g'},
        {NULL, 0, NULL, 0}};
    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (o == 'p')
            plan.port = atoi(optarg);
        else if (o == 'c')
            plan.connections = atoi(optarg);
        else if (o == 'n')
            plan.requests = strtoull(optarg, NULL, 10);
        else if (o == 's')
            plan.seconds = atof(optarg);
        else if (o == 'r')
            plan.rig = optarg;
        else if (o == 'm')
            plan.model = optarg;
        else if (o == 'h')
            plan.hold = 1;
        else if (o == 'g')
            plan.give_up = atof(optarg);
        else
            exit(2);
    }
    if (plan.hold)
        plan.requests = (uint64_t)plan.connections;
    is_stream = strncmp(plan.rig, "sse", 3) == 0;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    read_options(argc, argv);
    compose_request();
    struct conn *conns = calloc((size_t)plan.connections, sizeof *conns);
    if (!conns || (epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("setup");
    first_us = now_us();
    end_us = first_us + (uint64_t)(plan.seconds * 1e6);
    for (int i = 0; i < plan.connections; i++) {
        conns[i].fd = -1;
        next(&conns[i]);
    }
    run(conns);
    print_result();
    free(conns);
    return 0;
}
