// SPDX-License-Identifier: GPL-2.0
/*
 * Have the kernel send the page cache of a file, and look at what arrives, at what
 * the sender is told, and at whether the file is still what it was.
 *
 * See skb_bvecq.sh for what lies between the two ends, and
 * net/core/skb_bvecq_sender.c for the sender.
 *
 *	skb_bvecq [OPTION]... FILE	FILE is written anew
 *
 *	-t NETNS  -r NETNS  -a ADDRESS	the sender's namespace, the receiver's, and
 *					where he listens
 *	-n BYTES  -m BYTES  -s BYTES	how much in all, a message, a segment
 *	-p				a message is a UDP datagram, not a part of a
 *					TCP stream; each is read when the sender has
 *					been told that it is done, and before the
 *					next one
 *	-b BYTES			SO_SNDBUF
 *	-e read|reset|close|stuck	how it ends: the receiver reads it all, or
 *					resets the connection; the sender closes
 *					what he cannot send; or resets it
 *	-u BYTE				what is between sets some bytes to this
 *	-y				all datagrams are copied, else none is
 *	-k				send TLS records, to a receiver with kTLS
 *	-c DEVICE			capture packets there, or, if it has a slash in
 *					it, from a tap's character device
 *	-d TUN				forward packets between such a device in
 *					the one namespace and in the other one
 *	-f				sendfile(2) instead
 *	-x PROGRAM  -w DEVICE		a BPF program that sets them, and where
 *	-o SOCKET			some other socket, which has to refuse, and
 *					that is all
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/tls.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"

#define SENDER		"/sys/kernel/debug/skb_bvecq"
#define TIMEOUT		60		/* seconds, for any one thing */
#define BPF_AT		1000		/* which byte of a packet it sets */
#define RECORD		16384
#define RECORD_WIRE	(RECORD + 5 + 8 + 16)

enum ending { READ, RESET, CLOSE, STUCK };

static const char * const endings[] = {
	[READ]	= "read",
	[RESET]	= "reset",
	[CLOSE]	= "close",
	[STUCK]	= "stuck",
};

static const char	*cfg_netns[2];		/* the sender's, the receiver's */
static const char	*cfg_addr = "127.0.0.1";
static const char	*cfg_capture;
static const char	*cfg_tun;
static const char	*cfg_program;
static const char	*cfg_device;
static const char	*cfg_other;
static size_t		cfg_len = 4 << 20;
static size_t		cfg_message;
static size_t		cfg_segment = 32768;
static int		cfg_sndbuf;
static int		cfg_mangled = -1;
static bool		cfg_tls;
static bool		cfg_sendfile;
static bool		cfg_udp;
static bool		cfg_copied;
static enum ending	cfg_ending = READ;

static unsigned char	*plain;		/* what the receiver gets */
static unsigned char	*wire;		/* and what is sent; plain, but for TLS */
static size_t		wire_len;
static size_t		received;
static size_t		mangled;
static size_t		capture_header;	/* what precedes IP's */
static sem_t		sender_finished;
static sem_t		datagram_done;
static sem_t		datagram_read;

/* Wherever something is set to that byte, it shows. */
static void make_content(void)
{
	plain = malloc(cfg_len);
	if (!plain)
		err(1, "malloc");
	for (size_t i = 0; i < cfg_len; i++) {
		plain[i] = i * 13 + (i >> 8) * 7 + (i >> 16) * 5;
		if (plain[i] == cfg_mangled)
			plain[i]++;
	}
	wire = plain;
	wire_len = cfg_len;
}

static void check(const char *what, const unsigned char *got, const unsigned char *want,
		  size_t at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (got[i] == want[at + i])
			continue;
		if (got[i] != cfg_mangled)
			errx(1, "%s: byte %zu is %02x, not %02x", what, at + i, got[i],
			     want[at + i]);
		mangled++;
	}
}

