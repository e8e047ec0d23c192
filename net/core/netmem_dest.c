// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Transmit memory by destination: for a socket that sends to many, whose route
 * only the address decides.
 */

#include <linux/bottom_half.h>
#include <linux/export.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/net.h>
#include <linux/security.h>
#include <net/dst_cache.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/netmem_alloc.h>
#include <net/route.h>
#include <net/sock.h>

/* The look-up of udp_sendmsg(), which knows about bound devices, marks and VRFs. */
static struct dst_entry *netmem_route4(struct sock *sk, __be32 daddr, __be16 dport,
				       __be32 *saddr)
{
	const struct inet_sock *inet = inet_sk(sk);
	struct flowi4 fl4;
	struct rtable *rt;

	flowi4_init_output(&fl4, READ_ONCE(sk->sk_bound_dev_if),
			   READ_ONCE(sk->sk_mark), ip_sock_rt_tos(sk),
			   ip_sock_rt_scope(sk), sk->sk_protocol,
			   inet_sk_flowi_flags(sk), daddr, inet->inet_saddr,
			   dport, inet->inet_sport, sk_uid(sk));
	security_sk_classify_flow(sk, flowi4_to_flowi_common(&fl4));

	rt = ip_route_output_flow(sock_net(sk), &fl4, sk);
	if (IS_ERR(rt))
		return ERR_CAST(rt);
	*saddr = fl4.saddr;
	return &rt->dst;
}

/* The same for udpv6_sendmsg(). */
static struct dst_entry *netmem_route6(struct sock *sk, const struct sockaddr_in6 *sin6,
				       struct in6_addr *saddr)
{
	struct flowi6 fl6 = {
		.flowi6_oif	= READ_ONCE(sk->sk_bound_dev_if),
		.flowi6_mark	= READ_ONCE(sk->sk_mark),
		.flowi6_proto	= sk->sk_protocol,
		.flowi6_uid	= sk_uid(sk),
		.daddr		= sin6->sin6_addr,
		.fl6_dport	= sin6->sin6_port,
		.fl6_sport	= inet_sk(sk)->inet_sport,
	};
	struct dst_entry *dst;

	if (!ipv6_addr_any(&inet6_sk(sk)->saddr))
		fl6.saddr = inet6_sk(sk)->saddr;
	if (!fl6.flowi6_oif && __ipv6_addr_needs_scope_id(ipv6_addr_type(&fl6.daddr)))
		fl6.flowi6_oif = sin6->sin6_scope_id;
	security_sk_classify_flow(sk, flowi6_to_flowi_common(&fl6));

	dst = ip6_dst_lookup_flow(sock_net(sk), sk, &fl6, NULL);
	if (!IS_ERR(dst))
		*saddr = fl6.saddr;
	return dst;
}

static struct dst_entry *netmem_cached(struct dst_cache *cache)
{
	struct dst_entry *dst;

	local_bh_disable();
	dst = dst_cache_get(cache);
	local_bh_enable();
	return dst;
}

static struct dst_entry *netmem_route(struct sock *sk, const struct sockaddr *dest,
				      int dest_len, struct dst_cache *cache)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)dest;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)dest;
	struct dst_entry *dst;
	union {
		__be32		v4;
		struct in6_addr	v6;
	} saddr;
	__be32 daddr;
	__be16 dport;

	if (dest_len < (int)offsetofend(struct sockaddr, sa_family))
		return ERR_PTR(-EINVAL);

	switch (dest->sa_family) {
	case AF_INET:
		if (dest_len < (int)sizeof(*sin))
			return ERR_PTR(-EINVAL);
		daddr = sin->sin_addr.s_addr;
		dport = sin->sin_port;
		break;
	case AF_INET6:
		if (!IS_ENABLED(CONFIG_IPV6) || sk->sk_family != AF_INET6)
			return ERR_PTR(-EAFNOSUPPORT);
		if (dest_len < (int)sizeof(*sin6))
			return ERR_PTR(-EINVAL);
		if (!ipv6_addr_v4mapped(&sin6->sin6_addr)) {
			dst = netmem_route6(sk, sin6, &saddr.v6);
			if (cache && !IS_ERR(dst)) {
				local_bh_disable();
				dst_cache_set_ip6(cache, dst, &saddr.v6);
				local_bh_enable();
			}
			return dst;
		}
		daddr = sin6->sin6_addr.s6_addr32[3];
		dport = sin6->sin6_port;
		break;
	default:
		return ERR_PTR(-EAFNOSUPPORT);
	}

	dst = netmem_route4(sk, daddr, dport, &saddr.v4);
	if (cache && !IS_ERR(dst)) {
		local_bh_disable();
		dst_cache_set_ip4(cache, dst, saddr.v4);
		local_bh_enable();
	}
	return dst;
}

/**
 * netmem_alloc_dest() - allocate a fragment that will be sent to an address
 * @sk: UDP socket that will send it; need not be connected
 * @dest: where to
 * @dest_len: length of @dest in bytes
 * @cache: where the route to @dest is kept from one call to the next, set up by
 *	dst_cache_init() and used for no other destination or socket; or NULL, to
 *	have it looked up in each call
 * @len: length in bytes, 1 to %NETMEM_FRAG_MAX
 * @align: as for netmem_alloc_gfp()
 * @hints: 0 or %NETMEM_HINT_UNRETAINED
 * @gfp: as for netmem_alloc_gfp()
 * @bv: where to store the fragment
 *
 * The route is found as sendmsg() would find it, by what the socket is bound
 * to, its mark and its VRF; source address and options that a control message
 * gives are not known here, nor are IP_MULTICAST_IF, IP_UNICAST_IF, their like for
 * IPv6 and the flow label looked at.
 * It is a hint only: the memory can be sent anywhere. So who wants memory more than
 * an answer may ask netmem_alloc_gfp() if there is no route.
 *
 * Context: any but hardirq; interrupts must be enabled. Sleeps only if @gfp
 * allows direct reclaim. The caller holds a reference on @sk.
 *
 * Return:
 * * 0 - success
 * * -EAFNOSUPPORT - a socket of @sk's family cannot send to such an address
 * * -EINVAL - @dest_len is too short; or as netmem_alloc_gfp()
 * * -EHOSTUNREACH, -ENETUNREACH, -EACCES ... - the routing error
 * * -EMSGSIZE, -ENOMEM - as netmem_alloc_gfp()
 *
 * On error @bv is untouched.
 */
int netmem_alloc_dest(struct sock *sk, const struct sockaddr *dest,
		      int dest_len, struct dst_cache *cache, size_t len,
		      size_t align, unsigned int hints, gfp_t gfp,
		      struct bio_vec *bv)
{
	struct dst_entry *dst;
	int ret;

	dst = cache ? netmem_cached(cache) : NULL;
	if (!dst)
		dst = netmem_route(sk, dest, dest_len, cache);
	if (IS_ERR(dst))
		return PTR_ERR(dst);

	ret = netmem_alloc_dst(dst, len, align, hints, gfp, bv);
	dst_release(dst);
	return ret;
}
EXPORT_SYMBOL(netmem_alloc_dest);
