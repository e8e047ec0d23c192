// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KUnit tests of sending a bvecq without references on its pages: what a packet
 * holds, whatever is done to it, and what a sender is told by TCP and by UDP, over
 * the loopback device.
 */
#include <kunit/test.h>
#include <kunit/visibility.h>
#include <linux/bvecq.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/inetdevice.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/netpoll.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <net/gro.h>
#include <net/net_namespace.h>
#include <net/netmem_alloc.h>
#include <net/skb_bvecq.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp.h>
#include <net/xfrm.h>

#define MAX_SEGMENTS	512
#define WAIT		(10 * HZ)

/* What the owner of a message was told. */
struct message {
	struct kunit	*test;
	struct bvecq	*head;
	size_t		len;
	unsigned int	nr;		/* segments */
	unsigned int	told;
	unsigned int	copied;
	size_t		bytes;
	long		refs;		/* of others, at that time, on what they begin with */
	bool		scribble;	/* write to what was let go */
	struct bvecq	*bq[MAX_SEGMENTS];
	wait_queue_head_t wait;
};

static u8 pattern(size_t i)
{
	return (i >> 12) * 7 + i * 13 + (i >> 8);
}

/* Segments are done in the order of the stream, each once. */
static void message_done(struct bvecq *bq, size_t bytes, bool copied)
{
	struct message *m = bq->priv;

	if (m->told >= m->nr || m->bq[m->told] != bq)
		KUNIT_FAIL(m->test, "segment %u was not the next one", m->told);
	if (m->scribble)
		for (unsigned int i = 0; i < bq->nr_slots; i++)
			memset(bvec_virt(&bq->bv[i]), 0xee, bq->bv[i].bv_len);
	m->refs += page_ref_count(compound_head(bq->bv[0].bv_page)) - 1;
	m->bytes += bytes;
	m->copied += copied;
	WRITE_ONCE(m->told, m->told + 1);
	wake_up(&m->wait);
}

static void message_put(void *data)
{
	struct message *m = data;

	if (m->head)
		bvecq_put(m->head);
	m->head = NULL;
}

/* A message of segments of @piece bytes each; the caller has a reference on all of
 * them. The pages are 32 KiB folios, and @mem says whose they are.
 */
static struct message *message_new(struct kunit *test, size_t len, size_t piece,
				   enum bvecq_mem mem)
{
	struct message *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	struct bvecq *tail = NULL;

	KUNIT_ASSERT_NOT_NULL(test, m);
	KUNIT_ASSERT_LE(test, DIV_ROUND_UP(len, piece), MAX_SEGMENTS);
	m->test = test;
	m->len = len;
	init_waitqueue_head(&m->wait);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, message_put, m));

	for (size_t done = 0; done < len; done += piece) {
		size_t part = min(piece, len - done), filled = 0;
		struct bvecq *bq = bvecq_alloc(4, mem, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, bq);
		if (tail)
			bvecq_join(tail, bq);
		else
			m->head = bq;
		tail = bq;
		bq->priv = m;
		bq->done = message_done;
		m->bq[m->nr++] = bq;

		while (filled < part) {
			size_t step = min_t(size_t, part - filled, SZ_32K - 100);
			struct bio_vec bv;

			if (mem == BVECQ_MEM_NETMEM) {
				bq->free_bv = netmem_free;
				step = min_t(size_t, step, SZ_16K);
				KUNIT_ASSERT_EQ(test, 0, netmem_alloc(NULL, step, 0, &bv));
			} else {
				struct folio *folio = folio_alloc(GFP_KERNEL, get_order(SZ_32K));

				KUNIT_ASSERT_NOT_NULL(test, folio);
				bvec_set_folio(&bv, folio, step, 100);
			}
			KUNIT_ASSERT_EQ(test, 0, bvecq_append_bv(bq, &bv));
			for (size_t i = 0; i < step; i++)
				*((u8 *)bvec_virt(&bv) + i) = pattern(done + filled + i);
			filled += step;
		}
	}
	return m;
}

/* References on all folios of the message, less one each. */
static long message_refs(const struct message *m)
{
	const struct page *last = NULL;
	long refs = 0;

	for (const struct bvecq *bq = m->head; bq; bq = bq->next)
		for (unsigned int i = 0; i < bq->nr_slots; i++) {
			const struct page *page = compound_head(bq->bv[i].bv_page);

			if (page != last)
				refs += page_ref_count(page) - 1;
			last = page;
		}
	return refs;
}

static void expect_done(struct message *m, bool copied)
{
	struct kunit *test = m->test;

	KUNIT_EXPECT_GT(test, wait_event_timeout(m->wait, READ_ONCE(m->told) == m->nr, WAIT), 0);
	KUNIT_EXPECT_EQ(test, m->nr, m->told);
	KUNIT_EXPECT_EQ(test, m->len, m->bytes);
	KUNIT_EXPECT_EQ(test, copied ? m->nr : 0, m->copied);
}

/*
 * Packets
 */

/* A packet with the message in it, and nobody else holding the ubuf. */
static struct sk_buff *packet(struct kunit *test, struct message *m)
{
	struct sk_buff *skb = alloc_skb(256, GFP_KERNEL);
	struct msghdr msg = {};

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, 128);
	skb->ip_summed = CHECKSUM_PARTIAL;
	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, m->head, m->len, false));
	KUNIT_EXPECT_EQ(test, m->len, skb_splice_bvecq(skb, &msg, m->len));
	KUNIT_EXPECT_EQ(test, 0, iov_iter_count(&msg.msg_iter));
	bvecq_sendmsg_end(&msg);

	KUNIT_EXPECT_EQ(test, m->len, skb->len);
	KUNIT_EXPECT_TRUE(test, skb_zcopy_managed(skb));
	KUNIT_EXPECT_TRUE(test, skb_has_shared_frag(skb));
	KUNIT_EXPECT_EQ(test, 0, m->told);
	return skb;
}

static void expect_content(struct kunit *test, const struct sk_buff *skb, size_t from)
{
	for (int i = 0; i < skb->len; i++) {
		u8 c = 0;

		skb_copy_bits(skb, i, &c, 1);
		if (c != pattern(from + i)) {
			KUNIT_FAIL(test, "byte %d is %02x, not %02x", i, c, pattern(from + i));
			return;
		}
	}
}

/* What is done to a packet; returns what comes of it besides. */
static struct sk_buff *op_nothing(struct kunit *test, struct sk_buff *skb)
{
	return NULL;
}

static struct sk_buff *op_clone(struct kunit *test, struct sk_buff *skb)
{
	return skb_clone(skb, GFP_KERNEL);
}

static struct sk_buff *op_unclone(struct kunit *test, struct sk_buff *skb)
{
	struct sk_buff *clone = skb_clone(skb, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, clone);
	KUNIT_EXPECT_EQ(test, 0, skb_unclone(clone, GFP_KERNEL));
	KUNIT_EXPECT_FALSE(test, skb_cloned(skb));
	return clone;
}

static struct sk_buff *op_expand_head(struct kunit *test, struct sk_buff *skb)
{
	KUNIT_EXPECT_EQ(test, 0, pskb_expand_head(skb, 64, 64, GFP_KERNEL));
	return NULL;
}

static struct sk_buff *op_split(struct kunit *test, struct sk_buff *skb)
{
	struct sk_buff *half = alloc_skb(0, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, half);
	skb_split(skb, half, skb->len / 2 - 1);
	return half;
}

static struct sk_buff *op_segment(struct kunit *test, struct sk_buff *skb)
{
	struct sk_buff *segs;

	skb_push(skb, ETH_HLEN);
	skb_reset_mac_header(skb);
	skb->protocol = htons(ETH_P_IP);
	eth_hdr(skb)->h_proto = htons(ETH_P_IP);
	skb_pull(skb, ETH_HLEN);
	skb_reset_network_header(skb);
	skb_reset_transport_header(skb);
	skb_shinfo(skb)->gso_size = 1448;
	segs = skb_segment(skb, NETIF_F_SG | NETIF_F_HW_CSUM);
	KUNIT_ASSERT_FALSE(test, IS_ERR(segs));
	__skb_pull(skb, ETH_HLEN);
	return segs;
}

static struct sk_buff *op_trim(struct kunit *test, struct sk_buff *skb)
{
	KUNIT_EXPECT_EQ(test, 0, pskb_trim(skb, skb->len / 2));
	return NULL;
}

/* The second half; the first one is carved off a clone. */
static struct sk_buff *op_extract(struct kunit *test, struct sk_buff *skb)
{
	return pskb_extract(skb, skb->len / 2 + 1, skb->len - skb->len / 2 - 1, GFP_KERNEL);
}

/* These may take references. */
static struct sk_buff *op_copy(struct kunit *test, struct sk_buff *skb)
{
	return pskb_copy(skb, GFP_KERNEL);
}

static struct sk_buff *op_pull(struct kunit *test, struct sk_buff *skb)
{
	KUNIT_EXPECT_TRUE(test, pskb_may_pull(skb, 2000));
	return NULL;
}

static struct sk_buff *op_linearize(struct kunit *test, struct sk_buff *skb)
{
	KUNIT_EXPECT_EQ(test, 0, skb_linearize(skb));
	return NULL;
}