static void enter(int end)
{
	char path[256];
	int fd;

	if (!cfg_netns[end])
		return;
	snprintf(path, sizeof(path), "/run/netns/%s", cfg_netns[end]);
	fd = open(path, O_RDONLY);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", path);
	close(fd);
}

static void set_timeout(int fd, int which, int seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	if (setsockopt(fd, SOL_SOCKET, which, &tv, sizeof(tv)))
		err(1, "timeout");
}

static void reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)))
		err(1, "SO_LINGER");
	close(fd);
}

static int start_listener(const char *addr, struct sockaddr_storage *ss)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST }, *ai;
	socklen_t len = sizeof(*ss);
	struct group_req group = {};
	int fd;

	if (getaddrinfo(addr, NULL, &hints, &ai))
		errx(1, "%s is no address", addr);
	fd = socket(ai->ai_family, cfg_udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) || (!cfg_udp && listen(fd, 1)) ||
	    getsockname(fd, (struct sockaddr *)ss, &len))
		err(1, "%s", addr);
	/* This fails for all but groups. */
	memcpy(&group.gr_group, ss, len);
	setsockopt(fd, ss->ss_family == AF_INET ? SOL_IP : SOL_IPV6, MCAST_JOIN_GROUP, &group,
		   sizeof(group));
	freeaddrinfo(ai);
	set_timeout(fd, SO_RCVTIMEO, TIMEOUT);
	return fd;
}

static int start_connection(const struct sockaddr_storage *ss)
{
	int fd = socket(ss->ss_family, cfg_udp ? SOCK_DGRAM : SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)ss, sizeof(*ss)))
		err(1, "connect");
	return fd;
}

/* For what is laid over TCP. */
static int start_loop(int *rx)
{
	struct sockaddr_storage ss;
	int listener = start_listener("127.0.0.1", &ss);
	int tx = start_connection(&ss);

	*rx = accept(listener, NULL, NULL);
	if (*rx < 0)
		err(1, "accept");
	close(listener);
	return tx;
}

static void start_tls(int fd, int direction)
{
	struct tls12_crypto_info_aes_gcm_128 info = {
		.info.version		= TLS_1_2_VERSION,
		.info.cipher_type	= TLS_CIPHER_AES_GCM_128,
		.key			= "skb_bvecq's key",
	};

	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) ||
	    setsockopt(fd, SOL_TLS, direction, &info, sizeof(info))) {
		warn("kTLS");
		exit(KSFT_SKIP);
	}
}

/* Let the kernel make records of the content. */
static void make_records(void)
{
	int rx, tx = start_loop(&rx);

	if (cfg_len % RECORD)
		errx(1, "no whole number of records");
	wire_len = cfg_len / RECORD * RECORD_WIRE;
	wire = malloc(wire_len);
	if (!wire)
		err(1, "TLS");
	start_tls(tx, TLS_TX);
	for (size_t i = 0; i < cfg_len / RECORD; i++)
		if (write(tx, plain + i * RECORD, RECORD) != RECORD ||
		    recv(rx, wire + i * RECORD_WIRE, RECORD_WIRE, MSG_WAITALL) != RECORD_WIRE)
			err(1, "TLS records");
	close(tx);
	close(rx);
}

static int sys_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return syscall(__NR_bpf, cmd, attr, sizeof(*attr));
}

/* Writes to a byte by a helper, which may be in a frag. */
static int load_helper(union bpf_attr *attr, bool xdp)
{
	const struct bpf_insn insns[] = {
		/* *(u8 *)(fp - 1) = byte */
		{ BPF_ST | BPF_MEM | BPF_B, BPF_REG_10, 0, -1, cfg_mangled },
		/* r0 = bpf_*_store_bytes(ctx, AT, fp - 1, 1, 0) */
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, BPF_AT },
		{ BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_10, 0, 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, -1 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 1 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_5, 0, 0, 0 },
		{ BPF_JMP | BPF_CALL, 0, 0, 0,
		  xdp ? BPF_FUNC_xdp_store_bytes : BPF_FUNC_skb_store_bytes },
		/* return pass */
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, xdp ? XDP_PASS : TCX_PASS },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};

	attr->prog_flags = xdp ? BPF_F_XDP_HAS_FRAGS : 0;
	attr->insn_cnt = ARRAY_SIZE(insns);
	attr->insns = (uintptr_t)insns;
	return sys_bpf(BPF_PROG_LOAD, attr);
}

