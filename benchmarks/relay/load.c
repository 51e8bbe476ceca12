/* A load of WebSocket connections: publishers that send messages, viewers that count them.
 *
 * It knows no protocol. What a connection says first, and what a message is made of, stands in
 * scripts (scripts.py writes them); the last 24 octets of each message are a trailer with the
 * publisher, the number and the time, by which a viewer knows what came and how old it is. So a
 * server has to pass on the end of a message as it was.
 *
 * A turn of the loop sends what is due by the clock, however late it is: what a slow server delays
 * counts as delay. With --window each publisher has so many messages on the way instead. It is one
 * idea: a loop, and the few things that it needs. One JSON object on standard output is the result.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

#include "measure.h"

/* ---- options ---------------------------------------------------------------------------- */

static int port, publishers = 1, viewers = 1, streams = 1, watched, window, key_every = 50;
static int slow, joiners, times, has_tls, goes_on;
static double rate = 5, rest_rate, warmup = 1, seconds = 4, slow_bytes = 65536;
static uint64_t ticks = 1;
static const char *pids = "", *publish_protocol, *view_protocol;
static const char *publish_path = "/", *view_path = "/";
static const char *publisher_tokens, *viewer_tokens;
static const char *hello_file, *greeting_file, *message_file, *key_file;

/* So much of a publisher may wait to be sent. Segments are as long as over Ethernet: those of
 * 64 KiB, as loopback has them, meet acknowledgements that are delayed by 40 ms. */
enum { MOST_OUT = 8 << 20, TRAILER_SIZE = 24, MOST_MESSAGE = 4 << 20, MSS = 1448 };
static const uint64_t MAGIC = 0x4c494152544d4556; /* VEMTRAIL */
static const uint8_t MASK[8] = {0x37, 0xfa, 0x21, 0x3d, 0x37, 0xfa, 0x21, 0x3d};

/* ---- scripts ---------------------------------------------------------------------------- */

enum kind {
    TEXT, BINARY, WAIT, EACH, LITERAL, FILL, STREAM, LIFE, NUMBER, TICKS, CLOCK,
    NUMBER_TEXT, CLOCK_TEXT, TRAILER, BASE64, END
};
static const char *WORDS[] = {
    "text", "binary", "wait", "each", "hex", "fill", "stream", "life", "number", "ticks", "clock",
    "number-text", "clock-text", "trailer", "base64", "end"
};
struct step { enum kind kind; size_t size; uint8_t *octets; };
struct script { struct step *steps; int count; };
static struct script hello, greeting, message, key;

static struct script read_script(const char *path) {
    struct script script = {0};
    char *line = NULL, *word;
    size_t room = 0;
    FILE *file = path ? fopen(path, "r") : NULL;
    if (path && !file) fail(path);
    while (file && getline(&line, &room, file) > 0) {
        if (!(word = strtok(line, " \n"))) continue;
        script.steps = realloc(script.steps, sizeof(struct step) * (script.count + 1));
        struct step *step = &script.steps[script.count++];
        char *rest = strtok(NULL, "\n");
        int kind = 0;
        while (kind <= END && strcmp(word, WORDS[kind])) kind++;
        if (kind > END) fail(word);
        *step = (struct step){kind, 0, NULL};
        if (kind == WAIT) step->octets = (uint8_t *)strdup(rest);
        else if (kind == LITERAL) {
            step->octets = malloc(strlen(rest) / 2 + 1);
            for (char *at = rest; at[0] && at[1]; at += 2)
                sscanf(at, "%2hhx", &step->octets[step->size++]);
        } else if (rest) step->size = strtoul(rest, NULL, 10);
    }
    if (file) fclose(file);
    free(line);
    return script;
}

/* ---- connections ------------------------------------------------------------------------ */

