// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sending a bvecq without references on its pages.
 *
 * The sender passes the queue's ubuf in msghdr.msg_ubuf. Whole pieces become
 * frags; the packet takes no references on them, but one on the ubuf of the
 * first segment that it carries bytes of, and that holds all that follows it:
 * see bvecq_tx_begin().
 *
 *   sendmsg:   msg_ubuf --.          moves on, as bytes are queued
 *                         v
 *              A -> B -> C -> D      each holds its successor
 *              ^         ^
 *   packets:   1         2           1 carries A and B, and the rest of C is in 2
 *
 * As the peer acknowledges packet 1, A and B are their owner's again, while D has
 * not been queued yet. Clones and parts of packet 1 hold A as well, so
 * whatever a driver or a qdisc still has is not given back either.
 *
 * A packet that turns out to be for this host lets go of the ubuf and takes page
 * references instead: see __skb_orphan_frags_rx().
 */

#include <linux/bvecq.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <kunit/visibility.h>
#include <net/dst.h>
#include <net/hotdata.h>
#include <net/ip.h>
#include <net/skb_bvecq.h>
#include <net/sock.h>
#include <trace/events/skb.h>

static struct bvecq *ubuf_bvecq(struct ubuf_info *ubuf)
{
	return container_of(ubuf, struct bvecq, ubuf);
}

static void bvecq_ubuf_complete(struct sk_buff *skb, struct ubuf_info *ubuf,
				bool success)
{
	trace_skb_bvecq_complete(skb, ubuf, success);
	bvecq_tx_put(ubuf_bvecq(ubuf), !success);
}

static const struct ubuf_info_ops bvecq_ubuf_ops = {
	.complete	= bvecq_ubuf_complete,
};

/* What has no page references of its own cannot be taken away from its owner,
 * which the awkward paths of the network do.
 */
static bool bvecq_pages_ok(const struct bvecq *bq, size_t len)
{
	for (; bq && len; bq = bvecq_next(bq)) {
		for (unsigned int i = 0; i < bvecq_nr_slots(bq) && len; i++) {
			const struct bio_vec *bv = &bq->bv[i];
			struct page *page = bv->bv_page + (bv->bv_offset >> PAGE_SHIFT);
			size_t part = min_t(size_t, bv->bv_len, len);
			size_t end = offset_in_page(bv->bv_offset) + part;

			len -= part;
			if (part && !sendpage_ok(page))
				return false;
			/* The other folios, if there are any. */
			while (end > PAGE_SIZE) {
				struct folio *folio = page_folio(page);
				size_t step = folio_size(folio) -
					      folio_page_idx(folio, page) * PAGE_SIZE;

				if (end <= step)
					break;
				end -= step;
				page = folio_page(folio, 0) + folio_nr_pages(folio);
				if (!sendpage_ok(page))
					return false;
			}
		}
	}
	return true;
}

/**
 * bvecq_sendmsg_begin() - get ready to send a queue
 * @msg: where to; cleared, but for the address and flags that the caller wants
 * @head: first segment of the queue; nothing may be appended any more
 * @len: bytes to send, from the beginning of @head
 * @reused: the owner writes to the memory as soon as it has been let go. Then a
 *	receiver on this host, a packet capture too, gets a copy. Otherwise they
 *	hold page references for as long as they like, and the owner has to leave
 *	to them what is in the pages, as it is with the fragments of netmem_alloc()
 *	and folios of the page cache.
 *
 * Sets up msg_iter, msg_ubuf and MSG_SPLICE_PAGES. The caller then calls
 * sock_sendmsg(), as often as it takes, and at last bvecq_sendmsg_end(). The
 * @done callback of each segment says when the network has finished with it, which
 * may be before sock_sendmsg() returns; it runs in softirq, or in the caller's
 * context. The network has references of its own on the memory.
 *
 * sock_sendmsg() fails with -EOPNOTSUPP, and queues nothing, if the socket's
 * protocol cannot do this; bvecq_sendmsg_end() is to be called all the same, and
 * the queue can be sent by other means. The route's device may not be able to
 * gather; then everything is copied, and @done says so.
 *
 * Context: Any; the caller holds a reference on @head.
 *
 * Return:
 * * 0 - success
 * * -EBUSY - a part of the queue is still being sent, say by a connection that has
 *   been given up since
 * * -EINVAL - there is memory that page references cannot hold, such as
 *   kmalloc()'s. Nothing has been done.
 */
