// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A kernel sender at the command of a test in user space.
 *
 * Whoever has opened <debugfs>/skb_bvecq writes
 *
 *	SOCKET ADDRESS BYTES SEGMENT
 *
 * to have so many bytes of his memory sent through a socket of his, without page
 * references, as a queue whose segments have SEGMENT bytes each. Where the memory
 * is a shared mapping of a file, that is the page cache. Or
 *
 *	SOCKET netmem BYTES FIRST
 *
 * for memory of netmem_alloc(), filled with 32-bit words, little-endian, that count
 * up from FIRST; this does not wait for room in the socket. The write returns as
 * sock_sendmsg() does. Reading gives what became of all messages so far:
 *
 *	sent BYTES segments N done N early N bytes BYTES copied N disorder N
 *
 * sent is what was queued, and early how many segments were done before the last
 * byte of their message had been. Segments are done in the order of their
 * message, each once; disorder counts those that are not.
 */
#include <linux/bvecq.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uio.h>
#include <net/netmem_alloc.h>
#include <net/skb_bvecq.h>

/* For an open file, and each of its segments that the network has. */
struct sender {
	refcount_t		ref;
	spinlock_t		lock;		/* all that follows */
	struct list_head	messages;
	u64			sent;
	u64			bytes;
	unsigned int		segments;
	unsigned int		done;
	unsigned int		early;
	unsigned int		copied;
	unsigned int		disorder;
};

struct message {
	struct sender		*sender;
	struct list_head	list;
	const struct bvecq	*next;		/* to be done */
	unsigned int		done;
};

static void sender_put(struct sender *s)
{
	struct message *m, *next;

	if (!refcount_dec_and_test(&s->ref))
		return;
	list_for_each_entry_safe(m, next, &s->messages, list)
		kfree(m);
	kfree(s);
}

static void segment_done(struct bvecq *bq, size_t bytes, bool copied)
{
	struct message *m = bq->priv;
	struct sender *s = m->sender;

	spin_lock_bh(&s->lock);
	s->disorder += bq != m->next;
	m->next = bq->next;
	m->done++;
	s->done++;
	s->copied += copied;
	s->bytes += bytes;
	spin_unlock_bh(&s->lock);
	sender_put(s);
}

/* Pin the caller's memory, from *@addr on, at the end of a segment. */
static int fill_segment(struct bvecq *bq, unsigned long *addr, size_t left)
{
	int err = 0;

	while (left && !err) {
		size_t part = min(left, PAGE_SIZE - offset_in_page(*addr));
		struct page *page;

		err = pin_user_pages_fast(*addr, 1, 0, &page);
		if (err != 1)
			return err ?: -EFAULT;
		err = bvecq_append(bq, page, part, offset_in_page(*addr));
		if (err)
			unpin_user_page(page);
		*addr += part;
		left -= part;
	}
	return err;
}

static struct bvecq *pin_memory(unsigned long addr, size_t bytes, size_t segment)
{
	struct bvecq *head = NULL, *tail = NULL;

	for (size_t part; bytes; bytes -= part) {
		struct bvecq *bq;
		int err = -ENOMEM;

		part = min(bytes, segment);
		bq = bvecq_alloc(part / PAGE_SIZE + 2, BVECQ_MEM_PIN, GFP_KERNEL);
		if (bq)
			err = fill_segment(bq, &addr, part);
		if (err) {
			bvecq_put(bq);
			bvecq_put(head);
			return ERR_PTR(err);
		}
		if (tail)
			bvecq_join(tail, bq);
		else
			head = bq;
		tail = bq;
	}
	return head;
}

static struct bvecq *count_words(const struct sock *sk, size_t bytes, u32 word)
{
	struct bvecq *head = netmem_alloc_bvecq(sk, bytes, 0, GFP_KERNEL);

	if (IS_ERR(head))
		return head;
	for (struct bvecq *bq = head; bq; bq = bvecq_next(bq)) {
		for (unsigned int i = 0; i < bvecq_nr_slots(bq); i++) {
			__le32 *p = bvec_virt(&bq->bv[i]);

			for (unsigned int n = bq->bv[i].bv_len / sizeof(*p); n; n--)
				*p++ = cpu_to_le32(word++);
		}
	}
	return head;
}