enum state { IDLE, CONNECTING, GREETING, READY, LOST };
struct connection {
    int descriptor, is_viewer, number, is_slow, is_joiner, wants_out;
    enum state state;
    int step, life; /* in its script; how many times it has connected */
    uint64_t began;
    uint8_t *out;
    size_t out_size, out_done, out_room;
    char head[4096]; /* the answer to the handshake, then the begin of each message */
    size_t head_size;
    uint8_t frame[14], tail[TRAILER_SIZE], control[128];
    size_t frame_size, tail_size, control_size;
    uint64_t left;
    int is_inside, opcode, is_last;
    uint32_t number_next;        /* of its next message */
    uint64_t said, seen, audience; /* messages sent; seen by viewers; how many those are */
#ifdef WITH_TLS
    SSL *tls;
#endif
};
static struct connection *connections;
static int count, ready, lost, poller, is_over;
static uint8_t filler[MOST_MESSAGE], scratch[MOST_MESSAGE], received[1 << 20];
static uint64_t sent, wanted, delivered, all_delivered; /* `wanted` of `sent`, by all viewers */
static uint64_t since, until; /* the time that is measured, by the clock of the trailers */
static struct histogram delays;
static int waiting; /* for how many of a storm we still wait */
static uint64_t storm_took;

static int stream_of(struct connection *it, int index) {
    return it->is_viewer ? (it->number * streams + index) % watched : it->number;
}

static void watch_out(struct connection *it, int wants) {
    if (it->wants_out == wants) return;
    it->wants_out = wants;
    struct epoll_event event = {.data.ptr = it};
    event.events = (it->is_slow && it->state == READY ? 0 : EPOLLIN) | (wants ? EPOLLOUT : 0);
    epoll_ctl(poller, EPOLL_CTL_MOD, it->descriptor, &event);
}

static void lose(struct connection *it, const char *why, int is_news) {
    if (it->state == READY) ready--;
#ifdef WITH_TLS
    if (it->tls) SSL_free(it->tls), it->tls = NULL;
#endif
    close(it->descriptor);
    it->state = is_news ? LOST : IDLE;
    it->out_size = it->out_done = it->head_size = it->frame_size = it->tail_size = 0;
    it->is_inside = it->wants_out = 0;
    if (is_news && !is_over && lost++ < 3)
        fprintf(stderr, "%s %d: %s\n", it->is_viewer ? "viewer" : "publisher", it->number, why);
}

static void put(struct connection *it, const void *octets, size_t size, int is_masked) {
    if (it->out_size + size > it->out_room) {
        memmove(it->out, it->out + it->out_done, it->out_size -= it->out_done);
        it->out_done = 0;
        it->out_room = 2 * (it->out_size + size);
        it->out = realloc(it->out, it->out_room);
    }
    uint8_t *to = it->out + it->out_size;
    const uint8_t *from = octets;
    size_t at = 0;
    it->out_size += size;
    if (!is_masked) { memcpy(to, from, size); return; }
    uint64_t mask, eight;
    memcpy(&mask, MASK, 8);
    for (; at + 8 <= size; at += 8) {
        memcpy(&eight, from + at, 8);
        eight ^= mask;
        memcpy(to + at, &eight, 8);
    }
    for (; at < size; at++) to[at] = from[at] ^ MASK[at & 3];
}

static void put_frame(struct connection *it, int opcode, const void *octets, size_t size) {
    uint8_t head[14] = {0x80 | opcode, 0x80 | (size < 126 ? size : size < 65536 ? 126 : 127)};
    int more = size < 126 ? 0 : size < 65536 ? 2 : 8;
    put_number(head + 2, size, more);
    memcpy(head + 2 + more, MASK, 4);
    put(it, head, 6 + more, 0);
    put(it, octets, size, 1);
}

static size_t put_base64(uint8_t *octets, size_t size) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static uint8_t made[MOST_MESSAGE];
    size_t at = 0;
    for (size_t from = 0; from < size; from += 3) {
        size_t more = size - from > 2 ? 3 : size - from;
        uint32_t bits = octets[from] << 16;
        if (more > 1) bits |= octets[from + 1] << 8;
        if (more > 2) bits |= octets[from + 2];
        for (size_t one = 0; one < 4; one++)
            made[at++] = one <= more ? letters[bits >> (18 - 6 * one) & 63] : '=';
    }
    memcpy(octets, made, at);
    return at;
}

