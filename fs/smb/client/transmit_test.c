// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the layout and the sealing of SMB messages
 */

#include <crypto/aead.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bvecq.h>
#include <linux/folio_queue.h>
#include <linux/scatterlist.h>
#include <net/netmem_alloc.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "../common/compress/lz77.h"
#include "compress.h"
#include "message.h"
#include "smb2proto.h"
#include "transmit.h"

#define MAX_PDUS	64

enum payload_kind {
	PAYLOAD_KVEC,		/* kernel memory */
	PAYLOAD_SLAB,		/* pages of the slab allocator in a bvec */
	PAYLOAD_PAGES,		/* single pages in a bvec */
	PAYLOAD_FOLIO,		/* two large folios in a folio queue */
};

struct layout_case {
	const char		*name;
	enum payload_kind	kind;
	int			nr_pdus;
	size_t			payload[MAX_PDUS];
	size_t			offset;		/* of the payload in its first page */
	u8			clear;		/* bits that are so in each byte */
};

static const struct layout_case layout_cases[] = {
	{ "headers only",		PAYLOAD_KVEC,	1, { 0 } },
	{ "compound of headers",	PAYLOAD_KVEC,	5, { 0 } },
	{ "one byte",			PAYLOAD_PAGES,	1, { 1 } },
	{ "largest that is copied",	PAYLOAD_PAGES,	1, { SMB_COPY_MAX } },
	{ "smallest that is not",	PAYLOAD_PAGES,	1, { SMB_COPY_MAX + 1 } },
	{ "64 KiB of pages",		PAYLOAD_PAGES,	1, { SZ_64K } },
	{ "odd offset and length",	PAYLOAD_PAGES,	1, { SZ_64K + 13 }, 77 },
	{ "1 MiB of pages",		PAYLOAD_PAGES,	1, { SZ_1M } },
	{ "2 MiB of pages",		PAYLOAD_PAGES,	1, { SZ_2M } },
	{ "large folios",		PAYLOAD_FOLIO,	1, { SZ_128K } },
	{ "part of large folios",	PAYLOAD_FOLIO,	1, { SZ_64K - 5 }, 4099 },
	{ "kernel memory",		PAYLOAD_KVEC,	1, { SZ_128K + 3 } },
	{ "slab memory",		PAYLOAD_SLAB,	1, { SZ_16K } },
	{ "compound with payload",	PAYLOAD_PAGES,	3, { SZ_8K, 0, 100 } },
	{ "payload in the middle",	PAYLOAD_PAGES,	3, { 0, SZ_8K + 1, 0 } },
	{ "payload everywhere",		PAYLOAD_PAGES,	5,
	  { SZ_8K, SZ_8K, 10, SZ_16K, SZ_64K } },
	{ "64 of headers",		PAYLOAD_KVEC,	64, { 0 } },
	{ "64 of everything",		PAYLOAD_PAGES,	64,
	  { [0 ... 9] = 100, [20] = SZ_8K, [41 ... 43] = SZ_16K + 1, [63] = SZ_64K } },
};

KUNIT_ARRAY_PARAM_DESC(layout, layout_cases, name);

/* What a compound is made of, and what it has to look like on the wire. */
struct message {
	struct TCP_Server_Info	server;
	struct smb_message	*msg[MAX_PDUS];
	struct iov_iter		payload[MAX_PDUS];
	struct kvec		iov[MAX_PDUS][2];
	struct page		*first[MAX_PDUS];	/* of the payload */
	u8			*image;
	size_t			len;
};

KUNIT_DEFINE_ACTION_WRAPPER(put_page_action, put_page, struct page *);
KUNIT_DEFINE_ACTION_WRAPPER(folio_put_action, folio_put, struct folio *);
KUNIT_DEFINE_ACTION_WRAPPER(bvecq_put_action, bvecq_put, struct bvecq *);
KUNIT_DEFINE_ACTION_WRAPPER(kvfree_action, kvfree, const void *);
KUNIT_DEFINE_ACTION_WRAPPER(free_aead_action, crypto_free_aead, struct crypto_aead *);

static void fill_pattern(u8 *p, size_t len, u32 *seed, u8 clear)
{
	while (len--) {
		*seed = *seed * 1664525 + 1013904223;
		*p++ = (*seed >> 24) & ~clear;
	}
}