static struct sk_buff *op_receive(struct kunit *test, struct sk_buff *skb)
{
	struct sk_buff *clone = skb_clone(skb, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, clone);
	KUNIT_EXPECT_EQ(test, 0, skb_orphan_frags_rx(clone, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, skb_zcopy(clone));
	KUNIT_EXPECT_FALSE(test, skb_zcopy_managed(clone));
	KUNIT_EXPECT_TRUE(test, skb_has_shared_frag(clone));
	KUNIT_EXPECT_TRUE(test, skb_zcopy_managed(skb));
	return clone;
}

static struct sk_buff *op_receive_alone(struct kunit *test, struct sk_buff *skb)
{
	KUNIT_EXPECT_EQ(test, 0, skb_orphan_frags_rx(skb, GFP_KERNEL));
	KUNIT_EXPECT_TRUE(test, skb_has_shared_frag(skb));
	return NULL;
}

/* As what waits for a reader in user space. */
static struct sk_buff *op_zerocopy(struct kunit *test, struct sk_buff *skb)
{
	struct sk_buff *to = alloc_skb(256, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, to);
	KUNIT_EXPECT_TRUE(test, pskb_may_pull(skb, 100));
	KUNIT_EXPECT_EQ(test, 0, skb_zerocopy(to, skb, skb->len, skb_zerocopy_headlen(skb)));
	KUNIT_EXPECT_EQ(test, skb->len, to->len);
	KUNIT_EXPECT_NULL(test, skb_zcopy(to));
	KUNIT_EXPECT_TRUE(test, skb_has_shared_frag(to));
	KUNIT_EXPECT_TRUE(test, skb_zcopy_managed(skb));
	return to;
}

static struct sk_buff *op_append(struct kunit *test, struct sk_buff *skb)
{
	struct page *page = alloc_page(GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, 0, skb_append_pagefrags(skb, page, 0, 0, MAX_SKB_FRAGS));
	put_page(page);
	return NULL;
}

static const struct packet_case {
	const char	*name;
	struct sk_buff	*(*op)(struct kunit *test, struct sk_buff *skb);
	bool		no_refs;	/* the pages get none */
	bool		lets_go;	/* no packet holds the ubuf afterwards */
	bool		detaches;	/* what is made of it does not */
} packet_cases[] = {
	{ "nothing",		op_nothing,		.no_refs = true },
	{ "clone",		op_clone,		.no_refs = true },
	{ "unclone",		op_unclone,		.no_refs = true },
	{ "expand head",	op_expand_head,		.no_refs = true },
	{ "split",		op_split,		.no_refs = true },
	{ "segment",		op_segment,		.no_refs = true },
	{ "extract",		op_extract,		.no_refs = true },
	{ "trim",		op_trim,		.no_refs = true },
	{ "copy",		op_copy },
	{ "pull",		op_pull,		.no_refs = true },
	{ "linearize",		op_linearize,		.no_refs = true, .lets_go = true },
	{ "receive",		op_receive,		.detaches = true },
	{ "receive alone",	op_receive_alone,	.lets_go = true },
	{ "zerocopy",		op_zerocopy,		.detaches = true },
	{ "append",		op_append },
};

KUNIT_ARRAY_PARAM_DESC(packet, packet_cases, name);

/* Whatever is done to a packet, it and what is made of it have the data, and the
 * owner is told when the last of them has let go.
 */
static void test_packet(struct kunit *test)
{
	const struct packet_case *c = test->param_value;
	struct message *m = message_new(test, 40000, 4000, BVECQ_MEM_PAGE);
	struct sk_buff *skb = packet(test, m), *more, *next;
	long refs = message_refs(m);
	size_t at = 0;

	more = c->op(test, skb);
	if (c->no_refs)
		KUNIT_EXPECT_EQ(test, refs, message_refs(m));
	KUNIT_EXPECT_EQ(test, c->lets_go ? m->nr : 0, m->told);
	expect_content(test, skb, 0);
	if (more && c->op != op_segment)
		at = m->len - more->len;
	kfree_skb(skb);

	for (; more; more = next) {
		next = more->next;
		if (c->op == op_segment) {
			__skb_pull(more, ETH_HLEN);
			expect_content(test, more, at);
			at += more->len;
		} else {
			expect_content(test, more, at);
		}
		KUNIT_EXPECT_EQ(test, c->detaches ? m->nr : 0, m->told);
		skb_mark_not_on_list(more);
		kfree_skb(more);
	}
	KUNIT_EXPECT_EQ(test, m->nr, m->told);
	KUNIT_EXPECT_EQ(test, refs, message_refs(m));
}

struct handler {
	struct packet_type	type;
	struct sk_buff		*skb;
};

static int handler_rcv(struct sk_buff *skb, struct net_device *dev,
		       struct packet_type *type, struct net_device *orig_dev)
{
	container_of(type, struct handler, type)->skb = skb;
	return NET_RX_SUCCESS;
}

/* Who alone handles a protocol may keep its packets for as long as he likes. */
static void test_handler(struct kunit *test)
{
	struct handler handler = {
		.type = { .type = htons(ETH_P_802_EX1), .func = handler_rcv },
	};
	struct message *m = message_new(test, 40000, 4000, BVECQ_MEM_PAGE);
	struct sk_buff *skb = packet(test, m);

	dev_add_pack(&handler.type);
	skb->dev = init_net.loopback_dev;
	skb->protocol = htons(ETH_P_802_EX1);
	skb_reset_mac_header(skb);
	local_bh_disable();
	KUNIT_EXPECT_EQ(test, NET_RX_SUCCESS, netif_receive_skb(skb));
	local_bh_enable();
	dev_remove_pack(&handler.type);

	KUNIT_ASSERT_PTR_EQ(test, skb, handler.skb);
	KUNIT_EXPECT_EQ(test, m->nr, m->told);
	expect_content(test, skb, 0);
	kfree_skb(skb);
	expect_done(m, false);
}

/* A packet takes what it has frags for, and merges what continues the last one. */
static void test_packet_full(struct kunit *test)
{
	struct message *m = message_new(test, 30 * 4000, 4000, BVECQ_MEM_PAGE);
	struct sk_buff *skb = alloc_skb(256, GFP_KERNEL);
	struct msghdr msg = {};
	ssize_t n;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, m->head, m->len, false));
	/* Byte by byte is no more frags. */
	for (int i = 0; i < 100; i++)
		KUNIT_EXPECT_EQ(test, 1, skb_splice_bvecq(skb, &msg, 1));
	KUNIT_EXPECT_EQ(test, 1, skb_shinfo(skb)->nr_frags);
	n = skb_splice_bvecq(skb, &msg, m->len);
	KUNIT_EXPECT_EQ(test, MAX_SKB_FRAGS * 4000 - 100, n);
	KUNIT_EXPECT_EQ(test, MAX_SKB_FRAGS, skb_shinfo(skb)->nr_frags);
	KUNIT_EXPECT_EQ(test, -EMSGSIZE, skb_splice_bvecq(skb, &msg, m->len));
	/* What has been sent may be freed, and what is left is not looked for in it. */
	KUNIT_EXPECT_PTR_EQ(test, msg.msg_iter.bvecq,
			    container_of(msg.msg_ubuf, struct bvecq, ubuf));
	expect_content(test, skb, 0);
	/* The device was not asked to, so it has been summed in as many steps. */
	KUNIT_EXPECT_EQ(test, (__force u16)csum_fold(skb_checksum(skb, 0, skb->len, 0)),
			(__force u16)csum_fold(skb->csum));
	bvecq_sendmsg_end(&msg);
	KUNIT_EXPECT_EQ(test, 0, m->told);
	kfree_skb(skb);
	KUNIT_EXPECT_EQ(test, m->nr, m->told);
}

/* Pages that happen to be neighbours are held each by a reference of its own. */
static void test_packet_pages(struct kunit *test)
{
	struct message *m = message_new(test, 1, 1, BVECQ_MEM_PAGE);
	struct page *pages = alloc_pages(GFP_KERNEL | __GFP_ZERO, 2);
	struct bvecq *bq = bvecq_alloc(1, BVECQ_MEM_BORROWED, GFP_KERNEL);
	struct sk_buff *skb;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	KUNIT_ASSERT_NOT_NULL(test, bq);
	split_page(pages, 2);
	KUNIT_ASSERT_EQ(test, 0, bvecq_append(bq, pages, 4 * PAGE_SIZE - 100, 100));
	bvecq_put(m->head);
	m->head = bq;
	m->bq[0] = bq;
	m->len = bq->bytes;
	bq->priv = m;
	bq->done = message_done;
	m->told = 0;

	skb = packet(test, m);
	KUNIT_EXPECT_EQ(test, 4, skb_shinfo(skb)->nr_frags);
	KUNIT_EXPECT_EQ(test, 0, skb_orphan_frags_rx(skb, GFP_KERNEL));
	for (int i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, 2, page_ref_count(pages + i));
	kfree_skb(skb);
	for (int i = 0; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, 1, page_ref_count(pages + i));
		__free_page(pages + i);
	}
}

/* Who is told that his memory is his again finds nobody else referring to it. */
static void test_packet_refs(struct kunit *test)
{
	struct message *m = message_new(test, 3000, 3000, BVECQ_MEM_PAGE);
	struct sk_buff *skb = packet(test, m);

	skb_zcopy_downgrade_managed(skb);
	KUNIT_EXPECT_EQ(test, 1, message_refs(m));
	kfree_skb(skb);
	expect_done(m, false);
	KUNIT_EXPECT_EQ(test, 0, m->refs);
}

#ifdef CONFIG_NETPOLL
/* netpoll frees what a driver has sent, but does not tell the sender: it may have
 * been called with interrupts off.
 */
static void test_netpoll(struct kunit *test)
{
	struct message *m = message_new(test, 3000, 3000, BVECQ_MEM_PAGE);
	struct sk_buff *skb = packet(test, m);
	unsigned int told;

	local_irq_disable();
	dev_kfree_skb_irq(skb);
	netpoll_zap_completion_queue();
	told = m->told;
	local_irq_enable();
	KUNIT_EXPECT_EQ(test, 0, told);
	expect_done(m, false);
}
#endif

