/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Laying out, sealing and transmitting SMB messages
 */
#ifndef _SMB_TRANSMIT_H
#define _SMB_TRANSMIT_H

#include <linux/sizes.h>
#include <linux/types.h>

struct bvecq;
struct smb_rqst;
struct TCP_Server_Info;

/* The direct TCP header of [MS-SMB2] section 2.1: a zero byte, a 24-bit length. */
#define SMB_MARKER_LEN		sizeof(__be32)
#define SMB_MARKER_MAX		0x00ffffff

/* Payload up to this many bytes is copied: one fragment is cheaper than two. */
#define SMB_COPY_MAX		SZ_4K

struct bvecq *smb_alloc_netmem(struct TCP_Server_Info *server, size_t len);
struct bvecq *smb_build_chain(struct TCP_Server_Info *server, int num_rqst,
			      const struct smb_rqst *rqst);
struct bvecq *smb_copy_payload(struct TCP_Server_Info *server,
			       struct smb_rqst *rqst, int flags);
int smb_transmit_buf(struct TCP_Server_Info *server, const void *buf, size_t len);

/* seal.c */
bool smb3_seal_rereads(const struct TCP_Server_Info *server);
struct bvecq *smb3_seal(struct TCP_Server_Info *server, struct bvecq *plain);

#endif /* _SMB_TRANSMIT_H */
