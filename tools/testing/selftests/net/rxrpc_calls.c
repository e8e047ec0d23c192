// SPDX-License-Identifier: GPL-2.0
/*
 * Calls between two AF_RXRPC sockets.
 *
 *	rxrpc_calls -s [-a ADDR] [-p PORT]		serve until killed
 *	rxrpc_calls -c ADDR [-p PORT] [-n CALLS] [-q BYTES] [-r BYTES] [-l]
 *
 * The client makes calls, one after the other, with requests of -q bytes, and
 * gets -r bytes in reply.  Every byte is checked, on both sides.  With -l, for
 * a path that loses packets, a call that was refused is made again.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/rxrpc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef AF_RXRPC
#define AF_RXRPC	33
#endif
#ifndef SOL_RXRPC
#define SOL_RXRPC	272
#endif

#define SERVICE		4711
#define BACKLOG		10
#define BUF		65536

/* What a request begins with. */
struct request {
	uint32_t	seed;
	uint32_t	reply;		/* How many bytes are asked for */
};

struct call {
	struct request	req;
	uint32_t	got;
};

static unsigned char buf[BUF];

static unsigned char pattern(uint32_t seed, uint32_t at)
{
	return seed * 7 + at + (at >> 8) * 13;
}

static void fill(uint32_t seed, uint32_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = pattern(seed, at + i);
}

static void check(const unsigned char *p, uint32_t seed, uint32_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != pattern(seed, at + i))
			errx(1, "call %u: byte %zu is %02x, not %02x", seed, at + i, p[i],
			     pattern(seed, at + i));
}

static struct sockaddr_rxrpc make_address(const char *addr, int port, int service)
{
	struct sockaddr_rxrpc srx = {
		.srx_family	= AF_RXRPC,
		.srx_service	= service,
		.transport_type	= SOCK_DGRAM,
	};

	if (strchr(addr, ':')) {
		srx.transport_len = sizeof(srx.transport.sin6);
		srx.transport.sin6.sin6_family = AF_INET6;
		srx.transport.sin6.sin6_port = htons(port);
		if (inet_pton(AF_INET6, addr, &srx.transport.sin6.sin6_addr) != 1)
			errx(1, "not an IP address: %s", addr);
	} else {
		srx.transport_len = sizeof(srx.transport.sin);
		srx.transport.sin.sin_family = AF_INET;
		srx.transport.sin.sin_port = htons(port);
		if (inet_pton(AF_INET, addr, &srx.transport.sin.sin_addr) != 1)
			errx(1, "not an IP address: %s", addr);
	}
	return srx;
}

static int open_socket(const struct sockaddr_rxrpc *srx)
{
	int fd = socket(AF_RXRPC, SOCK_DGRAM, srx->transport.family);

	if (fd < 0 && (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT)) {
		warn("AF_RXRPC");
		exit(4);		/* skipped */
	}
	if (fd < 0)
		err(1, "socket");
	if (bind(fd, (struct sockaddr *)srx, sizeof(*srx)) < 0)
		err(1, "bind");
	return fd;
}

static void add_cmsg(struct msghdr *msg, int type, const void *data, size_t len)
{
	struct cmsghdr *cmsg = (void *)((char *)msg->msg_control + msg->msg_controllen);

	memset(cmsg, 0, CMSG_SPACE(len));
	cmsg->cmsg_level = SOL_RXRPC;
	cmsg->cmsg_type = type;
	cmsg->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(cmsg), data, len);
	msg->msg_controllen += CMSG_SPACE(len);
}

/* Send @len bytes of the call's pattern, behind @head. */
static void send_all(int fd, unsigned long id, const struct sockaddr_rxrpc *to,
		     const void *head, size_t head_len, uint32_t seed, uint32_t len)
{
	uint32_t at = 0;

	do {
		size_t part = len - at < BUF - head_len ? len - at : BUF - head_len;
		struct iovec iov[2] = { { (void *)head, head_len }, { buf, part } };
		char control[128];
		struct msghdr msg = {
			.msg_name	= (void *)to,
			.msg_namelen	= to ? sizeof(*to) : 0,
			.msg_iov	= iov,
			.msg_iovlen	= 2,
			.msg_control	= control,
		};
		ssize_t sent;

		add_cmsg(&msg, RXRPC_USER_CALL_ID, &id, sizeof(id));
		fill(seed, at, part);
		sent = sendmsg(fd, &msg, at + part < len ? MSG_MORE : 0);
		if (sent != (ssize_t)(head_len + part))
			err(1, "call %u: sendmsg of %zu at %u: %zd", seed, part, at, sent);
		at += part;
		head_len = 0;
	} while (at < len);
}

struct event {
	unsigned long	id;
	ssize_t		len;
	bool		phase_done;	/* All of the request or reply is here */
	bool		call_done;
	int		error;		/* Abort code or errno */
};

static struct event receive(int fd)
{
	struct iovec iov = { buf, BUF };
	struct sockaddr_rxrpc from;
	char control[256];
	struct msghdr msg = {
		.msg_name	= &from,
		.msg_namelen	= sizeof(from),
		.msg_iov	= &iov,
		.msg_iovlen	= 1,
		.msg_control	= control,
		.msg_controllen	= sizeof(control),
	};
	struct event e = {};