/* Say what the script has from its step `at` on, up to a WAIT; where it stopped. */
static int say(struct connection *it, struct script *script, int at, int stream, uint64_t due) {
    size_t size = 0, begin = 0;
    int opcode = 0;
    for (; at < script->count; at++) {
        struct step *step = &script->steps[at];
        uint64_t number = it->number_next;
        if (opcode && (step->kind <= EACH)) put_frame(it, opcode, scratch, size), opcode = 0;
        switch (step->kind) {
        case WAIT: return at;
        case EACH:
            for (int one = 0; one < streams; one++) {
                struct script rest = {step + 1, script->count - at - 1};
                say(it, &rest, 0, stream_of(it, one), due);
            }
            return script->count;
        case TEXT: case BINARY: opcode = step->kind == TEXT ? 1 : 2; size = 0; break;
        case LITERAL: memcpy(scratch + size, step->octets, step->size); size += step->size; break;
        case FILL: memcpy(scratch + size, filler, step->size); size += step->size; break;
        case STREAM: size += sprintf((char *)scratch + size, "%04d", stream); break;
        case LIFE: size += sprintf((char *)scratch + size, "%04d", it->life); break;
        case NUMBER: put_number(scratch + size, number, step->size); size += step->size; break;
        case TICKS: put_number(scratch + size, number * ticks, 8); size += 8; break;
        case CLOCK: put_number(scratch + size, wall_us(), 8); size += 8; break;
        case NUMBER_TEXT: size += sprintf((char *)scratch + size, "%lu", number); break;
        case CLOCK_TEXT: size += sprintf((char *)scratch + size, "%lu", wall_us()); break;
        case TRAILER: {
            uint32_t names[2] = {it->number, number};
            memcpy(scratch + size, &MAGIC, 8);
            memcpy(scratch + size + 8, names, 8);
            memcpy(scratch + size + 16, &due, 8);
            size += TRAILER_SIZE;
            break;
        }
        case BASE64: begin = size; break;
        case END: size = begin + put_base64(scratch + begin, size - begin);
        }
    }
    if (opcode) put_frame(it, opcode, scratch, size);
    return at;
}

static ssize_t give(struct connection *it, const void *octets, size_t size) {
#ifdef WITH_TLS
    if (it->tls) {
        int given = SSL_write(it->tls, octets, size);
        if (given > 0) return given;
        int why = SSL_get_error(it->tls, given);
        errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
        return -1;
    }
#endif
    return send(it->descriptor, octets, size, MSG_NOSIGNAL);
}

static ssize_t take(struct connection *it, void *octets, size_t size) {
#ifdef WITH_TLS
    if (it->tls) {
        int taken = SSL_read(it->tls, octets, size);
        if (taken > 0) return taken;
        int why = SSL_get_error(it->tls, taken);
        errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
        return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    }
#endif
    return recv(it->descriptor, octets, size, 0);
}

static void flush(struct connection *it) {
    while (it->out_done < it->out_size) {
        ssize_t given = give(it, it->out + it->out_done, it->out_size - it->out_done);
        if (given < 0 && errno != EAGAIN) { lose(it, strerror(errno), 1); return; }
        if (given < 0) { watch_out(it, 1); return; }
        it->out_done += given;
    }
    it->out_size = it->out_done = 0;
    watch_out(it, 0);
}

static void go_on(struct connection *it) {
    struct script *script = it->is_viewer ? &greeting : &hello;
    it->step = say(it, script, it->step, stream_of(it, 0), 0);
    if (it->step == script->count) {
        it->state = READY;
        ready++;
        if (times && !it->is_viewer && it->life && !--waiting) storm_took = now() - it->began;
        if (it->is_slow) it->wants_out = -1; /* it is read from by the clock alone */
    }
    flush(it);
}

/* The connections take turns in the tokens, which have commas between. */
static int put_token(char *to, const char *tokens, int number) {
    int among = 1;
    if (!tokens) return 0;
    for (const char *at = tokens; (at = strchr(at, ',')); at++) among++;
    for (number %= among; number; number--) tokens = strchr(tokens, ',') + 1;
    return sprintf(to, "Authorization: Bearer %.*s\r\n", (int)strcspn(tokens, ","), tokens);
}

