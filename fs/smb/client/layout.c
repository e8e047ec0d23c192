// SPDX-License-Identifier: GPL-2.0
/*
 * Laying out SMB messages
 *
 * A message is one chain of bio_vecs.  Its length marker, the protocol headers and
 * small payload stand in network memory that is allocated for the server's socket;
 * large payload is referred to where it lies:
 *
 *	marker | headers | payload | headers | payload ...
 *	`---- netmem ---'   refs     netmem     refs
 */

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bvecq.h>
#include <linux/net.h>
#include <linux/netfs.h>
#include <linux/pagemap.h>
#include <net/netmem_alloc.h>
#include <net/sock.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "smb2proto.h"
#include "transmit.h"

/* The connection's socket may go; its sock stays while there is a reference. */
static struct sock *smb_get_sock(struct TCP_Server_Info *server)
{
	struct sock *sk = NULL;

	spin_lock(&server->srv_lock);
	if (server->ssocket) {
		sk = server->ssocket->sk;
		sock_hold(sk);
	}
	spin_unlock(&server->srv_lock);
	return sk;
}

/**
 * smb_alloc_netmem - Allocate network memory to transmit to a server
 * @server: The connection; without a socket, as with RDMA, it is from the default
 *	pool
 * @len: Number of bytes
 *
 * It is what a message is made into, which is held meanwhile, so nothing of what is
 * held in reserve for messages is used.
 *
 * Context: Process context; may sleep, does not enter a filesystem.  Takes the
 * server's srv_lock.
 * Return: A chain of exactly @len bytes that the caller owns, or an ERR_PTR().
 */
struct bvecq *smb_alloc_netmem(struct TCP_Server_Info *server, size_t len)
{
	struct sock *sk = smb_get_sock(server);
	struct bvecq *bq = netmem_alloc_bvecq(sk, len, 0, GFP_NOFS | __GFP_NOMEMALLOC);

	if (sk)
		sock_put(sk);
	return bq;
}

/* Where @to stands, and how many bytes there are in one piece; NULL at the end. */
static void *smb_request_piece(struct bvecq_pos *to, size_t *len)
{
	const struct bio_vec *bv = bvecq_pos_bv(to);

	if (!bv)
		return NULL;
	*len = umin(*len, bv->bv_len - to->offset);
	return page_address(bv->bv_page) + bv->bv_offset + to->offset;
}

/**
 * smb_request_write - Fill in a part of a request
 * @to: Where to write; moved on
 * @from: What to write; NULL for zeros
 * @len: How many bytes; no more than the request has from @to on
 */
void smb_request_write(struct bvecq_pos *to, const void *from, size_t len)
{
	while (len) {
		size_t part = len;
		void *p = smb_request_piece(to, &part);

		if (WARN_ON_ONCE(!p))
			return;
		if (from) {
			memcpy(p, from, part);
			from += part;
		} else {
			memset(p, 0, part);
		}
		to->offset += part;
		len -= part;
	}
}
EXPORT_SYMBOL_IF_KUNIT(smb_request_write);

/* Copy what @from holds to where @to stands in network memory; moves @to on. */
static bool smb_fill_from_iter(struct bvecq_pos *to, const struct iov_iter *from)
{
	struct iov_iter iter = *from;

	while (iov_iter_count(&iter)) {
		size_t part = iov_iter_count(&iter);
		void *p = smb_request_piece(to, &part);

		if (!p || copy_from_iter(p, part, &iter) != part)
			return false;
		to->offset += part;
	}
	return true;
}

static void smb_fill_from_kvec(struct bvecq_pos *to, const struct kvec *iov,
			       unsigned int nvec)
{
	for (; nvec--; iov++)
		smb_request_write(to, iov->iov_base, iov->iov_len);
}

static size_t smb_kvec_len(const struct kvec *iov, unsigned int nvec)
{
	size_t len = 0;

	while (nvec--)
		len += iov[nvec].iov_len;
	return len;
}

/**
 * smb_copy_to_netmem - Copy bytes into network memory
 * @server: The connection that they will be sent on
 * @iov: The bytes, anywhere in kernel memory
 * @nvec: Number of entries in @iov
 *
 * Context: As smb_alloc_netmem().
 * Return: A chain that the caller owns, or an ERR_PTR().
 */
struct bvecq *smb_copy_to_netmem(struct TCP_Server_Info *server,
				 const struct kvec *iov, unsigned int nvec)
{
	struct bvecq *chain = smb_alloc_netmem(server, smb_kvec_len(iov, nvec));

	if (!IS_ERR(chain)) {
		struct bvecq_pos to = { .bq = chain };

		smb_fill_from_kvec(&to, iov, nvec);
	}
	return chain;
}

/* Folios of a bounce buffer nobody else has. */
static bool smb_folio_is_stable(struct folio *folio)
{
	const struct address_space *mapping = READ_ONCE(folio->mapping);

	return !mapping || (mapping_stable_writes(mapping) && !folio_maybe_dma_pinned(folio));
}

