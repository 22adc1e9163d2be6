// Package telemetry shows what weir does: Prometheus metrics, health for load balancers and orchestrators, and profiles when they
// are switched on.
//
// A scrape takes one snapshot and makes constants of it; nothing here counts by itself. Goroutines: the HTTP server's. It may
// import status and config, and prometheus/client_golang from outside.
package telemetry