static void begin(struct connection *it) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    it->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (it->descriptor < 0) fail("socket");
    int one = 1, mss = MSS, small = 65536;
    setsockopt(it->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(it->descriptor, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
    if (it->is_slow) setsockopt(it->descriptor, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(it->descriptor, (void *)&to, sizeof to) && errno != EINPROGRESS) fail("connect");
#ifdef WITH_TLS
    static SSL_CTX *context;
    if (has_tls) {
        if (!context) {
            context = SSL_CTX_new(TLS_client_method());
            SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE
                             | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        }
        it->tls = SSL_new(context);
        SSL_set_fd(it->tls, it->descriptor);
        SSL_set_connect_state(it->tls);
    }
#endif
    char asked[16384], *at = asked;
    at += sprintf(at, "GET ");
    for (const char *path = it->is_viewer ? view_path : publish_path; *path; path++) {
        if (*path != '%') { *at++ = *path; continue; }
        for (int one = 0; one < (it->is_viewer ? streams : 1); one++)
            at += sprintf(at, one ? ",%d" : "%d", stream_of(it, one));
    }
    at += sprintf(at, " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade"
                  "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
                  "\r\n", port);
    const char *protocol = it->is_viewer ? view_protocol : publish_protocol;
    if (protocol) at += sprintf(at, "Sec-WebSocket-Protocol: %s\r\n", protocol);
    at += put_token(at, it->is_viewer ? viewer_tokens : publisher_tokens, it->number);
    at += sprintf(at, "\r\n");
    put(it, asked, at - asked, 0);
    it->state = CONNECTING;
    it->step = it->number_next = 0;
    it->wants_out = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = it};
    epoll_ctl(poller, EPOLL_CTL_ADD, it->descriptor, &event);
}

/* ---- what comes ------------------------------------------------------------------------- */

static void came(struct connection *it) {
    uint32_t names[2];
    uint64_t due, at = now();
    if (it->state == GREETING) {
        struct script *script = it->is_viewer ? &greeting : &hello;
        if (strstr(it->head, (char *)script->steps[it->step].octets)) it->step++, go_on(it);
        return;
    }
    if (it->tail_size < TRAILER_SIZE || memcmp(it->tail, &MAGIC, 8)) return;
    memcpy(names, it->tail + 8, 8);
    memcpy(&due, it->tail + 16, 8);
    if (it->is_joiner) {
        if (it->began) storm_took = at - it->began, waiting--;
        it->began = 0;
        return;
    }
    if (it->is_slow) return;
    all_delivered++;
    if (since && !until) delivered++;
    if (since && due >= since && (!until || due < until)) note(&delays, at > due ? at - due : 0);
    if (names[0] < (uint32_t)publishers) connections[names[0]].seen++;
}

static void payload(struct connection *it, const uint8_t *octets, size_t size) {
    if (it->opcode >= 8) {
        size_t room = sizeof it->control - it->control_size, kept = size < room ? size : room;
        memcpy(it->control + it->control_size, octets, kept);
        it->control_size += kept;
        return;
    }
    if (it->state == GREETING) {
        size_t room = sizeof it->head - 1 - it->head_size, kept = size < room ? size : room;
        memcpy(it->head + it->head_size, octets, kept);
        it->head[it->head_size += kept] = 0;
    }
    if (size >= TRAILER_SIZE) {
        memcpy(it->tail, octets + size - TRAILER_SIZE, TRAILER_SIZE);
        it->tail_size = TRAILER_SIZE;
    } else {
        size_t over = it->tail_size + size > TRAILER_SIZE ? it->tail_size + size - TRAILER_SIZE : 0;
        memmove(it->tail, it->tail + over, it->tail_size - over);
        memcpy(it->tail + it->tail_size - over, octets, size);
        it->tail_size += size - over;
    }
}