static void make_payload(struct kunit *test, struct message *m, int pdu,
			 enum payload_kind kind, const u8 *data, size_t len,
			 size_t offset)
{
	unsigned int nr = DIV_ROUND_UP(offset + len, PAGE_SIZE);
	struct iov_iter *iter = &m->payload[pdu];
	const size_t total = len;
	struct folio_queue *fq;
	struct bio_vec *bv;
	struct folio *folio;
	struct kvec *kv;
	void *p;

	switch (kind) {
	case PAYLOAD_KVEC:
		kv = kunit_kzalloc(test, sizeof(*kv), GFP_KERNEL);
		p = kunit_kmalloc(test, len, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, kv);
		KUNIT_ASSERT_NOT_NULL(test, p);
		memcpy(p, data, len);
		*kv = (struct kvec){ p, len };
		iov_iter_kvec(iter, ITER_SOURCE, kv, 1, len);
		break;

	case PAYLOAD_SLAB:
		/* Half a page each, so that no piece has a page of its own. */
		nr = DIV_ROUND_UP(len, PAGE_SIZE / 2);
		bv = kunit_kcalloc(test, nr, sizeof(*bv), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, bv);
		for (int i = 0; i < nr; i++) {
			size_t part = min_t(size_t, len, PAGE_SIZE / 2);

			p = kunit_kmalloc(test, part, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, p);
			memcpy(p, data, part);
			bvec_set_virt(&bv[i], p, part);
			data += part;
			len -= part;
		}
		m->first[pdu] = bv[0].bv_page;
		iov_iter_bvec(iter, ITER_SOURCE, bv, nr, total);
		break;

	case PAYLOAD_PAGES:
		bv = kunit_kcalloc(test, nr, sizeof(*bv), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, bv);
		for (int i = 0; i < nr; i++) {
			size_t part = min_t(size_t, len, PAGE_SIZE - offset);
			struct page *page = alloc_page(GFP_KERNEL);

			KUNIT_ASSERT_NOT_NULL(test, page);
			kunit_add_action(test, put_page_action, page);
			memcpy(page_address(page) + offset, data, part);
			bvec_set_page(&bv[i], page, part, offset);
			data += part;
			len -= part;
			offset = 0;
		}
		m->first[pdu] = bv[0].bv_page;
		iov_iter_bvec(iter, ITER_SOURCE, bv, nr, total);
		break;

	case PAYLOAD_FOLIO:
		fq = kunit_kzalloc(test, sizeof(*fq), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, fq);
		folioq_init(fq, 0);
		for (size_t done = 0, at = offset, part; done < len; done += part, at = 0) {
			folio = folio_alloc(GFP_KERNEL, get_order(offset + len) - 1);
			KUNIT_ASSERT_NOT_NULL(test, folio);
			kunit_add_action(test, folio_put_action, folio);
			folioq_append(fq, folio);
			part = umin(len - done, folio_size(folio) - at);
			memcpy(folio_address(folio) + at, data + done, part);
			if (!done)
				m->first[pdu] = folio_page(folio, at / PAGE_SIZE);
		}
		iov_iter_folio_queue(iter, ITER_SOURCE, fq, 0, offset, len);
		break;
	}
}

static struct message *make_message(struct kunit *test, const struct layout_case *c)
{
	struct message *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	u32 seed = 1;
	u8 *p;

	KUNIT_ASSERT_NOT_NULL(test, m);
	spin_lock_init(&m->server.srv_lock);

	m->len = SMB_MARKER_LEN;
	for (int i = 0; i < c->nr_pdus; i++) {
		size_t len = sizeof(struct smb2_hdr) + 24 + i + c->payload[i];

		m->len += i < c->nr_pdus - 1 ? ALIGN(len, SMB2_COMPOUND_ALIGN) : len;
	}
	m->image = kvmalloc(m->len, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->image);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, kvfree_action, m->image));

	p = m->image;
	*(__be32 *)p = cpu_to_be32(m->len - SMB_MARKER_LEN);
	p += SMB_MARKER_LEN;
	fill_pattern(p, m->len - SMB_MARKER_LEN, &seed, c->clear);

	for (int i = 0; i < c->nr_pdus; i++) {
		struct smb2_hdr *hdr = (struct smb2_hdr *)p;
		u8 *end;

		hdr->Flags &= ~SMB2_FLAGS_RELATED_OPERATIONS;
		m->iov[i][0] = (struct kvec){ p, sizeof(struct smb2_hdr) };
		p += m->iov[i][0].iov_len;
		m->iov[i][1] = (struct kvec){ p, 24 + i };
		p += m->iov[i][1].iov_len;
		if (c->payload[i])
			make_payload(test, m, i, c->kind, p, c->payload[i], c->offset);
		p += c->payload[i];

		m->msg[i] = kunit_kzalloc(test, sizeof(*m->msg[i]), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, m->msg[i]);
		/* One is not related, in the middle. */
		m->msg[i]->related = i && i != 2;

		if (i == c->nr_pdus - 1)
			break;
		end = (u8 *)hdr + ALIGN(p - (u8 *)hdr, SMB2_COMPOUND_ALIGN);
		memset(p, 0, end - p);
		p = end;
	}
	return m;
}

