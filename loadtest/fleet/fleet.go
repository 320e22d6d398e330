// Package fleet tests what several gateways are together: processes of bin/caddy that
// share a real Redis, MongoDB and Kafka, and what it costs when one of these, or a
// gateway, is killed, frozen or stopped under load. It holds tests only.
//
// Figures are printed with -v, and never decide: what decides is that nothing fails
// and nothing is lost.
//
//	go test -v ./loadtest/fleet
package fleet
