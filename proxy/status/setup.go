package status

// Database is one that clients may ask for, as it is set up and what it has.
type Database struct {
	Name, Host                             string
	Port                                   int
	DBName                                 string
	ForceUser                              string // all backends log in as this one; empty: as their client
	PoolSize, MinPoolSize, ReservePoolSize int
	ServerLifetime                         int    // in seconds
	Mode                                   string // of its own; empty: none
	LoadBalance                            string // load_balance_hosts; empty: there is one host
	MaxConnections, Connections            int    // backends; 0: no limit
	MaxClients, Clients                    int
	Paused, Disabled                       bool
}

// User is one that the configuration knows, or that is connected.
type User struct {
	Name                        string
	PoolSize, ReservePoolSize   *int   // of its own; nil: none
	Mode                        string // likewise; empty: none
	MaxConnections, Connections int    // backends; 0: no limit
	MaxClients, Clients         int
}

// Host is one place where a database's server is.
type Host struct {
	Database, Host string
	Port           int
	Addresses      string // that backends are connected to
	Backends       int
	Dialling       int
	Tried          bool   // weir has dialled it
	Trouble        string // why the last dial failed; empty since one succeeded
}

// Memory is what one kind of thing takes, in bytes.
type Memory struct {
	Name             string
	Size, Used, Free int
	Total            int
}

// State says what operators have asked of the whole.
type State struct {
	Paused, ShuttingDown bool
}