static void expect_bytes(struct kunit *test, struct bvecq *chain, const void *image,
			 size_t len)
{
	struct iov_iter iter;
	void *got = kvmalloc(len, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, got);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, kvfree_action, got));

	KUNIT_EXPECT_EQ(test, len, bvecq_bytes(chain));
	iov_iter_bvec_queue(&iter, ITER_SOURCE, chain, 0, 0, len);
	KUNIT_EXPECT_EQ(test, len, copy_from_iter(got, len, &iter));
	KUNIT_EXPECT_TRUE_MSG(test, !memcmp(got, image, len), "the bytes differ");
}

static bool refers_to(const struct bvecq *bq, const struct page *page)
{
	for (; bq; bq = bvecq_next(bq)) {
		for (unsigned int i = 0; i < bvecq_nr_slots(bq); i++) {
			const struct bio_vec *bv = &bq->bv[i];
			size_t end = bv->bv_offset + bv->bv_len;

			if (page >= bv->bv_page &&
			    page < bv->bv_page + DIV_ROUND_UP(end, PAGE_SIZE))
				return true;
		}
	}
	return false;
}

/* Lay the compound out; the encoder's headers become what the wire shows. */
static struct bvecq *build(struct kunit *test, struct message *m, int nr_pdus)
{
	struct smb2_hdr *hdr = (void *)m->image + SMB_MARKER_LEN;

	for (int i = 0; i < nr_pdus; i++) {
		struct smb_message *msg = m->msg[i];
		size_t len = m->iov[i][0].iov_len + m->iov[i][1].iov_len;
		struct bvecq_pos to;

		KUNIT_ASSERT_EQ(test, 0, smb_message_alloc_request(&m->server, msg, len,
								   &m->payload[i]));
		KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, bvecq_put_action,
								   msg->request));
		to = (struct bvecq_pos){ .bq = msg->request };
		for (int j = 0; j < 2; j++)
			smb_request_write(&to, m->iov[i][j].iov_base, m->iov[i][j].iov_len);
		KUNIT_EXPECT_EQ(test, msg->len, len + iov_iter_count(&m->payload[i]));
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)msg->hdr, 4));
		if (i)
			m->msg[i - 1]->next = msg;
	}
	KUNIT_ASSERT_EQ(test, 0, smb_link_messages(m->msg[0]));

	for (int i = 0; i < nr_pdus - 1; i++) {
		u32 next = ALIGN(m->msg[i]->len, SMB2_COMPOUND_ALIGN);

		hdr->NextCommand = cpu_to_le32(next);
		hdr = (void *)hdr + next;
		if (m->msg[i + 1]->related)
			hdr->Flags |= SMB2_FLAGS_RELATED_OPERATIONS;
	}
	return m->msg[0]->request;
}

/* The bytes are those of the request, large payload is not copied, slab is. */
static void test_layout(struct kunit *test)
{
	const struct layout_case *c = test->param_value;
	struct message *m = make_message(test, c);
	struct bvecq *chain = build(test, m, c->nr_pdus);

	expect_bytes(test, chain, m->image, m->len);

	for (int i = 0; i < c->nr_pdus; i++) {
		bool by_ref = c->payload[i] > SMB_COPY_MAX &&
			(c->kind == PAYLOAD_PAGES || c->kind == PAYLOAD_FOLIO);

		KUNIT_EXPECT_EQ(test, c->payload[i], iov_iter_count(&m->payload[i]));
		if (c->payload[i] && c->kind != PAYLOAD_KVEC)
			KUNIT_EXPECT_EQ_MSG(test, by_ref, refers_to(chain, m->first[i]),
					    "payload of PDU %d", i);
		/* Page-cache folios are stable. */
		KUNIT_EXPECT_EQ(test, by_ref && c->kind != PAYLOAD_FOLIO,
				m->msg[i]->unstable);
	}
}