static void feed(struct connection *it, const uint8_t *octets, size_t size) {
    while (size || (it->is_inside && !it->left)) {
        if (!it->is_inside) {
            it->frame[it->frame_size++] = *octets++, size--;
            int length = it->frame_size > 1 ? it->frame[1] & 127 : 0;
            size_t whole = length < 126 ? 2 : length == 126 ? 4 : 10;
            if (it->frame_size < 2 || it->frame_size < whole) continue;
            it->opcode = it->frame[0] & 15, it->is_last = it->frame[0] >> 7;
            it->left = whole == 2 ? (uint64_t)length : get_number(it->frame + 2, whole - 2);
            it->frame_size = it->control_size = 0, it->is_inside = 1;
            if (it->opcode == 1 || it->opcode == 2)
                it->tail_size = it->head_size = 0;
        }
        size_t part = size < it->left ? size : it->left;
        payload(it, octets, part);
        octets += part, size -= part, it->left -= part;
        if (it->left) return;
        it->is_inside = 0;
        if (it->opcode == 8) {
            char why[32];
            sprintf(why, "closed with %lu", get_number(it->control, 2));
            lose(it, why, 1);
            return;
        }
        if (it->opcode == 9) put_frame(it, 10, it->control, it->control_size), flush(it);
        else if (it->opcode < 3 && it->is_last) came(it);
        if (it->state < GREETING || it->state == LOST) return;
    }
}

static int read_some(struct connection *it, size_t most) {
    ssize_t size = take(it, received, most);
    if (size < 0 && errno == EAGAIN) return 0;
    if (size <= 0) { lose(it, size ? strerror(errno) : "ended", 1); return 0; }
    const uint8_t *octets = received;
    if (it->state == CONNECTING) {
        size_t room = sizeof it->head - 1 - it->head_size, before = it->head_size;
        size_t kept = (size_t)size < room ? (size_t)size : room;
        memcpy(it->head + before, octets, kept);
        it->head[it->head_size += kept] = 0;
        char *end = strstr(it->head, "\r\n\r\n");
        if (!end) return 1;
        if (strncmp(it->head + 9, "101", 3)) { lose(it, it->head, 1); return 0; }
        size_t used = end + 4 - it->head - before;
        octets += used, size -= used;
        it->state = GREETING;
        go_on(it);
        if (it->state == LOST) return 0;
    }
    feed(it, octets, size);
    return it->state != LOST && it->state != IDLE;
}

static void turn(uint64_t wait_until) {
    struct epoll_event events[512];
    uint64_t at = now(), wait = wait_until > at ? wait_until - at : 0;
    struct timespec pause = {wait / 1000000000, wait % 1000000000};
    int found = epoll_pwait2(poller, events, 512, &pause, NULL);
    for (int one = 0; one < found; one++) {
        struct connection *it = events[one].data.ptr;
        if (it->state == IDLE || it->state == LOST) continue;
        if (events[one].events & EPOLLOUT || it->wants_out == 1) flush(it);
        if (it->state == LOST || !(events[one].events & ~EPOLLOUT)) continue;
        if (it->is_slow && it->state == READY) continue;
        int has_more = read_some(it, sizeof received);
#ifdef WITH_TLS
        while (has_more && it->tls && SSL_pending(it->tls))
            has_more = read_some(it, sizeof received);
#endif
        (void)has_more;
    }
}

/* ---- the course ------------------------------------------------------------------------- */

static void publish(struct connection *it, uint64_t due) {
    if (it->state != READY) return;
    it->said++;
    if (it->out_size - it->out_done > MOST_OUT) return; /* so it will be missed */
    struct script *script = key.count && it->number_next % key_every == 0 ? &key : &message;
    say(it, script, 0, it->number, due);
    it->number_next++;
    if (since && !until) sent++, wanted += it->audience;
    flush(it);
}

static int has_room(struct connection *it) {
    if (it->state != READY || it->out_size) return 0;
    return !it->audience || it->said * it->audience - it->seen < window * it->audience;
}

/* Of those from `first` to before `last`, each at the same rate, what is due by now. */
struct beat { int first, last; double step; uint64_t begun, beats; };

static uint64_t beat_due(struct beat *beat) {
    if (beat->first == beat->last) return UINT64_MAX;
    return beat->begun + (uint64_t)(beat->beats * beat->step);
}

static void send_due(struct beat *beat) {
    for (int burst = 0; burst < 4096 && beat_due(beat) <= now(); burst++) {
        int which = beat->first + beat->beats % (beat->last - beat->first);
        uint64_t due = beat_due(beat);
        beat->beats++;
        publish(&connections[which], due);
    }
}