#if IS_ENABLED(CONFIG_INET_IPCOMP)
/* A packet that is compressed holds the pages of the result. */
static void test_ipcomp(struct kunit *test)
{
	struct message *m = message_new(test, 3000, 3000, BVECQ_MEM_PAGE);
	struct xfrm_state *x = xfrm_state_alloc(&init_net);
	struct sk_buff *skb = packet(test, m);
	struct page *page;

	KUNIT_ASSERT_NOT_NULL(test, x);
	x->id.proto = IPPROTO_COMP;
	x->props.family = AF_INET;
	x->props.mode = XFRM_MODE_TRANSPORT;
	x->calg = kzalloc_obj(*x->calg);
	KUNIT_ASSERT_NOT_NULL(test, x->calg);
	strscpy(x->calg->alg_name, "deflate");
	xfrm_probe_algs();
	KUNIT_ASSERT_EQ(test, 0, xfrm_init_state(x, NULL));

	memset(skb_push(skb, sizeof(struct udphdr)), 0, sizeof(struct udphdr));
	skb_reset_transport_header(skb);
	skb_set_network_header(skb, -(int)sizeof(struct iphdr));
	skb_set_mac_header(skb, skb_network_offset(skb) + offsetof(struct iphdr, protocol));
	KUNIT_ASSERT_EQ(test, 0, x->type->output(x, skb));
	KUNIT_EXPECT_LT(test, skb->len, m->len);
	KUNIT_ASSERT_EQ(test, 1, skb_shinfo(skb)->nr_frags);
	page = skb_frag_page(skb_shinfo(skb)->frags);
	get_page(page);
	kfree_skb(skb);
	KUNIT_EXPECT_EQ(test, 1, page_ref_count(page));
	put_page(page);
	expect_done(m, false);

	x->km.state = XFRM_STATE_DEAD;
	xfrm_state_put(x);
}
#endif

#if IS_ENABLED(CONFIG_XFRM_IPTFS) && IS_ENABLED(CONFIG_INET_ESP)
/* iptfs moves the frags of a packet to the one before it, with their references. */
static void test_iptfs(struct kunit *test)
{
	static struct dst_ops ops = { .family = AF_INET };
	struct message *m = message_new(test, 500, 500, BVECQ_MEM_PAGE);
	struct sk_buff *skb[2] = {
		packet(test, m),
		netdev_alloc_skb(init_net.loopback_dev, 1024),
	};
	struct xfrm_state *x = xfrm_state_alloc(&init_net);
	struct page *page = alloc_page(GFP_KERNEL);
	struct nlattr *attrs[XFRMA_MAX + 1] = {};
	struct xfrm_dst xdst = {};

	KUNIT_ASSERT_NOT_NULL(test, x);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, skb[1]);
	x->id.proto = IPPROTO_ESP;
	x->props.family = AF_INET;
	x->props.mode = XFRM_MODE_IPTFS;
	x->geniv = "seqiv";
	x->aead = kzalloc_flex(*x->aead, alg_key, 20);
	KUNIT_ASSERT_NOT_NULL(test, x->aead);
	strscpy(x->aead->alg_name, "rfc4106(gcm(aes))");
	x->aead->alg_key_len = 20 * BITS_PER_BYTE;
	x->aead->alg_icv_len = 128;
	xfrm_probe_algs();
	KUNIT_ASSERT_EQ(test, 0, xfrm_init_state(x, NULL));
	KUNIT_ASSERT_EQ(test, 0, x->mode_cbs->user_init(&init_net, x, attrs, NULL));
	/* What iptfs has made is dropped, not sent. */
	x->km.state = XFRM_STATE_DEAD;

	dst_init(&xdst.u.dst, &ops, init_net.loopback_dev, DST_OBSOLETE_NONE, DST_NOCOUNT);
	xdst.u.dst.xfrm = x;
	xdst.child = &xdst.u.dst;
	xdst.child_mtu_cached = 1500;
	skb_reserve(skb[1], 128);
	get_page(page);
	skb_add_rx_frag(skb[1], 0, page, 0, 100, PAGE_SIZE);

	local_bh_disable();
	for (int i = 0; i < 2; i++) {
		skb[i]->ip_summed = CHECKSUM_NONE;
		memset(skb_push(skb[i], sizeof(struct iphdr)), 0, sizeof(struct iphdr));
		skb_reset_network_header(skb[i]);
		ip_hdr(skb[i])->version = 4;
		dst_hold(&xdst.u.dst);
		skb_dst_set(skb[i], &xdst.u.dst);
		KUNIT_EXPECT_EQ(test, 0, x->mode_cbs->output(&init_net, NULL, skb[i]));
	}
	local_bh_enable();
	expect_done(m, false);
	KUNIT_EXPECT_EQ(test, 1, page_ref_count(page));
	put_page(page);

	netdev_put(xdst.u.dst.dev, &xdst.u.dst.dev_tracker);
	xfrm_state_put(x);
}
#endif

/* Frags that have references do not mix with those that have none. */
static void test_packet_mixed(struct kunit *test)
{
	struct message *m = message_new(test, 4000, 4000, BVECQ_MEM_PAGE);
	struct message *reused = message_new(test, 4000, 4000, BVECQ_MEM_PAGE);
	struct sk_buff *skb = alloc_skb(256, GFP_KERNEL);
	struct page *page = alloc_page(GFP_KERNEL);
	struct msghdr msg = {};

	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, skb_append_pagefrags(skb, page, 0, 100, MAX_SKB_FRAGS));
	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, m->head, m->len, false));
	KUNIT_EXPECT_EQ(test, -EMSGSIZE, skb_splice_bvecq(skb, &msg, m->len));
	kfree_skb(skb);

	/* Nor such with others that the receiver may not keep. */
	skb = alloc_skb(256, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_EXPECT_EQ(test, m->len, skb_splice_bvecq(skb, &msg, m->len));
	bvecq_sendmsg_end(&msg);
	memset(&msg, 0, sizeof(msg));
	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, reused->head, m->len, true));
	KUNIT_EXPECT_EQ(test, -EMSGSIZE, skb_splice_bvecq(skb, &msg, m->len));
	bvecq_sendmsg_end(&msg);
	kfree_skb(skb);
	KUNIT_EXPECT_EQ(test, 1, m->told);
	KUNIT_EXPECT_EQ(test, 1, reused->told);
	put_page(page);
}

/*
 * Sockets
 */

struct pair {
	struct socket	*tx;
	struct socket	*rx;
};

static void release_sock_action(void *sock)
{
	sock_release(sock);
}

static int lo_up(void)
{
	int err;

	rtnl_lock();
	err = dev_change_flags(init_net.loopback_dev,
			       init_net.loopback_dev->flags | IFF_UP, NULL);
	rtnl_unlock();
	return err;
}

static struct socket *socket_new(struct kunit *test, sa_family_t family, int type)
{
	struct socket *sock;

	KUNIT_ASSERT_EQ(test, 0, sock_create_kern(&init_net, family, type, 0, &sock));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, release_sock_action, sock));
	return sock;
}

/* p->tx, of TCP or UDP, and to whom it can connect over the loopback device. */
static struct socket *pair_listen(struct kunit *test, struct pair *p, sa_family_t family,
				  int type, struct sockaddr_storage *addr)
{
	struct socket *listener;

	KUNIT_ASSERT_EQ(test, 0, lo_up());
	listener = socket_new(test, family, type);
	p->tx = socket_new(test, family, type);
	*addr = (struct sockaddr_storage){ .ss_family = family };
	KUNIT_ASSERT_EQ(test, 0, kernel_bind(listener, (struct sockaddr_unsized *)addr,
					     sizeof(*addr)));
	if (type == SOCK_STREAM)
		KUNIT_ASSERT_EQ(test, 0, kernel_listen(listener, 1));
	KUNIT_ASSERT_GT(test, kernel_getsockname(listener, (struct sockaddr *)addr), 0);
	if (family == AF_INET)
		((struct sockaddr_in *)addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)addr)->sin6_addr = in6addr_loopback;
	return listener;
}

/* The same, connected. */
static struct socket *pair_connect(struct kunit *test, struct pair *p,
				   sa_family_t family, int type)
{
	struct sockaddr_storage addr;
	struct socket *listener = pair_listen(test, p, family, type, &addr);

	KUNIT_ASSERT_EQ(test, 0, kernel_connect(p->tx, (struct sockaddr_unsized *)&addr,
						sizeof(addr), 0));
	return listener;
}

static void pair_accept(struct kunit *test, struct pair *p, struct socket *listener)
{
	KUNIT_ASSERT_EQ(test, 0, kernel_accept(listener, &p->rx, 0));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, release_sock_action, p->rx));
	kunit_release_action(test, release_sock_action, listener);
}

static struct pair *pair_new_type(struct kunit *test, sa_family_t family, int type)
{
	struct pair *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);
	struct socket *listener;

	KUNIT_ASSERT_NOT_NULL(test, p);
	listener = pair_connect(test, p, family, type);
	if (type == SOCK_STREAM)
		pair_accept(test, p, listener);
	else
		p->rx = listener;
	p->tx->sk->sk_sndtimeo = WAIT;
	p->rx->sk->sk_rcvtimeo = WAIT;
	return p;
}

static struct pair *pair_new(struct kunit *test, sa_family_t family)
{
	return pair_new_type(test, family, SOCK_STREAM);
}

static void set_sndbuf(struct pair *p, int bytes)
{
	lock_sock(p->tx->sk);
	p->tx->sk->sk_userlocks |= SOCK_SNDBUF_LOCK;
	WRITE_ONCE(p->tx->sk->sk_sndbuf, bytes);
	release_sock(p->tx->sk);
}

static ssize_t send_message(struct pair *p, struct message *m, int flags, bool reused)
{
	struct msghdr msg = { .msg_flags = flags };
	ssize_t sent = 0, ret;

	ret = bvecq_sendmsg_begin(&msg, m->head, m->len, reused);
	if (ret < 0)
		return ret;
	while (msg_data_left(&msg)) {
		ret = sock_sendmsg(p->tx, &msg);
		if (ret < 0)
			break;
		sent += ret;
	}
	bvecq_sendmsg_end(&msg);
	return sent ?: ret;
}

