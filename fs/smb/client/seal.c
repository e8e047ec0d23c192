// SPDX-License-Identifier: GPL-2.0
/*
 * Encryption of SMB3 messages, [MS-SMB2] section 3.1.4.3
 */

#include <crypto/aead.h>
#include <kunit/visibility.h>
#include <linux/bvecq.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "cifs_debug.h"
#include "smb2proto.h"
#include "transmit.h"

/* What stands before the cipher text. */
#define SMB3_SEALED_HDR_LEN	(SMB_MARKER_LEN + sizeof(struct smb2_transform_hdr))

static bool smb3_cipher_is_gcm(const struct TCP_Server_Info *server)
{
	return server->cipher_type == SMB2_ENCRYPTION_AES128_GCM ||
	       server->cipher_type == SMB2_ENCRYPTION_AES256_GCM;
}

/**
 * smb3_seal_rereads - Whether sealing reads a message more than once
 * @server: The connection
 *
 * CCM authenticates the plain text that it also encrypts, in passes of their
 * own; GCM authenticates what it has encrypted.
 *
 * Return: True if the message must not change meanwhile.
 */
bool smb3_seal_rereads(const struct TCP_Server_Info *server)
{
	return !smb3_cipher_is_gcm(server);
}

/* Fill in the SMB2 TRANSFORM_HEADER, [MS-SMB2] section 2.2.41. */
static void smb3_fill_transform_hdr(const struct TCP_Server_Info *server,
				    struct smb2_transform_hdr *tr_hdr,
				    __le64 ses_id, size_t len)
{
	memset(tr_hdr, 0, sizeof(*tr_hdr));
	tr_hdr->ProtocolId = SMB2_TRANSFORM_PROTO_NUM;
	tr_hdr->OriginalMessageSize = cpu_to_le32(len);
	tr_hdr->Flags = cpu_to_le16(0x01);
	tr_hdr->SessionId = ses_id;
	get_random_bytes(&tr_hdr->Nonce,
			 smb3_cipher_is_gcm(server) ? SMB3_AES_GCM_NONCE :
						      SMB3_AES_CCM_NONCE);
}

/**
 * smb3_nr_pieces - Count the pieces of a chain
 * @bq: The chain, or NULL
 *
 * Return: How many scatterlist entries it takes at most.
 */
unsigned int smb3_nr_pieces(const struct bvecq *bq)
{
	unsigned int nr = 0;

	for (; bq; bq = bvecq_next(bq))
		nr += bvecq_nr_slots(bq);
	return nr;
}

/**
 * smb3_sg_append - Append a part of a chain to a scatterlist
 * @sgt: The scatterlist
 * @max: How many entries it has room for
 * @bq: The chain, of kernel memory
 * @offset: Where the part begins
 * @len: Number of bytes
 *
 * Return: 0, or -EIO if the chain is shorter or has more pieces.
 */
int smb3_sg_append(struct sg_table *sgt, unsigned int max, const struct bvecq *bq,
		   size_t offset, size_t len)
{
	struct iov_iter iter;
	ssize_t n;

	iov_iter_bvec_queue(&iter, ITER_SOURCE, bq, 0, offset, len);
	sgt->orig_nents = sgt->nents;
	n = extract_iter_to_sg(&iter, len, sgt, max - sgt->nents, 0);
	if (n < 0)
		return n;
	return n == len ? 0 : -EIO;
}

/**
 * smb3_run_aead - Encrypt or decrypt
 * @server: The connection
 * @req: The request, of a cipher that has its key
 * @tr_hdr: The transform header, which has the nonce
 * @iv: Room for the initialisation vector; zero
 * @src: What to read, from the transform header's nonce onwards
 * @dst: Where to write; may be @src
 * @len: Number of bytes to read, less those of the transform header
 * @enc: To encrypt, rather than to decrypt
 *
 * Context: Process context; sleeps if the cipher does.
 * Return: 0, -EBADMSG if what is to be decrypted was tampered with, or what else
 * the cipher says.
 */
int smb3_run_aead(const struct TCP_Server_Info *server, struct aead_request *req,
		  const struct smb2_transform_hdr *tr_hdr, u8 *iv,
		  struct scatterlist *src, struct scatterlist *dst, size_t len, bool enc)
{
	DECLARE_CRYPTO_WAIT(wait);