/* Writes to a byte where it is, after that has been made linear. */
static int load_direct(union bpf_attr *attr, bool xdp)
{
	const struct bpf_insn insns[] = {
		/* r0 = bpf_skb_pull_data(ctx, AT + 1) */
		{ BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, BPF_AT + 1 },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_pull_data },
		{ BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_6, 0, 0 },
		/* if (data + AT + 1 <= data_end) data[AT] = byte */
		{ BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1,
		  xdp ? offsetof(struct xdp_md, data) : offsetof(struct __sk_buff, data), 0 },
		{ BPF_LDX | BPF_MEM | BPF_W, BPF_REG_3, BPF_REG_1,
		  xdp ? offsetof(struct xdp_md, data_end) :
			offsetof(struct __sk_buff, data_end), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_4, BPF_REG_2, 0, 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_4, 0, 0, BPF_AT + 1 },
		{ BPF_JMP | BPF_JGT | BPF_X, BPF_REG_4, BPF_REG_3, 1, 0 },
		{ BPF_ST | BPF_MEM | BPF_B, BPF_REG_2, 0, BPF_AT, cfg_mangled },
		/* return pass */
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, xdp ? XDP_PASS : TCX_PASS },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	unsigned int skip = xdp ? 4 : 0;

	attr->insn_cnt = ARRAY_SIZE(insns) - skip;
	attr->insns = (uintptr_t)(insns + skip);
	return sys_bpf(BPF_PROG_LOAD, attr);
}

static const struct program {
	const char		*name;
	int			(*load)(union bpf_attr *attr, bool xdp);
	int			end;		/* in whose namespace */
	enum bpf_attach_type	attach;
	unsigned int		flags;
} programs[] = {
	{ "tc-egress",		load_helper, 0, BPF_TCX_EGRESS },
	{ "tc-egress-direct",	load_direct, 0, BPF_TCX_EGRESS },
	{ "tc-ingress",		load_helper, 1, BPF_TCX_INGRESS },
	{ "tc-ingress-direct",	load_direct, 1, BPF_TCX_INGRESS },
	{ "xdp-generic",	load_helper, 1, BPF_XDP, XDP_FLAGS_SKB_MODE },
	{ "xdp-generic-direct",	load_direct, 1, BPF_XDP, XDP_FLAGS_SKB_MODE },
	{ "xdp-native",		load_helper, 1, BPF_XDP, XDP_FLAGS_DRV_MODE },
	{ "xdp-native-direct",	load_direct, 1, BPF_XDP, XDP_FLAGS_DRV_MODE },
};

/* It stays attached for as long as this program runs. */
static void attach_program(void)
{
	static char log[65536];
	union bpf_attr load = {
		.license	= (uintptr_t)"GPL",
		.log_buf	= (uintptr_t)log,
		.log_size	= sizeof(log),
		.log_level	= 1,
	};
	union bpf_attr link = {};
	const struct program *p = programs;
	bool xdp;

	while (strcmp(p->name, cfg_program))
		if (++p == programs + ARRAY_SIZE(programs))
			errx(1, "no program is called %s", cfg_program);
	xdp = p->attach == BPF_XDP;
	load.prog_type = xdp ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS;
	link.link_create.prog_fd = p->load(&load, xdp);
	if ((int)link.link_create.prog_fd < 0)
		err(1, "BPF: %s", log);
	enter(p->end);
	link.link_create.target_ifindex = if_nametoindex(cfg_device);
	link.link_create.attach_type = p->attach;
	link.link_create.flags = p->flags;
	if (sys_bpf(BPF_LINK_CREATE, &link) < 0)
		err(1, "%s on %s", cfg_program, cfg_device);
}

