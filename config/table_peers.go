package config

var peerSettings = []setting{
	{
		section: "listen", name: "peer_id", max: PeerMax, restart: true,
		field: func(c *Config) any { return &c.Listen.PeerID },
		meaning: "The id of this weir among its peers, from 1; 0: it has none. Cancel keys hold it, and a weir or a PgBouncer that gets a " +
			`cancel request with the id of another passes the request on: see [peers]. "ordinal" is the number at the end of this machine's ` +
			"name, and one more: 1 for weir-0, as the pods of a StatefulSet are called.",
	},
	{
		section: "peers", name: "host", example: `"weir-{ordinal}.weir-peers"`,
		peer: func(p *Peer) any { return &p.Host },
		meaning: "Where the peer is: a name, an address, or the folder of its unix socket. {id} in it stands for the peer's id, {ordinal} for " +
			"one less; a range of ids needs one of them. Names are looked up anew for each request. Required.",
	},
	{
		section: "peers", name: "port", min: 1, max: 65535,
		peer:    func(p *Peer) any { return &p.Port },
		meaning: "The peer's port; with a folder, the number in the socket's name.",
	},
	{
		section: "peers", name: "pool_size", unit: "connections", max: peerPoolMax,
		peer: func(p *Peer) any { return &p.PoolSize },
		meaning: "How many requests are passed on to the peer at a time. More wait for as long as cancel_wait_timeout, where that is off for " +
			"10 s. 0: pool_size of [pool].",
	},
	{
		section: "peers", name: "sslmode",
		peer: func(p *Peer) any { return &p.SSLMode },
		meaning: `How connections to the peer are encrypted, with the words and the files of [server_tls]. With "prefer" it is asked, and ` +
			`gets the request in clear text where it cannot: PgBouncer's way, which "disable" is from the first byte on.`,
	},
	{
		section: "peers", name: "pgbouncer",
		peer: func(p *Peer) any { return &p.PgBouncer },
		meaning: "The peer is a PgBouncer. Clients then get cancel keys of 8 bytes, which it passes on, also where they speak protocol 3.2 and " +
			"would get longer ones.",
	},
}