/* Let go of so many connections without a farewell, and connect them all anew at once. */
static void storm(int first, int last) {
    uint64_t at = now();
    waiting = last - first;
    storm_took = 0;
    for (int one = first; one < last; one++) {
        struct connection *it = &connections[one];
        if (it->state != IDLE) lose(it, "", 0);
        it->life++;
        it->began = at;
        begin(it);
    }
}

static void read_slowly(uint64_t *next) {
    if (!slow || now() < *next) return;
    *next += 50000000;
    for (int one = publishers; one < publishers + slow; one++)
        if (connections[one].state == READY) {
            size_t most = slow_bytes / 20;
            while (most > 0 && connections[one].state == READY) {
                size_t part = most < 65536 ? most : 65536;
                if (!read_some(&connections[one], part)) break;
                most -= part;
            }
        }
}

static void run(double for_seconds, struct beat *beats) {
    static uint64_t slow_next;
    uint64_t end = now() + (uint64_t)(for_seconds * 1e9);
    if (!slow_next) slow_next = now();
    while (now() < end) {
        uint64_t next = end;
        if (window) {
            int is_busy = 0;
            for (int one = 0; one < publishers; one++)
                if (has_room(&connections[one])) {
                    publish(&connections[one], now());
                    is_busy |= has_room(&connections[one]);
                }
            if (is_busy) next = 0;
        } else
            for (int one = 0; one < 2; one++) {
                send_due(&beats[one]);
                if (beat_due(&beats[one]) < next) next = beat_due(&beats[one]);
            }
        read_slowly(&slow_next);
        if (slow && slow_next < next) next = slow_next;
        turn(next);
    }
}

/* Connect those from `first` to before `last`, at most `at_once` at a time. */
static void connect_all(int first, int last, int at_once) {
    uint64_t end = now() + 60000000000u;
    int next = first, wanted = ready + last - first, before = ready;
    while (ready < wanted) {
        while (next < last && next - first - (ready - before) < at_once)
            begin(&connections[next++]);
        turn(now() + 50000000);
        if (lost || now() > end) {
            fprintf(stderr, "%d of %d connected\n", ready, wanted);
            exit(3);
        }
    }
}

static uint64_t expected(void) {
    uint64_t sum = 0;
    for (int one = 0; one < publishers; one++)
        sum += connections[one].said * connections[one].audience;
    return sum;
}

static void drain(void) {
    uint64_t last = all_delivered, at = now(), end = at + 20000000000u;
    while (all_delivered < expected() && now() < end && now() - at < 3000000000u) {
        turn(now() + 20000000);
        if (all_delivered != last) last = all_delivered, at = now();
    }
}

static int has_ended(int descriptor) {
    struct pollfd look = {.fd = descriptor, .events = POLLIN};
    return poll(&look, 1, 0) != 0;
}

static void print_list(const char *name, double *values, int size) {
    printf("\"%s\": [", name);
    for (int one = 0; one < size; one++) printf(one ? ", %.1f" : "%.1f", values[one]);
    printf("], ");
}

static void set_up(void) {
    uint32_t seed = 2463534242u;
    for (size_t at = 0; at < sizeof filler; at++) {
        seed ^= seed << 13, seed ^= seed >> 17, seed ^= seed << 5;
        filler[at] = seed;
    }
    if (!watched) watched = publishers;
    if (streams > watched) streams = watched;
    hello = read_script(hello_file), greeting = read_script(greeting_file);
    message = read_script(message_file), key = read_script(key_file);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    poller = epoll_create1(0);
    count = publishers + viewers + joiners;
    connections = calloc(count, sizeof *connections);
    for (int one = 0; one < count; one++) {
        struct connection *it = &connections[one];
        it->is_viewer = one >= publishers;
        it->number = it->is_viewer ? one - publishers : one;
        it->is_slow = it->is_viewer && it->number < slow;
        it->is_joiner = one >= publishers + viewers;
        if (!it->is_viewer || it->is_slow || it->is_joiner) continue;
        for (int index = 0; index < streams; index++) connections[stream_of(it, index)].audience++;
    }
}