static void *receive(void *listener)
{
	size_t stop = cfg_ending == RESET ? cfg_len / 4 : SIZE_MAX;
	int fd = cfg_udp ? *(int *)listener : accept(*(int *)listener, NULL, NULL);
	static unsigned char buf[65536];
	ssize_t n = 0;

	if (fd < 0)
		err(1, "accept");
	if (cfg_tls)
		start_tls(fd, TLS_RX);
	set_timeout(fd, SO_RCVTIMEO, TIMEOUT);
	if (cfg_ending == CLOSE || cfg_ending == STUCK)
		sem_wait(&sender_finished);
	if (cfg_ending == STUCK)
		return NULL;

	while (received < stop) {
		if (cfg_udp)
			sem_wait(&datagram_done);
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0)
			break;
		if (received + n > cfg_len)
			errx(1, "received more than was sent");
		check("received", buf, plain, received, n);
		received += n;
		if (!cfg_udp)
			continue;
		sem_post(&datagram_read);
		if (received == cfg_len)
			break;
	}
	if (n < 0)
		err(1, "nothing came after %zu bytes", received);
	if (cfg_ending == RESET)
		reset(fd);
	else
		close(fd);
	return NULL;
}

/* Reads late, when the sender has been told that all is done. */
static int start_capture(void)
{
	struct sockaddr_ll sll = {
		.sll_family	= AF_PACKET,
		.sll_protocol	= htons(ETH_P_ALL),
		.sll_ifindex	= if_nametoindex(cfg_capture),
	};
	int fd, bytes = 256 << 20;

	if (strchr(cfg_capture, '/')) {
		fd = open(cfg_capture, O_RDWR | O_NONBLOCK);
		if (fd < 0)
			err(1, "%s", cfg_capture);
		capture_header = sizeof(struct virtio_net_hdr) + ETH_HLEN;
		return fd;
	}
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sll, sizeof(sll)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		err(1, "capture on %s", cfg_capture);
	return fd;
}

static size_t check_capture(int fd, in_port_t port)
{
	static unsigned char buf[1 << 17];
	unsigned int first = 0;
	size_t bytes = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		const struct iphdr *ip = (void *)buf + capture_header;
		const struct tcphdr *tcp = (void *)ip + ip->ihl * 4;
		const unsigned char *data = (void *)tcp + tcp->doff * 4;
		size_t len = buf + n - data, at;

		if (ip->version != 4 || ip->protocol != IPPROTO_TCP || tcp->dest != port)
			continue;
		at = ntohl(tcp->seq) - first;
		if (tcp->syn)
			first = ntohl(tcp->seq) + 1;
		else if (len && at + len <= wire_len)
			check("captured", data, wire, at, len);
		else if (len)
			errx(1, "captured %zu bytes at %zu of %zu", len, at, wire_len);
		bytes += len;
	}
	return bytes;
}

static int open_tun(int end)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int fd;

	enter(end);
	fd = open("/dev/net/tun", O_RDWR);
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", cfg_tun);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
		err(1, "%s", cfg_tun);
	return fd;
}

/* A cable between the two tuns. */
static void *forward(void *arg)
{
	struct pollfd *fds = arg;
	static char buf[1 << 17];

	while (poll(fds, 2, -1) > 0) {
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (!fds[i].revents)
				continue;
			n = read(fds[i].fd, buf, sizeof(buf));
			if (n > 0 && write(fds[!i].fd, buf, n) != n && errno != EIO)
				err(1, "%s: %zd bytes", cfg_tun, n);
		}
	}
	return NULL;
}

static struct {
	unsigned long long	sent, bytes;
	unsigned int		segments, done, early, copied, disorder;
} told;

