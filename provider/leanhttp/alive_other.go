//go:build !unix

package leanhttp

import "net"

func alive(nc net.Conn) bool { return probe(nc) }
