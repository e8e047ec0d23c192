/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Laying out, sealing and transmitting SMB messages
 */
#ifndef _SMB_TRANSMIT_H
#define _SMB_TRANSMIT_H

#include <linux/sizes.h>
#include <linux/types.h>

struct aead_request;
struct bvecq;
struct bvecq_pos;
struct cifs_ses;
struct iov_iter;
struct kvec;
struct scatterlist;
struct sg_table;
struct smb2_transform_hdr;
struct smb_message;
struct TCP_Server_Info;

/* The direct TCP header of [MS-SMB2] section 2.1: a zero byte, a 24-bit length. */
#define SMB_MARKER_LEN		sizeof(__be32)
#define SMB_MARKER_MAX		0x00ffffff

/* Where the next PDU of a compound may begin, [MS-SMB2] section 2.2.1. */
#define SMB2_COMPOUND_ALIGN	8

/* Payload up to this many bytes is copied: one fragment is cheaper than two, and there
 * is a reserve of what takes, with its headers, no more than a page.
 */
#define SMB_COPY_MAX		(SZ_4K - SZ_256)

/* Pieces of payload that are shorter, on the average, are copied if the device is
 * behind a strict IOMMU, where each costs a mapping.
 */
#define SMB_MAP_MIN		SZ_8K

/* Room in front of a header, for the marker or its predecessor's padding. */
#define SMB_MESSAGE_HEADROOM	8

/* layout.c */

struct bvecq *smb_alloc_netmem(struct TCP_Server_Info *server, size_t len);
struct bvecq *smb_copy_to_netmem(struct TCP_Server_Info *server,
				 const struct kvec *iov, unsigned int nvec);
void smb_request_write(struct bvecq_pos *to, const void *from, size_t len);
int smb_message_alloc_request(struct TCP_Server_Info *server,
			      struct smb_message *msg, size_t len,
			      const struct iov_iter *payload);
void smb_message_rest(const struct smb_message *msg, size_t hdr_len,
		      struct iov_iter *rest);
void smb_hash_message(struct cifs_ses *ses, struct TCP_Server_Info *server,
		      const struct smb_message *msg);
int smb_link_messages(struct smb_message *head);
#if IS_ENABLED(CONFIG_KUNIT)
bool smb_maps_are_costly(const struct sock *sk, const struct bvecq *payload, size_t len);
#endif

/* seal.c */

/* A cipher authenticates the transform header from its nonce onwards. */
#define SMB3_AAD_OFFSET	offsetof(struct smb2_transform_hdr, Nonce)
#define SMB3_AAD_LEN	(sizeof(struct smb2_transform_hdr) - SMB3_AAD_OFFSET)

int smb3_run_aead(const struct TCP_Server_Info *server, struct aead_request *req,
		  const struct smb2_transform_hdr *tr_hdr, u8 *iv,
		  struct scatterlist *src, struct scatterlist *dst, size_t len, bool enc);
unsigned int smb3_nr_pieces(const struct bvecq *bq);
int smb3_sg_append(struct sg_table *sgt, unsigned int max, const struct bvecq *bq,
		   size_t offset, size_t len);
bool smb3_seal_rereads(const struct TCP_Server_Info *server);
struct bvecq *smb3_seal(struct TCP_Server_Info *server, struct bvecq *plain,
			__le64 ses_id);

/* transmit.c */

int smb_transmit_messages(struct TCP_Server_Info *server,
			  const struct smb_message *head);
int smb_transmit_buf(struct TCP_Server_Info *server, const void *buf, size_t len);
#if IS_ENABLED(CONFIG_KUNIT)
int smb_transmit(struct TCP_Server_Info *server, struct bvecq *chain);
#endif

#endif /* _SMB_TRANSMIT_H */
