// SPDX-License-Identifier: GPL-2.0
/*
 * Decryption of SMB3 messages, [MS-SMB2] section 3.2.5.1.1
 */

#include <crypto/aead.h>
#include <kunit/visibility.h>
#include <linux/bvecq.h>
#include <linux/scatterlist.h>
#include "cifsglob.h"
#include "cifsproto.h"
#include "smb2proto.h"
#include "transmit.h"

/**
 * smb3_unseal - Decrypt a message in place
 * @server: The connection
 * @tfm: A cipher that nobody else uses
 * @tr_hdr: The transform header; what has been received in one piece follows
 * @len: How much that is
 * @payload: A chain with the rest, or NULL
 *
 * Context: Process context; may sleep.
 * Return: 0; -EBADMSG if it is not what the server sealed, -EAGAIN if the session is
 * gone, -ENOMEM, or what the cipher says.
 */
int smb3_unseal(struct TCP_Server_Info *server, struct crypto_aead *tfm,
		struct smb2_transform_hdr *tr_hdr, size_t len,
		const struct bvecq *payload)
{
	size_t rest = payload ? bvecq_bytes(payload) : 0;
	unsigned int nents = 3 + smb3_nr_pieces(payload);
	struct sg_table sgt = {};
	struct aead_request *req;
	void *creq;
	u8 *iv;
	int rc;

	if (len + rest != le32_to_cpu(tr_hdr->OriginalMessageSize))
		return -EBADMSG;

	rc = smb3_set_aead_key(server, tfm, le64_to_cpu(tr_hdr->SessionId), false);
	if (rc)
		return rc;

	creq = smb3_aead_req_alloc(tfm, nents, &iv, &req, &sgt.sgl);
	if (!creq)
		return -ENOMEM;
	sg_init_marker(sgt.sgl, nents);
	sg_set_buf(&sgt.sgl[sgt.nents++], (u8 *)tr_hdr + SMB3_AAD_OFFSET, SMB3_AAD_LEN);
	sg_set_buf(&sgt.sgl[sgt.nents++], tr_hdr + 1, len);
	if (rest) {
		rc = smb3_sg_append(&sgt, nents - 1, payload, 0, rest);
		if (rc)
			goto out;
	}
	sg_set_buf(&sgt.sgl[sgt.nents++], tr_hdr->Signature, SMB2_SIGNATURE_SIZE);
	sg_mark_end(&sgt.sgl[sgt.nents - 1]);

	aead_request_set_tfm(req, tfm);
	rc = smb3_run_aead(server, req, tr_hdr, iv, sgt.sgl, sgt.sgl,
			   len + rest + SMB2_SIGNATURE_SIZE, false);
out:
	smb3_aead_req_free(creq, sgt.sgl);
	return rc;
}
EXPORT_SYMBOL_IF_KUNIT(smb3_unseal);