static void ask_sender(int fd)
{
	char buf[256];
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

	buf[n > 0 ? n : 0] = 0;
	if (sscanf(buf, "sent %llu segments %u done %u early %u bytes %llu copied %u disorder %u",
		   &told.sent, &told.segments, &told.done, &told.early, &told.bytes, &told.copied,
		   &told.disorder) != 7)
		errx(1, "the sender said: %s", buf);
}

static void wait_told(int sender)
{
	time_t end = time(NULL) + TIMEOUT;

	do {
		ask_sender(sender);
		if (told.done >= told.segments)
			break;
		usleep(1000);
	} while (time(NULL) < end);
	if (told.done != told.segments)
		errx(1, "%u segments of %u were done", told.done, told.segments);
}

static int send_one(int sender, int sock, const unsigned char *content, size_t n)
{
	char cmd[80];

	snprintf(cmd, sizeof(cmd), "%d %lx %zu %zu", sock, (unsigned long)content, n,
		 cfg_segment);
	return write(sender, cmd, strlen(cmd));
}

/* Returns false if it had to stop early. */
static bool send_all(int sender, int sock, int file, const unsigned char *content)
{
	size_t message = cfg_message ?: wire_len;

	for (size_t at = 0, n; at < wire_len; at += n) {
		n = wire_len - at < message ? wire_len - at : message;
		if (cfg_sendfile) {
			off_t off = at;

			while (off < at + n)
				if (sendfile(sock, file, &off, at + n - off) <= 0)
					err(1, "sendfile");
			continue;
		}
		if (send_one(sender, sock, content + at, n) < 0) {
			if (cfg_ending == READ)
				err(1, "send");
			return false;
		}
		if (cfg_udp) {
			wait_told(sender);
			sem_post(&datagram_done);
			sem_wait(&datagram_read);
		}
	}
	return true;
}

static void wait_done(int sender)
{
	wait_told(sender);
	if (told.disorder)
		errx(1, "%u segments were done out of order", told.disorder);
	if (cfg_ending == READ && (told.sent != wire_len || told.bytes != wire_len))
		errx(1, "%llu bytes were sent, %llu done", told.sent, told.bytes);
	if (cfg_udp && told.copied != (cfg_copied ? told.segments : 0))
		errx(1, "%u segments of %u were copied", told.copied, told.segments);
	/* One message that the socket has no room for. */
	if (cfg_ending == READ && cfg_sndbuf && !cfg_message && told.early < told.segments / 2)
		errx(1, "%u segments of %u were done early", told.early, told.segments);
}

/* Take the pages away from the file, and let others have them: whoever still needs
 * what was in them holds references.
 */
static void drop_pages(int file, const unsigned char *content)
{
	char *other = malloc(wire_len * 2);

	if (!other || munmap((void *)content, wire_len) || ftruncate(file, 0))
		err(1, "truncate");
	memset(other, 0x55, wire_len * 2);
	free(other);
}

static void check_file(const unsigned char *content)
{
	for (size_t i = 0; i < wire_len; i++)
		if (content[i] != wire[i])
			errx(1, "byte %zu of the file was %02x and is %02x", i, wire[i],
			     content[i]);
}

/* Sockets that do not know how to, by themselves or for what was put on TCP. */
static void put_tls(int fd)
{
	start_tls(fd, TLS_TX);
}

static void put_espintcp(int fd)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "espintcp", sizeof("espintcp"))) {
		warn("espintcp");
		exit(KSFT_SKIP);
	}
}

static void put_sockmap(int fd)
{
	union bpf_attr create = {
		.map_type	= BPF_MAP_TYPE_SOCKMAP,
		.key_size	= sizeof(int),
		.value_size	= sizeof(int),
		.max_entries	= 1,
	};
	int key = 0, map = sys_bpf(BPF_MAP_CREATE, &create);
	union bpf_attr update = {
		.map_fd	= map,
		.key	= (uintptr_t)&key,
		.value	= (uintptr_t)&fd,
	};

	if (map < 0) {
		warn("sockmap");
		exit(KSFT_SKIP);
	}
	if (sys_bpf(BPF_MAP_UPDATE_ELEM, &update))
		err(1, "sockmap");
}