static void test_too_long(struct kunit *test)
{
	static const struct layout_case c = { "", PAYLOAD_KVEC, 1, { 0 } };
	struct message *m = make_message(test, &c);

	build(test, m, 1);
	m->msg[0]->len = SMB_MARKER_MAX + 1;
	KUNIT_EXPECT_EQ(test, -EMSGSIZE, smb_link_messages(m->msg[0]));
}

/* Payload of a program's is copied where a signature or CCM depends on it. */
static void test_copy_payload(struct kunit *test)
{
	static const struct {
		enum payload_kind	kind;
		bool			sign;
		int			flags;
		__le16			cipher;
		bool			copied;
		enum { STABLE, OLD_INODE, PINNED } owner;
	} cases[] = {
		{ PAYLOAD_PAGES, false, 0, 0, false },
		{ PAYLOAD_PAGES, true, 0, 0, true },
		{ PAYLOAD_FOLIO, true, 0, 0, false },
		{ PAYLOAD_FOLIO, true, 0, 0, true, OLD_INODE },
		{ PAYLOAD_FOLIO, false, 0, 0, false, OLD_INODE },
		{ PAYLOAD_FOLIO, true, 0, 0, true, PINNED },
		{ PAYLOAD_FOLIO, false, 0, 0, false, PINNED },
		{ PAYLOAD_PAGES, false, CIFS_TRANSFORM_REQ, SMB2_ENCRYPTION_AES128_GCM, false },
		{ PAYLOAD_PAGES, false, CIFS_TRANSFORM_REQ, SMB2_ENCRYPTION_AES128_CCM, true },
		{ PAYLOAD_FOLIO, false, CIFS_TRANSFORM_REQ, SMB2_ENCRYPTION_AES256_CCM, true },
		{ PAYLOAD_FOLIO, true, CIFS_TRANSFORM_REQ, SMB2_ENCRYPTION_AES256_GCM, false },
	};

	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct layout_case c = { "", cases[i].kind, 1, { SZ_64K } };
		struct message *m = make_message(test, &c);
		struct address_space mapping = {};
		struct folio *folio[2] = {};
		struct bvecq *chain;

		if (cases[i].owner != STABLE) {
			for (int k = 0; k < 2; k++) {
				folio[k] = folioq_folio(m->payload[0].folioq, k);
				folio[k]->mapping = &mapping;
			}
		}
		if (cases[i].owner == PINNED) {
			mapping_set_stable_writes(&mapping);
			atomic_inc(&folio[1]->_pincount);
		}
		m->server.sign = cases[i].sign;
		m->server.cipher_type = cases[i].cipher;
		m->msg[0]->flags = cases[i].flags;

		chain = build(test, m, 1);
		expect_bytes(test, chain, m->image, m->len);
		KUNIT_EXPECT_EQ_MSG(test, refers_to(chain, m->first[0]),
				    !cases[i].copied, "case %d", i);
		if (cases[i].owner == PINNED)
			atomic_dec(&folio[1]->_pincount);
		for (int k = 0; k < 2 && folio[k]; k++)
			folio[k]->mapping = NULL;
		KUNIT_EXPECT_EQ(test, m->msg[0]->unstable,
				!cases[i].copied && (cases[i].kind == PAYLOAD_PAGES ||
						     cases[i].owner != STABLE));
	}
}

static bool all_maps_are_costly(const struct sock *sk, const struct bvecq *payload, size_t len)
{
	return true;
}

/* There is memory for headers only. */
static struct bvecq *alloc_no_payload(const struct sock *sk, size_t len, unsigned int hints,
				      gfp_t gfp)
{
	struct bvecq *bq;

	if (len > SZ_4K)
		return ERR_PTR(-ENOMEM);
	kunit_deactivate_static_stub(kunit_get_current_test(), netmem_alloc_bvecq);
	bq = netmem_alloc_bvecq(sk, len, hints, gfp);
	kunit_activate_static_stub(kunit_get_current_test(), netmem_alloc_bvecq,
				   alloc_no_payload);
	return bq;
}