/*
 * Can nobody write to payload meanwhile?  The memory of direct I/O belongs to a
 * program that may do so at any time.  Page-cache folios are stable under writeback
 * where the connection signs, see cifs_set_ops(), unless the inode is older than a
 * reconnect that has brought that, or somebody holds a pin, who writes past the page
 * tables.
 */
static bool smb_payload_is_stable(const struct iov_iter *iter)
{
	size_t offset = iter->iov_offset, left = iov_iter_count(iter);
	const struct folio_queue *folioq = iter->folioq;
	unsigned int slot = iter->folioq_slot;

	if (!iov_iter_is_folioq(iter))
		return false;
	while (left) {
		size_t part;

		if (slot >= folioq_nr_slots(folioq)) {
			folioq = folioq->next;
			slot = 0;
		}
		part = umin(left, folioq_folio_size(folioq, slot) - offset);
		if (part && !smb_folio_is_stable(folioq_folio(folioq, slot)))
			return false;
		left -= part;
		offset = 0;
		slot++;
	}
	return true;
}

/*
 * A signature holds for the bytes it was made over, and a cipher that reads its
 * input twice has to find the same twice; where it seals, a connection does not ask
 * for folios to be stable.
 */
static bool smb_payload_may_change(const struct TCP_Server_Info *server,
				   const struct iov_iter *payload, int flags)
{
	if (flags & CIFS_TRANSFORM_REQ)
		return smb3_seal_rereads(server);
	return server->sign && !smb_payload_is_stable(payload);
}

/* Is it cheaper to copy payload into memory that is mapped than to map it? */
VISIBLE_IF_KUNIT bool smb_maps_are_costly(const struct sock *sk,
					  const struct bvecq *payload, size_t len)
{
	KUNIT_STATIC_STUB_REDIRECT(smb_maps_are_costly, sk, payload, len);

	return len / SMB_MAP_MIN < smb3_nr_pieces(payload) && sk && netmem_maps_are_costly(sk);
}
EXPORT_SYMBOL_IF_KUNIT(smb_maps_are_costly);

/* Refer to payload; NULL if it has to be copied. */
static struct bvecq *smb_refer_to_payload(struct TCP_Server_Info *server,
					  const struct iov_iter *payload, int flags)
{
	struct iov_iter iter = *payload;
	size_t len = iov_iter_count(&iter);
	struct bvecq *bq;
	ssize_t got;

	if (len <= SMB_COPY_MAX || smb_payload_may_change(server, payload, flags))
		return NULL;

	got = netfs_extract_iter(&iter, len, UINT_MAX,
				 NETFS_EXTRACT_REF | NETFS_EXTRACT_SPLICE,
				 GFP_NOFS, &bq);
	if (got == -EOPNOTSUPP)
		return NULL;
	if (got < 0)
		return ERR_PTR(got);
	/* Copying will do, or show why it cannot be read. */
	if (got < len) {
		bvecq_put(bq);
		return NULL;
	}
	return bq;
}

/*
 * Memory for headers, and for payload that is copied.  Payload that was going to be
 * referred to is let go of if copying is cheaper, and there is memory for that.
 */
static struct bvecq *smb_alloc_room(const struct smb_message *msg, struct sock *sk,
				    size_t hdr_len, size_t payload_len,
				    struct bvecq **referred)
{
	gfp_t gfp = GFP_NOFS;
	struct bvecq *room;

	if (*referred && smb_maps_are_costly(sk, *referred, payload_len)) {
		room = netmem_alloc_bvecq(sk, hdr_len + payload_len, 0,
					  GFP_NOFS | __GFP_NORETRY | __GFP_NOWARN |
					  __GFP_NOMEMALLOC);
		if (!IS_ERR(room)) {
			bvecq_put(*referred);
			*referred = NULL;
			return room;
		}
	}

	/* Who waits for what is held in reserve must not hold any of it. */
	if (msg->flags & CIFS_COMPOUNDABLE)
		gfp |= __GFP_NOMEMALLOC;
	return netmem_alloc_bvecq(sk, hdr_len + (*referred ? 0 : payload_len), 0, gfp);
}

/**
 * smb_message_alloc_request - Make room for a request's headers, add its payload
 * @server: The connection
 * @msg: The message, with its flags
 * @len: Number of bytes of headers, at least those of the protocol header
 * @payload: What follows them, or NULL; not modified
 *
 * The protocol header, which @msg->hdr points to, and what follows it are
 * contiguous for as long as they fit into a page; smb_request_write() reaches the
 * rest.  The headers are all zero.
 *
 * Payload that is small, that must not change while it is sent, or that the
 * network cannot refer to, is copied behind the headers; as is what would take many
 * costly mappings, while there is memory for that.  All other is referred to; the
 * message holds a reference on each folio, or on the bvecq that holds the pins of
 * direct I/O.
 *
 * Context: Process context; may sleep, does not enter a filesystem.
 * Return: 0; -ENOMEM, or -EIO if payload cannot be read.  The message owns what it
 * was given in either case.
 */
