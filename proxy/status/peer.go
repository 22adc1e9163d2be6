package status

// Peer is a client that a snapshot points out.
type Peer struct {
	Client      uint32 // the process ID that it was given
	Address     string
	Application string // its application_name
	Backend     uint32 // the server's process that it has; 0: none
}
