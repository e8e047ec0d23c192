/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sending a bvecq without references on its pages.
 *
 * See Documentation/networking/skb_bvecq.rst.
 */
#ifndef _NET_SKB_BVECQ_H
#define _NET_SKB_BVECQ_H

#include <linux/types.h>

struct bvecq;
struct msghdr;
struct sk_buff;

int bvecq_sendmsg_begin(struct msghdr *msg, struct bvecq *head, size_t len,
			bool reused);
void bvecq_sendmsg_end(struct msghdr *msg);

/* For protocols. */
ssize_t skb_splice_bvecq(struct sk_buff *skb, struct msghdr *msg,
			 size_t maxsize);
void skb_bvecq_copied(struct msghdr *msg);

#endif /* _NET_SKB_BVECQ_H */
