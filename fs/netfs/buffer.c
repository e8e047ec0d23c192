// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Describing the memory of a request as a bvecq
 */

#include <linux/bvecq.h>
#include <linux/export.h>
#include <linux/net.h>
#include <linux/netfs.h>
#include <linux/uio.h>

/* A segment and its slots fill one page. */
#define NETFS_BVECQ_SLOTS \
	((PAGE_SIZE - sizeof(struct bvecq)) / sizeof(struct bio_vec))

/* What a chain of folios starts with; it grows if they are small. */
#define NETFS_FOLIO_SLOTS	32

/**
 * netfs_borrow_iter - Describe the memory behind an iterator as a bvecq
 * @orig: The iterator; not advanced
 * @gfp: How to allocate the segments
 *
 * Build a chain of %BVECQ_MEM_BORROWED segments that covers all the bytes that
 * are left in @orig, physically contiguous pieces joined into one bio_vec.
 * No page is copied and no reference or pin is taken: whoever owns the memory
 * must keep it in place for as long as anyone may look through the chain.
 *
 * Only memory that can be handed to a socket with MSG_SPLICE_PAGES is taken.
 * Folio queue, bvec, bvecq and xarray iterators qualify, but single pages of
 * them may still belong to the slab allocator, to which the network cannot
 * take a page reference.
 *
 * Context: May sleep if @gfp allows it.
 * Return: The chain, which holds one reference that the caller now owns, or an
 * ERR_PTR(): -EINVAL if @orig is empty, -EOPNOTSUPP if it is of another type or
 * holds a page that cannot be spliced (copy the data instead), -ENOMEM, or
 * -EIO if the iterator ends before its count does.
 */
struct bvecq *netfs_borrow_iter(const struct iov_iter *orig, gfp_t gfp)
{
	struct iov_iter iter = *orig;
	struct bvecq *head, *tail;
	size_t slots;
	int ret;

	if (!iov_iter_count(&iter))
		return ERR_PTR(-EINVAL);
	if (!iov_iter_is_folioq(&iter) && !iov_iter_is_bvec(&iter) &&
	    !iov_iter_is_bvecq(&iter) && !iov_iter_is_xarray(&iter))
		return ERR_PTR(-EOPNOTSUPP);

	/* As many as can be needed, but a folio takes only one, however large. */
	slots = iov_iter_npages(&iter, NETFS_BVECQ_SLOTS);
	if (iov_iter_is_folioq(&iter) || iov_iter_is_xarray(&iter))
		slots = umin(slots, NETFS_FOLIO_SLOTS);
	head = bvecq_alloc(slots, BVECQ_MEM_BORROWED, gfp);
	if (!head)
		return ERR_PTR(-ENOMEM);
	tail = head;

	while (iov_iter_count(&iter)) {
		struct page *pages[16], **p = pages;
		size_t offset;
		ssize_t len;

		len = iov_iter_extract_pages(&iter, &p, iov_iter_count(&iter),
					     ARRAY_SIZE(pages), 0, &offset);
		if (len <= 0) {
			ret = len ?: -EIO;
			goto error;
		}

		for (; len > 0; p++) {
			size_t part = min_t(size_t, len, PAGE_SIZE - offset);

			ret = -EOPNOTSUPP;
			if (!sendpage_ok(*p))
				goto error;

			ret = bvecq_append_grow(&tail, *p, part, offset, gfp);
			if (ret < 0)
				goto error;
			len -= part;
			offset = 0;
		}
	}

	return head;

error:
	bvecq_put(head);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(netfs_borrow_iter);
