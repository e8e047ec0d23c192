/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sending a bvecq without references on its pages.
 *
 * See Documentation/networking/skb_bvecq.rst.
 */
#ifndef _NET_SKB_BVECQ_H
#define _NET_SKB_BVECQ_H

#include <linux/socket.h>
#include <linux/types.h>

struct bvecq;
struct dst_entry;
struct page_frag;
struct sk_buff;
struct sock;

int bvecq_sendmsg_begin(struct msghdr *msg, struct bvecq *head, size_t len,
			bool reused);
void bvecq_sendmsg_end(struct msghdr *msg);

/* For protocols. */
bool skb_bvecq_msg(const struct msghdr *msg);
ssize_t skb_splice_bvecq(struct sk_buff *skb, struct msghdr *msg,
			 size_t maxsize);
void skb_bvecq_copied(struct msghdr *msg);

/* For those of datagrams. The flags come first: not everyone sets msg_ubuf. */
static inline bool msg_splices_ubuf(const struct msghdr *msg, unsigned int flags)
{
	return IS_ENABLED(CONFIG_BVECQ) && unlikely(flags & MSG_SPLICE_PAGES) && msg->msg_ubuf;
}

int skb_bvecq_dgram(const struct msghdr *msg, const struct dst_entry *dst);
int skb_bvecq_getfrag(void *from, char *to, int offset, int len, int odd,
		      struct sk_buff *skb);
ssize_t skb_append_bvecq(struct sock *sk, struct sk_buff *first, struct sk_buff *skb,
			 struct msghdr *msg, size_t maxsize, struct page_frag *pfrag);

#endif /* _NET_SKB_BVECQ_H */