int bvecq_sendmsg_begin(struct msghdr *msg, struct bvecq *head, size_t len,
			bool reused)
{
	u8 flags = SKBFL_ZEROCOPY_FRAG | SKBFL_DONT_ORPHAN;
	int err;

	if (!bvecq_pages_ok(head, len))
		return -EINVAL;

	if (!reused)
		flags |= SKBFL_PAGES_STAY;
	err = bvecq_tx_begin(head, &bvecq_ubuf_ops, flags);
	if (err)
		return err;

	iov_iter_bvec_queue(&msg->msg_iter, ITER_SOURCE, head, 0, 0, len);
	msg->msg_ubuf = &head->ubuf;
	msg->msg_flags |= MSG_SPLICE_PAGES;
	return 0;
}
EXPORT_SYMBOL_GPL(bvecq_sendmsg_begin);

/**
 * bvecq_sendmsg_end() - have sent a queue, or give up
 * @msg: as bvecq_sendmsg_begin() set it up, and sock_sendmsg() left it
 *
 * Segments that no packet carries complete at once.
 *
 * Context: Any but hardirq and NMI.
 */
void bvecq_sendmsg_end(struct msghdr *msg)
{
	struct ubuf_info *ubuf = msg->msg_ubuf;

	msg->msg_ubuf = NULL;
	bvecq_tx_end(ubuf_bvecq(ubuf));
}
EXPORT_SYMBOL_GPL(bvecq_sendmsg_end);

/**
 * skb_bvecq_copied() - say that what was taken from a queue was copied
 * @msg: what bvecq_sendmsg_begin() set up; msg_iter has been advanced
 *
 * Context: process context.
 */
void skb_bvecq_copied(struct msghdr *msg)
{
	msg->msg_ubuf = &bvecq_tx_move(ubuf_bvecq(msg->msg_ubuf),
				       msg->msg_iter.bvecq, true)->ubuf;
}

/* May @skb take frags without references, which @ubuf holds? */
static bool skb_can_manage(struct sk_buff *skb, struct ubuf_info *ubuf)
{
	struct ubuf_info *held = skb_zcopy(skb);

	/* No packet has frags of both kinds. */
	if (!skb_shinfo(skb)->nr_frags)
		return !held;
	return skb_zcopy_managed(skb) && held->ops == ubuf->ops &&
	       held->flags == ubuf->flags &&
	       bvecq_tx_link(ubuf_bvecq(held), ubuf_bvecq(ubuf));
}

/**
 * skb_splice_bvecq() - add pieces of a queue to a packet
 * @skb: the packet; nobody else has it
 * @msg: what bvecq_sendmsg_begin() set up. msg_iter is advanced, and msg_ubuf
 *	moves on with it, by which segments may complete.
 * @maxsize: how many bytes to add at most
 *
 * Pieces that continue the last frag are merged with it. With CHECKSUM_NONE their
 * sum is added to skb->csum, and they must not change any more. The caller charges
 * the bytes to the socket.
 *
 * Context: the socket is locked, or nobody else has the queue of packets.
 *
 * Return: the number of bytes added; -EMSGSIZE if another packet has to be begun,
 * as this one has no frag left, or has frags of another kind; -EIO if the queue is
 * shorter than msg_iter says.
 */