static void expect_received(struct kunit *test, struct pair *p, size_t len)
{
	u8 *buf = kunit_kmalloc(test, SZ_16K, GFP_KERNEL);
	size_t at = 0;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	while (at < len) {
		struct kvec iov = { buf, min_t(size_t, SZ_16K, len - at) };
		struct msghdr msg = {};
		int n = kernel_recvmsg(p->rx, &msg, &iov, 1, iov.iov_len, 0);

		KUNIT_ASSERT_GT(test, n, 0);
		for (int i = 0; i < n; i++, at++)
			if (buf[i] != pattern(at)) {
				KUNIT_FAIL(test, "byte %zu is %02x, not %02x", at, buf[i],
					   pattern(at));
				return;
			}
	}
}

/* What cannot be without references is copied, and then all the packet has them. */
static void test_packet_append(struct kunit *test)
{
	struct message *m = message_new(test, 4000, 2000, BVECQ_MEM_PAGE);
	struct message *reused = message_new(test, 4000, 2000, BVECQ_MEM_PAGE);
	struct sock *sk = pair_new_type(test, AF_INET, SOCK_DGRAM)->tx->sk;
	struct sk_buff *skb = packet(test, m);
	struct page_frag pfrag = {};
	long refs = message_refs(m);
	struct msghdr msg = {};

	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, reused->head, 4000, true));
	KUNIT_EXPECT_EQ(test, 1000, skb_append_bvecq(sk, skb, skb, &msg, 1000, &pfrag));
	KUNIT_EXPECT_EQ(test, 3000, skb_append_bvecq(sk, skb, skb, &msg, 4000, &pfrag));
	bvecq_sendmsg_end(&msg);
	KUNIT_EXPECT_EQ(test, 2, reused->told);
	KUNIT_EXPECT_EQ(test, 2, reused->copied);
	KUNIT_EXPECT_EQ(test, 8000, skb->len);
	KUNIT_EXPECT_FALSE(test, skb_zcopy_managed(skb));
	KUNIT_EXPECT_GT(test, message_refs(m), refs);
	KUNIT_EXPECT_GT(test, page_ref_count(pfrag.page), 1);
	kfree_skb(skb);
	expect_done(m, false);
	KUNIT_EXPECT_EQ(test, refs, message_refs(m));
	KUNIT_EXPECT_EQ(test, 1, page_ref_count(pfrag.page));
	put_page(pfrag.page);
}

/* What is in a frag_list is detached as well; who else has it keeps it as it was. */
static void test_packet_list(struct kunit *test)
{
	struct message *m[2];
	struct sk_buff *skb[2], *clone;
	long refs[2];

	for (int i = 0; i < 2; i++) {
		m[i] = message_new(test, 9000, 3000, BVECQ_MEM_PAGE);
		refs[i] = message_refs(m[i]);
		skb[i] = packet(test, m[i]);
	}
	skb_shinfo(skb[0])->frag_list = skb[1];
	skb_len_add(skb[0], skb[1]->len);

	clone = skb_clone(skb[0], GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, clone);
	KUNIT_EXPECT_EQ(test, 0, skb_orphan_frags_rx(clone, GFP_KERNEL));
	for (int i = 0; i < 2; i++) {
		KUNIT_EXPECT_TRUE(test, skb_zcopy_managed(skb[i]));
		KUNIT_EXPECT_EQ(test, 0, m[i]->told);
	}
	kfree_skb(skb[0]);
	for (int i = 0; i < 2; i++)
		expect_done(m[i], false);

	/* Nobody else has it now. */
	KUNIT_EXPECT_FALSE(test, skb_shared(skb_shinfo(clone)->frag_list));
	expect_content(test, skb_shinfo(clone)->frag_list, 0);
	KUNIT_EXPECT_EQ(test, 0, pskb_trim(clone, 9000));
	expect_content(test, clone, 0);
	kfree_skb(clone);
	for (int i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, refs[i], message_refs(m[i]));
}

/* Nobody looks for somebody's memory behind a packet that has none. */
static void test_gro_list(struct kunit *test)
{
	struct message *m = message_new(test, 9000, 3000, BVECQ_MEM_PAGE);
	struct sk_buff *skb = packet(test, m), *p = alloc_skb(256, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	memset(p->cb, 0, sizeof(p->cb));
	memset(skb->cb, 0, sizeof(skb->cb));
	NAPI_GRO_CB(p)->last = p;
	KUNIT_EXPECT_EQ(test, -ETOOMANYREFS, skb_gro_receive_list(p, skb));
	KUNIT_EXPECT_FALSE(test, skb_has_frag_list(p));
	kfree_skb(p);
	kfree_skb(skb);
	expect_done(m, false);
}

struct receiver {
	struct kunit		*test;
	struct pair		*pair;
	size_t			len;
	unsigned int		delay;	/* ms, before the first byte */
	struct completion	done;
};

static int receiver_fn(void *data)
{
	struct receiver *r = data;

	msleep(r->delay);
	expect_received(r->test, r->pair, r->len);
	complete(&r->done);
	return 0;
}

static void receiver_start(struct receiver *r)
{
	init_completion(&r->done);
	KUNIT_ASSERT_FALSE(r->test, IS_ERR(kthread_run(receiver_fn, r, "skb_bvecq_test")));
}

static const struct stream_case {
	const char	*name;
	sa_family_t	family;
	size_t		len;
	size_t		piece;
	enum bvecq_mem	mem;
	bool		reused;
	bool		no_sg;
} stream_cases[] = {
	{ "a byte",		AF_INET,  1,       1,      BVECQ_MEM_PAGE },
	{ "one segment",	AF_INET,  20000,   20000,  BVECQ_MEM_PAGE },
	{ "many small",		AF_INET,  30000,   100,    BVECQ_MEM_NETMEM },
	{ "pages",		AF_INET,  1000000, 60000,  BVECQ_MEM_PAGE },
	{ "pages, IPv6",	AF_INET6, 1000000, 60000,  BVECQ_MEM_PAGE },
	{ "netmem",		AF_INET,  1000000, 30000,  BVECQ_MEM_NETMEM },
	{ "reused",		AF_INET,  1000000, 30000,  BVECQ_MEM_NETMEM, .reused = true },
	{ "reused, IPv6",	AF_INET6, 1000000, 60000,  BVECQ_MEM_PAGE, .reused = true },
	{ "cannot gather",	AF_INET,  1000000, 30000,  BVECQ_MEM_NETMEM, .no_sg = true },
};

KUNIT_ARRAY_PARAM_DESC(stream, stream_cases, name);

/* What arrives is what was sent, and the owner is told. He who said that he writes
 * to the memory again can do so.
 */
static void test_stream(struct kunit *test)
{
	const struct stream_case *c = test->param_value;
	struct message *m = message_new(test, c->len, c->piece, c->mem);
	struct pair *p = pair_new(test, c->family);
	struct receiver r = { .test = test, .pair = p, .len = c->len, .delay = 50 };

	m->scribble = c->reused;
	if (c->no_sg)
		p->tx->sk->sk_route_caps &= ~NETIF_F_SG;
	receiver_start(&r);
	KUNIT_EXPECT_EQ(test, c->len, send_message(p, m, 0, c->reused));
	wait_for_completion(&r.done);
	KUNIT_EXPECT_GT(test, wait_event_timeout(m->wait, READ_ONCE(m->told) == m->nr, WAIT), 0);
	KUNIT_EXPECT_EQ(test, m->len, m->bytes);
	if (c->no_sg)
		KUNIT_EXPECT_EQ(test, m->nr, m->copied);
	else if (!c->reused)
		KUNIT_EXPECT_EQ(test, 0, m->copied);
}

static const struct fastopen_case {
	const char	*name;
	size_t		len;
} fastopen_cases[] = {
	{ "in the SYN",		900 },
	{ "more than a SYN",	100000 },
};

KUNIT_ARRAY_PARAM_DESC(fastopen, fastopen_cases, name);

static u8 fastopen_was;

static void fastopen_restore(void *unused)
{
	WRITE_ONCE(init_net.ipv4.sysctl_tcp_fastopen, fastopen_was);
}

/* What is given to connect with is copied, in the SYN and behind it: nobody knew then
 * whether the route's device can gather.
 */
static void test_fastopen(struct kunit *test)
{
	const struct fastopen_case *c = test->param_value;
	struct message *m = message_new(test, c->len, 300, BVECQ_MEM_PAGE);
	struct sockaddr_storage addr;
	struct socket *listener;
	struct msghdr msg = {
		.msg_flags = MSG_FASTOPEN,
		.msg_name = &addr,
		.msg_namelen = sizeof(struct sockaddr_in),
	};
	struct pair p = {};

	fastopen_was = READ_ONCE(init_net.ipv4.sysctl_tcp_fastopen);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, fastopen_restore, NULL));
	WRITE_ONCE(init_net.ipv4.sysctl_tcp_fastopen,
		   TFO_CLIENT_ENABLE | TFO_CLIENT_NO_COOKIE |
		   TFO_SERVER_ENABLE | TFO_SERVER_COOKIE_NOT_REQD | TFO_SERVER_WO_SOCKOPT1);
	listener = pair_listen(test, &p, AF_INET, SOCK_STREAM, &addr);
	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, m->head, m->len, false));
	KUNIT_EXPECT_EQ(test, m->len, sock_sendmsg(p.tx, &msg));
	KUNIT_EXPECT_TRUE(test, tcp_sk(p.tx->sk)->syn_data);
	bvecq_sendmsg_end(&msg);

	pair_accept(test, &p, listener);
	expect_received(test, &p, m->len);
	KUNIT_EXPECT_GT(test, wait_event_timeout(m->wait, READ_ONCE(m->told) == m->nr, WAIT), 0);
	KUNIT_EXPECT_EQ(test, m->len, m->bytes);
	KUNIT_EXPECT_EQ(test, m->nr, m->copied);
}

