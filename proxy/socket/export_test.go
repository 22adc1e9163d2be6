package socket

// What the tests outside of the package, which may use the event loop, take from those inside.
var (
	TLSConfigForTest = tlsConfig
	NetPairForTest   = netPair
	SeedForTest      = seedOf
)