ssize_t skb_splice_bvecq(struct sk_buff *skb, struct msghdr *msg,
			 size_t maxsize)
{
	unsigned int limit = min(READ_ONCE(net_hotdata.sysctl_max_skb_frags),
				 MAX_SKB_FRAGS);
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	struct iov_iter *iter = &msg->msg_iter;
	struct bvecq_pos pos = { iter->bvecq, iter->bvecq_slot, iter->iov_offset };
	struct bvecq *bq = ubuf_bvecq(msg->msg_ubuf);
	ssize_t spliced = 0, ret = -EMSGSIZE;

	maxsize = min(maxsize, iov_iter_count(iter));
	while (spliced < maxsize) {
		const struct bio_vec *bv = bvecq_pos_bv(&pos);
		size_t offset, part;
		struct page *base;
		skb_frag_t *last;

		if (WARN_ON_ONCE(!bv)) {
			ret = -EIO;
			break;
		}
		if (pos.bq != bq)
			bq = bvecq_tx_move(bq, pos.bq, false);
		if (!spliced && !skb_can_manage(skb, &bq->ubuf))
			break;

		base = bv->bv_page;
		offset = bv->bv_offset + pos.offset;
		part = min(bv->bv_len - pos.offset, maxsize - spliced);
		/* A frag lies in one folio, lest one reference not hold it all. */
		if (offset + part > PAGE_SIZE) {
			struct page *page = base + (offset >> PAGE_SHIFT);
			struct folio *folio = page_folio(page);

			base = folio_page(folio, 0);
			offset = folio_page_idx(folio, page) * PAGE_SIZE +
				 offset_in_page(offset);
			part = min(part, folio_size(folio) - offset);
			/* Some are longer than a frag can tell. */
			if (offset > UINT_MAX - part) {
				base = page;
				offset = offset_in_page(offset);
			}
		}

		last = shinfo->nr_frags ? &shinfo->frags[shinfo->nr_frags - 1] : NULL;
		if (last && skb_frag_page(last) == base &&
		    skb_frag_off(last) + skb_frag_size(last) == offset) {
			skb_frag_size_add(last, part);
		} else if (shinfo->nr_frags < limit) {
			skb_fill_page_desc_noacc(skb, shinfo->nr_frags, base, offset, part);
		} else {
			break;
		}
		if (!spliced && !skb_zcopy(skb)) {
			skb_zcopy_set(skb, &bq->ubuf, NULL);
			shinfo->flags |= SKBFL_MANAGED_FRAG_REFS;
			trace_skb_bvecq_attach(skb, &bq->ubuf);
		}
		pos.offset += part;
		spliced += part;
	}

	/* The segments that are left behind may be gone. */
	iter->bvecq = pos.bq;
	iter->bvecq_slot = pos.slot;
	iter->iov_offset = pos.offset;
	iter->count -= spliced;
	msg->msg_ubuf = &bq->ubuf;
	skb_len_add(skb, spliced);
	if (skb->ip_summed == CHECKSUM_NONE && spliced) {
		int from = skb->len - spliced;

		skb->csum = csum_block_add(skb->csum, skb_checksum(skb, from, spliced, 0), from);
	}
	return spliced ?: ret;
}
EXPORT_SYMBOL_IF_KUNIT(skb_splice_bvecq);

/**
 * skb_bvecq_msg() - is this a queue, with the ubuf that belongs to it?
 * @msg: what was given with MSG_SPLICE_PAGES and a ubuf
 *
 * Return: whether bvecq_sendmsg_begin() has set it up.
 */
bool skb_bvecq_msg(const struct msghdr *msg)
{
	return iov_iter_is_bvecq(&msg->msg_iter) && msg->msg_ubuf->ops == &bvecq_ubuf_ops;
}

#ifdef CONFIG_INET
/**
 * skb_bvecq_dgram() - decide how a datagram takes a queue
 * @msg: what was given with MSG_SPLICE_PAGES and a ubuf
 * @dst: where the datagram goes
 *
 * What is encrypted has to be copied anyhow, and needs room behind the data.
 *
 * Return: 1 if by skb_append_bvecq(), 0 if by skb_bvecq_getfrag(), -EOPNOTSUPP if it
 * is no queue.
 */
int skb_bvecq_dgram(const struct msghdr *msg, const struct dst_entry *dst)
{
	if (!skb_bvecq_msg(msg))
		return -EOPNOTSUPP;
	return dst->dev->features & NETIF_F_SG && !dst_xfrm(dst) &&
	       !dst->header_len && !dst->trailer_len;
}