/* What waits in the socket has no page references; small messages share packets. */
static void test_queued(struct kunit *test)
{
	struct pair *p = pair_new(test, AF_INET);
	struct message *m[5];
	struct sk_buff *skb;
	unsigned int nr = 0;
	long refs[5];

	for (int i = 0; i < ARRAY_SIZE(m); i++) {
		m[i] = message_new(test, 100, 40, BVECQ_MEM_NETMEM);
		refs[i] = message_refs(m[i]);
	}
	tcp_sock_set_cork(p->tx->sk, true);
	for (int i = 0; i < ARRAY_SIZE(m); i++)
		KUNIT_EXPECT_EQ(test, 100, send_message(p, m[i], 0, false));

	lock_sock(p->tx->sk);
	skb_queue_walk(&p->tx->sk->sk_write_queue, skb) {
		KUNIT_EXPECT_TRUE(test, skb_zcopy_managed(skb));
		KUNIT_EXPECT_PTR_EQ(test, &m[0]->head->ubuf, skb_zcopy(skb));
		nr++;
	}
	release_sock(p->tx->sk);
	KUNIT_EXPECT_EQ(test, 1, nr);
	for (int i = 0; i < ARRAY_SIZE(m); i++) {
		KUNIT_EXPECT_EQ(test, refs[i], message_refs(m[i]));
		KUNIT_EXPECT_EQ(test, 0, m[i]->told);
	}

	tcp_sock_set_cork(p->tx->sk, false);
	for (int i = 0; i < ARRAY_SIZE(m); i++) {
		expect_received(test, p, 100);
		expect_done(m[i], false);
	}
}

/* Copied data, page references and what has none, in turns in one stream. */
static void test_turns(struct kunit *test)
{
	struct pair *p = pair_new(test, AF_INET);
	struct message *m[12];
	u8 *buf = kunit_kmalloc(test, 100, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (int i = 0; i < 100; i++)
		buf[i] = pattern(i);
	tcp_sock_set_cork(p->tx->sk, true);
	for (int i = 0; i < ARRAY_SIZE(m); i++) {
		struct msghdr msg = {};

		m[i] = message_new(test, 100, 100, BVECQ_MEM_NETMEM);
		if (i % 3 == 0) {
			struct kvec iov = { buf, 100 };

			KUNIT_EXPECT_EQ(test, 100, kernel_sendmsg(p->tx, &msg, &iov, 1, 100));
		} else if (i % 3 == 1) {
			msg.msg_flags = MSG_SPLICE_PAGES;
			iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, m[i]->head->bv, 1, 100);
			KUNIT_EXPECT_EQ(test, 100, sock_sendmsg(p->tx, &msg));
		} else {
			KUNIT_EXPECT_EQ(test, 100, send_message(p, m[i], 0, false));
		}
	}
	tcp_sock_set_cork(p->tx->sk, false);
	for (int i = 0; i < ARRAY_SIZE(m); i++) {
		expect_received(test, p, 100);
		if (i % 3 == 2)
			expect_done(m[i], false);
	}
}

/* A message that the socket has no room for: its head is done before its tail is
 * queued.
 */
static void test_progress(struct kunit *test)
{
	struct message *m = message_new(test, SZ_8M, SZ_32K, BVECQ_MEM_PAGE);
	struct pair *p = pair_new(test, AF_INET);
	struct receiver r = { .test = test, .pair = p, .len = m->len };
	unsigned int told_early;
	struct msghdr msg = {};

	set_sndbuf(p, SZ_256K);
	receiver_start(&r);
	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, m->head, m->len, false));
	KUNIT_EXPECT_EQ(test, m->len, sock_sendmsg(p->tx, &msg));
	told_early = READ_ONCE(m->told);
	bvecq_sendmsg_end(&msg);
	wait_for_completion(&r.done);
	expect_done(m, false);
	KUNIT_EXPECT_GT(test, told_early, m->nr / 2);
}

static void end_close(struct pair *p)
{
	sock_no_linger(p->tx->sk);
	kernel_sock_shutdown(p->tx, SHUT_RDWR);
	lock_sock(p->tx->sk);
	tcp_disconnect(p->tx->sk, 0);
	release_sock(p->tx->sk);
}

static void end_reset(struct pair *p)
{
	lock_sock(p->rx->sk);
	tcp_disconnect(p->rx->sk, 0);
	release_sock(p->rx->sk);
}

static void end_abort(struct pair *p)
{
	tcp_abort(p->tx->sk, ETIMEDOUT);
}

static const struct end_case {
	const char	*name;
	void		(*end)(struct pair *p);
} end_cases[] = {
	{ "closed",	end_close },
	{ "reset",	end_reset },
	{ "timed out",	end_abort },
};

KUNIT_ARRAY_PARAM_DESC(end, end_cases, name);

/* Nobody reads, and the connection ends: everything comes back. */
static void test_end(struct kunit *test)
{
	const struct end_case *c = test->param_value;
	struct message *m = message_new(test, SZ_8M, SZ_32K, BVECQ_MEM_PAGE);
	struct pair *p = pair_new(test, AF_INET);
	long refs = message_refs(m);
	ssize_t sent;

	set_sndbuf(p, SZ_256K);
	sent = send_message(p, m, MSG_DONTWAIT, false);
	KUNIT_EXPECT_GT(test, sent, 0);
	KUNIT_EXPECT_LT(test, sent, m->len);
	KUNIT_EXPECT_LT(test, READ_ONCE(m->told), m->nr);
	c->end(p);
	expect_done(m, false);

	/* What was received is held by page references, until that socket goes. */
	lock_sock(p->rx->sk);
	tcp_disconnect(p->rx->sk, 0);
	release_sock(p->rx->sk);
	KUNIT_EXPECT_EQ(test, refs, message_refs(m));
}

/* Two who send at once, by turns: none waits for the other for ever. */
static void test_two_senders(struct kunit *test)
{
	struct pair *p = pair_new(test, AF_INET);
	struct message *a = message_new(test, 3000, 1000, BVECQ_MEM_PAGE);
	struct message *b = message_new(test, 3000, 1000, BVECQ_MEM_PAGE);
	struct msghdr msg_a = {}, msg_b = {};

	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg_a, a->head, 3000, false));
	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg_b, b->head, 3000, false));
	for (int i = 0; i < 3; i++) {
		/* What one of them begins, the other one adds to. */
		tcp_sock_set_cork(p->tx->sk, true);
		for (int k = 0; k < 2; k++) {
			struct msghdr *msg = (i + k) % 2 ? &msg_b : &msg_a;

			msg->msg_iter.count = 1000;
			KUNIT_EXPECT_EQ(test, 1000, sock_sendmsg(p->tx, msg));
		}
		tcp_sock_set_cork(p->tx->sk, false);
	}
	bvecq_sendmsg_end(&msg_a);
	bvecq_sendmsg_end(&msg_b);
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 2; k++) {
			u8 buf[1000];
			struct kvec iov = { buf, sizeof(buf) };
			struct msghdr msg = {};

			KUNIT_EXPECT_EQ(test, 1000, kernel_recvmsg(p->rx, &msg, &iov, 1, 1000,
								   MSG_WAITALL));
			KUNIT_EXPECT_EQ(test, pattern(i * 1000), buf[0]);
		}
	}
	expect_done(a, false);
	expect_done(b, false);
}

/*
 * Datagrams
 */

#define MAX_PARTS	12

