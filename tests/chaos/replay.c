/* Many terminals that replay what they kept: one connection each, one record at a time, the next one after the answer.
 * replay PORT TEMPLATE TERMINALS RECORDS FIRST SECONDS
 * The template is a whole request; in it 777777 stands for the terminal, 555555555555 for its record, 1234567890 for the
 * second of the record. It ends when every record was accepted or the time is up, and says what each terminal knows to
 * be accepted. What was not accepted is sent again, on a new connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <netinet/tcp.h>

#define MARKS 16

struct terminal {
    int fd, number, sending;
    long record;
    size_t sent, got;
    char *request, answer[4096];
    double again; /* not before */
};

static char *template;
static size_t length, turn_at[MARKS], second_at[MARKS], device_at[MARKS];
static int turns, seconds, devices, poll_fd, port;
static long first, records, retries;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int find(const char *mark, size_t *places) {
    int found = 0;
    char *at = template;
    while (found < MARKS && (at = memmem(at, template + length - at, mark, strlen(mark)))) {
        places[found++] = at - template;
        at += strlen(mark);
    }
    return found;
}

static void put(char *request, const size_t *places, int count, int width, long value) {
    char text[32];
    snprintf(text, sizeof text, "%0*ld", width, value);
    for (int i = 0; i < count; i++) memcpy(request + places[i], text, width);
}

static void prepare(struct terminal *one) {
    put(one->request, turn_at, turns, 12, first + one->record);
    put(one->request, second_at, seconds, 10, time(NULL) - 86400 + first + one->record);
    one->sent = one->got = 0;
    one->sending = 1;
}

static void connect_again(struct terminal *one) {
    int yes = 1;
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    one->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    from.sin_addr.s_addr = htonl(0x7f010000 + one->number + 1); /* each has an address of its own */
    to.sin_addr.s_addr = htonl(0x7f000001);
    if (bind(one->fd, (void *)&from, sizeof from) || connect(one->fd, (void *)&to, sizeof to)) {
        close(one->fd);
        one->fd = -1;
        one->again = now() + 0.2;
        return;
    }
    fcntl(one->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = one};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, one->fd, &event);
    prepare(one);
}

static void lost(struct terminal *one) {
    close(one->fd);
    one->fd = -1;
    one->again = now() + 0.1;
    retries++;
}

static void watch(struct terminal *one, int events) {
    struct epoll_event event = {.events = events, .data.ptr = one};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, one->fd, &event);
}

/* 1: the answer is whole and a success; 0: not yet; -1: anything else */
static int answered(struct terminal *one) {
    one->answer[one->got] = 0;
    char *body = strstr(one->answer, "\r\n\r\n"), *said = strcasestr(one->answer, "content-length:");
    if (!body || !said) return one->got + 1 < sizeof one->answer ? 0 : -1;
    if (one->got < body + 4 - one->answer + strtoul(said + 15, NULL, 10)) return 0;
    int good = !strncmp(one->answer, "HTTP/1.1 200", 12) && (strstr(body, "\"code\":200") || strstr(body, "\"code\": 200"));
    return good ? 1 : -1;
}

static void step(struct terminal *one, int events) {
    if (one->sending && events & EPOLLOUT) {
        ssize_t n = send(one->fd, one->request + one->sent, length - one->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return lost(one);
        if (n > 0) one->sent += n;
        if (one->sent == length) {
            one->sending = 0;
            watch(one, EPOLLIN);
        }
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t n = recv(one->fd, one->answer + one->got, sizeof one->answer - 1 - one->got, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return lost(one);
    one->got += n;
    int good = answered(one);
    if (good < 0) return lost(one);
    if (!good) return;
    if (++one->record == records) {
        close(one->fd);
        one->fd = -1;
        return;
    }
    prepare(one);
    watch(one, EPOLLIN | EPOLLOUT);
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    port = atoi(argv[1]);
    int terminals = atoi(argv[3]);
    records = atol(argv[4]);
    first = atol(argv[5]);
    double begun = now(), until = begun + atof(argv[6]);
    FILE *file = fopen(argv[2], "rb");
    if (!file) return 3;
    fseek(file, 0, SEEK_END);
    length = ftell(file);
    rewind(file);
    template = malloc(length);
    if (fread(template, 1, length, file) != length) return 3;
    devices = find("777777", device_at);
    turns = find("555555555555", turn_at);
    seconds = find("1234567890", second_at);
    poll_fd = epoll_create1(0);
    struct terminal *all = calloc(terminals, sizeof *all);
    for (int i = 0; i < terminals; i++) {
        all[i].number = i;
        all[i].fd = -1;
        all[i].request = malloc(length);
        memcpy(all[i].request, template, length);
        put(all[i].request, device_at, devices, 6, i);
    }
    struct epoll_event events[64];
    for (;;) {
        int left = 0;
        for (int i = 0; i < terminals; i++) {
            left += all[i].record < records;
            if (all[i].fd < 0 && all[i].record < records && now() >= all[i].again) connect_again(&all[i]);
        }
        if (!left || now() >= until) break;
        int count = epoll_wait(poll_fd, events, 64, 50);
        for (int i = 0; i < count; i++) step(events[i].data.ptr, events[i].events);
    }
    printf("{\"seconds\": %.3f, \"retries\": %ld, \"accepted\": [", now() - begun, retries);
    for (int i = 0; i < terminals; i++) printf("%s%ld", i ? ", " : "", all[i].record);
    printf("]}\n");
    return 0;
}