	e.len = recvmsg(fd, &msg, 0);
	if (e.len < 0)
		err(1, "recvmsg");
	e.phase_done = !(msg.msg_flags & MSG_MORE);
	e.call_done = msg.msg_flags & MSG_EOR;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_RXRPC)
			continue;
		switch (c->cmsg_type) {
		case RXRPC_USER_CALL_ID:
			memcpy(&e.id, CMSG_DATA(c), sizeof(e.id));
			break;
		case RXRPC_ABORT:
		case RXRPC_NET_ERROR:
		case RXRPC_LOCAL_ERROR:
		case RXRPC_BUSY:
			memcpy(&e.error, CMSG_DATA(c), sizeof(e.error));
			if (!e.error)
				e.error = -1;
			break;
		}
	}
	return e;
}

static void charge(int fd, unsigned long id)
{
	char control[128];
	struct msghdr msg = { .msg_control = control };

	add_cmsg(&msg, RXRPC_USER_CALL_ID, &id, sizeof(id));
	add_cmsg(&msg, RXRPC_CHARGE_ACCEPT, "", 0);
	if (sendmsg(fd, &msg, 0) < 0)
		err(1, "charging call %lu", id);
}

static void serve(const char *addr, int port)
{
	struct sockaddr_rxrpc srx = make_address(addr, port, SERVICE);
	static struct call calls[BACKLOG + 1];
	int fd = open_socket(&srx);

	if (listen(fd, BACKLOG) < 0)
		err(1, "listen");
	for (unsigned long id = 1; id <= BACKLOG; id++)
		charge(fd, id);
	puts("listening");
	fflush(stdout);

	for (;;) {
		struct event e = receive(fd);
		struct call *call = &calls[e.id];
		unsigned char *p = buf;

		if (e.id < 1 || e.id > BACKLOG)
			errx(1, "call ID %lu", e.id);
		while (call->got < sizeof(call->req) && e.len) {
			((unsigned char *)&call->req)[call->got++] = *p++;
			e.len--;
		}
		if (e.len) {
			check(p, call->req.seed, call->got - sizeof(call->req), e.len);
			call->got += e.len;
		}
		if (e.call_done) {
			if (e.error)
				warnx("call %u: error %d", call->req.seed, e.error);
			call->got = 0;
			charge(fd, e.id);
		} else if (e.phase_done) {
			send_all(fd, e.id, NULL, NULL, 0, ~call->req.seed, call->req.reply);
		}
	}
}

/* A service refuses a call that it first hears of by something other than DATA,
 * such as a ping, because the first packet was lost: then it is made again.
 */
static void make_calls(const char *addr, int port, unsigned int nr, uint32_t size, uint32_t reply,
		       bool lossy)
{
	struct sockaddr_rxrpc to = make_address(addr, port, SERVICE);
	struct sockaddr_rxrpc from = make_address(strchr(addr, ':') ? "::" : "0.0.0.0", 0, 0);
	int fd = open_socket(&from);
	unsigned int repeated = 0;
	struct timespec a, b;
	double s;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned int i = 0; i < nr; i++) {
		struct request req = { .seed = i, .reply = reply };
		uint32_t got = 0;
		struct event e;

		send_all(fd, i, &to, &req, sizeof(req), i, size);
		do {
			e = receive(fd);
			if (e.id != i)
				errx(1, "call %u: reply to call %lu", i, e.id);
			if (lossy && !got && e.error == RX_PROTOCOL_ERROR && repeated < nr)
				break;
			if (e.error)
				errx(1, "call %u: error %d", i, e.error);
			check(buf, ~i, got, e.len);
			got += e.len;
		} while (!e.call_done);
		if (e.error) {
			repeated++;
			i--;
			continue;
		}
		if (got != reply)
			errx(1, "call %u: %u bytes of %u", i, got, reply);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	s = b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9;
	printf("calls %u request %u reply %u seconds %.3f calls/s %.1f repeated %u\n", nr, size,
	       reply, s, nr / s, repeated);
}

int main(int argc, char **argv)
{
	const char *addr = "0.0.0.0";
	unsigned int nr = 100, size = 100, reply = 100;
	int port = 7000, opt;
	bool client = false, server = false, lossy = false;

	while ((opt = getopt(argc, argv, "sc:a:p:n:q:r:l")) != -1) {
		switch (opt) {
		case 's':
			server = true;
			break;
		case 'c':
			client = true;
			addr = optarg;
			break;
		case 'a':
			addr = optarg;
			break;
		case 'p':
			port = atoi(optarg);
			break;
		case 'n':
			nr = atoi(optarg);
			break;
		case 'q':
			size = atoi(optarg);
			break;
		case 'r':
			reply = atoi(optarg);
			break;
		case 'l':
			lossy = true;
			break;
		default:
			errx(2, "the usage is at the top of rxrpc_calls.c");
		}
	}
	if (client == server)
		errx(2, "either -s or -c ADDR");
	if (server)
		serve(addr, port);
	else
		make_calls(addr, port, nr, size, reply, lossy);
	return 0;
}
