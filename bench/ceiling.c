/* The fastest answer there is: reads a request by its Content-Length, writes a constant reply. It stores nothing.
 * What the generator reaches against it is the generator's own ceiling. Prints its port, serves until it is ended. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 4096
#define BUFFER (256 * 1024)

static const char REPLY[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: text/xml\r\n\r\n";
static char head[CONNECTIONS][4096]; /* what has come of a head that is not complete */
static int head_length[CONNECTIONS];
static long body_left[CONNECTIONS];
static char buffer[BUFFER];

static void take(int fd, const char *data, long length) {
    while (length > 0) {
        if (body_left[fd] > 0) {
            long part = length < body_left[fd] ? length : body_left[fd];
            body_left[fd] -= part, data += part, length -= part;
            if (body_left[fd] == 0 && write(fd, REPLY, sizeof REPLY - 1) < 0)
                return;
            continue;
        }
        if (head_length[fd] >= (int)sizeof head[fd] - 1)
            return;
        char byte = *data;
        head[fd][head_length[fd]++] = byte, data++, length--;
        if (byte != '\n' || head_length[fd] < 4 || memcmp(head[fd] + head_length[fd] - 4, "\r\n\r\n", 4) != 0)
            continue;
        head[fd][head_length[fd]] = 0;
        char *declared = strcasestr(head[fd], "\ncontent-length:");
        body_left[fd] = declared ? atol(declared + 16) : 0;
        head_length[fd] = 0;
        if (body_left[fd] == 0 && write(fd, REPLY, sizeof REPLY - 1) < 0)
            return;
    }
}

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (void *)&address, size) || listen(listener, 1024))
        return 1;
    getsockname(listener, (void *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = listener}, ready[64];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted);
    for (;;) {
        int count = epoll_wait(poll, ready, 64, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                int client = accept(listener, NULL, NULL);
                if (client < 0)
                    continue;
                if (client >= CONNECTIONS) {
                    close(client);
                    continue;
                }
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                head_length[client] = 0, body_left[client] = 0;
                wanted.data.fd = client;
                epoll_ctl(poll, EPOLL_CTL_ADD, client, &wanted);
                continue;
            }
            ssize_t got = read(fd, buffer, sizeof buffer);
            if (got <= 0)
                close(fd);
            else
                take(fd, buffer, got);
        }
    }
}