static const struct other {
	const char	*name;
	int		family, type, protocol;
	void		(*put)(int fd);
} others[] = {
	{ "tls",	AF_INET,   SOCK_STREAM,    IPPROTO_TCP, put_tls },
	{ "espintcp",	AF_INET,   SOCK_STREAM,    IPPROTO_TCP, put_espintcp },
	{ "sockmap",	AF_INET,   SOCK_STREAM,    IPPROTO_TCP, put_sockmap },
	{ "mptcp",	AF_INET,   SOCK_STREAM,    IPPROTO_MPTCP },
	{ "ping",	AF_INET,   SOCK_DGRAM,     IPPROTO_ICMP },
	{ "raw",	AF_INET,   SOCK_RAW,       IPPROTO_UDP },
	{ "unix",	AF_UNIX,   SOCK_STREAM,    0 },
	{ "packet",	AF_PACKET, SOCK_RAW,       0 },
	{ "rds",	AF_RDS,    SOCK_SEQPACKET, 0 },
	{ "rxrpc",	AF_RXRPC,  SOCK_DGRAM,     AF_INET },
	{ "alg",	AF_ALG,    SOCK_SEQPACKET, 0 },
	{ "vsock",	AF_VSOCK,  SOCK_STREAM,    0 },
	{ "kcm",	AF_KCM,    SOCK_DGRAM,     0 },
};

static int try_other(int sender)
{
	const struct other *o = others;
	unsigned char byte;
	int sock, rx = -1;
	void *content;

	while (strcmp(o->name, cfg_other))
		if (++o == others + ARRAY_SIZE(others))
			errx(1, "no socket is called %s", cfg_other);
	content = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (content == MAP_FAILED)
		err(1, "mmap");
	sock = o->put ? start_loop(&rx) : socket(o->family, o->type, o->protocol);
	if (sock < 0) {
		warn("%s", o->name);
		return KSFT_SKIP;
	}
	if (o->put) {
		/* It can, until then. */
		if (send_one(sender, sock, content, 1) < 0 ||
		    recv(rx, &byte, 1, MSG_WAITALL) != 1)
			err(1, "TCP");
		o->put(sock);
	}
	wait_told(sender);
	if (send_one(sender, sock, content, 4096) >= 0 || errno != EOPNOTSUPP)
		err(1, "%s did not refuse", o->name);
	wait_told(sender);
	if (told.sent != !!o->put)
		errx(1, "%s took %llu bytes", o->name, told.sent);
	if (o->put && recv(rx, &byte, 1, MSG_DONTWAIT) >= 0)
		errx(1, "%s sent something", o->name);
	printf("%s refuses\n", o->name);
	return 0;
}

static void parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "a:b:c:d:e:fkm:n:o:pr:s:t:u:w:x:y")) != -1) {
		switch (c) {
		case 'a':
			cfg_addr = optarg;
			break;
		case 'b':
			cfg_sndbuf = atoi(optarg);
			break;
		case 'c':
			cfg_capture = optarg;
			break;
		case 'd':
			cfg_tun = optarg;
			break;
		case 'e':
			for (cfg_ending = 0; strcmp(endings[cfg_ending], optarg); cfg_ending++)
				if (cfg_ending == STUCK)
					errx(1, "-e read|reset|close|stuck");
			break;
		case 'f':
			cfg_sendfile = true;
			break;
		case 'k':
			cfg_tls = true;
			break;
		case 'm':
			cfg_message = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			cfg_len = strtoul(optarg, NULL, 0);
			break;
		case 'o':
			cfg_other = optarg;
			break;
		case 'p':
			cfg_udp = true;
			break;
		case 'r':
			cfg_netns[1] = optarg;
			break;
		case 's':
			cfg_segment = strtoul(optarg, NULL, 0);
			break;
		case 't':
			cfg_netns[0] = optarg;
			break;
		case 'u':
			cfg_mangled = strtoul(optarg, NULL, 0);
			break;
		case 'w':
			cfg_device = optarg;
			break;
		case 'x':
			cfg_program = optarg;
			break;
		case 'y':
			cfg_copied = true;
			break;
		default:
			errx(1, "see the source for the options");
		}
	}
	if (optind != argc - 1)
		errx(1, "no file");
	if (cfg_program && (!cfg_device || cfg_mangled < 0))
		errx(1, "-x without -w or -u");
}