	if (smb3_cipher_is_gcm(server)) {
		memcpy(iv, tr_hdr->Nonce, SMB3_AES_GCM_NONCE);
	} else {
		iv[0] = 3;
		memcpy(iv + 1, tr_hdr->Nonce, SMB3_AES_CCM_NONCE);
	}
	aead_request_set_crypt(req, src, dst, len, iv);
	aead_request_set_ad(req, SMB3_AAD_LEN);
	aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG, crypto_req_done, &wait);
	return crypto_wait_req(enc ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req), &wait);
}

static int smb3_encrypt(struct TCP_Server_Info *server, struct crypto_aead *tfm,
			struct smb2_transform_hdr *tr_hdr,
			struct bvecq *plain, struct bvecq *sealed, size_t len)
{
	unsigned int nsrc = 1 + smb3_nr_pieces(plain);
	unsigned int ndst = 1 + smb3_nr_pieces(sealed) + 1;
	struct sg_table src = {}, dst = {};
	struct aead_request *req;
	void *creq;
	u8 *iv;
	int rc;

	creq = smb3_aead_req_alloc(tfm, nsrc + ndst, &iv, &req, &src.sgl);
	if (!creq)
		return -ENOMEM;
	dst.sgl = src.sgl + nsrc;
	sg_init_marker(src.sgl, nsrc);
	sg_init_marker(dst.sgl, ndst);

	sg_set_buf(&src.sgl[src.nents++], (u8 *)tr_hdr + SMB3_AAD_OFFSET, SMB3_AAD_LEN);
	rc = smb3_sg_append(&src, nsrc, plain, SMB_MARKER_LEN, len);
	if (rc)
		goto out;
	sg_mark_end(&src.sgl[src.nents - 1]);

	sg_set_buf(&dst.sgl[dst.nents++], (u8 *)tr_hdr + SMB3_AAD_OFFSET, SMB3_AAD_LEN);
	rc = smb3_sg_append(&dst, ndst - 1, sealed, SMB3_SEALED_HDR_LEN, len);
	if (rc)
		goto out;
	sg_set_buf(&dst.sgl[dst.nents++], tr_hdr->Signature, SMB2_SIGNATURE_SIZE);
	sg_mark_end(&dst.sgl[dst.nents - 1]);

	aead_request_set_tfm(req, tfm);
	rc = smb3_run_aead(server, req, tr_hdr, iv, src.sgl, dst.sgl, len, true);
out:
	smb3_aead_req_free(creq, src.sgl);
	return rc;
}

/**
 * smb3_seal - Encrypt a message
 * @server: The connection; its lock is held, which guards the cipher
 * @plain: The message, its length marker first; not written to
 * @ses_id: The session, in wire order
 *
 * The cipher writes straight into network memory, so the payload is read once
 * from where it lies and is not copied.
 *
 * Context: Process context; may sleep.
 * Return: The sealed message, its length marker first, owned by the caller, or
 * an ERR_PTR(): -ENOMEM, -EMSGSIZE if the marker cannot express the length,
 * -EAGAIN if the session is gone, or what the cipher says.
 */
struct bvecq *smb3_seal(struct TCP_Server_Info *server, struct bvecq *plain,
			__le64 ses_id)
{
	size_t len = bvecq_bytes(plain) - SMB_MARKER_LEN;
	struct crypto_aead *tfm = server->secmech.enc;
	struct smb2_transform_hdr *tr_hdr;
	struct bvecq *sealed;
	__be32 *marker;
	int rc;

	if (len + sizeof(*tr_hdr) > SMB_MARKER_MAX)
		return ERR_PTR(-EMSGSIZE);

	sealed = smb_alloc_netmem(server, SMB3_SEALED_HDR_LEN + len);
	if (IS_ERR(sealed))
		return sealed;

	/* The first fragments are long enough for the headers to be in one piece. */
	marker = bvec_virt(&sealed->bv[0]);
	tr_hdr = (void *)marker + SMB_MARKER_LEN;
	*marker = cpu_to_be32(sizeof(*tr_hdr) + len);
	smb3_fill_transform_hdr(server, tr_hdr, ses_id, len);

	rc = smb3_set_aead_key(server, tfm, le64_to_cpu(ses_id), true);
	if (rc)
		goto error;

	rc = smb3_encrypt(server, tfm, tr_hdr, plain, sealed, len);
	cifs_dbg(FYI, "Encrypt message returned %d\n", rc);
	if (rc)
		goto error;

	return sealed;

error:
	bvecq_put(sealed);
	return ERR_PTR(rc);
}
EXPORT_SYMBOL_IF_KUNIT(smb3_seal);