/* Payload that takes many costly mappings is copied, if there is memory for that. */
static void test_costly_maps(struct kunit *test)
{
	static const struct layout_case c = { "", PAYLOAD_PAGES, 1, { SZ_64K } };
	struct message *copied = make_message(test, &c), *referred = make_message(test, &c);

	kunit_activate_static_stub(test, smb_maps_are_costly, all_maps_are_costly);
	build(test, copied, 1);
	expect_bytes(test, copied->msg[0]->request, copied->image, copied->len);
	KUNIT_EXPECT_FALSE(test, refers_to(copied->msg[0]->request, copied->first[0]));
	KUNIT_EXPECT_FALSE(test, copied->msg[0]->unstable);

	kunit_activate_static_stub(test, netmem_alloc_bvecq, alloc_no_payload);
	build(test, referred, 1);
	expect_bytes(test, referred->msg[0]->request, referred->image, referred->len);
	KUNIT_EXPECT_TRUE(test, refers_to(referred->msg[0]->request, referred->first[0]));
	KUNIT_EXPECT_TRUE(test, referred->msg[0]->unstable);
}

/* What signs a message gets all of it, its padding too, and nothing else. */
static void test_signed_bytes(struct kunit *test)
{
	static const struct layout_case c = {
		"", PAYLOAD_PAGES, 4, { 0, SZ_8K + 3, 100, 0 }
	};
	struct message *m = make_message(test, &c);
	const u8 *p = m->image + SMB_MARKER_LEN;

	build(test, m, c.nr_pdus);
	for (int i = 0; i < c.nr_pdus; i++) {
		const size_t hdr_len = sizeof(struct smb2_hdr);
		size_t len = m->msg[i]->len, total;
		struct iov_iter rest;
		u8 *got;

		if (i < c.nr_pdus - 1)
			len = ALIGN(len, SMB2_COMPOUND_ALIGN);
		smb_message_rest(m->msg[i], hdr_len, &rest);
		total = hdr_len + iov_iter_count(&rest);
		KUNIT_ASSERT_EQ(test, len, total);

		got = kunit_kmalloc(test, len, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, got);
		memcpy(got, m->msg[i]->hdr, hdr_len);
		total -= hdr_len;
		KUNIT_EXPECT_EQ(test, total, copy_from_iter(got + hdr_len, total, &rest));
		KUNIT_EXPECT_TRUE_MSG(test, !memcmp(got, p, len), "PDU %d", i);
		p += len;
	}
}

struct cipher_case {
	const char	*name;
	const char	*alg;
	__le16		type;
	unsigned int	key_len;
};

static const struct cipher_case cipher_cases[] = {
	{ "AES-128-CCM", "ccm(aes)", SMB2_ENCRYPTION_AES128_CCM, SMB3_GCM128_CRYPTKEY_SIZE },
	{ "AES-128-GCM", "gcm(aes)", SMB2_ENCRYPTION_AES128_GCM, SMB3_GCM128_CRYPTKEY_SIZE },
	{ "AES-256-CCM", "ccm(aes)", SMB2_ENCRYPTION_AES256_CCM, SMB3_GCM256_CRYPTKEY_SIZE },
	{ "AES-256-GCM", "gcm(aes)", SMB2_ENCRYPTION_AES256_GCM, SMB3_GCM256_CRYPTKEY_SIZE },
};

KUNIT_ARRAY_PARAM_DESC(cipher, cipher_cases, name);