static const struct dgram_case {
	const char	*name;
	sa_family_t	family;
	size_t		len;		/* of each part */
	size_t		piece;
	const char	*parts;		/* how each is sent: see test_dgram() */
	unsigned int	mtu;
	unsigned int	gso;
	int		err;
	unsigned int	copied;		/* so many messages were, in part at least */
	unsigned int	frag_size;	/* IPV6_MTU */
	bool		apart;		/* each part is a datagram */
	bool		broadcast;
	bool		more;		/* MSG_MORE, else UDP_CORK */
	bool		no_csum;
	bool		no_sg;
	bool		reused;
	bool		zerocopy;	/* MSG_ZEROCOPY, too */
} dgram_cases[] = {
	{ "a byte",		AF_INET,  1,     1,     "q" },
	{ "a byte, IPv6",	AF_INET6, 1,     1,     "q" },
	{ "MTU",		AF_INET,  1472,  500,   "q", 1500 },
	{ "MTU, IPv6",		AF_INET6, 1452,  500,   "q", 1500 },
	{ "software sum",	AF_INET,  1472,  333,   "q", 1500, .no_csum = true },
	{ "software sum, IPv6",	AF_INET6, 1452,  333,   "q", 1500, .no_csum = true },
	{ "two fragments",	AF_INET,  1473,  500,   "q", 1500 },
	{ "two fragments, IPv6", AF_INET6, 1453, 500,   "q", 1500 },
	{ "64 KiB",		AF_INET,  65507, 30000, "q" },
	{ "64 KiB, IPv6",	AF_INET6, 65487, 30000, "q" },
	{ "fragmented",		AF_INET,  65507, 7001,  "q", 1500 },
	{ "fragmented, IPv6",	AF_INET6, 65527, 7001,  "q", 1500 },
	{ "not fragmented, IPv6", AF_INET6, 20000, 7001, "q", .frag_size = 1280 },
	{ "broadcast",		AF_INET,  20000, 7001,  "q", 1500, .broadcast = true, .copied = 1 },
	{ "fragmented small",	AF_INET,  30001, 101,   "q", 1500 },
	{ "too long",		AF_INET,  65508, 65508, "q", 1500, .err = -EMSGSIZE },
	{ "too long, IPv6",	AF_INET6, 65528, 65528, "q", 1500, .err = -EMSGSIZE },
	{ "too many pieces",	AF_INET,  65507, 201,   "q", .copied = 1 },
	{ "too many, IPv6",	AF_INET6, 65487, 201,   "q", .copied = 1 },
	{ "reused",		AF_INET,  20000, 3000,  "q", .reused = true },
	{ "reused, fragmented",	AF_INET,  65507, 3001,  "q", 1500, .reused = true },
	{ "reused, IPv6",	AF_INET6, 65487, 3001,  "q", 1500, .reused = true },
	{ "cannot gather",	AF_INET,  20001, 3001,  "q", 1500, .no_sg = true, .copied = 1 },
	{ "cannot, IPv6",	AF_INET6, 20001, 3001,  "q", 1500, .no_sg = true, .copied = 1 },
	{ "zerocopy",		AF_INET,  20001, 3001,  "q", .zerocopy = true },
	{ "zerocopy, IPv6",	AF_INET6, 20001, 3001,  "q", 1500, .zerocopy = true },
	{ "apart",		AF_INET,  1801,  701,   "q+++++", 1500, .apart = true },
	{ "apart, IPv6",	AF_INET6, 1801,  701,   "q+++++", 1500, .apart = true },
	{ "corked",		AF_INET,  701,   300,   "q+++++" },
	{ "corked, fragmented",	AF_INET,  701,   300,   "q+++++", 1500 },
	{ "corked, IPv6",	AF_INET6, 701,   300,   "q+++++", 1500 },
	{ "to an odd MTU",	AF_INET,  1477,  300,   "q+q+", 1505 },
	{ "to the MTU, IPv6",	AF_INET6, 726,   300,   "q+q+", 1500 },
	{ "messages",		AF_INET,  701,   300,   "qqqqq" },
	{ "messages, fragmented", AF_INET, 701,  300,   "qqqqq", 1500 },
	{ "messages, IPv6",	AF_INET6, 701,   300,   "qqqqq", 1500 },
	{ "MSG_MORE",		AF_INET,  701,   300,   "qqq+", .more = true },
	{ "MSG_MORE, IPv6",	AF_INET6, 701,   300,   "qqq+", 1500, .more = true },
	{ "mixed",		AF_INET,  701,   300,   "qcsqscsq", .copied = 2 },
	{ "mixed, fragmented",	AF_INET,  701,   300,   "qcsqscsqq", 1500, .copied = 3 },
	{ "mixed, IPv6",	AF_INET6, 701,   300,   "cqscqsqc", 1500, .copied = 2 },
	{ "after a copy",	AF_INET,  1480,  700,   "cq+", 1500 },
	{ "after a copy, IPv6",	AF_INET6, 1480,  700,   "cq+", 1500 },
	{ "not fragmented, copied", AF_INET6, 1480, 700, "cq+", .frag_size = 1280 },
	{ "not fragmented, spliced", AF_INET6, 1480, 700, "sq+", .frag_size = 1280, .copied = 1 },
	{ "some reused",	AF_INET,  701,   300,   "qrq+", .copied = 2 },
	{ "some reused, IPv6",	AF_INET6, 701,   300,   "rq+r", 1500, .copied = 3 },
	{ "after zerocopy",	AF_INET,  701,   300,   "zq+", .copied = 1 },
	{ "after zerocopy, IPv6", AF_INET6, 701, 300,   "zzq+", 1500, .copied = 1 },
	{ "mixed, cannot gather", AF_INET, 701,  300,   "qcsq", 1500, .no_sg = true, .copied = 2 },
	{ "GSO",		AF_INET,  20001, 3001,  "q", 1500, 1000 },
	{ "GSO, IPv6",		AF_INET6, 20001, 3001,  "q", 1500, 1000 },
	{ "GSO, corked",	AF_INET,  2001,  1001,  "q++q+", 1500, 1000 },
	{ "GSO, software sum",	AF_INET,  20001, 3001,  "q", 1500, 1000, .no_csum = true,
	  .copied = 1 },
};

KUNIT_ARRAY_PARAM_DESC(dgram, dgram_cases, name);

struct lo_state {
	unsigned int		mtu;
	netdev_features_t	features;
};

static void lo_set(void *data)
{
	const struct lo_state *lo = data;

	rtnl_lock();
	dev_set_mtu(init_net.loopback_dev, lo->mtu);
	init_net.loopback_dev->features = lo->features;
	rtnl_unlock();
}

/* A loopback device with that MTU that can only do so much. */
static void lo_make(struct kunit *test, const struct dgram_case *c)
{
	struct net_device *dev = init_net.loopback_dev;
	struct lo_state *was = kunit_kzalloc(test, sizeof(*was), GFP_KERNEL);
	struct lo_state lo = { c->mtu ?: dev->mtu, dev->features };

	KUNIT_ASSERT_NOT_NULL(test, was);
	*was = (struct lo_state){ dev->mtu, dev->features };
	if (c->no_csum)
		lo.features &= ~(NETIF_F_CSUM_MASK | NETIF_F_GSO_UDP_L4);
	if (c->no_sg)
		lo.features &= ~(NETIF_F_SG | NETIF_F_GSO_UDP_L4);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, lo_set, was));
	lo_set(&lo);
}

/* Go by the address by which everyone on the device hears it. */
static void set_broadcast(struct kunit *test, struct pair *p)
{
	struct sockaddr_storage addr;

	sock_set_flag(p->tx->sk, SOCK_BROADCAST);
	KUNIT_ASSERT_GT(test, kernel_getpeername(p->tx, (struct sockaddr *)&addr), 0);
	((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(0x7fffffff);
	KUNIT_ASSERT_EQ(test, 0, kernel_connect(p->tx, (struct sockaddr_unsized *)&addr,
						sizeof(addr), 0));
}

static void set_cork(struct kunit *test, struct pair *p, int on)
{
	KUNIT_EXPECT_EQ(test, 0, p->tx->ops->setsockopt(p->tx, SOL_UDP, UDP_CORK,
							KERNEL_SOCKPTR(&on), sizeof(on)));
}

/* Each datagram has what it should, from that byte of each message on. */
static void expect_dgrams(struct kunit *test, struct pair *p, struct message **m, size_t total,
			  size_t size)
{
	u8 *buf = kunit_kmalloc(test, SZ_64K, GFP_KERNEL);
	size_t from = 0;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (size_t at = 0; at < total;) {
		struct kvec iov = { buf, SZ_64K };
		struct msghdr msg = {};
		int n = kernel_recvmsg(p->rx, &msg, &iov, 1, SZ_64K, 0);

		KUNIT_ASSERT_EQ(test, min(size, total - at), n);
		for (int i = 0; i < n; i++, at++) {
			if (at - from == (*m)->len) {
				from = at;
				m++;
			}
			if (buf[i] != pattern(at - from)) {
				KUNIT_FAIL(test, "byte %zu is %02x, not %02x", at, buf[i],
					   pattern(at - from));
				return;
			}
		}
	}
}

/* Whoever had references has let go of them. */
static void expect_refs(struct message *m, long refs)
{
	for (int i = 0; i < 100 && message_refs(m) != refs; i++)
		msleep(20);
	KUNIT_EXPECT_EQ(m->test, refs, message_refs(m));
}

/*
 * A datagram of parts: a queue (q; reused: r) and what follows of it (+), or what is
 * copied (c), sent with MSG_ZEROCOPY (z) or spliced with page references (s). What
 * waits in the socket has no page references, unless it is in one packet with others;
 * each message is done before anyone reads it; and what arrives is what was sent.
 */
static void test_dgram(struct kunit *test)
{
	const struct dgram_case *c = test->param_value;
	size_t nr = strlen(c->parts), total = nr * c->len;
	struct message *m[MAX_PARTS] = {}, *queued[MAX_PARTS] = {};
	unsigned int nr_m = 0, nr_q = 0, copied = 0;
	bool mixed = c->copied || strpbrk(c->parts, "csz");
	bool cork = nr > 1 && !c->more && !c->apart;
	long refs[MAX_PARTS];
	struct pair *p;

	KUNIT_ASSERT_LE(test, nr, MAX_PARTS);
	KUNIT_ASSERT_EQ(test, 0, lo_up());
	lo_make(test, c);
	p = pair_new_type(test, c->family, SOCK_DGRAM);
	udp_sk(p->tx->sk)->gso_size = c->gso;
	if (c->frag_size)
		inet6_sk(p->tx->sk)->frag_size = c->frag_size;
	if (c->broadcast)
		set_broadcast(test, p);
	if (strchr(c->parts, 'z'))
		sock_set_flag(p->tx->sk, SOCK_ZEROCOPY);
	if (cork)
		set_cork(test, p, 1);

	for (const char *part = c->parts; *part;) {
		size_t follow = strspn(part + 1, "+"), len = (1 + follow) * c->len;
		/* A kvec and a bvec are one piece. */
		struct message *n = message_new(test, len, strchr("qr", *part) ? c->piece : len,
						mixed ? BVECQ_MEM_PAGE : BVECQ_MEM_NETMEM);
		struct msghdr msg = {};
		struct kvec iov;

		m[nr_m++] = n;
		switch (*part) {
		case 'z':
			msg.msg_flags = MSG_ZEROCOPY;
			fallthrough;
		case 'c':
			iov = (struct kvec){ bvec_virt(n->head->bv), len };
			KUNIT_EXPECT_EQ(test, len, kernel_sendmsg(p->tx, &msg, &iov, 1, len));
			part++;
			continue;
		case 's':
			msg.msg_flags = MSG_SPLICE_PAGES;
			iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, n->head->bv, 1, len);
			KUNIT_EXPECT_EQ(test, len, sock_sendmsg(p->tx, &msg));
			part++;
			continue;
		}

		queued[nr_q] = n;
		n->scribble = c->reused || *part == 'r';
		refs[nr_q++] = message_refs(n);
		KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, n->head, len, n->scribble));
		for (part++, follow++; follow; part += *part == '+', follow--) {
			if (c->zerocopy)
				msg.msg_flags |= MSG_ZEROCOPY;
			msg.msg_flags &= ~MSG_MORE;
			if (c->more && (follow > 1 || *part))
				msg.msg_flags |= MSG_MORE;
			msg.msg_iter.count = c->len;
			KUNIT_EXPECT_EQ(test, c->err ?: c->len, sock_sendmsg(p->tx, &msg));
			/* What is refused is left alone. */
			KUNIT_EXPECT_EQ(test, c->err ? c->len : 0, msg_data_left(&msg));
		}
		bvecq_sendmsg_end(&msg);
	}

	for (int i = 0; i < nr_q && cork && !mixed; i++) {
		KUNIT_EXPECT_EQ(test, refs[i], message_refs(queued[i]));
		KUNIT_EXPECT_EQ(test, 0, queued[i]->told);
	}
	if (cork)
		set_cork(test, p, 0);

	for (int i = 0; i < nr_q; i++) {
		struct message *n = queued[i];

		KUNIT_EXPECT_GT(test, wait_event_timeout(n->wait, READ_ONCE(n->told) == n->nr,
							 WAIT), 0);
		KUNIT_EXPECT_EQ(test, n->len, n->bytes);
		copied += !!n->copied;
	}
	if (!c->reused)
		KUNIT_EXPECT_EQ(test, c->copied, copied);
	if (!c->err)
		expect_dgrams(test, p, m, total, c->apart ? c->len : c->gso ?: total);
	for (int i = 0; i < nr_q; i++)
		expect_refs(queued[i], refs[i]);
	KUNIT_EXPECT_EQ(test, 0, sk_wmem_alloc_get(p->tx->sk));
}