static int send_queue(struct sender *s, struct socket *sock, struct bvecq *head,
		      size_t bytes, int flags)
{
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL | flags };
	struct message *m = kzalloc_obj(*m);
	int ret;

	if (!m)
		return -ENOMEM;
	m->sender = s;
	m->next = head;
	spin_lock_bh(&s->lock);
	list_add(&m->list, &s->messages);
	for (struct bvecq *bq = head; bq; bq = bvecq_next(bq)) {
		bq->priv = m;
		bq->done = segment_done;
		refcount_inc(&s->ref);
		s->segments++;
	}
	spin_unlock_bh(&s->lock);

	ret = bvecq_sendmsg_begin(&msg, head, bytes, false);
	if (ret < 0)
		return ret;
	while (ret >= 0 && msg_data_left(&msg))
		ret = sock_sendmsg(sock, &msg);
	spin_lock_bh(&s->lock);
	s->sent += bytes - msg_data_left(&msg);
	if (!msg_data_left(&msg))
		s->early += m->done;
	spin_unlock_bh(&s->lock);
	bvecq_sendmsg_end(&msg);
	return min(ret, 0);
}

static ssize_t sender_write(struct file *file, const char __user *ubuf, size_t count,
			    loff_t *pos)
{
	size_t bytes, segment = 0;
	struct socket *sock;
	unsigned long addr;
	char cmd[80] = {};
	struct bvecq *bq;
	u32 first;
	int fd, err;

	if (count >= sizeof(cmd))
		return -EINVAL;
	if (copy_from_user(cmd, ubuf, count))
		return -EFAULT;
	if (sscanf(cmd, "%d %lx %zu %zu", &fd, &addr, &bytes, &segment) == 4) {
		if (!segment || segment > SZ_1M)
			return -EINVAL;
	} else if (sscanf(cmd, "%d netmem %zu %u", &fd, &bytes, &first) != 3 ||
		   bytes % sizeof(first)) {
		return -EINVAL;
	}
	if (!bytes || bytes > SZ_1G)
		return -EINVAL;

	sock = sockfd_lookup(fd, &err);
	if (!sock)
		return err;
	if (segment)
		bq = pin_memory(addr, bytes, segment);
	else
		bq = count_words(sock->sk, bytes, first);
	err = PTR_ERR_OR_ZERO(bq);
	if (!err) {
		err = send_queue(file->private_data, sock, bq, bytes,
				 segment ? 0 : MSG_DONTWAIT);
		bvecq_put(bq);
	}
	sockfd_put(sock);
	return err ?: count;
}

static ssize_t sender_read(struct file *file, char __user *ubuf, size_t count, loff_t *pos)
{
	struct sender *s = file->private_data;
	char buf[200];
	int n;

	spin_lock_bh(&s->lock);
	n = scnprintf(buf, sizeof(buf),
		      "sent %llu segments %u done %u early %u bytes %llu copied %u disorder %u\n",
		      s->sent, s->segments, s->done, s->early, s->bytes, s->copied, s->disorder);
	spin_unlock_bh(&s->lock);
	return simple_read_from_buffer(ubuf, count, pos, buf, n);
}

static int sender_open(struct inode *inode, struct file *file)
{
	struct sender *s = kzalloc_obj(*s);

	if (!s)
		return -ENOMEM;
	refcount_set(&s->ref, 1);
	spin_lock_init(&s->lock);
	INIT_LIST_HEAD(&s->messages);
	file->private_data = s;
	return 0;
}

static int sender_release(struct inode *inode, struct file *file)
{
	sender_put(file->private_data);
	return 0;
}

static const struct file_operations sender_fops = {
	.open		= sender_open,
	.release	= sender_release,
	.read		= sender_read,
	.write		= sender_write,
};

static int __init sender_init(void)
{
	debugfs_create_file("skb_bvecq", 0600, NULL, NULL, &sender_fops);
	return 0;
}
late_initcall(sender_init);