int main(int argc, char **argv)
{
	int sender = -1, capture = -1, listener, sock, file;
	struct pollfd tun[2] = {};
	const unsigned char *content;
	pthread_t receiver, cable;
	struct sockaddr_storage ss;
	size_t captured = 0;
	bool whole;

	parse(argc, argv);
	if (!cfg_sendfile) {
		sender = open(SENDER, O_RDWR);
		if (sender < 0) {
			warn(SENDER);
			return KSFT_SKIP;
		}
	}
	for (int end = 0; cfg_tun && end < 2; end++)
		tun[end] = (struct pollfd){ .fd = open_tun(end), .events = POLLIN };
	if (cfg_tun && pthread_create(&cable, NULL, forward, tun))
		errx(1, "no thread");
	if (cfg_program)
		attach_program();
	enter(1);
	listener = start_listener(cfg_addr, &ss);
	enter(0);
	if (cfg_other)
		return try_other(sender);
	make_content();
	if (cfg_tls)
		make_records();
	if (cfg_capture)
		capture = start_capture();

	file = open(argv[optind], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (file < 0 || write(file, wire, wire_len) != wire_len)
		err(1, "%s", argv[optind]);
	content = mmap(NULL, wire_len, PROT_READ, MAP_SHARED, file, 0);
	if (content == MAP_FAILED)
		err(1, "mmap");

	sem_init(&sender_finished, 0, 0);
	sem_init(&datagram_done, 0, 0);
	sem_init(&datagram_read, 0, 0);
	if (pthread_create(&receiver, NULL, receive, &listener))
		errx(1, "no thread");
	sock = start_connection(&ss);
	set_timeout(sock, SO_SNDTIMEO, cfg_ending == READ ? TIMEOUT : 1);
	if (cfg_sndbuf && setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &cfg_sndbuf, sizeof(cfg_sndbuf)))
		err(1, "SO_SNDBUF");

	whole = send_all(sender, sock, file, content);
	if (whole && cfg_ending != READ)
		errx(1, "everything could be sent");
	if (cfg_ending == CLOSE || cfg_ending == STUCK) {
		ask_sender(sender);
		if (told.done >= told.segments)
			errx(1, "all was done before anything was read");
	}
	if (cfg_ending == STUCK) {
		reset(sock);
	} else if (cfg_ending == CLOSE) {
		close(sock);
		check_file(content);
		drop_pages(file, content);
	} else if (!cfg_udp && shutdown(sock, SHUT_WR) && cfg_ending == READ) {
		err(1, "shutdown");
	}
	sem_post(&sender_finished);
	if (!cfg_sendfile)
		wait_done(sender);
	pthread_join(receiver, NULL);

	if (cfg_ending == READ && received != cfg_len)
		errx(1, "%zu bytes of %zu were received", received, cfg_len);
	if (cfg_ending == CLOSE && received != told.sent)
		errx(1, "%zu bytes were received, %llu sent", received, told.sent);
	if (cfg_mangled >= 0 && !mangled)
		errx(1, "nothing was mangled");
	if (cfg_ending != CLOSE)
		check_file(content);
	if (cfg_capture) {
		drop_pages(file, content);
		captured = check_capture(capture, ((struct sockaddr_in *)&ss)->sin_port);
		if (!captured)
			errx(1, "nothing was captured");
	}

	printf("bytes %zu received %zu mangled %zu captured %zu segments %u early %u copied %u\n",
	       wire_len, received, mangled, captured, told.segments, told.early, told.copied);
	return 0;
}