/* What the socket has no room for at once is left alone. */
static void test_dgram_again(struct kunit *test)
{
	struct message *m = message_new(test, 10000, 3000, BVECQ_MEM_PAGE);
	struct pair *p = pair_new_type(test, AF_INET, SOCK_DGRAM);
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT };
	struct sock *sk = p->tx->sk;
	int room = READ_ONCE(sk->sk_sndbuf);

	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, m->head, m->len, false));
	refcount_add(room, &sk->sk_wmem_alloc);
	KUNIT_EXPECT_EQ(test, -EAGAIN, sock_sendmsg(p->tx, &msg));
	KUNIT_EXPECT_FALSE(test, refcount_sub_and_test(room, &sk->sk_wmem_alloc));
	KUNIT_EXPECT_EQ(test, m->len, msg_data_left(&msg));
	KUNIT_EXPECT_EQ(test, 0, m->told);
	KUNIT_EXPECT_EQ(test, m->len, sock_sendmsg(p->tx, &msg));
	bvecq_sendmsg_end(&msg);
	expect_done(m, false);
	expect_dgrams(test, p, &m, m->len, m->len);
}

/* There is nobody any more. */
static void lose_receiver(struct kunit *test, struct pair *p)
{
	kunit_release_action(test, release_sock_action, p->rx);
	set_cork(test, p, 0);
}

/* He has no room for another one. */
static void lose_full(struct kunit *test, struct pair *p)
{
	struct message *m = message_new(test, 10000, 1001, BVECQ_MEM_PAGE);
	long refs = message_refs(m);

	WRITE_ONCE(p->rx->sk->sk_rcvbuf, 0);
	set_cork(test, p, 0);
	KUNIT_EXPECT_EQ(test, m->len, send_message(p, m, 0, false));
	expect_done(m, false);
	expect_refs(m, refs);
	kunit_release_action(test, release_sock_action, p->rx);
}

/* What is appended makes it too long. */
static void lose_append(struct kunit *test, struct pair *p)
{
	struct message *m = message_new(test, 65000, 65000, BVECQ_MEM_PAGE);

	KUNIT_EXPECT_EQ(test, -EMSGSIZE, send_message(p, m, 0, false));
	KUNIT_EXPECT_EQ(test, 1, m->told);
	KUNIT_EXPECT_TRUE(test, skb_queue_empty(&p->tx->sk->sk_write_queue));
}

static void lose_sender(struct kunit *test, struct pair *p)
{
	kunit_release_action(test, release_sock_action, p->tx);
}

/* The sender has no memory for another fragment. */
static void lose_memory(struct kunit *test, struct pair *p)
{
	struct message *m = message_new(test, 20000, 7000, BVECQ_MEM_PAGE);

	set_sndbuf(p, 4000);
	KUNIT_EXPECT_EQ(test, -ENOBUFS, send_message(p, m, 0, false));
	KUNIT_EXPECT_EQ(test, m->nr, m->told);
	KUNIT_EXPECT_TRUE(test, skb_queue_empty(&p->tx->sk->sk_write_queue));
}

/* What is appended is held by another ubuf. */
static void lose_zerocopy(struct kunit *test, struct pair *p)
{
	struct msghdr msg = { .msg_flags = MSG_ZEROCOPY };
	u8 c = 0;
	struct kvec iov = { &c, 1 };

	sock_set_flag(p->tx->sk, SOCK_ZEROCOPY);
	KUNIT_EXPECT_EQ(test, -ENOBUFS, kernel_sendmsg(p->tx, &msg, &iov, 1, 1));
	KUNIT_EXPECT_TRUE(test, skb_queue_empty(&p->tx->sk->sk_write_queue));
}

static const struct lost_case {
	const char	*name;
	sa_family_t	family;
	void		(*lose)(struct kunit *test, struct pair *p);
} lost_cases[] = {
	{ "no receiver",	AF_INET,  lose_receiver },
	{ "no receiver, IPv6",	AF_INET6, lose_receiver },
	{ "no room",		AF_INET,  lose_full },
	{ "no room, IPv6",	AF_INET6, lose_full },
	{ "append",		AF_INET,  lose_append },
	{ "append, IPv6",	AF_INET6, lose_append },
	{ "zerocopy",		AF_INET,  lose_zerocopy },
	{ "zerocopy, IPv6",	AF_INET6, lose_zerocopy },
	{ "no memory",		AF_INET,  lose_memory },
	{ "no memory, IPv6",	AF_INET6, lose_memory },
	{ "sender",		AF_INET,  lose_sender },
	{ "sender, IPv6",	AF_INET6, lose_sender },
};

KUNIT_ARRAY_PARAM_DESC(lost, lost_cases, name);

/* However a datagram is lost, what was in it comes back. */
static void test_dgram_lost(struct kunit *test)
{
	static const struct dgram_case fragments = { .mtu = 1500 };
	const struct lost_case *c = test->param_value;
	struct message *m = message_new(test, 10000, 1001, BVECQ_MEM_PAGE);
	long refs = message_refs(m);
	struct pair *p;

	KUNIT_ASSERT_EQ(test, 0, lo_up());
	lo_make(test, &fragments);
	p = pair_new_type(test, c->family, SOCK_DGRAM);
	set_cork(test, p, 1);
	KUNIT_EXPECT_EQ(test, m->len, send_message(p, m, 0, false));
	KUNIT_EXPECT_EQ(test, 0, m->told);
	KUNIT_EXPECT_EQ(test, refs, message_refs(m));
	c->lose(test, p);
	expect_done(m, false);
	expect_refs(m, refs);
}

/*
 * Probes of the MTU take from the write queue what is copied, and leave alone what is
 * not: the sender, who would be told then, writes to it.
 */
static void test_mtu_probe(struct kunit *test)
{
	static const struct dgram_case probed = { .mtu = 1500 };
	u8 *buf = kunit_kmalloc(test, SZ_128K, GFP_KERNEL);
	struct message *m[100];
	struct inet_connection_sock *icsk;
	struct pair *p;
	struct sock *sk;
	int low;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (int i = 0; i < SZ_128K; i++)
		buf[i] = pattern(i);
	for (int i = 1; i < ARRAY_SIZE(m); i += 2) {
		m[i] = message_new(test, 300, 300, BVECQ_MEM_PAGE);
		m[i]->scribble = true;
	}
	KUNIT_ASSERT_EQ(test, 0, lo_up());
	lo_make(test, &probed);
	p = pair_new(test, AF_INET);
	set_sndbuf(p, SZ_1M);
	sk = p->tx->sk;
	icsk = inet_csk(sk);

	/* No more than the first few leave before the lock is released. */
	lock_sock(sk);
	low = icsk->icsk_mtup.search_low;
	for (int i = 0; i < ARRAY_SIZE(m) + 1; i++) {
		size_t len = i < ARRAY_SIZE(m) ? 300 : SZ_128K;
		struct kvec iov = { buf, len };
		struct msghdr msg = {};

		if (len == 300 && i % 2) {
			KUNIT_EXPECT_EQ(test, 0, bvecq_sendmsg_begin(&msg, m[i]->head, len, true));
			KUNIT_EXPECT_EQ(test, len, tcp_sendmsg_locked(sk, &msg, len));
			bvecq_sendmsg_end(&msg);
		} else {
			iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, &iov, 1, len);
			KUNIT_EXPECT_EQ(test, len, tcp_sendmsg_locked(sk, &msg, len));
		}
	}
	icsk->icsk_mtup.enabled = true;
	tcp_snd_cwnd_set(tcp_sk(sk), 100);
	release_sock(sk);

	for (int i = 0; i < ARRAY_SIZE(m); i++) {
		expect_received(test, p, 300);
		if (i % 2)
			expect_done(m[i], true);
	}
	expect_received(test, p, SZ_128K);
	KUNIT_EXPECT_GT(test, READ_ONCE(icsk->icsk_mtup.search_low), low);
}