int smb_message_alloc_request(struct TCP_Server_Info *server,
			      struct smb_message *msg, size_t len,
			      const struct iov_iter *payload)
{
	size_t payload_len = payload ? iov_iter_count(payload) : 0;
	struct bvecq *referred = NULL, *request;
	struct sock *sk = smb_get_sock(server);
	struct bvecq_pos to;
	int rc = 0;

	if (payload_len) {
		referred = smb_refer_to_payload(server, payload, msg->flags);
		if (IS_ERR(referred)) {
			rc = PTR_ERR(referred);
			goto out;
		}
	}

	request = smb_alloc_room(msg, sk, SMB_MESSAGE_HEADROOM + len, payload_len, &referred);
	if (IS_ERR(request)) {
		bvecq_put(referred);
		rc = PTR_ERR(request);
		goto out;
	}
	msg->request = request;
	msg->hdr = bvecq_pull(request, SMB_MESSAGE_HEADROOM);
	msg->len = len + payload_len;

	to = (struct bvecq_pos){ .bq = request };
	smb_request_write(&to, NULL, len);
	msg->unstable = referred && !smb_payload_is_stable(payload);
	if (referred)
		bvecq_join(bvecq_tail(request), referred);
	else if (payload_len && !smb_fill_from_iter(&to, payload))
		rc = -EIO;
out:
	if (sk)
		sock_put(sk);
	return rc;
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_alloc_request);

/* What a message takes on the wire, without what stands before it. */
static size_t smb_message_wire_len(const struct smb_message *msg)
{
	return msg->len + msg->pad;
}

/**
 * smb_link_messages - Lay messages out as one chain
 * @head: The first of the compound, or the only one
 *
 * Each message is padded to where the next can begin, [MS-SMB2] section 3.2.4.1.4.
 * The padding and the length marker take the room in front of what follows.
 *
 * Return: 0, or -EMSGSIZE if the marker cannot express the length.
 */
int smb_link_messages(struct smb_message *head)
{
	struct smb_message *msg, *next;
	struct smb2_hdr *hdr;
	size_t total = 0;

	for (msg = head; (next = msg->next); msg = next) {
		msg->pad = ALIGN(msg->len, SMB2_COMPOUND_ALIGN) - msg->len;
		hdr = msg->hdr;
		hdr->NextCommand = cpu_to_le32(smb_message_wire_len(msg));
		if (next->related) {
			hdr = next->hdr;
			hdr->Flags |= SMB2_FLAGS_RELATED_OPERATIONS;
		}

		next->front = msg->pad;
		if (msg->pad)
			memset(bvecq_push(next->request, msg->pad), 0, msg->pad);
		bvecq_join(bvecq_tail(msg->request), bvecq_get(next->request));
		total += smb_message_wire_len(msg);
	}
	total += msg->len;

	if (total > SMB_MARKER_MAX)
		return -EMSGSIZE;
	put_unaligned_be32(total, bvecq_push(head->request, SMB_MARKER_LEN));
	head->front = SMB_MARKER_LEN;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(smb_link_messages);

/**
 * smb_message_rest - Find what is signed behind a request's protocol header
 * @msg: The message, linked
 * @hdr_len: Number of bytes in the protocol header
 * @rest: Where to put an iterator over it, padding and all
 */
void smb_message_rest(const struct smb_message *msg, size_t hdr_len,
		      struct iov_iter *rest)
{
	iov_iter_bvec_queue(rest, ITER_SOURCE, msg->request, 0, msg->front + hdr_len,
			    smb_message_wire_len(msg) - hdr_len);
}
EXPORT_SYMBOL_IF_KUNIT(smb_message_rest);

/**
 * smb_hash_message - Take a request into the preauthentication hash
 * @ses: The session that is being set up
 * @server: The connection
 * @msg: The message
 *
 * Context: Process context, server lock held; may sleep.
 */
void smb_hash_message(struct cifs_ses *ses, struct TCP_Server_Info *server,
		      const struct smb_message *msg)
{
	struct kvec iov = { msg->hdr, msg->len };
	void *flat = NULL;

	if (msg->front + msg->len > msg->request->bv[0].bv_len) {
		struct iov_iter iter;

		flat = kvmalloc(msg->len, GFP_NOFS | __GFP_NOFAIL);
		iov_iter_bvec_queue(&iter, ITER_SOURCE, msg->request, 0,
				    msg->front, msg->len);
		iov.iov_len = copy_from_iter(flat, msg->len, &iter);
		iov.iov_base = flat;
	}
	smb311_update_preauth_hash(ses, server, &iov, 1);
	kvfree(flat);
}
