package config

var tracingSettings = []setting{
	{
		section: "tracing", name: "enabled", restart: true,
		field: func(c *Config) any { return &c.Tracing.Enabled },
		meaning: "Tells a collector of OpenTelemetry about transactions: a span for each, with the wait for its backend apart. OTEL_SDK_DISABLED=true " +
			"in the environment switches that off.",
	},
	{
		section: "tracing", name: "endpoint", restart: true,
		field: func(c *Config) any { return &c.Tracing.Endpoint },
		meaning: "The collector's URL, for OTLP over HTTP with protobuf: \"http://collector:4318\". Without a path it is /v1/traces. " +
			`"": OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or OTEL_EXPORTER_OTLP_ENDPOINT with /v1/traces, or http://localhost:4318.`,
	},
	{
		section: "tracing", name: "sample_ratio",
		field: func(c *Config) any { return &c.Tracing.SampleRatio },
		meaning: "How many of the transactions are traced whose texts have no traceparent, from 0 to 1. Those that have one follow it. " +
			"OTEL_TRACES_SAMPLER in the environment has precedence.",
	},
	{
		section: "tracing", name: "statements",
		field:   func(c *Config) any { return &c.Tracing.Statements },
		meaning: "Adds the first 80 bytes of a transaction's first statement, as db.query.text. Texts may hold what should not leave the machine.",
	},
}