/* Undo what was sealed with nothing but the cipher, on one flat buffer. */
static int unseal(struct kunit *test, const struct cipher_case *c, const u8 *key,
		  const u8 *wire, u8 *plain, size_t len)
{
	const struct smb2_transform_hdr *tr = (void *)wire + SMB_MARKER_LEN;
	struct crypto_aead *tfm = crypto_alloc_aead(c->alg, 0, 0);
	const size_t aad = SMB3_AAD_LEN;
	DECLARE_CRYPTO_WAIT(wait);
	struct aead_request *req;
	struct scatterlist sg;
	u8 *buf, *iv;
	int rc;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, tfm);
	kunit_add_action(test, free_aead_action, tfm);
	KUNIT_ASSERT_EQ(test, 0, crypto_aead_setkey(tfm, key, c->key_len));
	KUNIT_ASSERT_EQ(test, 0, crypto_aead_setauthsize(tfm, SMB2_SIGNATURE_SIZE));

	buf = kunit_kmalloc(test, aad + len + SMB2_SIGNATURE_SIZE, GFP_KERNEL);
	iv = kunit_kzalloc(test, 16, GFP_KERNEL);
	req = kunit_kzalloc(test, sizeof(*req) + crypto_aead_reqsize(tfm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_ASSERT_NOT_NULL(test, iv);
	KUNIT_ASSERT_NOT_NULL(test, req);

	memcpy(buf, (const u8 *)tr + SMB3_AAD_OFFSET, aad);
	memcpy(buf + aad, tr + 1, len);
	memcpy(buf + aad + len, tr->Signature, SMB2_SIGNATURE_SIZE);
	if (c->alg[0] == 'c') {
		iv[0] = 3;
		memcpy(iv + 1, tr->Nonce, SMB3_AES_CCM_NONCE);
	} else {
		memcpy(iv, tr->Nonce, SMB3_AES_GCM_NONCE);
	}

	sg_init_one(&sg, buf, aad + len + SMB2_SIGNATURE_SIZE);
	aead_request_set_tfm(req, tfm);
	aead_request_set_callback(req, 0, crypto_req_done, &wait);
	aead_request_set_crypt(req, &sg, &sg, len + SMB2_SIGNATURE_SIZE, iv);
	aead_request_set_ad(req, aad);
	rc = crypto_wait_req(crypto_aead_decrypt(req), &wait);
	memcpy(plain, buf + aad, len);
	return rc;
}

static const struct layout_case sealed_layout = {
	"", PAYLOAD_PAGES, 3, { SZ_128K + 5, 0, 100 }, 33
};

#define SEALED_HDR_LEN	(SMB_MARKER_LEN + sizeof(struct smb2_transform_hdr))

/* Give the message's connection its session, and a cipher; the keys are alike. */
static struct cifs_ses *make_session(struct kunit *test, struct message *m,
				     const struct cipher_case *c)
{
	struct cifs_ses *ses = kunit_kzalloc(test, sizeof(*ses), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ses);
	spin_lock_init(&ses->ses_lock);
	ses->Suid = le64_to_cpu(((struct smb2_hdr *)(m->image + SMB_MARKER_LEN))->SessionId);
	memset(ses->smb3encryptionkey, 0x5a, sizeof(ses->smb3encryptionkey));
	memset(ses->smb3decryptionkey, 0x5a, sizeof(ses->smb3decryptionkey));
	INIT_LIST_HEAD(&m->server.smb_ses_list);
	list_add(&ses->smb_ses_list, &m->server.smb_ses_list);
	m->server.cipher_type = c->type;
	m->server.secmech.enc = crypto_alloc_aead(c->alg, 0, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, m->server.secmech.enc);
	kunit_add_action(test, free_aead_action, m->server.secmech.enc);
	return ses;
}

/* Seal the message; the result, its marker first, in one piece. */
static u8 *make_sealed(struct kunit *test, struct message *m, const struct cifs_ses *ses)
{
	size_t len = SEALED_HDR_LEN + m->len - SMB_MARKER_LEN;
	struct bvecq *plain = build(test, m, sealed_layout.nr_pdus), *sealed;
	struct iov_iter iter;
	u8 *wire;

	sealed = smb3_seal(&m->server, plain, cpu_to_le64(ses->Suid));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sealed);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, bvecq_put_action, sealed));
	expect_bytes(test, plain, m->image, m->len);

	wire = kunit_kmalloc(test, len, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, wire);
	KUNIT_EXPECT_EQ(test, len, bvecq_bytes(sealed));
	iov_iter_bvec_queue(&iter, ITER_SOURCE, sealed, 0, 0, len);
	KUNIT_ASSERT_EQ(test, len, copy_from_iter(wire, len, &iter));
	return wire;
}

