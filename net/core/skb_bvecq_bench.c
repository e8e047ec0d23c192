// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Benchmark of sending a bvecq beside copying and beside MSG_SPLICE_PAGES with page
 * references: a kernel sender and a receiver, TCP, over the loopback device
 * or between two network namespaces.
 *
 *	echo "DEVICE DEVICE BYTES FILE read|discard MIB [WAY]" >
 *		/sys/module/skb_bvecq_bench/parameters/run
 *
 * sends MIB in messages of so many bytes from the first device's address to the
 * second's, wherever they are, in each of the three ways, or in one. They are taken in
 * turn from FILE bytes of memory: where that is larger than the caches, as of a file,
 * copying has to fetch it; where it is one message, it is copied out of a cache. Prints
 * a line
 *
 *	bench: way=copy|splice|bvecq bytes=BYTES file=FILE receiver=read|discard \
 *		devices=NAMES ns=TIME sender_ns=CPU
 *
 * for each: the time that passed, and the CPU time of the sender.
 */
#include <linux/bvecq.h>
#include <linux/completion.h>
#include <linux/in.h>
#include <linux/inetdevice.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/rtnetlink.h>
#include <linux/sched/cputime.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <net/net_namespace.h>
#include <net/skb_bvecq.h>
#include <net/sock.h>
#include <net/tcp.h>

#define FOLIO_BYTES	SZ_32K
#define MAX_FOLIOS	(SZ_64M / FOLIO_BYTES)

struct end {
	char		name[IFNAMSIZ];
	struct net	*net;
	__be32		addr;
	struct socket	*sock;
};

struct bench {
	struct end		from, to;
	size_t			bytes;
	size_t			file;
	unsigned int		mib;
	bool			discard;
	struct completion	received;
	struct folio		*folios[MAX_FOLIOS];
	struct bio_vec		bv[MAX_FOLIOS];
};

/* Find the device, in whichever namespace it is, and hold that. */
static int find_end(struct end *e)
{
	struct net *net;
	int err = -ENODEV;

	rtnl_lock();
	down_read(&net_rwsem);
	for_each_net(net) {
		struct net_device *dev = __dev_get_by_name(net, e->name);

		if (!dev || !__in_dev_get_rtnl(dev))
			continue;
		e->addr = inet_confirm_addr(net, __in_dev_get_rtnl(dev), 0, 0, RT_SCOPE_HOST);
		e->net = maybe_get_net(net);
		err = e->addr && e->net ? 0 : -EADDRNOTAVAIL;
		break;
	}
	up_read(&net_rwsem);
	rtnl_unlock();
	return err;
}

static int connect_ends(struct bench *b)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = b->to.addr };
	struct socket *listener;
	int err;

	err = sock_create_kern(b->to.net, AF_INET, SOCK_STREAM, IPPROTO_TCP, &listener);
	if (err)
		return err;
	err = sock_create_kern(b->from.net, AF_INET, SOCK_STREAM, IPPROTO_TCP, &b->from.sock);
	if (err)
		goto out;
	err = kernel_bind(listener, (struct sockaddr_unsized *)&addr, sizeof(addr));
	if (!err)
		err = kernel_listen(listener, 1);
	if (!err)
		err = min(kernel_getsockname(listener, (struct sockaddr *)&addr), 0);
	if (!err)
		err = kernel_connect(b->from.sock, (struct sockaddr_unsized *)&addr,
				     sizeof(addr), 0);
	if (!err)
		err = kernel_accept(listener, &b->to.sock, 0);
	if (!err)
		tcp_sock_set_nodelay(b->from.sock->sk);
out:
	sock_release(listener);
	return err;
}

static int receive(void *data)
{
	struct bench *b = data;
	size_t left = (size_t)b->mib << 20;
	void *buf = kmalloc(SZ_64K, GFP_KERNEL);

	while (left && buf) {
		struct kvec iov = { buf, SZ_64K };
		struct msghdr msg = {};
		int n;

		iov_iter_kvec(&msg.msg_iter, ITER_DEST, &iov, 1, SZ_64K);
		n = sock_recvmsg(b->to.sock, &msg, b->discard ? MSG_TRUNC : 0);
		if (n <= 0)
			break;
		left -= n;
	}
	kfree(buf);
	complete(&b->received);
	return 0;
}

static int send_all(struct bench *b, struct msghdr *msg)
{
	while (msg_data_left(msg)) {
		int n = sock_sendmsg(b->from.sock, msg);

		if (n < 0)
			return n;
	}
	return 0;
}

static int send_copy(struct bench *b, struct bio_vec *bv)
{
	struct msghdr msg = {};

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bv, b->bytes / FOLIO_BYTES, b->bytes);
	return send_all(b, &msg);
}

