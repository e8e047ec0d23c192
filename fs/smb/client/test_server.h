/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What KUnit tests take for a connection that is up, with a session on it
 */
#ifndef _CIFS_TEST_SERVER_H
#define _CIFS_TEST_SERVER_H

#include "cifsglob.h"
#include "smb2glob.h"

static inline void test_server_init(struct TCP_Server_Info *server, struct cifs_ses *ses)
{
	refcount_set(&server->obj_refs, 1);
	server->ops = &smb311_operations;
	server->vals = &smb311_values;
	server->dialect = SMB311_PROT_ID;
	server->hostname = "server.example";
	server->tcpStatus = CifsGood;
	server->credits = 100;
	server->max_credits = 8192;
	server->max_read = SZ_1M;
	server->oplocks = true;
	server->echoes = true;
	spin_lock_init(&server->req_lock);
	spin_lock_init(&server->srv_lock);
	spin_lock_init(&server->mid_queue_lock);
	spin_lock_init(&server->mid_counter_lock);
	mutex_init(&server->_srv_mutex);
	init_waitqueue_head(&server->request_q);
	init_waitqueue_head(&server->response_q);
	INIT_LIST_HEAD(&server->pending_mid_q);

	ses->server = server;
	ses->ses_status = SES_GOOD;
	ses->Suid = 0x1122334455667788;
	spin_lock_init(&ses->ses_lock);
}

#endif /* _CIFS_TEST_SERVER_H */