/* What is sealed can be opened, and the plain message is left as it was. */
static void test_seal(struct kunit *test)
{
	const struct cipher_case *c = test->param_value;
	struct message *m = make_message(test, &sealed_layout);
	struct cifs_ses *ses = make_session(test, m, c);
	u8 *wire = make_sealed(test, m, ses), *opened;
	size_t len = m->len - SMB_MARKER_LEN;
	struct smb2_transform_hdr *tr;

	opened = kunit_kmalloc(test, len, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, opened);

	tr = (void *)wire + SMB_MARKER_LEN;
	KUNIT_EXPECT_EQ(test, be32_to_cpup((__be32 *)wire), sizeof(*tr) + len);
	KUNIT_EXPECT_TRUE(test, tr->ProtocolId == SMB2_TRANSFORM_PROTO_NUM);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(tr->OriginalMessageSize), len);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(tr->SessionId), ses->Suid);

	KUNIT_EXPECT_EQ(test, 0, unseal(test, c, ses->smb3encryptionkey, wire, opened, len));
	KUNIT_EXPECT_TRUE(test, !memcmp(opened, m->image + SMB_MARKER_LEN, len));

	/* The header is authenticated along with the message. */
	tr->SessionId ^= cpu_to_le64(1);
	KUNIT_EXPECT_EQ(test, -EBADMSG,
			unseal(test, c, ses->smb3encryptionkey, wire, opened, len));
}

/* A sealed message is opened where it lies, however much of it is in pages. */
static void test_unseal(struct kunit *test)
{
	const size_t hdr = sizeof(struct smb2_transform_hdr);
	struct message *m = make_message(test, &sealed_layout);
	struct cifs_ses *ses = make_session(test, m, test->param_value);
	struct crypto_aead *tfm = m->server.secmech.enc;
	u8 *wire = make_sealed(test, m, ses) + SMB_MARKER_LEN;
	const u8 *plain = m->image + SMB_MARKER_LEN;
	size_t len = m->len - SMB_MARKER_LEN;
	const size_t firsts[] = { len, 80, 1, len - 1 };

	for (int i = 0; i < ARRAY_SIZE(firsts); i++) {
		size_t first = firsts[i], rest = len - first;
		struct bvecq *payload = rest ? netfs_alloc_buffer(rest, GFP_KERNEL) : NULL;
		struct smb2_transform_hdr *tr = kunit_kmalloc(test, hdr + first, GFP_KERNEL);
		u8 *opened = (u8 *)(tr + 1), *last;
		struct iov_iter iter;

		KUNIT_ASSERT_FALSE(test, IS_ERR(payload));
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, bvecq_put_action, payload));
		KUNIT_ASSERT_NOT_NULL(test, tr);
		for (int bad = 1; bad >= 0; bad--) {
			memcpy(tr, wire, hdr + first);
			last = opened;
			if (rest) {
				iov_iter_bvec_queue(&iter, ITER_DEST, payload, 0, 0, rest);
				KUNIT_ASSERT_EQ(test, rest,
						copy_to_iter(wire + hdr + first, rest, &iter));
				last = bvec_virt(payload->bv);
			}
			*last ^= bad;
			KUNIT_EXPECT_EQ(test, bad ? -EBADMSG : 0,
					smb3_unseal(&m->server, tfm, tr, first, payload));
		}
		KUNIT_EXPECT_TRUE(test, !memcmp(opened, plain, first));
		if (rest)
			expect_bytes(test, payload, plain + first, rest);

		/* Not as long as it says, and of nobody's. */
		memcpy(tr, wire, hdr + first);
		KUNIT_EXPECT_EQ(test, -EBADMSG,
				smb3_unseal(&m->server, tfm, tr, first - 1, payload));
		le64_add_cpu(&tr->SessionId, 1);
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				smb3_unseal(&m->server, tfm, tr, first, payload));
	}
}

static const struct layout_case compress_cases[] = {
	{ "a page",			PAYLOAD_PAGES,	1, { SZ_4K }, 0, 0xfc },
	{ "pages, not aligned",		PAYLOAD_PAGES,	1, { SZ_64K + 13 }, 77, 0xfc },
	{ "1 MiB of pages",		PAYLOAD_PAGES,	1, { SZ_1M }, 0, 0xfc },
	{ "large folios",		PAYLOAD_FOLIO,	1, { SZ_128K }, 0, 0xfc },
	{ "part of large folios",	PAYLOAD_FOLIO,	1, { SZ_64K - 5 }, 4099, 0xfc },
	{ "4 MiB of zeros",		PAYLOAD_FOLIO,	1, { SZ_4M }, 0, 0xff },
	{ "kernel memory",		PAYLOAD_KVEC,	1, { SZ_128K + 3 }, 0, 0xfc },
	{ "slab memory",		PAYLOAD_SLAB,	1, { SZ_16K }, 0, 0xfc },
	{ "a page of noise",		PAYLOAD_PAGES,	1, { SZ_4K } },
	{ "1 MiB of noise",		PAYLOAD_PAGES,	1, { SZ_1M } },
};

