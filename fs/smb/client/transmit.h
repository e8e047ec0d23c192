/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Laying out, sealing and transmitting SMB messages
 */
#ifndef _SMB_TRANSMIT_H
#define _SMB_TRANSMIT_H

#include <linux/bvecq.h>
#include <linux/cleanup.h>
#include <linux/types.h>

struct smb_rqst;
struct TCP_Server_Info;

/* The direct TCP header of [MS-SMB2] section 2.1: a zero byte, a 24-bit length. */
#define SMB_MARKER_LEN		sizeof(__be32)
#define SMB_MARKER_MAX		0x00ffffff

struct bvecq *smb_alloc_netmem(struct TCP_Server_Info *server, size_t len);
struct bvecq *smb_build_chain(struct TCP_Server_Info *server, int num_rqst,
			      const struct smb_rqst *rqst);
struct bvecq *smb_copy_payload(struct TCP_Server_Info *server,
			       struct smb_rqst *rqst, int flags);
int smb_transmit(struct TCP_Server_Info *server, struct bvecq *chain);
int smb_transmit_buf(struct TCP_Server_Info *server, const void *buf, size_t len);

/* seal.c */
bool smb3_seal_rereads(const struct TCP_Server_Info *server);
struct bvecq *smb3_seal(struct TCP_Server_Info *server, struct bvecq *plain);

DEFINE_FREE(bvecq, struct bvecq *, if (!IS_ERR_OR_NULL(_T)) bvecq_put(_T))

#endif /* _SMB_TRANSMIT_H */