/*
 * The contract
 */

static void test_slab(struct kunit *test)
{
	struct bvecq *bq = bvecq_alloc(2, BVECQ_MEM_BORROWED, GFP_KERNEL);
	struct page *page = alloc_page(GFP_KERNEL);
	void *buf = kunit_kzalloc(test, 100, GFP_KERNEL);
	struct msghdr msg = {};

	KUNIT_ASSERT_NOT_NULL(test, bq);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_EQ(test, 0, bvecq_append(bq, page, 100, 0));
	KUNIT_ASSERT_EQ(test, 0, bvecq_append_kbuf(bq, buf, 100));
	KUNIT_EXPECT_EQ(test, -EINVAL, bvecq_sendmsg_begin(&msg, bq, 200, false));
	KUNIT_EXPECT_NULL(test, msg.msg_ubuf);
	/* What is not sent does not matter. */
	KUNIT_EXPECT_EQ(test, 0, bvecq_sendmsg_begin(&msg, bq, 100, false));
	bvecq_sendmsg_end(&msg);
	bvecq_put(bq);
	put_page(page);
}

static void test_busy(struct kunit *test)
{
	struct message *m = message_new(test, 1000, 1000, BVECQ_MEM_PAGE);
	struct sk_buff *skb = packet(test, m);
	struct msghdr msg = {};

	KUNIT_EXPECT_EQ(test, -EBUSY, bvecq_sendmsg_begin(&msg, m->head, 1000, false));
	kfree_skb(skb);
	KUNIT_EXPECT_EQ(test, 0, bvecq_sendmsg_begin(&msg, m->head, 1000, false));
	bvecq_sendmsg_end(&msg);
}

static const struct refuse_case {
	const char	*name;
	int		family, type, protocol;
} refuse_cases[] = {
	{ "UNIX stream",	AF_UNIX,    SOCK_STREAM, 0 },
	{ "UNIX datagram",	AF_UNIX,    SOCK_DGRAM,  0 },
	{ "raw",		AF_INET,    SOCK_RAW,    IPPROTO_UDP },
	{ "raw, IPv6",		AF_INET6,   SOCK_RAW,    IPPROTO_UDP },
	{ "ping",		AF_INET,    SOCK_DGRAM,  IPPROTO_ICMP },
	{ "L2TP",		AF_INET,    SOCK_DGRAM,  IPPROTO_L2TP },
	{ "MPTCP",		AF_INET,    SOCK_STREAM, IPPROTO_MPTCP },
	{ "KCM",		AF_KCM,     SOCK_DGRAM,  0 },
	{ "netlink",		AF_NETLINK, SOCK_RAW,    0 },
};

KUNIT_ARRAY_PARAM_DESC(refuse, refuse_cases, name);

/* Where it is not known what to do, nothing is. */
static void test_refuse(struct kunit *test)
{
	const struct refuse_case *c = test->param_value;
	struct message *m = message_new(test, 1000, 1000, BVECQ_MEM_PAGE);
	struct msghdr msg = {};
	struct socket *sock;

	if (sock_create_kern(&init_net, c->family, c->type, c->protocol, &sock))
		kunit_skip(test, "no such sockets in this kernel");
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, release_sock_action, sock));
	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, m->head, 1000, false));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, sock_sendmsg(sock, &msg));
	KUNIT_EXPECT_EQ(test, 1000, msg_data_left(&msg));
	KUNIT_EXPECT_EQ(test, 0, m->told);
	bvecq_sendmsg_end(&msg);
	KUNIT_EXPECT_EQ(test, 1, m->told);
}

static const struct takes_case {
	const char	*name;
	int		type;
} takes_cases[] = {
	{ "TCP",	SOCK_STREAM },
	{ "UDP",	SOCK_DGRAM },
};

KUNIT_ARRAY_PARAM_DESC(takes, takes_cases, name);

/* A protocol that is laid over another one (kTLS, a sockmap) clears SOCK_SUPPORT_ZC. */
static void test_refuse_layered(struct kunit *test)
{
	const struct takes_case *c = test->param_value;
	struct message *m = message_new(test, 1000, 1000, BVECQ_MEM_PAGE);
	struct pair *p = pair_new_type(test, AF_INET, c->type);

	sock_replace_proto(p->tx->sk, READ_ONCE(p->tx->sk->sk_prot));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, send_message(p, m, 0, false));
	KUNIT_EXPECT_EQ(test, 1, m->told);
}

/* A sockmap can have a connection before somebody accepts it. */
static void test_refuse_accepted(struct kunit *test)
{
	struct message *m = message_new(test, 1000, 1000, BVECQ_MEM_PAGE);
	struct request_sock_queue *queue;
	static struct proto layered;
	struct pair p = {}, back;
	struct socket *listener;
	struct proto *prot;
	struct sock *sk;

	listener = pair_connect(test, &p, AF_INET, SOCK_STREAM);
	queue = &inet_csk(listener->sk)->icsk_accept_queue;
	for (int i = 0; i < 100 && reqsk_queue_empty(queue); i++)
		msleep(20);
	KUNIT_ASSERT_FALSE(test, reqsk_queue_empty(queue));
	sk = queue->rskq_accept_head->sk;
	prot = sk->sk_prot;
	layered = *prot;
	WRITE_ONCE(sk->sk_prot, &layered);
	pair_accept(test, &p, listener);
	KUNIT_EXPECT_PTR_EQ(test, sk, p.rx->sk);

	back = (struct pair){ .tx = p.rx, .rx = p.tx };
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, send_message(&back, m, 0, false));
	KUNIT_EXPECT_EQ(test, 1, m->told);
	WRITE_ONCE(sk->sk_prot, prot);
}

/* An iterator of another kind has no segments to complete. */
static void test_refuse_iter(struct kunit *test)
{
	const struct takes_case *c = test->param_value;
	struct message *m = message_new(test, 1000, 1000, BVECQ_MEM_PAGE);
	struct pair *p = pair_new_type(test, AF_INET, c->type);
	struct msghdr msg = {};

	KUNIT_ASSERT_EQ(test, 0, bvecq_sendmsg_begin(&msg, m->head, 1000, false));
	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, m->head->bv, 1, 1000);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, sock_sendmsg(p->tx, &msg));
	bvecq_sendmsg_end(&msg);
	KUNIT_EXPECT_EQ(test, 1, m->told);
}

static const struct ubuf_info_ops other_ubuf_ops;

/* Nor has a ubuf of another kind. */
static void test_refuse_ubuf(struct kunit *test)
{
	const struct takes_case *c = test->param_value;
	struct message *m = message_new(test, 1000, 1000, BVECQ_MEM_PAGE);
	struct pair *p = pair_new_type(test, AF_INET, c->type);
	struct ubuf_info ubuf = { .ops = &other_ubuf_ops, .flags = SKBFL_ZEROCOPY_FRAG };
	struct msghdr msg = { .msg_flags = MSG_SPLICE_PAGES, .msg_ubuf = &ubuf };

	refcount_set(&ubuf.refcnt, 1);
	iov_iter_bvec_queue(&msg.msg_iter, ITER_SOURCE, m->head, 0, 0, 1000);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, sock_sendmsg(p->tx, &msg));
	KUNIT_EXPECT_EQ(test, 1000, msg_data_left(&msg));
	KUNIT_EXPECT_EQ(test, 1, refcount_read(&ubuf.refcnt));
}

static struct kunit_case skb_bvecq_cases[] = {
	KUNIT_CASE(test_slab),
	KUNIT_CASE(test_busy),
	KUNIT_CASE_PARAM(test_refuse, refuse_gen_params),
	KUNIT_CASE_PARAM(test_refuse_layered, takes_gen_params),
	KUNIT_CASE(test_refuse_accepted),
	KUNIT_CASE_PARAM(test_refuse_iter, takes_gen_params),
	KUNIT_CASE_PARAM(test_refuse_ubuf, takes_gen_params),
	KUNIT_CASE_PARAM(test_packet, packet_gen_params),
	KUNIT_CASE(test_handler),
	KUNIT_CASE(test_packet_full),
	KUNIT_CASE(test_packet_pages),
	KUNIT_CASE(test_packet_refs),
#ifdef CONFIG_NETPOLL
	KUNIT_CASE(test_netpoll),
#endif
#if IS_ENABLED(CONFIG_INET_IPCOMP)
	KUNIT_CASE(test_ipcomp),
#endif
#if IS_ENABLED(CONFIG_XFRM_IPTFS) && IS_ENABLED(CONFIG_INET_ESP)
	KUNIT_CASE(test_iptfs),
#endif
	KUNIT_CASE(test_packet_mixed),
	KUNIT_CASE(test_packet_append),
	KUNIT_CASE(test_packet_list),
	KUNIT_CASE(test_gro_list),
	KUNIT_CASE_PARAM(test_stream, stream_gen_params),
	KUNIT_CASE_PARAM(test_fastopen, fastopen_gen_params),
	KUNIT_CASE(test_queued),
	KUNIT_CASE(test_turns),
	KUNIT_CASE_SLOW(test_progress),
	KUNIT_CASE_PARAM(test_end, end_gen_params),
	KUNIT_CASE(test_two_senders),
	KUNIT_CASE(test_mtu_probe),
	KUNIT_CASE_PARAM(test_dgram, dgram_gen_params),
	KUNIT_CASE(test_dgram_again),
	KUNIT_CASE_PARAM(test_dgram_lost, lost_gen_params),
	{}
};

static struct kunit_suite skb_bvecq_suite = {
	.name		= "skb_bvecq",
	.test_cases	= skb_bvecq_cases,
};

kunit_test_suite(skb_bvecq_suite);

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_IMPORT_NS("NETDEV_INTERNAL");
MODULE_DESCRIPTION("KUnit tests of sending a bvecq");
MODULE_LICENSE("GPL");