KUNIT_ARRAY_PARAM_DESC(compress, compress_cases, name);

/* What is compressed can be expanded, takes no more memory than it has to, and is
 * sent as it is if that is shorter.
 */
static void test_compress(struct kunit *test)
{
	const size_t hdr_len = sizeof(struct smb2_hdr) + 24;
	const struct layout_case *c = test->param_value;
	const size_t front = SMB_MARKER_LEN + sizeof(struct smb2_compression_hdr) + hdr_len;

	if (!IS_ENABLED(CONFIG_CIFS_COMPRESSION))
		kunit_skip(test, "takes CIFS_COMPRESSION");

	for (int unstable = 0; unstable < 2; unstable++) {
		struct message *m = make_message(test, c);
		struct bvecq *plain = build(test, m, 1), *out;
		const u8 *payload = m->image + SMB_MARKER_LEN + hdr_len;
		struct smb2_compression_hdr *hdr;
		unsigned int nr = 0;
		struct iov_iter iter;
		u8 *wire, *expanded;
		size_t len;

		out = smb_compress(&m->server, plain, hdr_len, unstable);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, out);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, bvecq_put_action, out));
		expect_bytes(test, plain, m->image, m->len);
		KUNIT_EXPECT_EQ(test, !c->clear, out == plain);
		if (out == plain)
			continue;

		len = bvecq_bytes(out);
		KUNIT_EXPECT_LT(test, len, m->len);
		for (struct bvecq *bq = out; bq; bq = bvecq_next(bq))
			nr += bvecq_nr_slots(bq);
		KUNIT_EXPECT_LE(test, nr, DIV_ROUND_UP(len, PAGE_SIZE));

		wire = kvmalloc(len, GFP_KERNEL);
		expanded = kvzalloc(c->payload[0], GFP_KERNEL);
		kunit_add_action(test, kvfree_action, wire);
		kunit_add_action(test, kvfree_action, expanded);
		KUNIT_ASSERT_NOT_NULL(test, wire);
		KUNIT_ASSERT_NOT_NULL(test, expanded);
		iov_iter_bvec_queue(&iter, ITER_SOURCE, out, 0, 0, len);
		KUNIT_ASSERT_EQ(test, len, copy_from_iter(wire, len, &iter));

		hdr = (void *)wire + SMB_MARKER_LEN;
		KUNIT_EXPECT_EQ(test, len - SMB_MARKER_LEN, be32_to_cpup((__be32 *)wire));
		KUNIT_EXPECT_TRUE(test, hdr->ProtocolId == SMB2_COMPRESSION_TRANSFORM_ID);
		KUNIT_EXPECT_EQ(test, c->payload[0],
				le32_to_cpu(hdr->OriginalCompressedSegmentSize));
		KUNIT_EXPECT_EQ(test, hdr_len, le32_to_cpu(hdr->Offset));
		KUNIT_EXPECT_TRUE(test, !memcmp(hdr + 1, m->image + SMB_MARKER_LEN, hdr_len));
		KUNIT_EXPECT_EQ(test, 0, smb_lz77_decompress(wire + front, len - front, expanded,
							     c->payload[0]));
		KUNIT_EXPECT_TRUE(test, !memcmp(expanded, payload, c->payload[0]));
	}
}

static struct kunit_case transmit_cases[] = {
	KUNIT_CASE_PARAM(test_layout, layout_gen_params),
	KUNIT_CASE(test_too_long),
	KUNIT_CASE(test_copy_payload),
	KUNIT_CASE(test_costly_maps),
	KUNIT_CASE(test_signed_bytes),
	KUNIT_CASE_PARAM(test_seal, cipher_gen_params),
	KUNIT_CASE_PARAM(test_unseal, cipher_gen_params),
	KUNIT_CASE_PARAM(test_compress, compress_gen_params),
	{}
};

static struct kunit_suite transmit_suite = {
	.name = "smb_transmit",
	.test_cases = transmit_cases,
};

kunit_test_suite(transmit_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests of the layout and the sealing of SMB messages");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