static int send_splice(struct bench *b, struct bio_vec *bv)
{
	struct msghdr msg = { .msg_flags = MSG_SPLICE_PAGES };

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bv, b->bytes / FOLIO_BYTES, b->bytes);
	return send_all(b, &msg);
}

/* As any sender, this makes a queue for each message. */
static int send_bvecq(struct bench *b, struct bio_vec *bv)
{
	unsigned int nr = b->bytes / FOLIO_BYTES;
	struct bvecq *bq = bvecq_alloc(nr, BVECQ_MEM_BORROWED, GFP_KERNEL);
	struct msghdr msg = {};
	int err = -ENOMEM;

	if (!bq)
		return err;
	for (unsigned int i = 0; i < nr; i++)
		if (bvecq_append_bv(bq, &bv[i]))
			goto out;
	err = bvecq_sendmsg_begin(&msg, bq, b->bytes, false);
	if (err)
		goto out;
	err = send_all(b, &msg);
	bvecq_sendmsg_end(&msg);
out:
	bvecq_put(bq);
	return err;
}

static const struct {
	const char	*name;
	int		(*send)(struct bench *b, struct bio_vec *bv);
} ways[] = {
	{ "copy",	send_copy },
	{ "splice",	send_splice },
	{ "bvecq",	send_bvecq },
};

static int run_way(struct bench *b, unsigned int way)
{
	size_t size = (size_t)b->mib << 20;
	struct task_struct *task;
	u64 t0, cpu0;
	int err;

	err = connect_ends(b);
	if (err)
		goto out;
	init_completion(&b->received);
	task = kthread_run(receive, b, "skb_bvecq_bench");
	if (IS_ERR(task)) {
		err = PTR_ERR(task);
		goto out;
	}

	t0 = ktime_get_ns();
	cpu0 = task_sched_runtime(current);
	for (size_t at = 0; at < size && !err; at += b->bytes)
		err = ways[way].send(b, &b->bv[at % b->file / FOLIO_BYTES]);
	cpu0 = task_sched_runtime(current) - cpu0;
	if (err)
		kernel_sock_shutdown(b->from.sock, SHUT_RDWR);
	wait_for_completion(&b->received);
	if (!err)
		pr_info("bench: way=%s bytes=%zu file=%zu receiver=%s devices=%s-%s ns=%llu sender_ns=%llu\n",
			ways[way].name, b->bytes, b->file, b->discard ? "discard" : "read",
			b->from.name, b->to.name, ktime_get_ns() - t0, cpu0);
out:
	if (b->to.sock)
		sock_release(b->to.sock);
	if (b->from.sock)
		sock_release(b->from.sock);
	b->to.sock = NULL;
	b->from.sock = NULL;
	return err;
}

static int run(struct bench *b, const char *chosen)
{
	unsigned int nr = b->file / FOLIO_BYTES;
	int err = find_end(&b->from);

	if (!err)
		err = find_end(&b->to);
	for (unsigned int i = 0; i < nr && !err; i++) {
		b->folios[i] = folio_alloc(GFP_KERNEL, get_order(FOLIO_BYTES));
		if (!b->folios[i])
			err = -ENOMEM;
		else
			bvec_set_folio(&b->bv[i], b->folios[i], FOLIO_BYTES, 0);
	}
	for (unsigned int way = 0; way < ARRAY_SIZE(ways) && !err; way++)
		if (!*chosen || !strcmp(chosen, ways[way].name))
			err = run_way(b, way);
	for (unsigned int i = 0; i < nr && b->folios[i]; i++)
		folio_put(b->folios[i]);
	if (b->from.net)
		put_net(b->from.net);
	if (b->to.net)
		put_net(b->to.net);
	return err;
}

static int run_set(const char *val, const struct kernel_param *kp)
{
	struct bench *b = kvzalloc_obj(*b);
	char receiver[8], way[8] = "";
	int err = -EINVAL;

	if (!b)
		return -ENOMEM;
	if (sscanf(val, "%15s %15s %zu %zu %7s %u %7s", b->from.name, b->to.name, &b->bytes,
		   &b->file, receiver, &b->mib, way) >= 6 &&
	    b->bytes && !(b->bytes % FOLIO_BYTES) &&
	    b->file && b->file <= SZ_64M && !(b->file % b->bytes) &&
	    b->mib && !(((size_t)b->mib << 20) % b->bytes)) {
		b->discard = !strcmp(receiver, "discard");
		if (b->discard || !strcmp(receiver, "read"))
			err = run(b, way);
	}
	kvfree(b);
	return err;
}

static const struct kernel_param_ops run_ops = { .set = run_set };

module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "send: DEVICE DEVICE BYTES FILE read|discard MIB [WAY]");

MODULE_DESCRIPTION("Benchmark of sending a bvecq");
MODULE_LICENSE("GPL");