/**
 * skb_bvecq_getfrag() - copy a part of a queue, as ip_generic_getfrag() does
 * @from: the msghdr that bvecq_sendmsg_begin() set up
 * @to: where to
 * @offset: in the datagram
 * @len: how many bytes
 * @odd: where they are in @skb, for the checksum
 * @skb: the packet whose checksum they are added to
 *
 * Context: process context.
 *
 * Return: 0, or -EFAULT if the queue is shorter than msg_iter says.
 */
int skb_bvecq_getfrag(void *from, char *to, int offset, int len, int odd,
		      struct sk_buff *skb)
{
	int err = ip_generic_getfrag(from, to, offset, len, odd, skb);

	if (!err)
		skb_bvecq_copied(from);
	return err;
}

/* Add copied bytes, whatever frags the packet has. */
static ssize_t skb_append_bvecq_copy(struct sock *sk, struct sk_buff *skb, struct msghdr *msg,
				     size_t maxsize, struct page_frag *pfrag)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	bool merge;
	int err;

	if (!sk_page_frag_refill(sk, pfrag))
		return -ENOMEM;

	/* Few large frags instead of many small ones. */
	if (shinfo->nr_frags == MAX_SKB_FRAGS &&
	    !skb_can_coalesce(skb, shinfo->nr_frags, pfrag->page, pfrag->offset)) {
		err = skb_copy_ubufs(skb, sk->sk_allocation);
		if (err)
			return err;
		if (shinfo->nr_frags == MAX_SKB_FRAGS)
			return -EMSGSIZE;
	}
	skb_zcopy_downgrade_managed(skb);

	maxsize = min3(maxsize, iov_iter_count(&msg->msg_iter),
		       (size_t)pfrag->size - pfrag->offset);
	err = skb_bvecq_getfrag(msg, page_address(pfrag->page) + pfrag->offset, 0, maxsize,
				skb->len, skb);
	if (err)
		return err;

	merge = skb_can_coalesce(skb, shinfo->nr_frags, pfrag->page, pfrag->offset);
	if (merge) {
		skb_frag_size_add(&shinfo->frags[shinfo->nr_frags - 1], maxsize);
	} else {
		skb_fill_page_desc(skb, shinfo->nr_frags, pfrag->page, pfrag->offset, maxsize);
		get_page(pfrag->page);
	}
	pfrag->offset += maxsize;
	skb_len_add(skb, maxsize);
	return maxsize;
}

/**
 * skb_append_bvecq() - add pieces of a queue to a packet that must be filled
 * @sk: the socket
 * @first: the first packet of a datagram
 * @skb: the last one
 * @msg: what bvecq_sendmsg_begin() set up; moved on as by skb_splice_bvecq()
 * @maxsize: how many bytes to add at most
 * @pfrag: memory for what has to be copied
 *
 * A datagram is cut where its fragments are, and nowhere else. So where frags are of
 * another kind or too many, bytes are copied. The caller charges them to the socket.
 * The packets may stay together, with the others in the first one's frag_list. So
 * that it is seen that they have a ubuf, the first one has it as well.
 *
 * Context: process context; the socket is locked, or nobody else has the queue of
 * packets.
 *
 * Return: the number of bytes added, or a negative error code, by which the datagram
 * is lost.
 */
ssize_t skb_append_bvecq(struct sock *sk, struct sk_buff *first, struct sk_buff *skb,
			 struct msghdr *msg, size_t maxsize, struct page_frag *pfrag)
{
	ssize_t ret = skb_splice_bvecq(skb, msg, maxsize);

	if (ret == -EMSGSIZE)
		return skb_append_bvecq_copy(sk, skb, msg, maxsize, pfrag);
	if (ret > 0 && !skb_zcopy(first)) {
		skb_zcopy_set(first, skb_zcopy(skb), NULL);
		trace_skb_bvecq_attach(first, skb_zcopy(skb));
	}
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(skb_append_bvecq);
#endif /* CONFIG_INET */