static void parse(int argc, char **argv) {
    struct { const char *name; char type; void *to; } options[] = {
        {"--port", 'i', &port}, {"--pids", 's', &pids}, 
        {"--publish-protocol", 's', &publish_protocol}, {"--view-protocol", 's', &view_protocol},
        {"--publishers", 'i', &publishers}, {"--viewers", 'i', &viewers},
        {"--streams", 'i', &streams}, {"--watched", 'i', &watched}, {"--window", 'i', &window},
        {"--rate", 'd', &rate}, {"--rest-rate", 'd', &rest_rate}, {"--warmup", 'd', &warmup},
        {"--seconds", 'd', &seconds}, {"--slow", 'i', &slow}, {"--slow-bytes", 'd', &slow_bytes},
        {"--joiners", 'i', &joiners}, {"--times", 'i', &times}, {"--tls", 'i', &has_tls},
        {"--goes-on", 'i', &goes_on},
        {"--publish-path", 's', &publish_path}, {"--view-path", 's', &view_path},
        {"--publisher-tokens", 's', &publisher_tokens}, {"--viewer-tokens", 's', &viewer_tokens},
        {"--hello", 's', &hello_file}, {"--greeting", 's', &greeting_file},
        {"--message", 's', &message_file}, {"--key", 's', &key_file},
        {"--key-every", 'i', &key_every}, {"--ticks", 'l', &ticks},
    };
    int known = sizeof options / sizeof *options;
    for (int at = 1; at + 1 < argc; at += 2) {
        int which = 0;
        while (which < known && strcmp(argv[at], options[which].name)) which++;
        if (which == known) { fprintf(stderr, "no option %s\n", argv[at]); exit(2); }
        void *to = options[which].to;
        switch (options[which].type) {
        case 'i': *(int *)to = atoi(argv[at + 1]); break;
        case 'l': *(uint64_t *)to = strtoull(argv[at + 1], NULL, 10); break;
        case 'd': *(double *)to = atof(argv[at + 1]); break;
        default: *(const char **)to = argv[at + 1];
        }
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    set_up();
    connect_all(0, publishers, 24);
    connect_all(publishers, publishers + viewers, 24);
    struct beat beats[2] = {
        {0, rest_rate ? watched : publishers, 0, now(), 0},
        {rest_rate ? watched : publishers, publishers, 0, now(), 0},
    };
    beats[0].step = 1e9 / (rate * beats[0].last);
    if (rest_rate) beats[1].step = 1e9 / (rest_rate * (publishers - watched));
    run(warmup, beats);

    struct usage before = usage_of(pids);
    double own = own_seconds(), took_ms[64];
    since = now();
    if (!times) run(seconds, beats);
    for (int one = 0; one < times; one++) {
        if (joiners) storm(publishers + viewers, count);
        else storm(watched, publishers);
        run(seconds, beats);
        for (int more = 0; waiting && more < 200; more++) run(0.1, beats);
        if (waiting) { fprintf(stderr, "%d are not back after 20 s\n", waiting); return 4; }
        took_ms[one] = storm_took / 1e6;
    }
    until = now();
    own = own_seconds() - own;
    struct usage after = usage_of(pids);
    double wall = (until - since) / 1e9;
    drain();
    is_over = 1;

    printf("{\"seconds\": %.3f, \"sent\": %lu, ", wall, sent);
    printf("\"wanted\": %lu, \"delivered\": %lu, ", wanted, delivered);
    printf("\"all_expected\": %lu, \"all_delivered\": %lu, ", expected(), all_delivered);
    printf("\"lost\": %d, ", lost);
    if (times) print_list("took_ms", took_ms, times);
    printf("\"p50_ms\": %.3f, \"p99_ms\": %.3f, ", share(&delays, 0.5) / 1e6,
           share(&delays, 0.99) / 1e6);
    printf("\"processor_seconds\": %.3f, \"resident_octets\": %lu, \"own_seconds\": %.3f}\n",
           after.seconds - before.seconds, after.resident, own);
    fflush(stdout);
    /* Somebody wants to look at the server under this load, until standard input is closed. */
    if (goes_on) beats[0].begun = beats[1].begun = now(), beats[0].beats = beats[1].beats = 0;
    while (goes_on && !has_ended(STDIN_FILENO)) run(0.1, beats);
    return 0;
}
